"""Passes that were traced, and the questions that are still open: the closed form, set right by what a trace found at a few lengths."""

from collections.abc import Iterable
from typing import Any

from studio import methods
from studio.estimate.analytic import formula
from studio.estimate.analytic import memory as memory_model
from studio.estimate.machines.catalogue import Machine
from studio.estimate.op_counts import ADDITIVE_FIELDS, OpCounts
from studio.estimate.tracing import client as tracing_client
from studio.i18n import Message
from studio.methods.cost_profile import CostProfile
from studio.methods.spec import Method, Settings
from studio.methods.workload import MicroBatch, Phase, Workload


class TracedPasses:
    """What is known now of one model on one kind of machine, looked up once. `config` is the model's, as transformers has it."""

    def __init__(self, config: dict[str, Any], machine: Machine) -> None:
        self.config, self.machine = config, machine
        self._attached_cache: dict[tuple[object, ...], tuple[Method, Settings, CostProfile, int]] = {}
        self._responses: dict[tuple[object, ...], dict[str, Any] | None] = {}
        self.device = "cpu" if machine.kind == "processor" else "cuda"

    def pending_requests(
        self, method: Method, settings: Settings, workload: Workload
    ) -> list[dict[str, Any]]:
        """The questions whose answers an estimate of this method still lacks, and that have not just been refused."""
        return [
            request
            for request in self._requests(method, settings, workload)
            if tracing_client.cached_response(request) is None
            and tracing_client.failure_reason(request) is None
        ]

    def failure_reason(self, method: Method, settings: Settings, workload: Workload) -> Message | None:
        """Why a question of this method could not be answered; None where none was refused."""
        if not tracing_client.has_failures():
            return None
        reasons = (
            tracing_client.failure_reason(request) for request in self._requests(method, settings, workload)
        )
        return next((reason for reason in reasons if reason), None)

    def _requests(self, method: Method, settings: Settings, workload: Workload) -> list[dict[str, Any]]:
        requests = [
            self._build_request(method, settings, workload, phase, micro_batch)
            for phase in method.build_phases(settings, workload)
            for micro_batch in _anchors(phase.micro_batches)
        ]
        return list({str(request): request for request in requests}.values())

    def __call__(
        self, method: Method, settings: Settings, workload: Workload, phase: Phase, micro_batch: MicroBatch
    ) -> OpCounts | None:
        """The closed form's tally times what the traces at the shortest and longest portion of the phase took more or less."""
        anchors = _anchors(phase.micro_batches) if micro_batch in phase.micro_batches else (micro_batch,)
        responses = [
            (anchor, self._cached_response(method, settings, workload, phase, anchor)) for anchor in anchors
        ]
        if not responses or any(response is None for _, response in responses):
            return None
        traced_points = [
            (anchor, OpCounts(**response["tally"])) for anchor, response in responses if response
        ]
        exact_counts = next((counts for anchor, counts in traced_points if anchor == micro_batch), None)
        if exact_counts:
            return _scale_to_blocks(exact_counts, phase)
        analytic_counts = self._analytic_counts(method, settings, workload, phase, micro_batch)
        analytic_points = [
            self._analytic_counts(method, settings, workload, phase, anchor) for anchor, _ in traced_points
        ]
        low, high = traced_points[0][0].tokens, traced_points[-1][0].tokens
        share = (micro_batch.tokens - low) / max(high - low, 1)
        for name in ADDITIVE_FIELDS:
            ratios = [
                getattr(traced, name) / max(getattr(analytic, name), 1.0)
                for (_, traced), analytic in zip(traced_points, analytic_points, strict=True)
            ]
            setattr(
                analytic_counts,
                name,
                max(getattr(analytic_counts, name), 1.0) * ((1 - share) * ratios[0] + share * ratios[-1]),
            )
        return _scale_to_blocks(analytic_counts, phase)

    def _analytic_counts(
        self, method: Method, settings: Settings, workload: Workload, phase: Phase, micro_batch: MicroBatch
    ) -> OpCounts:
        attached_method, _, profile, trainable_params = self._resolve_attached(
            method, settings, workload, phase
        )
        full_phase = Phase(
            phase.name, (), phase.method, phase.with_gradients, head=phase.head, new_tokens=phase.new_tokens
        )
        return formula.count_pass(
            workload.shape,
            full_phase,
            micro_batch,
            profile,
            self.device,
            self._uses_gradient_checkpointing(attached_method, workload, phase),
            trainable_params,
        )

    def _resolve_attached(
        self, method: Method, settings: Settings, workload: Workload, phase: Phase
    ) -> tuple[Method, Settings, CostProfile, int]:
        """The method that is attached in a phase, its settings, how it touches a pass, and how many numbers it trains; worked out once."""
        key = (method.name, phase.method, workload.num_labels, *settings.items())
        if key not in self._attached_cache:
            attached_method, attached_settings = _attached_method(method, settings, phase)
            profile, trainable_params = (
                attached_method.cost_profile(workload.shape, attached_settings),
                attached_method.count_parameters(
                    workload.shape, attached_settings, workload.num_labels
                ).trainable,
            )
            self._attached_cache[key] = (attached_method, attached_settings, profile, trainable_params)
        return self._attached_cache[key]

    def _uses_gradient_checkpointing(self, attached_method: Method, workload: Workload, phase: Phase) -> bool:
        return phase.with_gradients and memory_model.is_checkpointing_gradients(
            attached_method, workload, self.machine
        )

    def _cached_response(
        self, method: Method, settings: Settings, workload: Workload, phase: Phase, micro_batch: MicroBatch
    ) -> dict[str, Any] | None:
        attached_method, attached_settings, _, _ = self._resolve_attached(method, settings, workload, phase)
        variant = (
            phase.head,
            phase.with_gradients,
            phase.new_tokens > 0,
            workload.num_labels,
            self._uses_gradient_checkpointing(attached_method, workload, phase),
        )
        key = (
            attached_method.name,
            id(attached_settings),
            *variant,
            micro_batch,
        )  # `inside` lives as long as this: it is kept in `_known`
        if key not in self._responses:
            self._responses[key] = tracing_client.cached_response(
                self._build_request(method, settings, workload, phase, micro_batch)
            )
        return self._responses[key]

    def _build_request(
        self, method: Method, settings: Settings, workload: Workload, phase: Phase, micro_batch: MicroBatch
    ) -> dict[str, Any]:
        attached_method, attached_settings, _, trainable_params = self._resolve_attached(
            method, settings, workload, phase
        )
        has_classes = phase.head == "classes"
        model_spec = {
            "config": self.config,
            "name": attached_method.name,
            "settings": dict(attached_settings),
            "task": "classify" if has_classes else "chat",
            "labels": (workload.num_labels or 1) if has_classes else 0,
            "device": self.device,
            "bf16": self.machine.bf16,
            "gradient_checkpointing": self._uses_gradient_checkpointing(attached_method, workload, phase),
        }
        pass_spec = {
            "rows": micro_batch.rows,
            "tokens": micro_batch.tokens,
            "scored": max(micro_batch.scored_positions, 1),
            "padded": micro_batch.padded,
            "learn": phase.with_gradients,
            "cache": phase.new_tokens > 0,
        }
        with_optimizer_states = not memory_model.uses_paged_optimizer(
            attached_method, trainable_params, self.machine
        )
        return {"what": "trace", "model": model_spec, "pass": pass_spec, "states": with_optimizer_states}


def _anchors(micro_batches: Iterable[MicroBatch]) -> tuple[MicroBatch, ...]:
    """The shortest and the longest portion of a phase."""
    by_length = sorted(
        micro_batches, key=lambda micro_batch: (micro_batch.tokens, micro_batch.scored_positions)
    )
    return tuple(dict.fromkeys((by_length[0], by_length[-1]))) if by_length else ()


def _attached_method(method: Method, settings: Settings, phase: Phase) -> tuple[Method, Settings]:
    """The method that is attached in a phase, with its settings; a base that is asked alone is a whole model that learns nothing."""
    attached_method = methods.get(phase.method or "full")
    return attached_method, settings if attached_method is method else attached_method.resolve_settings({})


def _scale_to_blocks(counts: OpCounts, phase: Phase) -> OpCounts:
    """A pass through some of the blocks only."""
    scaled = counts.scaled(phase.block_share)
    scaled.peak, scaled.spare, scaled.parts = counts.peak, counts.spare, counts.parts
    return scaled
