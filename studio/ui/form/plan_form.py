"""The plan that the form describes: what it would do, and what is wrong with it, field by field."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

from studio import methods, plan, presets
from studio.chooser import dataset_summary
from studio.data import examples, import_job, replay, split
from studio.data.examples import Example
from studio.data.quality import base_languages
from studio.data.schema.infer_roles import RoleGuess, role_label
from studio.data.split import Splits
from studio.errors import BadPlan, StudioError, explain
from studio.estimate import dataset_lengths
from studio.estimate.all_methods import BaseModelInfo
from studio.estimate.machines import catalogue, hardware
from studio.i18n import Message
from studio.methods import defaults
from studio.methods.spec import Method, Settings
from studio.plan import REQUIRED_ROLES, Data, MethodChoice, Plan, Task, Training, Value, all_roles
from studio.ui import access, visitors
from studio.ui.components import notices
from studio.ui.form import fitting, messages
from studio.ui.form.fitting import Fitting
from studio.ui.form.form_state import FormState
from studio.ui.form.training_fields import (
    AUTO_FIELDS,
    SHARE_FIELDS,
    TRAINING_FIELDS,
    find_visible_fields,
    has_supervised_stage,
    plan_value,
    valid_training_values,
)

MAX_RUN_NAME_CHARS = 120
MAX_MODEL_CHARS = 500
# From so many examples on, finding near-duplicates takes seconds, during which the page would not respond.
MAX_INLINE_GROUPING = 5000
PLAN_SUMMARY = Message("{method} on {model}: {train} {train:example|examples}")
STEPS_SUMMARY = Message("{epochs:g} epochs, batch size {batch}, {steps} steps")
# A long text to continue becomes several, which only its tokens tell.
STEPS_SUMMARY_OF_TEXTS = Message("{epochs:g} epochs, batch size {batch}, at least {steps} steps")
CHECK_SUMMARY = Message("{check} held out to check on the way (validation)")
TEST_SUMMARY = Message("{test} held out for the final test")
EARLY_END = Message("ends early after {patience} checks in a row without progress")


def build_plan(form: FormState, *, strict: bool = True) -> Plan:
    """The plan that the form describes.

    Args:
        form: The fields as a browser sent them.
        strict: True for a run that is to start: everything must be right. False for an estimate: a value that
            makes no sense counts as its default, and the method's settings are left out (estimates take the
            settings of all methods from `valid_method_settings`).

    Raises:
        BadPlan: `strict`, and something is wrong; lists everything that is.
        StudioError: `strict`, and the model or the method is none this visitor may choose.
    """
    return _build_checked_plan(form) if strict else _build_lenient_plan(form)


def _build_checked_plan(form: FormState) -> Plan:
    access.check_model(form.model)
    methods.get(form.method)
    training = {name: value for name, value in form.training.items() if name not in SHARE_FIELDS}
    training |= {name: plan_value(name, training.get(name)) for name in AUTO_FIELDS}
    if not methods.get(form.method).supports_disk_offload(valid_method_settings(form)[form.method], None):
        training.pop("disk_offload", None)  # its box is out of sight
    if not _offers_gpus(form):
        training.pop("num_gpus", None)
    raw_plan = {
        "name": form.run_name.strip()[:MAX_RUN_NAME_CHARS] or _default_run_name(form),
        "task": form.task,
        "model": form.model,
        "data": {
            "source": form.source,
            "columns": form.columns,
            "validation_share": form.training.get("validation_share"),
            "test_share": form.training.get("test_share"),
            "test": form.test_source,
        },
        "method": {"name": form.method, "settings": form.settings[form.method]},
        "training": training,
        "where": find_where(form.machine),
    }
    return visitors.limit_minutes(plan.parse(raw_plan, "the page", (methods.find_plan_problems,)))


def _offers_gpus(form: FormState) -> bool:
    """Whether the form lets several GPUs of this machine train together."""
    is_here = find_where(form.machine) == "local"
    settings = valid_method_settings(form)[form.method]
    return is_here and find_visible_fields(form.task, form.method, settings)["num_gpus"]


def find_where(machine_id: str) -> str:
    """Where a run goes that starts with this machine chosen: there, if the studio can train on it."""
    machine = catalogue.load_machines().get(machine_id)
    can_leave = machine is not None and machine.can_train and not access.is_open_to_others()
    return machine_id if can_leave else "local"


def _default_run_name(form: FormState) -> str:
    method_name = presets.methods()[form.method].name.render()
    return f"{method_name} · {form.model.split('/')[-1]}"


def _build_lenient_plan(form: FormState) -> Plan:
    method_names = [method.name for method in methods.METHODS]
    values = dict(form.training)
    if hardware.count_gpus() < 2:
        values.pop("num_gpus", None)  # of another machine's page
    return Plan(
        task=form.task,
        model=form.model[:MAX_MODEL_CHARS] or "-",
        data=Data(
            source=form.source or "-",
            columns=dict(form.columns),
            test=form.test_source,
            **valid_training_values(values, SHARE_FIELDS),
        ),
        method=MethodChoice(name=form.method if form.method in method_names else method_names[0]),
        training=Training(**valid_training_values(values, tuple(Training.model_fields))),
    )


def valid_method_settings(form: FormState) -> dict[str, Settings]:
    """All settings of every method by its name; one that makes no sense counts as its default."""
    return {method.name: _valid_settings(method, form.settings[method.name]) for method in methods.METHODS}


def _valid_settings(method: Method, settings: dict[str, Value]) -> Settings:
    invalid_names = {problem.key for problem in method.find_problems(settings)}
    return method.resolve_settings(
        {name: value for name, value in settings.items() if name not in invalid_names}
    )


def describe_plan(run_plan: Plan, lang: str) -> str:
    """What a plan would do, in one sentence, counted on its real data.

    Raises:
        StudioError: The data cannot be read, or a part of it has no example that fits into max length.
    """
    splits = split_examples(run_plan)
    fit = count_fitting(run_plan, _resolve_settings(run_plan))
    if fit:
        fit.require_some()
    card = presets.models().get(run_plan.model)
    summary = PLAN_SUMMARY.render(
        lang,
        method=presets.methods()[run_plan.method.name].name,
        model=card.name if card else run_plan.model,
        train=len(splits.train),
    )
    is_supervised = has_supervised_stage(run_plan.task, run_plan.method.name, run_plan.method.settings)
    parts = [
        summary,
        _describe_steps(run_plan, len(splits.train), lang) if is_supervised else "",
        CHECK_SUMMARY.render(lang, check=len(splits.validation)),
        TEST_SUMMARY.render(lang, test=len(splits.test)) if splits.test else "",
    ]
    training = run_plan.training
    ends_early = is_supervised and 0 < training.early_stopping_patience < training.eval_count
    early_end = EARLY_END.render(lang, patience=training.early_stopping_patience) if ends_early else ""
    return " · ".join(filter(None, (*parts, early_end)))


def _describe_steps(run_plan: Plan, train_count: int, lang: str) -> str:
    batch_size, epochs = default_batch_and_epochs(run_plan, train_count)
    steps = defaults.count_steps(train_count, batch_size, epochs)
    message = STEPS_SUMMARY_OF_TEXTS if run_plan.task == "complete" else STEPS_SUMMARY
    return message.render(lang, epochs=epochs, batch=batch_size, steps=steps)


def _resolve_settings(run_plan: Plan) -> Settings:
    return methods.get(run_plan.method.name).resolve_settings(run_plan.method.settings)


def count_fitting(run_plan: Plan, settings: Settings) -> Fitting | None:
    """How many examples of each part fit into max length; None where all do, or that is not known.

    Args:
        run_plan: The plan.
        settings: All settings of its method.

    Raises:
        StudioError: The data cannot be read.
    """
    base = access.find_base(run_plan.model)
    if not base or not fitting.leaves_some_out(run_plan, settings, base):
        return None
    all_examples, _ = _load_plan_examples(run_plan)
    return fitting.count_fitting(run_plan, settings, base, all_examples, split_examples(run_plan))


def default_batch_and_epochs(run_plan: Plan, train_count: int) -> tuple[int, float]:
    """Batch size and epochs of a plan; what it leaves open follows from the number of training examples."""
    method = methods.get(run_plan.method.name)
    batch_size = run_plan.training.batch_size or defaults.default_batch_size(train_count)
    epochs = run_plan.training.epochs or defaults.default_epochs(
        train_count, run_plan.task, batch_size, method.epoch_multiplier
    )
    return batch_size, epochs


def split_examples(run_plan: Plan) -> Splits:
    """The training, validation and test examples of a plan, as its run will have them."""
    all_examples, groups = _load_plan_examples(run_plan)
    splits = split.split_examples(all_examples, run_plan.data, run_plan.training.seed, groups)
    splits = replay.mix_in(splits, run_plan.training)
    if not run_plan.data.test:
        return splits
    test_table = access.find_dataset(run_plan.data.test).table()
    test_examples, _ = examples.build_examples(test_table, run_plan.task, run_plan.data.columns)
    return replace(splits, test=test_examples)


def count_examples(run_plan: Plan) -> int:
    """How many examples a plan's data has, those of a separate test set left out."""
    return len(_load_plan_examples(run_plan)[0])


