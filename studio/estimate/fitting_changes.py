"""Where memory runs out: the changes of a plan with which it fits, the mildest first."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from studio import methods, presets
from studio.data import examples, store
from studio.data.quality import base_languages, table_view
from studio.data.schema import infer_roles
from studio.estimate import all_methods, dataset_lengths
from studio.estimate.all_methods import EstimateContext
from studio.estimate.analytic import memory as memory_model
from studio.estimate.machines.catalogue import Machine
from studio.estimate.types import Estimate, Range
from studio.i18n import Message, join_messages
from studio.methods import compatibility
from studio.methods.workload import Workload
from studio.models import shape
from studio.plan import MethodChoice, Plan
from studio.presets import ModelCard

N_OFFERED = 3
# The shares of the examples that a shorter max_length may cut; one that cuts more than MILD_CUT_SHARE changes
# the result more than another method or model does.
CUT_SHARES, MILD_CUT_SHARE = (0.01, 0.05, 0.1, 0.25, 0.5), 0.1
LENGTH_STEP = 16
# A change on top of all that leaves the result as it is must save at least a tenth beside it.
SAVING_SHARE = 0.9
# Methods that hold less, the one that keeps the base model in full precision first.
LIGHTER_METHODS = ("lora", "qlora")
MICRO_BATCH = Message("Micro batches of {size} instead of {now} (same result)")
CHECKPOINTING = Message("Gradient checkpointing (same result, slower)")
DISK_OFFLOAD = Message("Weights read from disk (same result, about {factor} × as slow)")
MAX_LENGTH = Message("Max length {value} (cuts {share:.0%} of the examples)")
METHOD = Message("{name} instead of {now} (trains fewer weights)")
MODEL = Message("{name} instead of {now} (smaller base model)")
MACHINE = Message("Another machine: {name}")
LABEL_SEPARATOR = " + "
WITH_ESTIMATE = Message("{label}: {memory} GB, {minutes} min")
FREE_MEMORY = Message("the {gb:.1f} GB that are free")
OWN_NEED = Message("less than the {gb:.1f} GB that this plan needs")
FITTING = Message("These changes fit into {memory}, the mildest first:")
FEWER_FIT = Message("Only {count} {count:change fits|changes fit} into {memory}. {why}")
NONE_FITS = Message(
    "No change fits into {memory}. {why} Close other programs, or train on a machine with more memory."
)
SMALLEST_OTHER = Message("The smallest of the others needs up to {need:.1f} GB: {label}.")
NOTHING_SMALLER = Message("Nothing else of this plan can be made smaller.")


@dataclass(frozen=True)
class FittingChange:
    """One change of a plan, and what the run then needs.

    Attributes:
        label: The change in words.
        plan_changes: The new values by the plan's keys, such as `training.max_length`.
        estimate: Memory and time of the changed plan.
        memory_gb: The memory of that estimate.
        fits: Whether all of that lies below what is free.
        cut_share: The share of the examples that it cuts.
    """

    label: Message
    plan_changes: Mapping[str, Any]
    estimate: Estimate
    memory_gb: Range
    fits: bool = True
    cut_share: float = 0.0

    @property
    def key(self) -> str:
        """Which values it changes: no two changes of a plan have the same."""
        return " ".join(self.plan_changes)

    def describe(self) -> Message:
        """The change in words, with its memory and time from low to high."""
        memory, minutes = self.memory_gb, self.estimate.minutes
        return WITH_ESTIMATE.format(
            label=self.label,
            memory=_format_range(memory),
            minutes=_format_range(minutes) if minutes else "?",
        )


def _format_range(figures: Range) -> str:
    """From low to high, with one decimal below ten."""
    digits = 1 if figures.high < 10 else 0
    return f"{figures.low:.{digits}f}–{figures.high:.{digits}f}"


class FittingChanges(NamedTuple):
    """What would make a plan fit.

    Attributes:
        offered: At most N_OFFERED changes that fit, the mildest first.
        too_large: Of each other kind the change that needs least, which is still too much.
        limit: The memory into which they fit, in words.
    """

    offered: tuple[FittingChange, ...]
    too_large: tuple[FittingChange, ...]
    limit: Message

    def summarize(self) -> Message:
        """How many changes fit, and where it is fewer than N_OFFERED, why."""
        if len(self.offered) == N_OFFERED:
            return FITTING.format(memory=self.limit)
        smallest = min(self.too_large, key=lambda change: change.memory_gb.high, default=None)
        why = NOTHING_SMALLER
        if smallest:
            why = SMALLEST_OTHER.format(need=smallest.memory_gb.high, label=smallest.label)
        message = FEWER_FIT if self.offered else NONE_FITS
        return message.format(count=len(self.offered), memory=self.limit, why=why)


@dataclass(frozen=True)
class _Variant:
    """A changed plan: its context, what it may need, and the changes in words and by the plan's keys."""

    context: EstimateContext
    limit_gb: float = math.inf
    labels: tuple[Message, ...] = ()
    plan_changes: Mapping[str, Any] = field(default_factory=dict)
    cut_share: float = 0.0

    def change(
        self,
        context: EstimateContext,
        label: Message,
        plan_changes: Mapping[str, Any],
        cut_share: float = 0.0,
    ) -> "_Variant":
        """The variant with one more change."""
        changes = {**self.plan_changes, **plan_changes}
        return _Variant(
            context, self.limit_gb, (label, *self.labels), changes, max(self.cut_share, cut_share)
        )

    def train_with(self, label: Message, cut_share: float = 0.0, **changes: Any) -> "_Variant":
        """The variant with other training settings."""
        plan_changes = {f"training.{name}": value for name, value in changes.items()}
        return self.change(self.context.with_training(**changes), label, plan_changes, cut_share)


