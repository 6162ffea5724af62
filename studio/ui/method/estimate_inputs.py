"""What the estimates of all methods are computed from, loaded for the form as it is now."""

from dataclasses import dataclass

from studio.errors import StudioError
from studio.estimate import all_methods, dataset_lengths
from studio.estimate.all_methods import BaseModelInfo, EstimateContext
from studio.estimate.dataset_lengths import DatasetLengths
from studio.estimate.machines.catalogue import Machine
from studio.methods.spec import Settings
from studio.plan import Plan
from studio.ui import access
from studio.ui.form import plan_form
from studio.ui.form.form_state import FormState
from studio.ui.method.machine import find_machine


@dataclass(frozen=True)
class EstimateInputs:
    """What the estimates of all methods are computed from.

    Attributes:
        plan: The plan that the form describes, with the chosen method; values that make no sense as defaults.
        settings: All settings of every method, by method name.
        machine: Where the run would go.
        base: The base model; without a shape where it is not known.
        lengths: Token counts of the examples; None where there is no data that can be read.
    """

    plan: Plan
    settings: dict[str, Settings]
    machine: Machine
    base: BaseModelInfo
    lengths: DatasetLengths | None

    @property
    def context(self) -> EstimateContext:
        """The same for the estimator."""
        return EstimateContext(self.plan, self.machine, self.base, self.lengths, self.settings)


def load_inputs(form: FormState) -> EstimateInputs:
    """Load what the form names: base model, token counts and machine."""
    plan = plan_form.build_plan(form, strict=False)
    base = _load_base(plan)
    return EstimateInputs(
        plan,
        plan_form.valid_method_settings(form),
        find_machine(form.machine),
        base,
        _load_lengths(form, plan, base),
    )


def _load_base(plan: Plan) -> BaseModelInfo:
    try:
        access.check_model(plan.model)
        return all_methods.find_base_model(plan.model)
    except StudioError:
        return BaseModelInfo({}, None, None)


def _load_lengths(form: FormState, plan: Plan, base: BaseModelInfo) -> DatasetLengths | None:
    try:
        access.find_dataset(form.source)
        return dataset_lengths.measure_lengths(plan, base.folder)
    except StudioError:
        return None
