"""The Method tab: the comparison table, a base model, and the settings of the chosen method."""

import json
from collections import defaultdict
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from studio import methods, presets
from studio.data import examples, split
from studio.data.schema.infer_roles import role_label
from studio.errors import StudioError
from studio.i18n import Message
from studio.methods import compatibility, defaults
from studio.methods.spec import Method, Setting
from studio.models import shape
from studio.plan import REQUIRED_ROLES, Data, Task, Value, all_roles
from studio.ui import access, progress_strip
from studio.ui.components import forms
from studio.ui.components.forms import t
from studio.ui.data import tab as data_tab
from studio.ui.data.tab import DataTab
from studio.ui.form import saved_settings
from studio.ui.form.saved_settings import SavedSettings
from studio.ui.form.training_fields import (
    MIN_EPOCHS,
    TRAINING_FIELDS,
    build_training_fields,
    lr_scheduler_choices,
)
from studio.ui.help import messages
from studio.ui.help import panel as help_panel
from studio.ui.method import (
    base_model as base_model_info,
)
from studio.ui.method import (
    chooser as chooser_panel,
)
from studio.ui.method import (
    elsewhere as elsewhere_panel,
)
from studio.ui.method import (
    estimates as table_estimates,
)
from studio.ui.method import (
    machine as machine_panel,
)
from studio.ui.method import messages as method_messages
from studio.ui.method import (
    table as method_table,
)
from studio.ui.method.chooser import Chooser

DEFAULT_MODEL = "smollm2-135m"
DEFAULT_CLASSIFIER = "minilm-l6"
DEFAULT_METHOD = "lora"
# The names of the fields that make up a plan's method and training, in the order of the components.
TRAINING_FIELD_NAMES = tuple(TRAINING_FIELDS)
# What the offer of a row that does not fit may change.
SUGGESTION_FIELDS = ("batch_size", "max_length", "gradient_checkpointing", "machine")


class MethodTab(NamedTuple):
    """The components other tabs need."""

    model: gr.Dropdown
    chosen: gr.BrowserState
    setting_fields: dict[str, Any]
    training_fields: dict[str, Any]
    packed_fields: dict[str, Any]
    next_button: gr.Button
    chooser: Chooser
    attempt_event: Any


def refresh_after_change(request: gr.Request, **fields: Any) -> tuple[Any, ...]:
    """As `refresh`, where a field has changed: what is still being refined for the old ones ends, and a number says if there is more to refine."""
    revision = table_estimates.next_revision(request)
    outputs = refresh(request, **fields)
    return *outputs, revision if outputs[0]["pending"] else gr.skip()


def refresh(request: gr.Request, **fields: Any) -> tuple[Any, ...]:
    """The table, the sentences on the model and on what is trained, and the costs elsewhere, for everything as it is set now."""
    run_id = str(fields.pop("run", ""))
    lang, chosen, elsewhere_tables = (
        forms.request_language(request),
        fields["chosen"],
        elsewhere_panel.refresh_tables(fields.pop("shown", ""), request, **fields),
    )
    model_notice = base_model_info.describe_model(str(fields["model"] or ""), lang)[1]
    fields = saved_settings.unpack_fields(fields)
    form = table_estimates.read_form(**fields)
    method_estimates = table_estimates.estimate_all_methods(form)
    table_value, estimate = (
        table_estimates.render_estimates(form, method_estimates, lang),
        method_estimates.get(form.plan.method.name),
    )
    strip_value = progress_strip.render_strip(form, estimate, lang, run_id)
    settings = forms.read_method_settings(methods.get(chosen), fields)
    raw_plan = {
        "task": fields["task"],
        "model": form.plan.model if form.base.shape else "",  # what is wrong with a model is said beside it
        "method": {"name": chosen, "settings": settings},
    }
    if problems := [
        problem
        for problem in methods.find_plan_problems(raw_plan)
        if problem.key.startswith("method.settings.")
    ]:
        settings_notice = forms.problems_notice(problems, field_labels(chosen), lang)
        return (
            table_value,
            model_notice,
            settings_notice,
            elsewhere_tables,
            help_panel.update_cost(""),
            strip_value,
        )
    return (
        table_value,
        model_notice,
        _parameter_notice(form, chosen, lang),
        elsewhere_tables,
        help_panel.update_cost(table_estimates.format_expected_cost(estimate, lang)),
        strip_value,
    )


