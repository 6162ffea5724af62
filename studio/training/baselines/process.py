"""The process that measures what needs no training: one plan on stdin, progress and the result on stdout."""

import sys
from typing import Any

from studio import processes
from studio.evaluate.baselines import Baselines
from studio.models import device, fetch
from studio.plan import Plan
from studio.training import setup as run_setup
from studio.training.baselines.rows import Report
from studio.training.cpu_threads import ThreadTuner, benchmark_matmul
from studio.training.memory import limit_memory


def measure(plan: Plan, report: Report) -> Baselines:
    """Measure the baselines of a plan.

    Args:
        plan: The plan.
        report: Called with a stage, how much of it is done, and of how much.

    Raises:
        StudioError: The data or the model cannot be used, or no right answer is known.
    """
    from studio.training.baselines import classifier, texts  # noqa: PLC0415 - loads torch

    report("data", 0, 1)
    # General questions, which a run may mix in, are none of the person's examples.
    training = plan.training.model_copy(update={"replay_share": 0.0})
    splits = run_setup.split_dataset(plan.model_copy(update={"training": training})).splits
    if plan.task != "classify":
        texts.choose_questions(plan, splits)  # before a model is fetched in vain
    base = fetch.fetch(plan.model, lambda done, total: report("fetch", done, total))
    run_setup.require_compatible(plan, base)
    report("load", 0, 1)
    report = _choosing_threads(report)
    if plan.task == "classify":
        return classifier.measure(plan, splits, base.folder, report)
    return texts.measure(plan, splits, base.folder, report)


def _choosing_threads(report: Report) -> Report:
    """The same report, at which the fastest number of threads is measured: others may take a core."""
    import torch  # noqa: PLC0415

    if not device.uses_cpu():
        return report
    tuner = ThreadTuner(torch.get_num_threads(), torch.set_num_threads, benchmark_matmul)
    chosen_for: list[str] = []

    def choose_and_report(stage: str, done: float, total: float) -> None:
        if stage not in chosen_for:
            tuner.choose()
            chosen_for.append(stage)
        report(stage, done, total)

    tuner.choose()
    return choose_and_report


def _send_progress(stage: str, done: float, total: float) -> None:
    processes.send_reply({"stage": stage, "done": done, "of": total})


def _answer(request: dict[str, Any]) -> None:
    plan = Plan.model_validate(request["plan"])
    processes.send_reply({"baselines": measure(plan, _send_progress).to_json()})


def main() -> int:
    """The child process."""
    limit_memory()
    return processes.serve_request(_answer)


if __name__ == "__main__":
    sys.exit(main())
