"""One method with its settings and the workload it is given: what an estimate is made of."""

from dataclasses import dataclass
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
        workload: What it has to do.
        stored_bytes: Bytes of a parameter in the model's files.
    """

    method: Method
    settings: Settings
    workload: Workload
    stored_bytes: float = 2.0

    @cached_property
    def parameters(self) -> ParameterCount:
        """How many parameters are trained, and how many there are."""
        return self.method.count_parameters(self.workload.shape, self.settings, self.workload.num_labels)

    @cached_property
    def cost_profile(self) -> CostProfile:
        """What the method adds to a pass through the model."""
        return self.method.cost_profile(self.workload.shape, self.settings)

    @cached_property
    def phases(self) -> list[Phase]:
        """The phases of the run."""
        return list(self.method.build_phases(self.settings, self.workload))

    def attach(self, method: Method) -> "MethodRun":
        """Return the run with another method attached to the model, with that method's default settings."""
        if method is self.method:
            return self
        return MethodRun(method, method.resolve_settings({}), self.workload, self.stored_bytes)
