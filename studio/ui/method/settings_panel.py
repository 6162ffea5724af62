"""The settings on the Method tab: three first, then the method's own; only those that have an effect."""

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from studio import methods
from studio.data import examples, replay, split
from studio.errors import StudioError
from studio.i18n import join_sentences
from studio.methods import defaults
from studio.methods.spec import Method, Setting
from studio.plan import Data, Value
from studio.ui import access
from studio.ui.components import notices
from studio.ui.components.events import LATEST_UNQUEUED, UNQUEUED, after_any, keep_empty
from studio.ui.components.fields import build_setting_field
from studio.ui.components.gradio_adapter import current_page
from studio.ui.components.labels import t
from studio.ui.form import messages as form_messages
from studio.ui.form import plan_form, saved_settings
from studio.ui.form.form_state import FormState, read_form
from studio.ui.form.training_fields import (
    CHAT_FIELDS,
    CHOICES,
    CONDITIONAL_FIELDS,
    STEPS_FOLLOW_SETTINGS,
    TRAINING_FIELDS,
    build_main_fields,
    build_more_fields,
    find_visible_fields,
    has_supervised_stage,
    in_order,
    training_choices,
    valid_training_values,
)
from studio.ui.help import messages as help_messages
from studio.ui.help import panel as help_panel
from studio.ui.language import request_language
from studio.ui.method import held_out, messages
from studio.ui.method import rate_range as rate_range_panel
from studio.ui.method import rehearsal as rehearsal_panel
from studio.ui.method.estimate_inputs import EstimateInputs
from studio.ui.method.held_out import LargerTest
from studio.ui.method.rate_range import RateRangePanel
from studio.ui.method.rehearsal import RehearsalPanel

# The fields that `suggest_training_values` fills in, in the order of its outputs.
SUGGESTED_FIELDS = saved_settings.SUGGESTED_FIELDS
# The fields that say what an empty one stands for.
PLACEHOLDER_FIELDS = ("learning_rate", "max_length")


@dataclass(frozen=True)
class SettingsPanel:
    """The components; fields by METHOD_SETTING and by the names of training fields."""

    groups: list[gr.Group]
    setting_fields: dict[str, Any]
    training_fields: dict[str, Any]
    rehearsal: RehearsalPanel
    rehearsal_column: gr.Column
    rate_range: RateRangePanel
    parameter_notice: gr.HTML
    suggestion_notice: gr.HTML
    larger_test: LargerTest
    exact_terms: gr.HTML


def suggest_training_values(request: gr.Request, **fields: Any) -> tuple[Any, ...]:
    """Fill in what follows from the amount of data, unless the person has changed it.

    Returns:
        Values for SUGGESTED_FIELDS, a notice that says what they come from, and those of held_out.LargerTest.
    """
    lang = request_language(request)
    form = read_form(fields)
    method = next((method for method in methods.METHODS if method.name == form.method), None)
    nothing = *(gr.skip() for _ in SUGGESTED_FIELDS), notices.notice(""), *held_out.no_offer()
    try:
        dataset_table = access.find_dataset(form.source).table()
        all_examples, _ = examples.build_examples(dataset_table, form.task, dict(form.columns))
    except StudioError:
        return nothing
    if not method or form.task not in method.tasks:
        return nothing
    suggested_test_share = split.test_share(
        Data(source=form.source, test=form.test_source), len(all_examples)
    )
    shares = _read_shares(form, suggested_test_share)
    train_count = _count_training_examples(form, len(all_examples), shares)
    batch_size = defaults.default_batch_size(train_count)
    epochs = defaults.default_epochs(train_count, form.task, batch_size, method.epoch_multiplier)
    suggestions = {"epochs": epochs, "batch_size": batch_size, "test_share": suggested_test_share}
    settings = plan_form.valid_method_settings(form)[method.name]
    has_first_stage = has_supervised_stage(form.task, method.name, settings)
    template = messages.SUGGESTED_VALUES if has_first_stage else messages.SUGGESTED_WITHOUT_STEPS
    if form.task == "complete" and has_first_stage:
        template = messages.SUGGESTED_FOR_TEXTS
    if not method.takes_steps(settings):
        template = messages.SUGGESTED_WITHOUT_TRAINING
    text = template.render(
        lang,
        count=train_count,
        epochs=epochs,
        batch=batch_size,
        steps=defaults.count_steps(train_count, batch_size, epochs),
    )
    stage_note = ""
    if method.has_stage_settings and has_first_stage:
        stage_note = messages.SUGGESTED_FOR_FIRST_STAGE.render(lang)
    held_out_note = held_out.describe(form, len(all_examples), shares, lang)
    return (
        *(gr.skip() if name in form.edited else suggestions[name] for name in SUGGESTED_FIELDS),
        notices.notice(text, join_sentences((stage_note, held_out_note), lang)),
        *held_out.offer_larger_test(form, len(all_examples), shares, lang),
    )


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


