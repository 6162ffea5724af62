"""The Method tab: the comparison table, a base model, and the settings of the chosen method."""

import json
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from studio import methods, presets
from studio.chooser import autofill
from studio.data import examples, replay, split
from studio.errors import StudioError
from studio.i18n import join_sentences
from studio.methods import compatibility, defaults
from studio.methods.spec import Method, Setting
from studio.models import shape
from studio.plan import Data, Task, Value
from studio.ui import access, progress_strip, units
from studio.ui.components import notices
from studio.ui.components.events import LATEST_UNQUEUED, UNQUEUED, after_any
from studio.ui.components.fields import build_setting_field
from studio.ui.components.gradio_adapter import current_page
from studio.ui.components.labels import t
from studio.ui.data import tab as data_tab
from studio.ui.data.tab import DataTab
from studio.ui.form import messages as form_messages
from studio.ui.form import packing, plan_form, saved_settings
from studio.ui.form.form_state import FormState, read_form
from studio.ui.form.saved_settings import SavedSettings
from studio.ui.form.training_fields import (
    CHAT_FIELDS,
    CHOICES,
    MIN_EPOCHS,
    build_training_fields,
    training_choices,
    valid_training_values,
)
from studio.ui.help import messages as help_messages
from studio.ui.help import panel as help_panel
from studio.ui.language import request_language
from studio.ui.method import base_model, elsewhere, estimates, held_out, messages, refinement
from studio.ui.method import baselines as baselines_panel
from studio.ui.method import chooser as chooser_panel
from studio.ui.method import machine as machine_panel
from studio.ui.method import rehearsal as rehearsal_panel
from studio.ui.method import table as comparison_table
from studio.ui.method.baselines import BaselinesPanel
from studio.ui.method.chooser import ChoiceTargets, Chooser
from studio.ui.method.estimate_inputs import EstimateInputs, load_inputs
from studio.ui.method.machine import MachineFields
from studio.ui.method.rehearsal import RehearsalPanel
from studio.ui.progress_strip import ProgressStrip

DEFAULT_MODEL = "smollm2-135m"
DEFAULT_CLASSIFIER = "minilm-l6"
DEFAULT_METHOD = "lora"
# Whatever an offer below a row of the table may change, besides the method.
OFFERED_FIELDS = ("batch_size", "max_length", "gradient_checkpointing", "machine")
# The fields that `suggest_training_values` fills in, in the order of its outputs.
SUGGESTED_FIELDS = saved_settings.SUGGESTED_FIELDS


class MethodTab(NamedTuple):
    """The components other tabs need."""

    model: gr.Dropdown
    method: gr.BrowserState
    setting_fields: dict[str, Any]
    training_fields: dict[str, Any]
    packed_fields: dict[str, Any]
    next_button: gr.Button
    chooser: Chooser
    attempt_event: Any


