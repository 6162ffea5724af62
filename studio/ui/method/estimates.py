"""The figures on the Method tab: what every method would need for what the fields say, refined while the person reads."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import gradio as gr

from studio import methods
from studio.errors import StudioError
from studio.estimate import all_methods as costs
from studio.estimate import dataset_lengths, suggestions
from studio.estimate import limits as plan_limits
from studio.estimate.all_methods import BaseModelInfo
from studio.estimate.dataset_lengths import DatasetLengths
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import Machine
from studio.estimate.suggestions import Suggestion
from studio.estimate.types import Estimate
from studio.i18n import Message
from studio.methods import compatibility
from studio.methods.spec import Method, Settings
from studio.plan import Data, MethodChoice, Plan, Task, Training, Value
from studio.ui import access, units
from studio.ui.components import forms
from studio.ui.form import saved_settings
from studio.ui.method import table as comparison_table
from studio.ui.method import table_messages as messages

EXPECTED_COST = Message("It should take {time} and {memory} on {place}.")
LOCAL_MACHINE_NAME = Message("this machine")
MEMORY_AND_TIME = Message("{memory} · {time}")


# How often the table was drawn anew for a visitor, of the latest so many.
_revisions: dict[str, int] = {}
MAX_SESSIONS = 1_000
# Fields of the training in which nothing means: what suits.
AUTO_FIELDS = ("learning_rate", "gradient_checkpointing")


class FormState(NamedTuple):
    """What the fields say, as far as it makes sense: a plan, every method's settings, and the machine."""

    plan: Plan
    settings: dict[str, Settings]
    machine: Machine
    base: BaseModelInfo
    lengths: DatasetLengths | None


def read_form(
    source: str, task: Task, columns: str, model: str, chosen: str, machine: str, **values: Value
) -> FormState:
    """What the fields say; a value that makes no sense counts as its default, and data that cannot be read as none."""
    training_values: dict[str, Any] = {}
    values = saved_settings.unpack_fields(values)
    for name in Training.model_fields:
        value = values.get(name) or None if name in AUTO_FIELDS else values.get(name)
        if value is not None and is_valid_training_value(name, value):
            training_values[name] = value
    validation_share, test_share = values.get("validation_share"), values.get("test_share")
    data = Data(
        source=source or "-",
        columns=forms.unpack(columns),
        validation_share=validation_share
        if isinstance(validation_share, float) and 0.02 <= validation_share <= 0.5
        else 0.1,
        test_share=test_share if isinstance(test_share, float | int) and 0 <= test_share <= 0.5 else None,
        test=str(values.get("test") or ""),
    )
    name = chosen if chosen in {method.name for method in methods.METHODS} else methods.METHODS[0].name
    plan = Plan(
        task=task,
        model=str(model or "-")[:500],
        data=data,
        method=MethodChoice(name=name),
        training=Training(**training_values),
    )
    settings = {
        method.name: valid_settings(method, forms.read_method_settings(method, dict(values)))
        for method in methods.METHODS
    }
    known_machines = catalogue.load_machines()
    return FormState(
        plan,
        settings,
        known_machines[machine] if machine in known_machines else catalogue.local_machine(),
        *_load_base_and_lengths(plan, source),
    )


def is_valid_training_value(name: str, value: Value) -> bool:
    """Whether a training field can take a value."""
    try:
        Training(**{name: value})
    except (ValueError, TypeError):
        return False
    return True


def valid_settings(method: Method, settings: dict[str, Value]) -> Settings:
    """All settings of a method; one that makes no sense counts as its default until it is changed."""
    invalid_keys = {problem.key for problem in method.find_problems(settings)}
    return method.resolve_settings(
        {name: value for name, value in settings.items() if name not in invalid_keys}
    )


def _load_base_and_lengths(plan: Plan, source: str) -> tuple[BaseModelInfo, DatasetLengths | None]:
    try:
        access.check_model(plan.model)
        base = costs.find_base_model(plan.model)
    except StudioError:
        base = BaseModelInfo({}, None, None)
    try:
        access.find_dataset(source)
        return base, dataset_lengths.measure_lengths(plan, base.folder)
    except StudioError:
        return base, None


def estimate_all_methods(form: FormState) -> dict[str, Estimate]:
    """The estimates of the methods that go with the data and the model."""
    return costs.estimate_all_methods(form.plan, form.machine, form.settings, form.base, form.lengths)


def render_estimates(form: FormState, method_estimates: Mapping[str, Estimate], lang: str) -> dict[str, Any]:
    """What the table shows: every method's estimate, why some are refused, and what would make a row fit."""
    refusals = {
        method.name: refusal
        for method in methods.METHODS
        if (refusal := compatibility.find_incompatibility(method.name, form.plan.task, form.base.shape))
        is not None
    }
    offers = {
        name: [_build_offer(suggestion, lang) for suggestion in find_suggestions(form, name)]
        for name, estimate in method_estimates.items()
        if estimate.fits == "no"
    }
    chosen, pending = form.plan.method.name, _has_guessed_tokens(form) or bool(find_unrefined_methods(form))
    limits_message, example_count = (
        _describe_limits(form, method_estimates.get(chosen)),
        form.lengths.count if form.lengths else None,
    )
    return comparison_table.render_table(
        method_estimates,
        refusals,
        offers,
        chosen,
        form.machine.name,
        lang,
        pending,
        limits_message,
        form.plan.task,
        example_count,
    )


