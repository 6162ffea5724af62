"""The estimates of all methods for one plan on one machine, for the page's table and the command line."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from studio import methods, presets
from studio.errors import StudioError
from studio.estimate import automatic_settings, dataset_lengths, estimate_one, history
from studio.estimate.dataset_lengths import DatasetLengths
from studio.estimate.machines import catalogue, disk, rates
from studio.estimate.machines.catalogue import LOCAL_ID, Machine
from studio.estimate.method_run import MethodRun
from studio.estimate.tracing.client import tracing_client
from studio.estimate.tracing.traced_passes import TracedPasses
from studio.estimate.types import Estimate
from studio.i18n import Message
from studio.methods import compatibility, several_cards, workload
from studio.methods.spec import Method, Settings
from studio.models import fetch, shape
from studio.models.shape import ModelShape
from studio.plan import Plan

NO_SHAPE = Message("the model's shape, which is known once it is here")
NO_EXAMPLES = Message("examples: without them nobody knows how long it takes")
QUESTIONS_TOO_LONG = Message(
    "examples short enough: every question alone fills the longest example ({length} tokens, max length)"
)
NOTHING_FITS = Message("examples that fit: none fits whole into {length} tokens (max length)")
NOT_TRACED = Message("a traced step, so the formula stands: {why}")


@dataclass(frozen=True)
class BaseModelInfo:
    """A base model as far as it is known.

    Attributes:
        config: Its config.json as transformers has it; empty where it is not known.
        shape: Its shape; None where it is not known.
        folder: Where it lies on this machine; None where it has not been fetched.
    """

    config: dict[str, Any]
    shape: ModelShape | None
    folder: Path | None

    @cached_property
    def stored_bytes(self) -> float:
        """Bytes of a parameter in its files; 2 where they are not here."""
        sizes = [path.stat().st_size for path in self.folder.glob("*.safetensors")] if self.folder else []
        return sum(sizes) / self.shape.total() if sizes and self.shape else 2.0


@dataclass(frozen=True)
class EstimateContext:
    """What an estimate is made for.

    Attributes:
        plan: The plan.
        machine: Where it would run.
        base_model: The plan's base model.
        lengths: The plan's examples in tokens; None where they cannot be read.
        settings: The settings of methods by name; a method that is not named takes its defaults.
    """

    plan: Plan
    machine: Machine
    base_model: BaseModelInfo
    lengths: DatasetLengths | None
    settings: Mapping[str, Settings]

    @property
    def plan_machine(self) -> Machine:
        """The machine as it computes the plan: in the plan's precision, on as many of its own GPUs."""
        machine = self.machine.with_precision(self.plan.training.precision)
        if machine.id != LOCAL_ID:
            return machine
        return catalogue.with_own_cards(machine, self.plan.training.num_gpus)

    def settings_of(self, method: Method) -> Settings:
        """Return all settings of a method."""
        if method.name in self.settings:
            return self.settings[method.name]
        return method.resolve_settings({})

    def run_of(self, method: Method) -> MethodRun | None:
        """Return what a method would do, with what the plan leaves to the machine decided.

        None where the model's shape or the examples are not known.
        """
        if not self.base_model.shape or not self.lengths:
            return None
        settings, plan = self.settings_of(method), self.plan
        if not method.supports_disk_offload(settings, self.base_model.shape):
            plan = self.with_training(disk_offload=False).plan
        run_workload = dataset_lengths.build_workload(
            plan, method, settings, self.base_model.shape, self.lengths
        )
        cards = self.plan_machine.cards
        if self.machine.id == LOCAL_ID and not several_cards.can_train_together(method.name, settings):
            cards = 1
        run = MethodRun(method, settings, run_workload, self.base_model.stored_bytes, cards)
        return automatic_settings.decide(run, self.plan_machine, self.plan.training)

    def with_training(self, **changes: object) -> "EstimateContext":
        """Return the context of a plan with other training settings."""
        training = self.plan.training.model_copy(update=changes)
        return replace(self, plan=self.plan.model_copy(update={"training": training}))


def find_base_model(model_name: str) -> BaseModelInfo:
    """Return what is known of a model without fetching it; a config that cannot be read counts as unknown."""
    card, folder = presets.models().get(model_name), None
    try:
        cached_model = fetch.find_cached(model_name)
        folder = cached_model.folder if cached_model else None
        if card:
            return BaseModelInfo(dict(card.config), shape.from_config(card.config), folder)
        if folder:
            # This raises what is wrong with the config.
            model_shape = shape.from_folder(folder)
            raw = shape.read_config(folder)
            config = {name: value for name, value in raw.items() if name not in shape.STORAGE_KEYS}
            return BaseModelInfo(config, model_shape, folder)
    except (StudioError, OSError, ValueError):
        # The page says what is wrong with it beside the model's field.
        return BaseModelInfo({}, None, folder)
    return BaseModelInfo({}, None, None)