ListVariants = Callable[[_Variant, Workload], Iterator[_Variant]]


def find_for_plan(plan: Plan, machine: Machine) -> FittingChanges | None:
    """The changes that make a plan fit; None where its model or its examples are not known.

    Args:
        plan: The plan for which memory does not suffice.
        machine: Where it runs, with the memory that is free now.

    Raises:
        StudioError: The plan's data cannot be read.
    """
    base_model, method = all_methods.find_base_model(plan.model), methods.get(plan.method.name)
    lengths = dataset_lengths.measure_lengths(plan, base_model.folder)
    settings = {method.name: method.resolve_settings(plan.method.settings)}
    context = EstimateContext(plan, machine, base_model, lengths, settings)
    return find_changes(context, _find_languages(plan))


def _find_languages(plan: Plan) -> tuple[str, ...]:
    """The languages of a plan's examples."""
    table = store.find(plan.data.source).table()
    columns = plan.data.columns or infer_roles.guess_roles(table, plan.task).columns
    rows, _ = examples.build_examples(table, plan.task, columns)
    return base_languages.find_languages(
        [table_view.extract_texts(row, plan.task).parts for row in rows], plan.task
    )


def find_changes(context: EstimateContext, languages: Sequence[str] = ()) -> FittingChanges | None:
    """The changes that make a plan fit; None where its model or its examples are not known.

    A change fits if all of its range lies below the free memory, and below what the plan itself needs: that
    much was not there, whatever is free now.

    Args:
        context: The plan and all it depends on.
        languages: The languages of its examples, which a smaller base model must know.
    """
    run, current = context.run_of(methods.get(context.plan.method.name)), _estimate(context)
    if not run or not current or not current.memory_gb or current.room_gb is None:
        return None
    workload = run.workload
    start = _Variant(context, min(current.room_gb, current.memory_gb.likely))
    micro_batches, recomputing = list(_split_batch(start, workload)), list(_checkpoint_gradients(start))
    chosen = [_choose(micro_batches), _choose(recomputing)]
    # All that leaves the result as it is, for changes that do not suffice alone.
    same_result = next(_checkpoint_gradients(micro_batches[-1] if micro_batches else start), start)
    if micro_batches and recomputing and not any(change and change.fits for change in chosen):
        chosen.append(_choose([same_result]))
    change_model = partial(_change_model, languages)
    change_both = partial(_change_both, change_model)
    for list_variants in (_shorten, _change_method, _offload, change_model, change_both):
        alone = list_variants(start, workload)
        combined = list_variants(_require_saving(same_result), workload)
        # In turn: rather a larger model with it than a smaller one without.
        chosen.append(_choose(chain.from_iterable(zip(alone, combined, strict=True))))
    changes = sorted(filter(None, chosen), key=lambda change: change.cut_share > MILD_CUT_SHARE)
    offered = tuple(change for change in changes if change.fits)[:N_OFFERED]
    too_large = tuple(change for change in changes if not change.fits)
    limit = (FREE_MEMORY if start.limit_gb == current.room_gb else OWN_NEED).format(gb=start.limit_gb)
    return FittingChanges(offered, too_large, limit)