def try_on_sample(event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
    """A short run on the sample that suits a method: its data, the method, and the fewest rounds; a browser may name anything."""
    name = str(getattr(event, "id", ""))
    page = presets.methods()[name].help if name in {method.name for method in methods.METHODS} else None
    if not page:
        raise gr.Error(method_messages.UNKNOWN_METHOD.render(forms.request_language(request)))
    source = f"sample:{page.sample_run.sample}"
    moved_state = {"source": source, "names": ["epochs"]}
    return *data_tab.open_sample(page.sample_run.sample, request), name, moved_state, MIN_EPOCHS


def apply_suggestion(event: gr.EventData, **fields: Any) -> tuple[Any, ...]:
    """Change what an offer changes; everything else stays."""
    offer_index = getattr(event, "number", None)
    new_values = table_estimates.resolve_suggestion(str(getattr(event, "id", "")), offer_index, fields)
    return tuple(new_values.get(name, gr.skip()) for name in (*SUGGESTION_FIELDS, "chosen"))


def field_labels(chosen: str) -> dict[str, Message]:
    """What the fields of a plan are called on the page, by key; those of its method's settings and training by the last part of it."""
    training_labels = {name: label for name, (label, _) in TRAINING_FIELDS.items()}
    labels = {"model": method_messages.MODEL, "method.name": method_messages.METHOD}
    labels |= {
        f"data.columns.{role}": role_label("chat", role)
        for task in REQUIRED_ROLES
        for role in all_roles(task)
    }
    return {
        **labels,
        **training_labels,
        **{setting.name: setting.label for setting in methods.get(chosen).settings},
    }


def select_method(chosen: str, event: gr.EventData) -> str:
    """Another method, where the browser names one that is built."""
    requested = str(getattr(event, "id", ""))
    return requested if requested in {method.name for method in methods.METHODS} else chosen


def change_task(task: Task, chosen: str, model: str | None) -> tuple[Any, ...]:
    """The models and the method that suit a task; what can do it stays, but a model that writes gives way to one that only sorts."""
    choices = [
        (f"{card.name} · {forms.format_count(shape.from_config(card.config).total())}", card.id)
        for card in presets.models().values()
        if task in card.tasks
    ]
    supported = [method.name for method in methods.METHODS if task in method.tasks]
    method_name = next(
        (method_name for method_name in (chosen, DEFAULT_METHOD, *supported) if method_name in supported),
        chosen,
    )
    card = presets.models().get(model or "")
    keeps_model = card and task in card.tasks and (task != "classify" or card.tasks == ("classify",))
    default_model = DEFAULT_CLASSIFIER if task == "classify" else DEFAULT_MODEL
    return gr.update(choices=choices, value=model if keeps_model else default_model), method_name


def suggest_training_values(
    source: str,
    task: Task,
    columns: str,
    chosen: str,
    moved: object,
    validation_share: float,
    test_share: float,
    test: str,
    request: gr.Request,
) -> tuple[Any, ...]:
    """Rounds, portions and the part for the verdict by the amount of data, where the person has not moved them (`moved` says which), and why."""
    lang = forms.request_language(request)
    method = next((method for method in methods.METHODS if method.name == chosen), None)
    try:
        dataset_table = access.find_dataset(source).table()
        all_examples, _ = examples.build_examples(dataset_table, task, forms.unpack(columns))
    except StudioError:
        return *(gr.skip(),) * 3, forms.notice("")
    if not method or task not in method.tasks:
        return *(gr.skip(),) * 3, forms.notice("")
    moved_names = saved_settings.read_moved_names(source, moved)
    suggested_test_share = split.test_share(Data(source=source, test=test or ""), len(all_examples))
    actual_test_share = (test_share or 0) if "test_share" in moved_names else suggested_test_share
    train_count = (
        len(all_examples)
        - round((validation_share or 0) * len(all_examples))
        - round(actual_test_share * len(all_examples))
    )
    batch_size = defaults.default_batch_size(train_count)
    epochs = defaults.default_epochs(train_count, task, batch_size, method.epoch_multiplier)
    message = method_messages.SUGGESTED_VALUES.render(
        lang,
        count=train_count,
        epochs=epochs,
        batch=batch_size,
        steps=defaults.count_steps(train_count, batch_size, epochs),
    )
    stage_note = method_messages.SUGGESTED_FOR_FIRST_STAGE.render(lang) if method.name == "rlhf" else ""
    return (
        gr.skip() if "epochs" in moved_names else epochs,
        gr.skip() if "batch_size" in moved_names else batch_size,
        gr.skip() if "test_share" in moved_names else suggested_test_share,
        forms.notice(message, stage_note),
    )


def localize_choices(request: gr.Request) -> list[Any]:
    """The choices of every method's settings, and of the schedule, in the browser's language: labels it says itself, choices it does not."""
    lang = forms.request_language(request)
    all_choices = [
        [(text.render(lang), value) for value, text in setting.choices] for _, setting in _choice_settings()
    ] + [lr_scheduler_choices(lang)]
    return [gr.skip() if lang == "en" else gr.update(choices=choices) for choices in all_choices]


def _choice_settings() -> list[tuple[str, Setting]]:
    return [
        (f"{method.name}_{setting.name}", setting)
        for method in methods.METHODS
        for setting in method.settings
        if setting.kind == "choice"
    ]


def show_dependent_fields(wanted_values: tuple[str, ...], value: Value) -> Any:
    """Show the fields that belong to this choice of their method, each wanting one value of it; hide the others."""
    updates = [gr.update(visible=value == wanted_value) for wanted_value in wanted_values]
    return updates if len(updates) > 1 else updates[0]


def _parameter_notice(form: table_estimates.FormState, chosen: str, lang: str) -> dict[str, Any]:
    method, model_shape = methods.get(chosen), form.base.shape
    if not model_shape or compatibility.find_incompatibility(chosen, form.plan.task, model_shape):
        return forms.notice("")
    label_count = (form.lengths.n_labels if form.lengths else 2) if form.plan.task == "classify" else 0
    return forms.notice(
        method_table.format_trainable_sentence(
            method.count_parameters(model_shape, form.settings[chosen], label_count), lang
        )
    )


def build(
    source: gr.BrowserState,
    saved: SavedSettings,
    data_components: DataTab,
    test: gr.Textbox,
    strip: progress_strip.ProgressStrip,
) -> MethodTab:
    """Lay the tab out and wire it; `remembered` is what the browser keeps of it, `test` the source of a test set of one's own, `stand` says
    above all tabs where one stands."""
    gr.Markdown(t(method_messages.METHOD_HEADING))
    chooser_components = chooser_panel.build()
    model = gr.Dropdown(
        [],
        label=t(method_messages.MODEL),
        info=t(method_messages.MODEL_HELP),
        allow_custom_value=True,
        elem_id="model",
    )
    model_notice = forms.notice_box("model-notice")
    machine_fields = machine_panel.build(model)
    comparison_table = method_table.build("methods")
    elsewhere_button, elsewhere_tables = elsewhere_panel.build()
    with gr.Accordion(t(messages.HOW_IT_WORKS), open=False, elem_id="how"):
        help_page = help_panel.build_method_page()
    chosen = saved.chosen
    groups, setting_fields = _build_setting_groups()
    parameter_notice = forms.notice_box("counted")
    training_fields, suggestion_notice = build_training_fields()
    with gr.Accordion(t(messages.EXACT_TERMS), open=False, elem_id="exact"):
        exact_terms = help_panel.build_terms()
    next_button = gr.Button(t(method_messages.NEXT_TRAIN), variant="primary", elem_id="to-train")

    event_options: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    task, columns = data_components.task, data_components.columns
    gr.context.Context.root_block.load(
        localize_choices,
        None,
        [*(setting_fields[name] for name, _ in _choice_settings()), training_fields["lr_scheduler_type"]],
        **event_options,
    )
    comparison_table.pick(select_method, chosen, chosen, **event_options)
    method_names = json.dumps([method.name for method in methods.METHODS])
    js = f"(chosen) => {method_names}.map((name) => ({{ visible: name === chosen, __type__: 'update' }}))"
    gr.on([chosen.change, gr.context.Context.root_block.load], None, chosen, groups, js=js, **event_options)
    gr.on(
        [task.change, gr.context.Context.root_block.load],
        change_task,
        [task, chosen, model],
        [model, chosen],
        **event_options,
    )
    data_inputs = {"source": source, "task": task, "columns": columns, "chosen": chosen, "test": test}
    fields_by_method = {
        method.name: {
            name: setting_fields[name] for name in setting_fields if name.startswith(f"{method.name}_")
        }
        for method in methods.METHODS
    }
    packed_fields = saved_settings.pack_fields(
        {"training": training_fields, **fields_by_method}, **event_options
    )
    inputs = {
        **data_inputs,
        "run": strip.run,
        "shown": elsewhere_tables,
        "model": model,
        "machine": machine_fields.machine,
        **packed_fields,
    }
    watched = (
        *data_inputs.values(),
        model,
        data_components.revision,
        machine_fields.machine,
        strip.run_stage,
        *packed_fields.values(),
    )
    always_last = {**event_options, "trigger_mode": "always_last"}
    _wire_redraw(
        [field.change for field in watched],
        inputs,
        [comparison_table, model_notice, parameter_notice, elsewhere_tables, help_page, strip.html],
        machine_fields.notice,
    )
    elsewhere_button.click(
        elsewhere_panel.toggle_tables, inputs_kwargs=inputs, outputs=elsewhere_tables, **event_options
    )
    comparison_table.remedy(
        apply_suggestion,
        inputs_kwargs=inputs,
        outputs=[
            *({**training_fields, "machine": machine_fields.machine}[name] for name in SUGGESTION_FIELDS),
            chosen,
        ],
        **event_options,
    )
    suggestion_triggers = [
        source.change,
        chosen.change,
        task.change,
        columns.change,
        data_components.revision.change,
        test.change,
    ]
    share_fields = {name: training_fields[name] for name in ("validation_share", "test_share")}
    forms.after_any(*suggestion_triggers, *(field.change for field in share_fields.values())).then(
        suggest_training_values,
        inputs_kwargs={**data_inputs, "moved": saved.moved, **share_fields},
        outputs=[
            training_fields["epochs"],
            training_fields["batch_size"],
            training_fields["test_share"],
            suggestion_notice,
        ],
        **always_last,
    )
    chooser_inputs = {
        "source": source,
        "task": task,
        "columns": columns,
        "model": model,
        "machine": machine_fields.machine,
    }
    forms.after_any(chosen.change, gr.context.Context.root_block.load).then(
        help_panel.explain_method, chosen, [help_page, exact_terms], **always_last
    )
    prefill_trigger = forms.after_any(
        source.change,
        columns.change,
        data_components.revision.change,
        machine_fields.machine.change,
        gr.context.Context.root_block.load,
    )
    chooser_panel.wire(
        chooser_components, prefill_trigger, chooser_inputs, data_components.outputs, chosen, setting_fields
    )
    saved_settings.wire(
        saved,
        source,
        {**setting_fields, **training_fields},
        tuple(packed_fields.values()),
        ("epochs", "batch_size", "test_share"),
    )
    attempt_event = help_page.attempt(
        try_on_sample,
        None,
        [*data_components.outputs, chosen, saved.moved, training_fields["epochs"]],
        **event_options,
    )
    return MethodTab(
        model,
        chosen,
        setting_fields,
        training_fields,
        packed_fields,
        next_button,
        chooser_components,
        attempt_event,
    )


def _build_setting_groups() -> tuple[list[gr.Group], dict[str, Any]]:
    """The settings of every method, of which one method's are seen; and all their fields by METHOD_KNOB."""
    groups: list[gr.Group] = []
    setting_fields: dict[str, Any] = {}
    for method in methods.METHODS:
        with gr.Group(visible=method.name == DEFAULT_METHOD, elem_id=f"knobs-{method.name}") as group:
            setting_fields |= _build_setting_fields(method)
        groups.append(group)
    return groups, setting_fields


def _wire_redraw(
    triggers: list[Any], inputs: dict[str, Any], outputs: list[Any], measurement_notice: gr.HTML
) -> None:
    """Draw the table and what goes with it anew after any change, then once more when it was refined or this machine measured."""
    event_options: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
    # What is traced says only that it is done, and the table is drawn from the fields as they are then: an old answer overwrites nothing.
    refine_request, refine_done = gr.Number(0, visible=False), gr.Number(0, visible=False)
    forms.after_any(*triggers).then(
        refresh_after_change,
        inputs_kwargs=inputs,
        outputs=[*outputs, refine_request],
        queue=False,
        **event_options,
    )
    refine_request.change(
        table_estimates.refine,
        inputs_kwargs={**inputs, "number": refine_done},
        outputs=refine_done,
        **event_options,
    )
    forms.after_any(refine_done.change, measurement_notice.change).then(
        refresh, inputs_kwargs=inputs, outputs=outputs, queue=False, **event_options
    )


def _build_setting_fields(method: Method) -> dict[str, Any]:
    """The fields of a method's settings by METHOD_KNOB: the first in sight, the rest behind one click."""
    if not method.settings:
        gr.Markdown(t(method_messages.NO_SETTINGS), container=True)
    default_values = {setting.name: setting.default for setting in method.settings}
    fields = {
        setting.name: forms.build_setting_field(method.name, setting, setting.applies(default_values))
        for setting in method.settings
        if not setting.advanced
    }
    advanced_settings = [setting for setting in method.settings if setting.advanced]
    if advanced_settings:
        with gr.Accordion(t(method_messages.MORE_METHOD_SETTINGS), open=False, elem_id=f"more-{method.name}"):
            fields |= {
                setting.name: forms.build_setting_field(method.name, setting, setting.applies(default_values))
                for setting in advanced_settings
            }
    dependents: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for setting in method.settings:
        if setting.depends_on:
            dependents[setting.depends_on[0]].append((setting.name, setting.depends_on[1]))
    for name, dependent_values in dependents.items():
        show_dependents = partial(show_dependent_fields, tuple(value for _, value in dependent_values))
        fields[name].change(
            show_dependents,
            fields[name],
            [fields[dependent_name] for dependent_name, _ in dependent_values],
            show_progress="hidden",
            queue=False,
        )
    return {f"{method.name}_{name}": field for name, field in fields.items()}