def _load_plan_examples(run_plan: Plan) -> tuple[list[Example], list[int]]:
    """The examples of a plan and the group of each."""
    dataset = access.find_dataset(run_plan.data.source)
    columns = tuple(sorted(run_plan.data.columns.items()))
    return _load_grouped_examples(run_plan.data.source, dataset.version, run_plan.task, columns)


@lru_cache(maxsize=8)
def _load_grouped_examples(
    source: str, version: int, task: Task, columns: tuple[tuple[str, str], ...]
) -> tuple[list[Example], list[int]]:
    """The examples of a data set and the group of each, whose members stay together in the split.

    Cached for a version of the data set, that is while its rows stay the same.
    """
    role_columns = dict(columns)
    all_examples, _ = examples.build_examples(access.find_dataset(source).table(), task, role_columns)
    if len(all_examples) < MAX_INLINE_GROUPING:
        groups = split.duplicate_groups(all_examples)
    else:
        groups = import_job.compute_duplicate_groups(source, task, role_columns)
    return all_examples, groups


def language_warning(form: FormState, lang: str) -> str:
    """What the base model hardly knows of the languages of the data; "" where it knows them."""
    try:
        source = access.find_dataset(form.source).source
        dataset = dataset_summary.summarize(source, RoleGuess(form.task, dict(form.columns), True))
    except StudioError:  # said on the Data tab
        return ""
    warning = base_languages.language_warning(dataset.languages, form.model) if dataset else None
    return warning.render(lang) if warning else ""


