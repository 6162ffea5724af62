"""The estimates of all methods for one plan on one machine: what the page's table, the command line and a run's record show."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from studio import methods, presets
from studio.errors import StudioError
from studio.estimate import dataset_lengths, estimate_one, history
from studio.estimate.dataset_lengths import DatasetLengths
from studio.estimate.machines import rates
from studio.estimate.machines.catalogue import Machine
from studio.estimate.tracing import client as tracing_client
from studio.estimate.tracing.traced_passes import TracedPasses
from studio.estimate.types import Estimate
from studio.i18n import Message
from studio.methods import compatibility, workload
from studio.methods.spec import Method, Settings
from studio.models import fetch, shape
from studio.models.shape import ModelShape
from studio.plan import Plan

NO_SHAPE = Message("the model's shape, which is known once it is here")
NO_EXAMPLES = Message("examples: without them nobody knows how long it takes")
QUESTIONS_TOO_LONG = Message(
    "examples short enough: every question alone fills the longest example ({length} tokens, max length)"
)
NOT_TRACED = Message("a traced step, so the formula stands: {why}")
# Of a config.json what says how a model is built, and not how its weights happen to be stored.
STORAGE_KEYS = (
    "quantization_config",
    "dtype",
    "torch_dtype",
    "architectures",
    "transformers_version",
    "_name_or_path",
)


@dataclass(frozen=True)
class BaseModelInfo:
    """A base model as far as it is known: its config and shape, and the folder where it lies."""

    config: dict[str, Any]
    shape: ModelShape | None
    folder: Path | None


def find_base_model(model_name: str) -> BaseModelInfo:
    """What is known of a model without fetching it; an unreadable config counts as unknown."""
    card, folder = presets.models().get(model_name), None
    try:
        cached_model = fetch.find_cached(model_name)
        folder = cached_model.folder if cached_model else None
        if card:
            return BaseModelInfo(dict(card.config), shape.from_config(card.config), folder)
        if folder:
            model_shape = shape.from_folder(folder)
            raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            return BaseModelInfo(
                {name: value for name, value in raw.items() if name not in STORAGE_KEYS}, model_shape, folder
            )
    except (StudioError, OSError, ValueError):  # what is wrong with it is said beside its field
        return BaseModelInfo({}, None, folder)
    return BaseModelInfo({}, None, None)


def estimate_all_methods(
    plan: Plan,
    machine: Machine,
    settings: Mapping[str, Settings],
    base_model: BaseModelInfo,
    lengths: DatasetLengths | None,
    only_method: str = "",
    use_traces: bool = True,
) -> dict[str, Estimate]:
    """One estimate for each method that goes with the task and the model, or `only` one; takes what was traced before, and milliseconds.

    `settings` are each method's; one that is not named takes its defaults. Without `refined` the closed form alone has its say.
    """
    machine_rates = rates.load_rates(machine)
    traced_counts = TracedPasses(base_model.config, machine) if base_model.config and use_traces else None
    return {
        method.name: _estimate_one_method(
            plan,
            method,
            settings.get(method.name, method.resolve_settings({})),
            machine,
            base_model,
            lengths,
            machine_rates,
            traced_counts,
        )
        for method in methods.METHODS
        if (not only_method or method.name == only_method)
        and not compatibility.find_incompatibility(method.name, plan.task, base_model.shape)
    }


def _estimate_one_method(
    plan: Plan,
    method: Method,
    settings: Settings,
    machine: Machine,
    base_model: BaseModelInfo,
    lengths: DatasetLengths | None,
    machine_rates: rates.Rates,
    traced_counts: TracedPasses | None,
) -> Estimate:
    if not base_model.shape:
        return Estimate(method.name, missing=(NO_SHAPE,))
    if not lengths:
        return estimate_one.estimate_without_rows(
            method, settings, base_model.shape, machine, plan.task, NO_EXAMPLES
        )
    run_workload = dataset_lengths.build_workload(plan, method, settings, base_model.shape, lengths)
    if not workload.supervised_lengths(run_workload):
        too_long = QUESTIONS_TOO_LONG.format(length=run_workload.training.max_length)
        return estimate_one.estimate_without_rows(
            method, settings, base_model.shape, machine, plan.task, too_long
        )
    estimate = estimate_one.estimate_method(
        method,
        settings,
        run_workload,
        machine,
        machine_rates,
        traced_counts,
        history.correction_factors(machine.id, method.name, machine_rates.when),
    )
    reason = (
        traced_counts.failure_reason(method, settings, run_workload)
        if traced_counts and estimate.level == "formula"
        else None
    )
    estimate = (
        replace(estimate, missing=(*estimate.missing, NOT_TRACED.format(why=reason))) if reason else estimate
    )
    return estimate if lengths.is_exact else estimate_one.widen_ranges(estimate, lengths.failure_reason)


def needs_tracing(
    plan: Plan,
    method: Method,
    settings: Settings,
    machine: Machine,
    base_model: BaseModelInfo,
    lengths: DatasetLengths,
) -> bool:
    """Whether tracing would refine an estimate of this method."""
    if not base_model.shape or not base_model.config:
        return False
    return bool(
        TracedPasses(base_model.config, machine).pending_requests(
            method,
            settings,
            dataset_lengths.build_workload(plan, method, settings, base_model.shape, lengths),
        )
    )


def trace_missing(
    plan: Plan,
    method: Method,
    settings: Settings,
    machine: Machine,
    base_model: BaseModelInfo,
    lengths: DatasetLengths,
) -> bool:
    """Trace what an estimate of this method still lacks; takes seconds. Returns whether everything is known now."""
    if not base_model.shape:
        return False
    run_workload = dataset_lengths.build_workload(plan, method, settings, base_model.shape, lengths)
    responses = [
        tracing_client.send_request(request)
        for request in TracedPasses(base_model.config, machine).pending_requests(
            method, settings, run_workload
        )
    ]
    return all("problem" not in response for response in responses)


def estimate_chosen_method(plan: Plan, machine: Machine, wait: bool = False) -> Estimate:
    """The estimate of a plan's own method and settings; with `wait` as exact as can be had in seconds.

    Raises what is wrong with the data.
    """
    base_model, method = find_base_model(plan.model), methods.get(plan.method.name)
    settings = method.resolve_settings(plan.method.settings)
    lengths = dataset_lengths.measure_lengths(plan, base_model.folder, wait)
    if wait:
        trace_missing(plan, method, settings, machine, base_model, lengths)
    return _estimate_one_method(
        plan,
        method,
        settings,
        machine,
        base_model,
        lengths,
        rates.load_rates(machine),
        TracedPasses(base_model.config, machine) if base_model.config else None,
    )
