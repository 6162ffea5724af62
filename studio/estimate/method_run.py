"""One method with its settings and the workload it is given: what an estimate is made of."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

from studio.methods.cost_profile import CostProfile
from studio.methods.spec import Method, ParameterCount, Settings
from studio.methods.workload import Phase, Workload


@dataclass(frozen=True)
class MethodRun:
    """A method, all of its settings, and what it has to do.

    Attributes:
        method: The method.
        settings: All of its settings.
        workload: All that is to be done.
        stored_bytes: Bytes of a parameter in the model's files.
        cards: How many GPUs share it.
        is_sharded: Whether weights, gradients and averages are spread over them (FSDP).
    """

    method: Method
    settings: Settings
    workload: Workload
    stored_bytes: float = 2.0
    cards: int = 1
    is_sharded: bool = False

    @cached_property
    def parameters(self) -> ParameterCount:
        """How many parameters are trained, and how many there are."""
        return self.method.count_parameters(self.workload.shape, self.settings, self.workload.num_labels)

    @cached_property
    def cost_profile(self) -> CostProfile:
        """What the method adds to a pass through the model."""
        return self.method.cost_profile(self.workload.shape, self.settings)

    @property
    def used_cards(self) -> int:
        """How many of the cards get anything: no more than a batch has examples."""
        return min(self.cards, self.workload.training.batch_size or 1)

    @cached_property
    def card_workload(self) -> Workload:
        """What one card trains on: its share of the examples, and of each batch, which stays what it is.

        A batch of 8 examples on 4 cards is 2 each. Cards beyond the examples of a batch get nothing.
        """
        n_used = self.used_cards
        if n_used == 1:
            return self.workload
        training = self.workload.training
        changes = {
            "batch_size": math.ceil((training.batch_size or 1) / n_used),
            "gradient_accumulation_steps": max(1, training.accumulation_steps // n_used),
        }
        return replace(
            self.workload,
            count=max(1, round(self.workload.count / n_used)),
            training=training.model_copy(update=changes),
        )

    @cached_property
    def phases(self) -> list[Phase]:
        """The phases of the run on one card: training is shared, everything else is done by one of them."""
        phases = self.method.build_phases(self.settings, self.workload)
        if self.used_cards == 1:
            return list(phases)
        card_phases = self.method.build_phases(self.settings, self.card_workload)
        shared = {phase.name: phase for phase in card_phases if phase.with_gradients}
        return [shared.get(phase.name, phase) if phase.with_gradients else phase for phase in phases]

    def attach(self, method: Method) -> "MethodRun":
        """Return the run with another method attached to the model, with that method's default settings."""
        if method is self.method:
            return self
        return replace(self, method=method, settings=method.resolve_settings({}))