def has_several_answers(form: FormState) -> bool:
    """Whether a conversation of the chosen data has an answer before its last one.

    Raises:
        StudioError: The data cannot be read.
    """
    if form.task not in ("chat", "prefer"):
        return False
    version = access.find_dataset(form.source).version
    return _has_several_answers(form.source, version, form.task, tuple(sorted(form.columns.items())))


@lru_cache(maxsize=8)
def _has_several_answers(source: str, version: int, task: Task, columns: tuple[tuple[str, str], ...]) -> bool:
    """`has_several_answers`, cached for a version of the data set."""
    all_examples, _ = examples.build_examples(access.find_dataset(source).table(), task, dict(columns))
    return any(_has_earlier_answer(example) for example in all_examples if "messages" in example)


def _has_earlier_answer(example: Example) -> bool:
    return any(message["role"] == "assistant" for message in examples.to_prompt_messages(example))


def describe_extra_stages(run_plan: Plan, lang: str) -> str:
    """What a method that trains in several stages does in addition to the steps that were counted."""
    method = methods.get(run_plan.method.name)
    message = method.extra_stages_message(method.resolve_settings(run_plan.method.settings), run_plan.task)
    return message.render(lang) if message else ""


def max_text_tokens(form: FormState, base: BaseModelInfo | None) -> int:
    """How many tokens of a text the chosen method reads; virtual tokens leave fewer than max length.

    Args:
        form: The form. Where max length is left to the studio, its data and columns count too.
        base: The base model; None where it is not known, and max length alone counts.

    Returns:
        0 where nobody knows yet: the columns of the form do not fit its data, which the Data tab says.
    """
    method = next((method for method in methods.METHODS if method.name == form.method), None)
    if not base or not base.shape or not method:
        return form.max_length
    settings = _valid_settings(method, form.settings[method.name])
    max_length = form.max_length or _default_max_length(form, base, method)
    return method.max_text_tokens(base.shape, settings, max_length)


def _default_max_length(form: FormState, base: BaseModelInfo, method: Method) -> int:
    """The length limit that a run of the form would choose, as far as known; 0 where its data are unread."""
    assert base.shape is not None
    form_plan = build_plan(form, strict=False)
    training_data = form_plan.data.model_copy(update={"test": ""})
    try:
        lengths = dataset_lengths.measure_lengths(
            form_plan.model_copy(update={"data": training_data}), base.folder
        )
    except StudioError:
        return 0
    return defaults.default_max_length(lengths.rows, form_plan, method, base.shape)


def field_labels(method_name: str) -> dict[str, Message]:
    """Labels of the fields by their key in a plan; training fields and method settings by its last part."""
    labels = {"model": messages.MODEL, "method.name": messages.METHOD, "method.settings": messages.METHOD}
    for task in REQUIRED_ROLES:
        for role in all_roles(task):
            labels[f"data.columns.{role}"] = role_label("chat", role)
    for name, (label, _) in TRAINING_FIELDS.items():
        labels[name] = label
    for setting in methods.get(method_name).settings:
        labels[setting.name] = setting.label
    return labels


def plan_error_notice(error: Exception, method_name: str, lang: str) -> dict[str, Any]:
    """The notice for an error; problems of a plan are listed under the labels of their fields."""
    method_names = {method.name for method in methods.METHODS}
    if isinstance(error, BadPlan) and method_name in method_names:
        return notices.problems_notice(error.plan_problems, field_labels(method_name), lang)
    return notices.error_notice(explain(error), lang)
