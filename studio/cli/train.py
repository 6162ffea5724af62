"""`studio train`: the run in this process, with a progress bar on the terminal."""

import signal
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from studio import methods, plan, presets, processes, runs
from studio.errors import SEE_WORKER_LOG, BadPlan, NotPossible, StudioError, explain
from studio.estimate import all_methods, history
from studio.estimate.machines import catalogue
from studio.i18n import Message
from studio.methods import settings_check, spec
from studio.runs import Run
from studio.training import launcher, report_messages, worker
from studio.training.memory import limit_memory

INSIST_HINT = Message(
    "`studio estimate` says what would fit; --insist starts it all the same, and it ends with a sentence where memory runs out."
)
BAR_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {postfix}"


def train(name: str, changes: tuple[str, ...], insist: bool = False) -> int:
    """Train the plan in a file, or the recipe of this name; prints the run's id and folder. Returns the exit code.

    A run that cannot fit into memory is not started unless someone insists (NotPossible).
    Raises BadPlan with every problem of the plan, also those that only the method's library knows. The first Ctrl-C stops the run and keeps what was learned.
    """
    path = presets.recipes().get(name, Path(name))
    training_plan = plan.load(path, changes, (methods.find_plan_problems,))
    if refusal := settings_check.find_problem(training_plan):
        raise BadPlan([f"{path}: method.settings: {refusal}"])
    run = runs.create(training_plan)
    _save_estimate(run, insist)
    return _run_in_foreground(run)


def _save_estimate(run: Run, insist: bool) -> None:
    """Say what the run will take and keep it beside the run; raises NotPossible where it cannot fit and nobody insists."""
    machine = catalogue.local_machine()
    try:
        estimate = all_methods.estimate_chosen_method(run.plan, machine)
    except StudioError:
        return  # what is wrong with the data is said by the run itself
    if estimate.fits == "no" and estimate.why_not and not insist:
        runs.delete(run)
        raise NotPossible(estimate.why_not, INSIST_HINT)
    history.save_estimate(run, estimate, machine)
    if estimate.minutes and estimate.memory_gb:
        low, high = estimate.minutes.low, estimate.minutes.high
        print(
            f"estimated {low:.1f} to {high:.1f} min, {estimate.memory_gb.low:.1f} to {estimate.memory_gb.high:.1f} GB",
            flush=True,
        )


def resume(name: str) -> int:
    """Go on with a stopped run: its id, the beginning of it, or `last`. Returns the exit code; raises NotPossible where it cannot."""
    run = runs.find(name)
    launcher.requeue(run)
    return _run_in_foreground(run)


def _run_in_foreground(run: Run) -> int:
    """Execute a run here, showing where it is. Returns the exit code."""
    print(f"run {run.id}\nfolder {run.folder}", flush=True)
    previous_handler = signal.signal(signal.SIGINT, _stop_handler(run))
    finished = threading.Event()
    progress_thread = threading.Thread(target=_show_progress, args=(run, finished), daemon=True)
    progress_thread.start()
    try:
        with processes.worker_environment():
            worker.run(run.id, before_start=limit_memory)
    except Exception as error:
        with (run.folder / "worker.log").open("a", encoding="utf-8") as log_file:
            traceback.print_exc(file=log_file)
        finished.set()
        progress_thread.join()
        print(" ".join(explain(error, SEE_WORKER_LOG).render().split()), file=sys.stderr)
        return 1
    finally:
        finished.set()
        progress_thread.join()
        signal.signal(signal.SIGINT, previous_handler)
    report = runs.report(run)
    if report:
        if truncation := report_messages.describe_truncation(report):
            print(truncation.render())
        loss = f"{report['before']['loss']:.3f} -> {report['after']['loss']:.3f}"
        if receipt := history.build_receipt(history.load_estimate(run), report):
            print(receipt.render())
        print(f"{runs.status(run).state}: validation loss {loss} in {report['seconds']:.0f} s")
        if "answer_accuracy" in report["after"] and "answer_accuracy" in report["before"]:
            before, after = report["before"]["answer_accuracy"], report["after"]["answer_accuracy"]
            print(f"known answers right: {before:.0%} -> {after:.0%}")
    if runs.is_resumable(run):
        print(f"It goes on from where it was with: studio train --resume {run.id[:8]}")
    return 0


def _stop_handler(run: Run) -> "signal._HANDLER":
    def stop(signum: int, frame: FrameType | None) -> None:
        if run.stop_file.exists():  # a second Ctrl-C means it
            raise KeyboardInterrupt
        launcher.stop(run)

    return stop


def _show_progress(run: Run, finished: threading.Event) -> None:
    with tqdm(total=1, bar_format=BAR_FORMAT, leave=False, file=sys.stderr) as bar:
        n_shown, has_ended = 0, False
        while not has_ended:
            has_ended = finished.wait(0.3)
            for message in spec.read_notes(run.folder)[n_shown:]:
                bar.write(message.render())
                n_shown += 1
            status = runs.status(run)
            bar.set_description_str(f"{status.state} {status.stage}".strip(), refresh=False)
            bar.total, bar.n = max(status.steps, 1), status.step
            bar.set_postfix_str(
                f"{status.seconds_left:.0f} s left" if status.seconds_left is not None else "", refresh=False
            )
            bar.refresh()