def show_training_fields(**fields: Any) -> tuple[Any, ...]:
    """Show the reward rehearsal and the training fields that have a say: CONDITIONAL_FIELDS, CHAT_FIELDS.

    Of the latter, one that has none is switched off too.
    """
    form = read_form(fields)
    try:
        has_history = plan_form.has_several_answers(form)
    except StudioError:  # said on the Data tab
        has_history = False
    has_say = {"mask_history": has_history, "replay_share": form.task == "chat"}
    hidden = gr.update(visible=False, value=0)
    chat_updates = [gr.update(visible=True) if has_say[name] else hidden for name in CHAT_FIELDS]
    settings = plan_form.valid_method_settings(form)
    rehearsal = gr.update(visible="reward" in form.settings["rlhf"])
    if form.method not in settings:
        return rehearsal, *(gr.skip() for _ in CONDITIONAL_FIELDS), *chat_updates
    visible = find_visible_fields(form.task, form.method, settings[form.method])
    return rehearsal, *(gr.update(visible=visible[name]) for name in CONDITIONAL_FIELDS), *chat_updates


def describe_automatic_values(inputs: EstimateInputs, form: FormState, lang: str) -> str:
    """The values that the settings of the chosen method will take which are left to the studio."""
    method = methods.get(inputs.plan.method.name)
    run = inputs.context.run_of(method)
    if not run:
        return ""
    fields_on_page = form.settings[method.name]
    labels = {setting.name: setting.label for setting in method.settings}
    values = [
        messages.AUTOMATIC_VALUE.format(name=TRAINING_FIELDS[name][0], value=format_number(value))
        for name, value in _automatic_training_values(inputs, form).items()
    ]
    values += [
        messages.AUTOMATIC_VALUE.format(name=labels[name], value=format_number(value))
        for name, value in method.automatic_values(run.settings, run.workload).items()
        if name in fields_on_page
    ]
    if inputs.plan.training.precision == "auto":
        precision = inputs.context.machine.autocast_dtype or "float32"
        values.append(messages.AUTOMATIC_VALUE.format(name=TRAINING_FIELDS["precision"][0], value=precision))
    if inputs.plan.training.gradient_accumulation_steps is None:
        name, size = messages.MICRO_BATCH_SIZE, format_number(run.workload.micro_batch_size)
        values.append(messages.AUTOMATIC_VALUE.format(name=name, value=size))
    machine = inputs.context.plan_machine
    if machine.is_gpu and inputs.plan.training.gradient_checkpointing is None:
        state = messages.ON if run.workload.training.gradient_checkpointing else messages.OFF
        name = TRAINING_FIELDS["gradient_checkpointing"][0]
        values.append(messages.AUTOMATIC_VALUE.format(name=name, value=state))
    if run.workload.packs_texts:
        values.append(messages.WITHOUT_PADDING)
    if any(map(run.workload.replays, run.phases)):
        values.append(messages.REPLAYED_STEPS)
    return messages.AUTOMATIC_HERE.render(lang, values=values) if values else ""


def _automatic_training_values(inputs: EstimateInputs, form: FormState) -> dict[str, Value]:
    """What empty fields of PLACEHOLDER_FIELDS stand for, of those that have a say."""
    method = methods.get(inputs.plan.method.name)
    run = inputs.context.run_of(method)
    if not run or not inputs.base.shape:
        return {}
    rate = defaults.default_learning_rate(
        method, run.settings, inputs.base.shape, inputs.plan.task, run.workload.n_train
    )
    values = {"learning_rate": rate, "max_length": run.workload.training.token_limit}
    visible = find_visible_fields(form.task, method.name, run.settings)
    return {
        name: value
        for name, value in values.items()
        if getattr(inputs.plan.training, name) is None and visible.get(name, True)
    }


def automatic_placeholders(inputs: EstimateInputs, form: FormState, lang: str) -> tuple[Any, ...]:
    """Updates of PLACEHOLDER_FIELDS: what an empty one stands for."""
    values = _automatic_training_values(inputs, form)
    placeholders = []
    for name in PLACEHOLDER_FIELDS:
        text = form_messages.AUTOMATIC_VALUE.render(lang, value=format_number(values.get(name, "")))
        placeholders.append(gr.update(placeholder=text) if name in values else gr.skip())
    return tuple(placeholders)


def format_number(value: Value) -> str:
    """A value as a person reads it: 0.0005, 1e-05, 192."""
    return f"{value:g}" if isinstance(value, float) else str(value)


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


def show_setting_fields(method: Method, controlling_names: tuple[str, ...], task: str, *values: Value) -> Any:
    """Show the fields of a method's settings that have an effect; hide the others.

    Args:
        method: The method.
        controlling_names: The settings on which that depends.
        task: What the model is to learn.
        values: Their values.
    """
    chosen = dict(zip(controlling_names, values, strict=True))
    updates = [
        gr.update(visible=setting.has_effect(chosen, task))  # type: ignore[arg-type] # any text counts as none
        for setting in conditional_settings(method)
    ]
    return updates if len(updates) > 1 else updates[0]