@dataclass(frozen=True)
class _Layout:
    """The components of the tab; fields by METHOD_SETTING and by the names of training fields."""

    chooser: Chooser
    model: gr.Dropdown
    model_notice: gr.HTML
    machine: MachineFields
    table: gr.HTML
    elsewhere_button: gr.Button
    elsewhere_tables: gr.HTML
    baselines: BaselinesPanel
    help_page: gr.HTML
    setting_groups: list[gr.Group]
    setting_fields: dict[str, Any]
    rehearsal: RehearsalPanel
    parameter_notice: gr.HTML
    training_fields: dict[str, Any]
    suggestion_notice: gr.HTML
    exact_terms: gr.HTML
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
    request: gr.Request, run: str | None = "", elsewhere_html: str = "", **fields: Any
) -> tuple[Any, ...]:
    """Everything that follows from the form as it is now.

    Args:
        request: The visitor's request.
        run: The run that the progress strip is about, if any.
        elsewhere_html: The tables of costs elsewhere, if they are open.
        fields: The form (form_state.read_form).

    Returns:
        The table, the notices on the model and on what is trained, the tables of costs elsewhere, the cost on
        the method's help page, and the progress strip.
    """
    lang = request_language(request)
    form = read_form(fields)
    inputs = load_inputs(form)
    method_estimates = estimates.estimate_all_methods(inputs)
    estimate = method_estimates.get(inputs.plan.method.name)
    settings_notice = _settings_notice(form, inputs, lang)
    cost = "" if settings_notice else estimates.format_expected_cost(estimate, lang)
    return (
        comparison_table.render_table(estimates.build_table_state(inputs, method_estimates, lang), lang),
        base_model.describe_model(form.model, lang, plan_form.language_warning(form, lang)),
        settings_notice or _parameter_notice(inputs, lang),
        elsewhere.render_tables(inputs, lang) if elsewhere_html else gr.skip(),
        help_panel.update_cost(cost),
        progress_strip.render_strip(inputs, estimate, lang, run or ""),
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


def _parameter_notice(inputs: EstimateInputs, lang: str) -> dict[str, Any]:
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
    return notices.notice(comparison_table.format_trainable_sentence(parameters, lang))


def try_on_sample(event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
    """Set up a short run of a method on the sample that suits it.

    Returns:
        The outputs of the Data tab, the method, the state of edited fields, and the epochs.

    Raises:
        gr.Error: The browser names no method.
    """
    name = str(getattr(event, "id", ""))
    page = None
    if name in {method.name for method in methods.METHODS}:
        page = presets.methods()[name].help
    if not page:
        raise gr.Error(messages.UNKNOWN_METHOD.render(request_language(request)))
    sample = page.sample_run.sample
    edited_state = {"source": f"sample:{sample}", "names": ["epochs"]}
    return *data_tab.open_sample(sample, request), name, edited_state, MIN_EPOCHS


def apply_suggestion(event: gr.EventData, **fields: Any) -> tuple[Any, ...]:
    """Change what an offer below a row changes: OFFERED_FIELDS and the method; everything else stays."""
    method_name = str(getattr(event, "id", ""))
    offer_index = getattr(event, "number", None)
    changes = estimates.resolve_suggestion(read_form(fields), method_name, offer_index)
    return tuple(changes.get(name, gr.skip()) for name in (*OFFERED_FIELDS, "method"))


def select_method(current_method: str, event: gr.EventData) -> str:
    """The method whose row was clicked; the current one where the browser names none."""
    requested = str(getattr(event, "id", ""))
    if requested in {method.name for method in methods.METHODS}:
        return requested
    return current_method


def change_task(task: Task, method_name: str, model: str | None) -> tuple[Any, ...]:
    """An update of the models for a task, and a method that can be used for it.

    Model and method stay if they can do the task, but a model that generates gives way to one that only
    classifies.
    """
    choices = []
    for card in presets.models().values():
        if task in card.tasks:
            parameter_count = shape.from_config(card.config).total()
            choices.append((f"{card.name} · {units.format_count(parameter_count)}", card.id))
    return gr.update(choices=choices, value=_suitable_model(task, model)), _suitable_method(task, method_name)


def _suitable_model(task: Task, model: str | None) -> str:
    card = presets.models().get(model or "")
    if card and task in card.tasks and (task != "classify" or card.tasks == ("classify",)):
        return card.id
    return DEFAULT_CLASSIFIER if task == "classify" else DEFAULT_MODEL


def _suitable_method(task: Task, method_name: str) -> str:
    supported = [method.name for method in methods.METHODS if task in method.tasks]
    for name in (method_name, DEFAULT_METHOD, autofill.first_method(task)):
        if name in supported:
            return name
    return method_name


def suggest_training_values(request: gr.Request, **fields: Any) -> tuple[Any, ...]:
    """Fill in what follows from the amount of data, unless the person has changed it.

    Returns:
        Values for SUGGESTED_FIELDS, and a notice that says what they come from.
    """
    lang = request_language(request)
    form = read_form(fields)
    method = next((method for method in methods.METHODS if method.name == form.method), None)
    unchanged = (gr.skip(),) * len(SUGGESTED_FIELDS)
    try:
        dataset_table = access.find_dataset(form.source).table()
        all_examples, _ = examples.build_examples(dataset_table, form.task, dict(form.columns))
    except StudioError:
        return *unchanged, notices.notice("")
    if not method or form.task not in method.tasks:
        return *unchanged, notices.notice("")
    suggested_test_share = split.test_share(
        Data(source=form.source, test=form.test_source), len(all_examples)
    )
    shares = _read_shares(form, suggested_test_share)
    train_count = _count_training_examples(form, len(all_examples), shares)
    batch_size = defaults.default_batch_size(train_count)
    epochs = defaults.default_epochs(train_count, form.task, batch_size, method.epoch_multiplier)
    suggestions = {"epochs": epochs, "batch_size": batch_size, "test_share": suggested_test_share}
    text = messages.SUGGESTED_VALUES.render(
        lang,
        count=train_count,
        epochs=epochs,
        batch=batch_size,
        steps=defaults.count_steps(train_count, batch_size, epochs),
    )
    text += _describe_default_length(form, lang)
    stage_note = messages.SUGGESTED_FOR_FIRST_STAGE.render(lang) if method.has_stage_settings else ""
    held_out_note = held_out.describe(form, len(all_examples), shares, lang)
    return (
        *(gr.skip() if name in form.edited else suggestions[name] for name in SUGGESTED_FIELDS),
        notices.notice(text, join_sentences((stage_note, held_out_note), lang)),
    )


def _describe_default_length(form: FormState, lang: str) -> str:
    """The length limit that the studio chooses; empty where the person has, or the model is not known."""
    base = access.find_base(form.model)
    if form.max_length or not base or not base.shape:
        return ""
    tokens = plan_form.max_text_tokens(form, base)
    return messages.SUGGESTED_LENGTH.render(lang, tokens=f"{tokens:,}") if tokens else ""


def show_chat_fields(**fields: Any) -> tuple[Any, ...]:
    """Show the fields of CHAT_FIELDS that have a say for the data; one that has none is switched off."""
    form = read_form(fields)
    try:
        has_history = plan_form.has_several_answers(form)
    except StudioError:  # said on the Data tab
        has_history = False
    has_say = {"mask_history": has_history, "replay_share": form.task == "chat"}
    hidden = gr.update(visible=False, value=0)
    return tuple(gr.update(visible=True) if has_say[name] else hidden for name in CHAT_FIELDS)


def _read_shares(form: FormState, suggested_test_share: float) -> tuple[float, float]:
    """The shares for validation and for the test, as they are, or will be."""
    test_share = form.training.get("test_share") if "test_share" in form.edited else suggested_test_share
    return float(form.training.get("validation_share") or 0), float(test_share or 0)


def _count_training_examples(form: FormState, example_count: int, shares: tuple[float, float]) -> int:
    """How many of the examples are left to train on; `shares` are those for validation and the test."""
    validation_share, test_share = shares
    replay_share = valid_training_values(dict(form.training), ("replay_share",)).get("replay_share", 0)
    validation_count = round(validation_share * example_count)
    n_own = example_count - validation_count - round(test_share * example_count)
    return n_own + replay.count_examples(n_own, replay_share)


def localize_choices(request: gr.Request) -> list[Any]:
    """The choices of all methods' settings and of the training fields in the visitor's language.

    The browser translates labels by itself, choices it does not.
    """
    lang = request_language(request)
    all_choices = []
    for _, setting in _choice_settings():
        all_choices.append([(text.render(lang), value) for value, text in setting.choices])
    all_choices += [training_choices(name, lang) for name in CHOICES]
    return [gr.skip() if lang == "en" else gr.update(choices=choices) for choices in all_choices]


def _choice_settings() -> list[tuple[str, Setting]]:
    return [
        (f"{method.name}_{setting.name}", setting)
        for method in methods.METHODS
        for setting in method.settings
        if setting.kind == "choice"
    ]


def show_dependent_fields(wanted_values: tuple[str, ...], value: Value) -> Any:
    """Show the fields that belong to this value of the setting they depend on; hide the others.

    Args:
        wanted_values: For each dependent field, the value under which it has an effect.
        value: The value of the setting.
    """
    updates = [gr.update(visible=value == wanted_value) for wanted_value in wanted_values]
    return updates if len(updates) > 1 else updates[0]


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
    layout = _lay_out()
    page = _Page(source, saved, data_components, test, strip)
    packed_fields = packing.pack_fields(_group_fields(layout))
    form_fields = {
        **_data_fields(page),
        "test": test,
        "method": saved.method,
        "model": layout.model,
        "machine": layout.machine.machine,
        **packed_fields,
    }
    _wire_language(layout)
    _wire_method(layout, page)
    _wire_refresh(layout, page, form_fields)
    _wire_training_suggestions(layout, page)
    _wire_chooser(layout, page)
    rehearsal_panel.wire(layout.rehearsal, form_fields)
    baselines_panel.wire(layout.baselines, form_fields)
    saved_settings.wire(
        saved,
        source,
        {**layout.setting_fields, **layout.training_fields},
        tuple(packed_fields.values()),
    )
    attempt_event = layout.help_page.attempt(
        try_on_sample,
        None,
        [*data_components.outputs, saved.method, saved.edited, layout.training_fields["epochs"]],
        **UNQUEUED,
    )
    return MethodTab(
        layout.model,
        saved.method,
        layout.setting_fields,
        layout.training_fields,
        packed_fields,
        layout.next_button,
        layout.chooser,
        attempt_event,
    )


def _lay_out() -> _Layout:
    """The components, in the order in which they are on the page."""
    gr.Markdown(t(messages.METHOD_HEADING))
    chooser = chooser_panel.build()
    model = gr.Dropdown(
        [],
        label=t(form_messages.MODEL),
        info=t(messages.MODEL_HELP),
        allow_custom_value=True,
        elem_id="model",
    )
    model_notice = notices.notice_box("model-notice")
    machine = machine_panel.build(model)
    table = comparison_table.build("methods")
    elsewhere_button, elsewhere_tables = elsewhere.build()
    baselines = baselines_panel.build()
    with gr.Accordion(t(help_messages.HOW_IT_WORKS), open=False, elem_id="how"):
        help_page = help_panel.build_method_page()
    setting_groups, setting_fields = _build_setting_groups()
    with setting_groups[[method.name for method in methods.METHODS].index("rlhf")]:
        rehearsal = rehearsal_panel.build()
    parameter_notice = notices.notice_box("counted")
    training_fields, suggestion_notice = build_training_fields()
    with gr.Accordion(t(help_messages.EXACT_TERMS), open=False, elem_id="exact"):
        exact_terms = help_panel.build_terms()
    return _Layout(
        chooser=chooser,
        model=model,
        model_notice=model_notice,
        machine=machine,
        table=table,
        elsewhere_button=elsewhere_button,
        elsewhere_tables=elsewhere_tables,
        baselines=baselines,
        help_page=help_page,
        setting_groups=setting_groups,
        setting_fields=setting_fields,
        rehearsal=rehearsal,
        parameter_notice=parameter_notice,
        training_fields=training_fields,
        suggestion_notice=suggestion_notice,
        exact_terms=exact_terms,
        next_button=gr.Button(t(messages.NEXT_TRAIN), variant="primary", elem_id="to-train"),
    )


def _build_setting_groups() -> tuple[list[gr.Group], dict[str, Any]]:
    """A group of fields for each method, of which one is visible; and all their fields as METHOD_SETTING."""
    groups: list[gr.Group] = []
    setting_fields: dict[str, Any] = {}
    for method in methods.METHODS:
        with gr.Group(visible=method.name == DEFAULT_METHOD, elem_id=f"knobs-{method.name}") as group:
            setting_fields |= _build_setting_fields(method)
        groups.append(group)
    return groups, setting_fields


def _build_setting_fields(method: Method) -> dict[str, Any]:
    """The fields of a method's settings as METHOD_SETTING: basic ones in sight, others in an accordion."""
    if not method.settings:
        gr.Markdown(t(messages.NO_SETTINGS), container=True)
    default_values = {setting.name: setting.default for setting in method.settings}
    basic = [setting for setting in method.settings if not setting.advanced]
    advanced = [setting for setting in method.settings if setting.advanced]
    fields = {}
    for setting in basic:
        fields[setting.name] = build_setting_field(method.name, setting, setting.applies(default_values))
    if advanced:
        with gr.Accordion(t(messages.MORE_METHOD_SETTINGS), open=False, elem_id=f"more-{method.name}"):
            for setting in advanced:
                visible = setting.applies(default_values)
                fields[setting.name] = build_setting_field(method.name, setting, visible)
    _wire_dependent_fields(method, fields)
    return {f"{method.name}_{name}": field for name, field in fields.items()}


def _wire_dependent_fields(method: Method, fields: dict[str, Any]) -> None:
    """Show and hide fields that have an effect only under one value of another setting."""
    dependents: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for setting in method.settings:
        if setting.depends_on:
            controlling_name, wanted_value = setting.depends_on
            dependents[controlling_name].append((setting.name, wanted_value))
    for controlling_name, dependent_values in dependents.items():
        fields[controlling_name].change(
            partial(show_dependent_fields, tuple(value for _, value in dependent_values)),
            fields[controlling_name],
            [fields[name] for name, _ in dependent_values],
            **UNQUEUED,
        )


# ---- Wiring


def _data_fields(page: _Page) -> dict[str, Any]:
    """The fields of the Data tab that a handler of this tab reads."""
    return {"source": page.source, "task": page.data.task, "columns": page.data.columns}


def _group_fields(layout: _Layout) -> dict[str, dict[str, Any]]:
    """The fields in groups that travel as one text: those of the training, and those of each method."""
    groups = {"training": layout.training_fields}
    for method in methods.METHODS:
        groups[method.name] = {
            name: field for name, field in layout.setting_fields.items() if name.startswith(f"{method.name}_")
        }
    return groups


def _wire_language(layout: _Layout) -> None:
    choice_fields = [layout.setting_fields[name] for name, _ in _choice_settings()]
    current_page().load(
        localize_choices,
        None,
        [*choice_fields, *(layout.training_fields[name] for name in CHOICES)],
        **UNQUEUED,
    )


def _wire_method(layout: _Layout, page: _Page) -> None:
    """Choose a method in the table, show its settings and its help, and keep to what the task allows."""
    method_state, task = page.saved.method, page.data.task
    layout.table.pick(select_method, method_state, method_state, **UNQUEUED)
    method_names = json.dumps([method.name for method in methods.METHODS])
    gr.on(
        [method_state.change, current_page().load],
        None,
        method_state,
        layout.setting_groups,
        js=(
            f"(method) => {method_names}.map((name) => ({{ visible: name === method, __type__: 'update' }}))"
        ),
        **UNQUEUED,
    )
    gr.on(
        [task.change, current_page().load],
        change_task,
        [task, method_state, layout.model],
        [layout.model, method_state],
        **UNQUEUED,
    )
    after_any(method_state.change, current_page().load).then(
        help_panel.explain_method, method_state, [layout.help_page, layout.exact_terms], **LATEST_UNQUEUED
    )


def _wire_refresh(layout: _Layout, page: _Page, form_fields: dict[str, Any]) -> None:
    """Refresh the table after any change, and again when it was refined or this machine measured."""
    inputs = {**form_fields, "run": page.strip.run, "elsewhere_html": layout.elsewhere_tables}
    outputs = [
        layout.table,
        layout.model_notice,
        layout.parameter_notice,
        layout.elsewhere_tables,
        layout.help_page,
        page.strip.html,
    ]
    changes = [field.change for field in (*form_fields.values(), page.data.revision, page.strip.run_stage)]
    # Tracing answers only that it is done, and the table is drawn from the fields as they are then: an old
    # answer overwrites nothing.
    refine_request, refine_done = gr.Number(0, visible=False), gr.Number(0, visible=False)
    after_any(*changes).then(
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
    layout.elsewhere_button.click(
        elsewhere.toggle_tables,
        inputs_kwargs={**form_fields, "elsewhere_html": layout.elsewhere_tables},
        outputs=layout.elsewhere_tables,
        **UNQUEUED,
    )
    offered = {**layout.training_fields, "machine": layout.machine.machine}
    layout.table.remedy(
        apply_suggestion,
        inputs_kwargs=form_fields,
        outputs=[*(offered[name] for name in OFFERED_FIELDS), page.saved.method],
        **UNQUEUED,
    )


def _wire_training_suggestions(layout: _Layout, page: _Page) -> None:
    """Suggest training values by the amount and length of the data, after whatever changes these."""
    names = ("validation_share", "test_share", "replay_share", "max_length")
    training_fields = {name: layout.training_fields[name] for name in names}
    inputs = {
        **_data_fields(page),
        "method": page.saved.method,
        "test": page.test,
        "edited": page.saved.edited,
        "model": layout.model,
        **training_fields,
    }
    triggers = (
        layout.model,
        page.source,
        page.saved.method,
        page.data.task,
        page.data.columns,
        page.data.revision,
        page.test,
        *training_fields.values(),
    )
    suggested = [layout.training_fields[name] for name in SUGGESTED_FIELDS]
    after_any(*(component.change for component in triggers)).then(
        suggest_training_values,
        inputs_kwargs=inputs,
        outputs=[*suggested, layout.suggestion_notice],
        **LATEST_UNQUEUED,
    )
    data_changes = (page.source, page.data.task, page.data.columns, page.data.revision)
    after_any(*(component.change for component in data_changes), current_page().load).then(
        show_chat_fields,
        inputs_kwargs=_data_fields(page),
        outputs=[layout.training_fields[name] for name in CHAT_FIELDS],
        **LATEST_UNQUEUED,
    )


def _wire_chooser(layout: _Layout, page: _Page) -> None:
    data_changed = after_any(
        page.source.change,
        page.data.columns.change,
        page.data.revision.change,
        layout.machine.machine.change,
        current_page().load,
    )
    form_fields = {**_data_fields(page), "model": layout.model, "machine": layout.machine.machine}
    targets = ChoiceTargets(list(page.data.outputs), page.saved.method, layout.model, layout.setting_fields)
    chooser_panel.wire(layout.chooser, data_changed, form_fields, targets)