def _describe_limits(form: FormState, estimate: Estimate | None) -> Message | None:
    """How far the chosen method could go on this machine; None where nobody knows."""
    if not estimate or not estimate.memory_gb or not form.lengths:
        return None
    fit_arguments = (form.plan, form.settings[estimate.method], form.machine, form.base, form.lengths)
    max_batch, max_length = (
        plan_limits.max_batch_size(*fit_arguments),
        plan_limits.max_text_length(*fit_arguments),
    )
    longest = max(example.tokens for example in form.lengths.rows)
    if not max_batch:
        return None
    batch_text = (messages.OR_MORE if max_batch == plan_limits.BATCH_SIZES[-1] else messages.UP_TO).format(
        count=max_batch
    )
    return (messages.MAX_BATCH_ANY_LENGTH if max_length >= longest else messages.MAX_BATCH_AND_LENGTH).format(
        batch=batch_text, length=f"{max_length:,}"
    )


def find_suggestions(form: FormState, name: str) -> list[Suggestion]:
    """What would make a method fit; always the same for the same fields."""
    if not form.lengths:
        return []
    return suggestions.find_suggestions(
        form.plan, name, form.settings, form.machine, form.base, form.lengths, catalogue.load_machines()
    )


def _build_offer(suggestion: Suggestion, lang: str) -> comparison_table.Offer:
    estimate = suggestion.estimate
    memory, time = format_memory_and_time(estimate, lang)
    return comparison_table.Offer(
        suggestion.label, MEMORY_AND_TIME.format(memory=memory or "?", time=time or "?")
    )


def find_unrefined_methods(form: FormState) -> list[Method]:
    """The methods whose figures could still be refined by tracing, the chosen one first."""
    shape, lengths = form.base.shape, form.lengths
    if not shape or not lengths:
        return []
    supported = [
        method
        for method in methods.METHODS
        if not compatibility.find_incompatibility(method.name, form.plan.task, shape)
    ]
    ordered = sorted(supported, key=lambda method: method.name != form.plan.method.name)
    return [
        method
        for method in ordered
        if costs.needs_tracing(
            form.plan, method, form.settings[method.name], form.machine, form.base, lengths
        )
    ]


def _has_guessed_tokens(form: FormState) -> bool:
    """Whether tokens were guessed from characters although the model's tokenizer is here and has not just been unable to count them."""
    return bool(
        form.base.folder and form.lengths and not form.lengths.is_exact and not form.lengths.failure_reason
    )


def next_revision(request: gr.Request) -> int:
    """The fields have changed: whatever is still being refined for this visitor is out of date. Returns how often they have."""
    session_id = str(request.session_hash)
    _revisions[session_id] = _revisions.pop(session_id, 0) + 1
    while len(_revisions) > MAX_SESSIONS:
        del _revisions[next(iter(_revisions))]
    return _revisions[session_id]


def refine(number: float | None, request: gr.Request, **fields: Any) -> Iterator[float]:
    """Count tokens and trace one method after the other, while the fields stay; a new number after each: the table can be drawn anew."""
    form, number, revision = (
        read_form(**fields),
        number or 0.0,
        _revisions.get(str(request.session_hash)),
    )  # a hidden field starts as nothing
    if form.base.folder and _has_guessed_tokens(form):
        try:
            form = form._replace(
                lengths=dataset_lengths.measure_lengths(form.plan, form.base.folder, wait=True)
            )
        except StudioError:
            return
        number += 1
        yield number
    for method in find_unrefined_methods(form):
        if _revisions.get(str(request.session_hash)) != revision or not form.lengths:
            return
        if not costs.trace_missing(
            form.plan, method, form.settings[method.name], form.machine, form.base, form.lengths
        ):
            continue
        number += 1
        yield number


def resolve_suggestion(method_name: str, offer_index: object, fields: Mapping[str, Any]) -> dict[str, Value]:
    """The fields that offer `number` of method `name` changes, with their new values; empty where the browser names none."""
    form = read_form(**fields)
    offered = find_suggestions(form, method_name) if method_name in form.settings else []
    if not isinstance(offer_index, int) or not 0 <= offer_index < len(offered):
        return {}
    suggestion = offered[offer_index]
    field = {
        "batch": "batch_size",
        "length": "max_length",
        "method": "chosen",
        "machine": "machine",
        "gradient_checkpointing": "gradient_checkpointing",
    }[suggestion.kind]
    return {
        field: suggestion.value,
        **({} if suggestion.kind in ("method", "machine") else {"chosen": method_name}),
    }


def format_memory_and_time(estimate: Estimate, lang: str) -> tuple[str, str]:
    """Memory and time with their ranges, as people read them; empty where nobody knows."""
    memory, time = estimate.memory_gb, estimate.minutes
    return (
        units.format_span(units.format_gb(memory.low), units.format_gb(memory.high)) if memory else "",
        units.format_span(units.format_minutes(time.low, lang), units.format_minutes(time.high, lang))
        if time
        else "",
    )


def format_expected_cost(estimate: Estimate | None, lang: str) -> str:
    """Time and memory in one sentence, and on which machine; empty where neither is known."""
    if not estimate or not estimate.minutes or not estimate.memory_gb:
        return ""
    memory, time = format_memory_and_time(estimate, lang)
    listed_machine = catalogue.load_machines().get(estimate.place)
    return EXPECTED_COST.render(
        lang, time=time, memory=memory, place=listed_machine.name if listed_machine else LOCAL_MACHINE_NAME
    )


def estimate_plan(plan: Plan) -> Estimate | None:
    """What a plan would take on this machine, as well as it is known now; None where its data cannot be read."""
    try:
        return costs.estimate_chosen_method(plan, catalogue.local_machine())
    except StudioError:
        return None
