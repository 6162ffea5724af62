"""The size that is told before a run is the size of what it leaves, within 2 % (AdaLoRA 5 %)."""

import math
from pathlib import Path

import pytest
from estimate_cases import CPU, ROWS
from export_cases import FAST, THOROUGH, Case
from safetensors import safe_open

from studio import methods, runs
from studio.estimate.analytic import memory
from studio.estimate.method_run import MethodRun
from studio.methods.workload import Workload
from studio.models import shape
from studio.plan import Training

NOT_IN_CI = (pytest.mark.thorough, pytest.mark.exhaustive)
CASES = [*FAST, *(pytest.param(case, marks=NOT_IN_CI) for case in THOROUGH)]

# AdaLoRA learns which matrices keep a higher rank than the usual one, and wide ones cost more.
ADALORA_TOLERANCE, TOLERANCE = 0.05, 0.02


def told_bytes(run):
    """What the estimate says of the run's plan, on a machine that holds weights as this one does."""
    plan, method = run.plan, methods.get(run.plan.method.name)
    base_shape = shape.from_folder(Path(plan.model))
    n_labels = len(runs.report(run)["labels"])
    workload = Workload(plan.task, ROWS, 400, 0.1, Training(), base_shape, num_labels=n_labels)
    return memory.disk_bytes(MethodRun(method, method.resolve_settings(plan.method.settings), workload), CPU)


def head_bytes(run):
    """A classifier's head in 32 bits; nothing for other tasks."""
    n_labels = len(runs.report(run)["labels"])
    return 4 * shape.from_folder(Path(run.plan.model)).head(n_labels) if n_labels else 0


def written_bytes(folder):
    """The bytes of all tensors in a folder; what describes them weighs something in a tiny model alone."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                tensor = file.get_tensor(name)
                total += math.prod(tensor.shape) * tensor.element_size()
    return total


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_size_told_is_the_size_written(case, finished_case):
    run = finished_case(case)
    tolerance = ADALORA_TOLERANCE if case.peft_type == "adalora" else TOLERANCE
    told = told_bytes(run)
    if case.peft_type == "adalora" and not runs.report(run)["best_step"]:
        told = head_bytes(run)  # at the start, which was kept, all of AdaLoRA's ranks are 0
    assert written_bytes(run.model) == pytest.approx(told, rel=tolerance)


def test_the_sample_of_adalora_has_ranks_to_weigh(finished_case):
    assert runs.report(finished_case(Case("peft", "chat", "adalora")))["best_step"] > 0