def find_for_row(context: EstimateContext, machines: Mapping[str, Machine]) -> list[FittingChange]:
    """The changes of the form, one of each kind, with which a row of the comparison table fits.

    Args:
        context: The plan with the row's method, and all it depends on.
        machines: Machines that may be offered, by id.
    """
    run, start = context.run_of(methods.get(context.plan.method.name)), _Variant(context)
    if not run:
        return []
    list_machines = partial(_change_machine, machines)
    kinds: tuple[ListVariants, ...] = (_recompute, _shorten, _change_method, _offload, list_machines)
    chosen = [_choose(list_variants(start, run.workload)) for list_variants in kinds]
    return [change for change in chosen if change and change.fits]


def _require_saving(variant: _Variant) -> _Variant:
    """A variant whose further changes must need clearly less than it does itself."""
    change = _build_change(variant)
    if not change:
        return variant
    return replace(variant, limit_gb=min(variant.limit_gb, SAVING_SHARE * change.memory_gb.high))


def _estimate(context: EstimateContext) -> Estimate | None:
    name = context.plan.method.name
    return all_methods.estimate_all_methods(context, name).get(name)


def _choose(variants: Iterable[_Variant]) -> FittingChange | None:
    """The first variant that fits, else the one that needs least; None where none has an estimate."""
    smallest = None
    for variant in variants:
        change = _build_change(variant)
        if change and change.fits:
            return change
        if change and (not smallest or change.memory_gb.high < smallest.memory_gb.high):
            smallest = change
    return smallest


def _build_change(variant: _Variant) -> FittingChange | None:
    estimate = _estimate(variant.context)
    if not estimate or not estimate.memory_gb:
        return None
    return FittingChange(
        label=join_messages(variant.labels, LABEL_SEPARATOR),
        plan_changes=variant.plan_changes,
        estimate=estimate,
        memory_gb=estimate.memory_gb,
        fits=estimate.memory_gb.high <= variant.limit_gb and estimate.fits != "no",
        cut_share=variant.cut_share,
    )


