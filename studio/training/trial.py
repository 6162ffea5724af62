"""Tries a plan before it runs, in a child process whose folder is gone afterwards."""

import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from studio import methods, processes, runs
from studio import plan as plans
from studio.estimate import all_methods, history
from studio.estimate.machines import catalogue
from studio.i18n import Message
from studio.methods.spec import Scores, StageMonitor, TrainingContext
from studio.models import fetch
from studio.plan import Plan
from studio.runs import Run
from studio.storage import write_text
from studio.training import before_start

FOLDER_PREFIX = ".trial-"


def stream(
    module: str, plan: Plan, failure_message: Message, hint: Message
) -> Generator[dict[str, Any], None, None]:
    """The replies of a child process that tries a plan; closing the iterator ends it.

    It computes in micro batches, and keeps or recomputes activations, as the run would: chosen by estimate.

    Args:
        module: The module of the process; its `main` is `serve`.
        plan: The plan.
        failure_message: What happened where the process broke off; `{why}` is its last line.
        hint: What to do then.

    Raises:
        StudioError: What is wrong with the plan, the data or the model, or the process broke off.
    """
    before_start.require_here(plan)
    machine = catalogue.local_machine()
    estimate = all_methods.estimate_before_start(plan, machine)
    # Beside the runs, since a plan may go on from one of them.
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX, dir=runs.folder()) as folder:
        write_text(Path(folder) / "plan.yaml", plans.dump(plan))
        if estimate:
            history.save_estimate(_run_in(Path(folder)), estimate, machine)
        yield from processes.stream_replies(
            module, {"folder": folder}, failure_message, hint, processes.WORKER
        )


def _run_in(folder: Path) -> Run:
    return Run(folder.name, folder)


def serve(attempt: Callable[[Run], dict[str, Any]]) -> int:
    """Be the child process: try the plan of a folder, and send what came out. Returns the exit code."""
    from studio.training.memory import limit_memory  # noqa: PLC0415 - only the child process

    limit_memory()

    def answer(request: dict[str, Any]) -> None:
        processes.send_reply(attempt(_run_in(Path(request["folder"]))))

    return processes.serve_request(answer)


def load_context(run: Run) -> TrainingContext:
    """The training that a plan describes, ready to go, in the child process."""
    from studio.training import setup  # noqa: PLC0415 - only the child process
    from studio.training.callback import MonitorCallback  # noqa: PLC0415

    def create_monitor(stage: str, model: Any, measure: Callable[[], Scores] | None) -> StageMonitor:
        monitor: StageMonitor = MonitorCallback(run, stage, model, measure)
        return monitor

    base = fetch.fetch(run.plan.model)
    splits = setup.prepare_data(run, run.plan).splits
    context, _ = setup.load_context(run, methods.get(run.plan.method.name), base, splits, create_monitor)
    return context