def estimate_all_methods(
    context: EstimateContext, only_method: str = "", use_traces: bool = True
) -> dict[str, Estimate]:
    """Estimate each method that is compatible with the task and the model. Takes milliseconds.

    Args:
        context: The plan and all it depends on.
        only_method: Name of the only method to estimate; empty for all.
        use_traces: Whether passes that were traced before are used; else the closed form alone.

    Returns:
        The estimates by the names of the methods.
    """
    machine_rates = rates.load_rates(context.plan_machine)
    traced_passes = _load_traced_passes(context) if use_traces else None
    estimates = {}
    for method in methods.METHODS:
        if only_method and method.name != only_method:
            continue
        if compatibility.find_incompatibility(method.name, context.plan.task, context.base_model.shape):
            continue
        estimates[method.name] = _estimate_one_method(context, method, machine_rates, traced_passes)
    return estimates


def _load_traced_passes(context: EstimateContext) -> TracedPasses | None:
    if not context.base_model.config:
        return None
    return TracedPasses(context.base_model.config, context.plan_machine)


def _estimate_one_method(
    context: EstimateContext,
    method: Method,
    machine_rates: rates.Rates,
    traced_passes: TracedPasses | None,
) -> Estimate:
    model_shape = context.base_model.shape
    if not model_shape:
        return Estimate(method.name, missing=(NO_SHAPE,))
    run = context.run_of(method)
    if not run or not context.lengths:
        return _estimate_without_rows(context, method, model_shape, NO_EXAMPLES)
    too_long = _why_nothing_fits(run)
    if too_long:
        return _estimate_without_rows(context, method, model_shape, too_long)
    estimate = estimate_one.estimate_method(
        run,
        context.plan_machine,
        machine_rates,
        traced_passes,
        history.correction_factors(context.machine.id, method.name, machine_rates.when),
    )
    if traced_passes and estimate.level == "formula":
        reason = traced_passes.failure_reason(run)
        if reason:
            estimate = replace(estimate, missing=(*estimate.missing, NOT_TRACED.format(why=reason)))
    if context.lengths.is_exact:
        return estimate
    return estimate_one.widen_ranges(estimate, context.lengths.failure_reason)


def _why_nothing_fits(run: MethodRun) -> Message | None:
    """Why no example can be learned from within the longest length; None where some can."""
    length = run.workload.training.token_limit
    if not workload.supervised_lengths(run.workload):
        return QUESTIONS_TOO_LONG.format(length=length)
    if not any(run.method.fits(run.settings, run.workload, row) for row in run.workload.rows):
        return NOTHING_FITS.format(length=length)
    return None


def _estimate_without_rows(
    context: EstimateContext, method: Method, model_shape: ModelShape, reason: Message
) -> Estimate:
    return estimate_one.estimate_without_rows(
        method, context.settings_of(method), model_shape, context.machine, context.plan.task, reason
    )


def describe_slowdown(slower: Estimate | None, faster: Estimate) -> str:
    """Return how many times as long one run takes as another, such as "2.5"; "" where nobody knows."""
    if not slower or not slower.minutes or not faster.minutes:
        return ""
    ratio = slower.minutes.likely / faster.minutes.likely
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"


def needs_tracing(context: EstimateContext, method: Method) -> bool:
    """Return whether tracing would refine the estimate of a method."""
    return bool(_pending_requests(context, method))


def trace_missing(context: EstimateContext, method: Method) -> bool:
    """Trace what the estimate of a method still lacks. Takes seconds.

    Returns:
        Whether everything is known now; False where the model's shape or the examples are not known.
    """
    if not context.run_of(method):
        return False
    if context.plan.training.disk_offload and context.machine.id == LOCAL_ID and not disk.is_measured():
        disk.measure_read_rate(context.base_model.folder)
    responses = [tracing_client.send_request(request) for request in _pending_requests(context, method)]
    return all("problem" not in response for response in responses)


def _pending_requests(context: EstimateContext, method: Method) -> list[dict[str, Any]]:
    traced_passes, run = _load_traced_passes(context), context.run_of(method)
    if not traced_passes or not run:
        return []
    return traced_passes.pending_requests(run)


def estimate_chosen_method(plan: Plan, machine: Machine, wait: bool = False) -> Estimate:
    """Estimate a plan's own method and settings.

    Args:
        plan: The plan.
        machine: Where it would run.
        wait: Whether to count tokens and trace steps first, which takes seconds; else what was counted
            and traced before is used.

    Raises:
        StudioError: If the data cannot be read.
    """
    base_model, method = find_base_model(plan.model), methods.get(plan.method.name)
    context = EstimateContext(
        plan,
        machine,
        base_model,
        dataset_lengths.measure_lengths(plan, base_model.folder, wait),
        {method.name: method.resolve_settings(plan.method.settings)},
    )
    if wait:
        trace_missing(context, method)
    machine_rates = rates.load_rates(context.plan_machine)
    return _estimate_one_method(context, method, machine_rates, _load_traced_passes(context))


def estimate_before_start(plan: Plan, machine: Machine) -> Estimate | None:
    """Estimate a plan that is about to start: its tokens counted and its steps traced, which takes seconds.

    Args:
        plan: The plan.
        machine: Where it starts.

    Returns:
        The estimate; None where the plan's data cannot be read, which the run itself says.
    """
    try:
        return estimate_chosen_method(plan, machine, wait=True)
    except StudioError:
        return None