def _split_batch(start: _Variant, workload: Workload) -> Iterator[_Variant]:
    """The same examples per step in smaller micro batches, the largest first."""
    batch_size, n_micro_batches = workload.training.batch_size or 1, workload.training.accumulation_steps
    for count in range(n_micro_batches + 1, batch_size + 1):
        if batch_size % count == 0:
            label = MICRO_BATCH.format(size=batch_size // count, now=batch_size // n_micro_batches)
            yield start.train_with(label, gradient_accumulation_steps=count)


def _checkpoint_gradients(start: _Variant) -> Iterator[_Variant]:
    """The same with gradient checkpointing, where the method can and does not yet."""
    context = start.context
    run = context.run_of(methods.get(context.plan.method.name))
    can_change = run and run.method.supports_gradient_checkpointing
    if run and can_change and not memory_model.is_checkpointing_gradients(run, context.plan_machine):
        yield start.train_with(CHECKPOINTING, gradient_checkpointing=True)


def _recompute(start: _Variant, workload: Workload) -> Iterator[_Variant]:
    return _checkpoint_gradients(start)


def _change_machine(
    machines: Mapping[str, Machine], start: _Variant, workload: Workload
) -> Iterator[_Variant]:
    """The same on another machine, the cheapest first; free ones are free for minutes only."""
    paid = [machine for machine in machines.values() if machine.price_per_hour and machine.currency == "USD"]
    for machine in sorted(paid, key=lambda machine: machine.price_per_hour or 0):
        context = replace(start.context, machine=machine)
        yield start.change(context, MACHINE.format(name=machine.name), {"where": machine.id})


def _offload(start: _Variant, workload: Workload) -> Iterator[_Variant]:
    """The same with the weights of the blocks read from the disk, where the method can and does not yet."""
    context = start.context
    method, current = methods.get(context.plan.method.name), _estimate(context)
    can_change = method.supports_disk_offload(context.settings_of(method), workload.shape)
    if not current or not can_change or workload.training.disk_offload or context.plan_machine.cards > 1:
        return
    estimate = _estimate(context.with_training(disk_offload=True))
    label = DISK_OFFLOAD.format(factor=all_methods.describe_slowdown(estimate, current))
    changes: dict[str, Any] = {"disk_offload": True}
    if context.plan.training.gradient_checkpointing is False:
        changes["gradient_checkpointing"] = None  # it cannot do without
    yield start.train_with(label, **changes)


def _shorten(start: _Variant, workload: Workload) -> Iterator[_Variant]:
    """Shorter texts, those that cut the fewest examples first."""
    lengths = start.context.lengths
    rows = (lengths.in_order or lengths.rows) if lengths else ()
    ascending = sorted(row.longest_tokens for row in rows)
    for share in CUT_SHARES:
        kept_tokens = ascending[-1 - math.floor(share * len(ascending))]
        max_length = LENGTH_STEP * math.ceil(kept_tokens / LENGTH_STEP)
        if max_length < min(workload.training.token_limit, ascending[-1]):
            cut_share = sum(tokens > max_length for tokens in ascending) / len(ascending)
            label = MAX_LENGTH.format(value=max_length, share=cut_share)
            yield start.train_with(label, cut_share, max_length=max_length)


def _change_method(start: _Variant, workload: Workload) -> Iterator[_Variant]:
    """A method that trains fewer weights, with its own settings and learning rate."""
    context, plan = start.context, start.context.plan
    own_name, cards = plan.method.name, presets.methods()
    for name in LIGHTER_METHODS:
        is_possible = not compatibility.find_incompatibility(name, plan.task, workload.shape)
        if own_name != name and own_name != LIGHTER_METHODS[-1] and is_possible:
            changed_plan = plan.model_copy(update={"method": MethodChoice(name=name)})
            label = METHOD.format(name=cards[name].name, now=cards[own_name].name)
            changes = {"method.name": name, **_reset_of_method(plan)}
            yield start.change(replace(context, plan=changed_plan), label, changes)


def _reset_of_method(plan: Plan) -> dict[str, Any]:
    """What a plan sets for its own method alone, left to the studio for another one."""
    changes: dict[str, Any] = {}
    if plan.method.settings:
        changes["method.settings"] = {}
    if plan.training.learning_rate is not None:
        changes["training.learning_rate"] = None
    return changes


def _change_model(languages: Sequence[str], start: _Variant, workload: Workload) -> Iterator[_Variant]:
    """A smaller base model of the catalogue that knows the data's languages, the largest first."""
    context, plan = start.context, start.context.plan
    cards = presets.models()
    own_name = cards[plan.model].name if plan.model in cards else plan.model
    for card in sorted(cards.values(), key=_count_parameters, reverse=True):
        is_smaller = _count_parameters(card) < workload.shape.total()
        unknown_languages = base_languages.unknown_languages(languages, card.id)
        if is_smaller and plan.task in card.tasks and not unknown_languages:
            changed_plan = plan.model_copy(update={"model": card.id})
            base_model = all_methods.find_base_model(card.id)
            yield start.change(
                replace(context, plan=changed_plan, base_model=base_model),
                MODEL.format(name=card.name, now=own_name),
                {"model": card.id},
            )


def _change_both(change_model: ListVariants, start: _Variant, workload: Workload) -> Iterator[_Variant]:
    """A method that trains fewer weights, on a smaller base model."""
    for lighter in _change_method(start, workload):
        yield from change_model(lighter, workload)


def _count_parameters(card: ModelCard) -> int:
    return shape.from_config(card.config).total()
