"""The Method tab: the recommendation, the comparison table, a base model, and the settings of the method."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gradio as gr

from studio import methods, presets
from studio.errors import StudioError
from studio.methods import compatibility
from studio.plan import Task
from studio.ui import access, progress_strip
from studio.ui.components import notices
from studio.ui.components.events import LATEST_UNQUEUED, UNQUEUED, after_any, read_event
from studio.ui.components.gradio_adapter import current_page
from studio.ui.components.labels import t
from studio.ui.data import schema_summary
from studio.ui.data import tab as data_tab
from studio.ui.data.tab import DataTab
from studio.ui.form import messages as form_messages
from studio.ui.form import packing, plan_form, saved_settings
from studio.ui.form.form_state import FormState, read_form
from studio.ui.form.packing import unpack_mapping
from studio.ui.form.saved_settings import SavedSettings
from studio.ui.form.training_fields import MIN_EPOCHS, STEPS_FOLLOW_SETTINGS
from studio.ui.help import messages as help_messages
from studio.ui.help import panel as help_panel
from studio.ui.language import request_language
from studio.ui.method import (
    base_model,
    elsewhere,
    estimates,
    messages,
    own_machines,
    recommendation,
    refinement,
    settings_panel,
)
from studio.ui.method import baselines as baselines_panel
from studio.ui.method import chooser as chooser_panel
from studio.ui.method import machine as machine_panel
from studio.ui.method import rate_range as rate_range_panel
from studio.ui.method import rehearsal as rehearsal_panel
from studio.ui.method import table as comparison_table
from studio.ui.method.baselines import BaselinesPanel
from studio.ui.method.chooser import PACKED_ANSWERS, Questions
from studio.ui.method.estimate_inputs import EstimateInputs, load_inputs
from studio.ui.method.machine import MachineFields
from studio.ui.method.recommendation import ChoiceTargets
from studio.ui.method.settings_panel import PLACEHOLDER_FIELDS, SUGGESTED_FIELDS, SettingsPanel
from studio.ui.progress_strip import ProgressStrip

DEFAULT_MODEL = "smollm2-135m"
DEFAULT_CLASSIFIER = "minilm-l6"
DEFAULT_METHOD = "lora"


class Chooser(NamedTuple):
    """The recommendation, as other tabs need it: its component."""

    result: gr.HTML


class MethodTab(NamedTuple):
    """The components other tabs need."""

    model: gr.Dropdown
    machine: gr.Dropdown
    method: gr.BrowserState
    setting_fields: dict[str, Any]
    training_fields: dict[str, Any]
    packed_fields: dict[str, Any]
    next_button: gr.Button
    chooser: Chooser
    attempt_event: Any
    change_notice: gr.HTML


@dataclass(frozen=True)
class _Layout:
    """The components of the tab."""

    change_notice: gr.HTML
    card: gr.HTML
    questions: Questions
    model: gr.Dropdown
    model_notice: gr.HTML
    machine: MachineFields
    table: gr.HTML
    settings: SettingsPanel
    baselines: BaselinesPanel
    elsewhere_accordion: gr.Accordion
    elsewhere_tables: gr.HTML
    help_page: gr.HTML
    next_button: gr.Button


@dataclass(frozen=True)
class _Page:
    """What the tab is wired to: components of other tabs, and what the browser keeps."""

    source: gr.BrowserState
    saved: SavedSettings
    data: DataTab
    test: gr.Textbox
    strip: ProgressStrip


# ---- What the handlers answer


def refresh_after_change(request: gr.Request, **fields: Any) -> tuple[Any, ...]:
    """As `refresh`, after a field has changed: what is being refined for the earlier fields ends.

    Returns:
        The outputs of `refresh`, then a new value for the hidden field that starts refining, if it is needed.
    """
    revision = refinement.next_revision(request)
    outputs = refresh(request, **fields)
    table_value = outputs[0]
    return *outputs, revision if table_value["pending"] else gr.skip()


def refresh(
    request: gr.Request,
    run: str | None = "",
    elsewhere_html: str = "",
    kwh_price: float | None = None,
    **fields: Any,
) -> tuple[Any, ...]:
    """Everything that follows from the form as it is now.

    Args:
        request: The visitor's request.
        run: The run that the progress strip is about, if any.
        elsewhere_html: The tables of costs elsewhere, if they are open.
        kwh_price: What a kilowatt-hour costs (dollars).
        fields: The form (form_state.read_form), and the chooser's answers (chooser.read_answers).

    Returns:
        The table, the notices on the model and on what is trained, the tables of costs elsewhere, the cost on
        the method's help page, the progress strip, the recommendation, and what empty fields stand for.
    """
    lang = request_language(request)
    form = read_form(fields)
    inputs = load_inputs(form)
    deciding = estimates.estimate_all_methods(inputs)
    displayed = estimates.add_electricity(deciding, estimates.read_electricity_price(kwh_price))
    estimate = displayed.get(inputs.plan.method.name)
    settings_notice = _settings_notice(form, inputs, lang)
    cost = "" if settings_notice else estimates.format_expected_cost(estimate, lang)
    return (
        comparison_table.render_table(estimates.build_table_state(inputs, displayed, lang), lang),
        base_model.describe_model(form.model, form.task, lang, plan_form.language_warning(form, lang)),
        settings_notice or _parameter_notice(inputs, form, lang),
        elsewhere.render_tables(inputs, lang) if elsewhere_html else gr.skip(),
        help_panel.update_cost(cost),
        progress_strip.render_strip(inputs, estimate, lang, run or ""),
        recommendation.render_card(inputs, form, fields, (deciding, displayed), lang),
        *settings_panel.automatic_placeholders(inputs, form, lang),
    )


def _settings_notice(form: FormState, inputs: EstimateInputs, lang: str) -> dict[str, Any] | None:
    """What is wrong with the settings of the chosen method; None where they can work."""
    method_name = inputs.plan.method.name
    raw_plan = {
        "task": form.task,
        # What is wrong with a model is said beside it.
        "model": inputs.plan.model if inputs.base.shape else "",
        "method": {"name": method_name, "settings": form.settings[method_name]},
    }
    problems = [
        problem
        for problem in methods.find_plan_problems(raw_plan)
        if problem.key.startswith("method.settings.")
    ]
    if not problems:
        return None
    return notices.problems_notice(problems, plan_form.field_labels(method_name), lang)


def _parameter_notice(inputs: EstimateInputs, form: FormState, lang: str) -> dict[str, Any]:
    """How many parameters the chosen method trains; empty where that is not known."""
    method_name, task, model_shape = inputs.plan.method.name, inputs.plan.task, inputs.base.shape
    if not model_shape or compatibility.find_incompatibility(method_name, task, model_shape):
        return notices.notice("")
    label_count = 0
    if task == "classify":
        label_count = inputs.lengths.n_labels if inputs.lengths else 2
    parameters = methods.get(method_name).count_parameters(
        model_shape, inputs.settings[method_name], label_count
    )
    automatic_values = settings_panel.describe_automatic_values(inputs, form, lang)
    return notices.notice(comparison_table.format_trainable_sentence(parameters, lang), automatic_values)


def try_on_sample(event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
    """Set up a short run of a method on the sample that suits it.

    Returns:
        The outputs of the Data tab, the method and the data it is for, the state of edited fields, and the
        epochs.

    Raises:
        gr.Error: The browser names no method.
    """
    name = str(read_event(event, "id") or "")
    page = None
    if name in {method.name for method in methods.METHODS}:
        page = presets.methods()[name].help
    if not page:
        raise gr.Error(messages.UNKNOWN_METHOD.render(request_language(request)))
    sample = page.sample_run.sample
    source = f"sample:{sample}"
    edited_state = {"source": source, "names": ["epochs"]}
    method_for = f"{source}|{presets.samples()[sample].task}"
    return *data_tab.open_sample(sample, request), name, method_for, edited_state, MIN_EPOCHS


def apply_offer(event: gr.EventData, **fields: Any) -> tuple[Any, ...]:
    """Change what an offer below a row changes: estimates.OFFERED_FIELDS; everything else stays."""
    method_name = str(read_event(event, "id") or "")
    offer_index = read_event(event, "number")
    changes = estimates.resolve_offer(read_form(fields), method_name, offer_index)
    return tuple(changes.get(name, gr.skip()) for name in estimates.OFFERED_FIELDS.values())


def select_method(current_method: str, event: gr.EventData) -> str:
    """The method whose row was clicked; the current one where the browser names none."""
    requested = str(read_event(event, "id") or "")
    if requested in {method.name for method in methods.METHODS}:
        return requested
    return current_method


def follow_data(
    request: gr.Request,
    method: str,
    method_for: str,
    model: str | None,
    saved_model: str = "",
    **fields: Any,
) -> tuple[Any, ...]:
    """The base models for the task, and a method that suits the data.

    The model stays if it can do the task, but for other data one that generates gives way to one that only
    classifies. One that was typed stays too. A model that stays is not sent: this answer may come after
    another was chosen.

    Args:
        request: The visitor's request.
        method: The method chosen so far.
        method_for: The data it was chosen for.
        model: The base model chosen so far; None on a page that has just been opened.
        saved_model: The one that the browser has saved.
        fields: The form (form_state.read_form).

    Returns:
        An update of the models, the method, the data it is for, the notice of what has changed, and what the
        recommendation sets, by METHOD_SETTING.
    """
    task = fields["task"]
    known_model = model or saved_model
    is_for_data = method_for == f"{fields['source']}|{task}"
    suitable = _suitable_model(task, known_model if isinstance(known_model, str) else "", is_for_data)
    chosen = recommendation.follow_data(request, method, method_for or "", suitable, **fields)
    models = gr.update(choices=_model_choices(task, request_language(request)))
    if suitable != model:
        models["value"] = suitable
    return models, *chosen


def _is_being_restored(source: str, columns: Mapping[str, str]) -> bool:
    """Whether the Data tab still has to show a data set: the page remembers one, but not yet its columns."""
    if not source or columns:
        return False
    try:
        dataset = access.find_dataset(source)
        _, role_columns, _ = schema_summary.resolve_roles(dataset, dataset.table())
    except StudioError:
        return False
    return bool(role_columns)


def _model_choices(task: Task, lang: str) -> list[tuple[str, str]]:
    return [
        (base_model.describe_choice(card).render(lang), card.id)
        for card in presets.models().values()
        if task in card.tasks
    ]


def _suitable_model(task: Task, model: str, is_for_data: bool) -> str:
    """The model where it suits the task, else the usual one; `is_for_data`: it was chosen for these data."""
    card = presets.models().get(model)
    if model and not card:
        return model
    can_stay = is_for_data or task != "classify" or (card and card.tasks == ("classify",))
    if card and task in card.tasks and can_stay:
        return card.id
    return DEFAULT_CLASSIFIER if task == "classify" else DEFAULT_MODEL


# ---- Layout


def build(
    source: gr.BrowserState,
    saved: SavedSettings,
    data_components: DataTab,
    test: gr.Textbox,
    strip: ProgressStrip,
) -> MethodTab:
    """Lay the tab out and wire it.

    Args:
        source: The data set.
        saved: What the browser keeps of the settings.
        data_components: The Data tab.
        test: The source of a separate test set.
        strip: The progress strip above all tabs.
    """
    page = _Page(source, saved, data_components, test, strip)
    layout = _lay_out(saved)
    panel = layout.settings
    packed_fields = packing.pack_fields(_group_fields(panel))
    form_fields = {
        **_data_fields(page),
        "test": test,
        "method": saved.method,
        "model": layout.model,
        "machine": layout.machine.machine,
        **packed_fields,
    }
    _wire_method(layout, page)
    _wire_refresh(layout, page, form_fields)
    _wire_data(layout, page)
    settings_panel.wire(panel, saved.method, _data_fields(page), packed_fields, page.data.revision)
    _wire_training_suggestions(layout, page, packed_fields)
    _wire_recommendation(layout, page, form_fields)
    rehearsal_panel.wire(panel.rehearsal, form_fields)
    rate_range_panel.wire(panel.rate_range, panel.training_fields["learning_rate"], form_fields)
    saved_settings.wire(
        saved,
        source,
        {**panel.setting_fields, **panel.training_fields},
        tuple(packed_fields.values()),
    )
    attempt_event = layout.help_page.attempt(
        try_on_sample,
        None,
        [
            *data_components.outputs,
            saved.method,
            saved.method_for,
            saved.edited,
            panel.training_fields["epochs"],
        ],
        **UNQUEUED,
    )
    return MethodTab(
        layout.model,
        layout.machine.machine,
        saved.method,
        panel.setting_fields,
        panel.training_fields,
        packed_fields,
        layout.next_button,
        Chooser(layout.card),
        attempt_event,
        layout.change_notice,
    )


def _lay_out(saved: SavedSettings) -> _Layout:
    """The components, in the order in which they are on the page."""
    with gr.Column(elem_id="method-tab"):
        gr.Markdown(t(messages.METHOD_HEADING), elem_classes="tab-heading")
        change_notice = recommendation.build_change_notice()
        card = recommendation.build_card()
        questions = chooser_panel.build()
        with gr.Row():
            model = gr.Dropdown(
                [],
                label=t(form_messages.MODEL),
                info=t(messages.MODEL_HELP),
                allow_custom_value=True,
                elem_id="model",
                min_width=machine_panel.MIN_CHOICE_WIDTH,
            )
            machine = machine_panel.build_choice()
        model_notice = notices.notice_box("model-notice")
        table = comparison_table.build("methods")
        with gr.Column(elem_id="method-more"):
            settings = settings_panel.build(DEFAULT_METHOD)
            machine_fields = machine_panel.build(machine, model, saved.kwh_price)
            own_machines.build(machine)
            baselines = baselines_panel.build()
            elsewhere_accordion, elsewhere_tables = elsewhere.build()
            with gr.Accordion(t(help_messages.HOW_IT_WORKS), open=False, elem_id="how"):
                help_page = help_panel.build_method_page()
        next_button = gr.Button(t(messages.CONTINUE), elem_id="to-train", scale=0, min_width=200)
    return _Layout(
        change_notice=change_notice,
        card=card,
        questions=questions,
        model=model,
        model_notice=model_notice,
        machine=machine_fields,
        table=table,
        settings=settings,
        baselines=baselines,
        elsewhere_accordion=elsewhere_accordion,
        elsewhere_tables=elsewhere_tables,
        help_page=help_page,
        next_button=next_button,
    )


# ---- Wiring


def _data_fields(page: _Page) -> dict[str, Any]:
    """The fields of the Data tab that a handler of this tab reads."""
    return {"source": page.source, "task": page.data.task, "columns": page.data.columns}


def _group_fields(panel: SettingsPanel) -> dict[str, dict[str, Any]]:
    """The fields in groups that travel as one text: those of the training, and those of each method."""
    groups = {"training": panel.training_fields}
    for method in methods.METHODS:
        groups[method.name] = {
            name: field for name, field in panel.setting_fields.items() if name.startswith(f"{method.name}_")
        }
    return groups


def _wire_method(layout: _Layout, page: _Page) -> None:
    """Choose a method in the table, and show its help."""
    method_state = page.saved.method
    layout.table.pick(select_method, method_state, method_state, **UNQUEUED)
    after_any(method_state.change, current_page().load).then(
        help_panel.explain_method,
        method_state,
        [layout.help_page, layout.settings.exact_terms],
        **LATEST_UNQUEUED,
    )


def _wire_data(layout: _Layout, page: _Page) -> None:
    """Let base model and method follow the data."""
    saved, settings = page.saved, layout.settings.setting_fields
    followers = [
        layout.model,
        saved.method,
        saved.method_for,
        layout.change_notice,
        page.strip.followed,
        *settings.values(),
    ]

    def follow(request: gr.Request, **fields: Any) -> tuple[Any, ...]:
        if _is_being_restored(fields["source"], unpack_mapping(fields["columns"])):
            return (gr.skip(),) * len(followers)
        *outputs, changed = follow_data(request, **fields)
        followed = f"{fields['source'] or ''}|{fields['task']}"
        return *outputs, followed, *(changed.get(name, gr.skip()) for name in settings)

    changes = [component.change for component in (page.source, page.data.task, page.data.columns)]
    after_any(*changes, current_page().load).then(
        follow,
        inputs_kwargs={
            **_data_fields(page),
            "method": saved.method,
            "method_for": saved.method_for,
            "model": layout.model,
            "saved_model": saved.model,
            "machine": layout.machine.machine,
        },
        outputs=followers,
        **LATEST_UNQUEUED,
    )
    layout.model.change(
        None,
        [layout.model, saved.model],
        saved.model,
        js="(model, saved) => model || saved",
        **UNQUEUED,
    )


def _wire_refresh(layout: _Layout, page: _Page, form_fields: dict[str, Any]) -> None:
    """Refresh the table after any change, and again when it was refined or this machine measured."""
    panel = layout.settings
    inputs = {
        **form_fields,
        "run": page.strip.run,
        "elsewhere_html": layout.elsewhere_tables,
        "kwh_price": layout.machine.kwh_price,
        PACKED_ANSWERS: layout.questions.packed,
        "prefilled": layout.questions.prefilled,
    }
    outputs = [
        layout.table,
        layout.model_notice,
        panel.parameter_notice,
        layout.elsewhere_tables,
        layout.help_page,
        page.strip.html,
        layout.card,
        *(panel.training_fields[name] for name in PLACEHOLDER_FIELDS),
    ]
    triggers = (
        *form_fields.values(),
        page.data.revision,
        page.strip.run_stage,
        layout.machine.kwh_price,
        layout.questions.packed,
    )
    # Tracing answers only that it is done, and the table is drawn from the fields as they are then: an old
    # answer overwrites nothing.
    refine_request, refine_done = gr.Number(0, visible=False), gr.Number(0, visible=False)
    after_any(*(field.change for field in triggers)).then(
        refresh_after_change, inputs_kwargs=inputs, outputs=[*outputs, refine_request], **LATEST_UNQUEUED
    )
    refine_request.change(
        refinement.refine,
        inputs_kwargs={**form_fields, "done_count": refine_done},
        outputs=refine_done,
        show_progress="hidden",
        trigger_mode="always_last",
    )
    after_any(refine_done.change, layout.machine.notice.change).then(
        refresh, inputs_kwargs=inputs, outputs=outputs, **LATEST_UNQUEUED
    )
    # What needs no training may advise against it.
    baselines_panel.wire(layout.baselines, form_fields).then(
        refresh, inputs_kwargs=inputs, outputs=outputs, **LATEST_UNQUEUED
    )
    layout.elsewhere_accordion.expand(
        elsewhere.open_tables, inputs_kwargs=form_fields, outputs=layout.elsewhere_tables, **UNQUEUED
    )
    layout.elsewhere_accordion.collapse(None, None, layout.elsewhere_tables, js="() => ''", **UNQUEUED)
    layout.elsewhere_tables.choose(elsewhere.choose_machine, None, layout.machine.machine, **UNQUEUED)
    offered = {**panel.training_fields, "machine": layout.machine.machine, "method": page.saved.method}
    layout.table.remedy(
        apply_offer,
        inputs_kwargs=form_fields,
        outputs=[offered[name] for name in estimates.OFFERED_FIELDS.values()],
        **UNQUEUED,
    )


def _wire_training_suggestions(layout: _Layout, page: _Page, packed_fields: dict[str, Any]) -> None:
    """Suggest training values by the amount of the data, after whatever changes it."""
    panel = layout.settings
    names = ("validation_share", "test_share", "replay_share")
    training_fields = {name: panel.training_fields[name] for name in names}
    inputs = {
        **_data_fields(page),
        "method": page.saved.method,
        "test": page.test,
        "edited": page.saved.edited,
        **packed_fields,
    }
    staged = [packed_fields[f"now_{name}"] for name in STEPS_FOLLOW_SETTINGS]
    triggers = (
        page.source,
        page.saved.method,
        page.data.task,
        page.data.columns,
        page.data.revision,
        page.test,
        *training_fields.values(),
        *staged,
    )
    suggested = [panel.training_fields[name] for name in SUGGESTED_FIELDS]
    after_any(*(component.change for component in triggers)).then(
        settings_panel.suggest_training_values,
        inputs_kwargs={**inputs, **training_fields},
        outputs=[*suggested, panel.suggestion_notice, *panel.larger_test],
        **LATEST_UNQUEUED,
    )
    panel.larger_test.button.click(
        None,
        [panel.larger_test.share, page.saved.edited, page.source],
        [panel.training_fields["test_share"], page.saved.edited],
        js=saved_settings.set_edited_js("test_share"),
        **UNQUEUED,
    )


def _wire_recommendation(layout: _Layout, page: _Page, form_fields: dict[str, Any]) -> None:
    data_changed = after_any(
        page.source.change,
        page.data.columns.change,
        page.data.revision.change,
        layout.machine.machine.change,
        current_page().load,
    )
    questioned = {**_data_fields(page), "model": layout.model, "machine": layout.machine.machine}
    chooser_panel.wire(layout.questions, data_changed, questioned)
    targets = ChoiceTargets(
        list(page.data.outputs),
        page.saved.method,
        page.saved.method_for,
        layout.model,
        layout.settings.setting_fields,
    )
    max_length = layout.settings.training_fields["max_length"]
    recommendation.wire(layout.card, layout.change_notice, form_fields, targets, max_length)