def conditional_settings(method: Method) -> list[Setting]:
    """The settings of a method that have an effect only under some values of others, or for some tasks."""
    return [setting for setting in method.settings if setting.depends_on or setting.used_with]


# ---- Layout


def build(default_method: str) -> SettingsPanel:
    """Lay the settings out, closed, below the offer of a larger test part."""
    larger_test = held_out.build()
    with gr.Accordion(t(messages.SETTINGS), open=False, elem_id="settings") as accordion:
        training_fields = build_main_fields()
        suggestion_notice = notices.notice_box("suits")
        groups, setting_fields = _build_groups(default_method)
        rlhf_group = groups[[method.name for method in methods.METHODS].index("rlhf")]
        with rlhf_group, gr.Column() as rehearsal_column:
            rehearsal = rehearsal_panel.build()
        training_fields |= build_more_fields()
        rate_range = rate_range_panel.build()
        parameter_notice = notices.notice_box("counted")
        with gr.Accordion(t(help_messages.EXACT_TERMS), open=False, elem_id="exact"):
            exact_terms = help_panel.build_terms()
    keep_empty(accordion, [training_fields[name] for name in PLACEHOLDER_FIELDS])
    return SettingsPanel(
        groups=groups,
        setting_fields=setting_fields,
        training_fields=in_order(training_fields),
        rehearsal=rehearsal,
        rehearsal_column=rehearsal_column,
        rate_range=rate_range,
        parameter_notice=parameter_notice,
        suggestion_notice=suggestion_notice,
        larger_test=larger_test,
        exact_terms=exact_terms,
    )


def _build_groups(default_method: str) -> tuple[list[gr.Group], dict[str, Any]]:
    """A group of fields for each method, of which one is visible; and all their fields as METHOD_SETTING."""
    groups: list[gr.Group] = []
    setting_fields: dict[str, Any] = {}
    for method in methods.METHODS:
        with gr.Group(visible=method.name == default_method, elem_id=f"knobs-{method.name}") as group:
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
        visible = setting.has_effect(default_values, method.tasks[0])
        fields[setting.name] = build_setting_field(method.name, setting, visible)
    if advanced:
        with gr.Accordion(t(messages.MORE_METHOD_SETTINGS), open=False, elem_id=f"more-{method.name}"):
            for setting in advanced:
                visible = setting.has_effect(default_values, method.tasks[0])
                fields[setting.name] = build_setting_field(method.name, setting, visible)
    return {f"{method.name}_{name}": field for name, field in fields.items()}


# ---- Wiring


def wire(
    panel: SettingsPanel,
    method_state: gr.BrowserState,
    data_fields: dict[str, Any],
    packed_fields: dict[str, Any],
    data_revision: gr.Number,
) -> None:
    """Show the settings of the chosen method, and of these what has an effect.

    Args:
        panel: The settings.
        method_state: The chosen method.
        data_fields: The fields of the Data tab that handlers read, by field name.
        packed_fields: The fields as packing.pack_fields sends them.
        data_revision: Changes with the rows of the data.
    """
    _wire_choices(panel)
    _wire_groups(panel, method_state)
    for method in methods.METHODS:
        _wire_setting_fields(method, panel, data_fields["task"])
    staged = [packed_fields[f"now_{name}"] for name in STEPS_FOLLOW_SETTINGS]
    triggers = (*data_fields.values(), method_state, data_revision, *staged)
    after_any(*(component.change for component in triggers), current_page().load).then(
        show_training_fields,
        inputs_kwargs={**data_fields, "method": method_state, **packed_fields},
        outputs=[
            panel.rehearsal_column,
            *(panel.training_fields[name] for name in (*CONDITIONAL_FIELDS, *CHAT_FIELDS)),
        ],
        **LATEST_UNQUEUED,
    )


def _wire_choices(panel: SettingsPanel) -> None:
    choice_fields = [panel.setting_fields[name] for name, _ in _choice_settings()]
    current_page().load(
        localize_choices,
        None,
        [*choice_fields, *(panel.training_fields[name] for name in CHOICES)],
        **UNQUEUED,
    )


def _wire_groups(panel: SettingsPanel, method_state: gr.BrowserState) -> None:
    method_names = json.dumps([method.name for method in methods.METHODS])
    gr.on(
        [method_state.change, current_page().load],
        None,
        method_state,
        panel.groups,
        js=(
            f"(method) => {method_names}.map((name) => ({{ visible: name === method, __type__: 'update' }}))"
        ),
        **UNQUEUED,
    )


def _wire_setting_fields(method: Method, panel: SettingsPanel, task: Any) -> None:
    """Show and hide the fields of settings that have an effect only under some values of others."""
    conditional = conditional_settings(method)
    if not conditional:
        return
    names = sorted({name for setting in conditional for name in setting.controlling_names})
    controls = [panel.setting_fields[f"{method.name}_{name}"] for name in names]
    gr.on(
        [control.change for control in (*controls, task)],
        partial(show_setting_fields, method, tuple(names)),
        [task, *controls],
        [panel.setting_fields[f"{method.name}_{setting.name}"] for setting in conditional],
        **UNQUEUED,
    )
