"""`studio train`: the run in this process, with a progress bar on the terminal."""

import argparse
import gc
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from tqdm import tqdm

from studio import launchers, processes, runs
from studio.cli import EXIT_FAILED, EXIT_OK, arguments, elsewhere, fitting_changes
from studio.errors import SEE_WORKER_LOG, BadPlan, NotPossible, explain
from studio.estimate import history
from studio.estimate.machines import catalogue
from studio.estimate.types import Estimate
from studio.evaluate import verdict
from studio.i18n import Message
from studio.launchers import consent, follower, resumption
from studio.methods import folder_check, spec
from studio.plan import Plan
from studio.runs import Run, Status
from studio.training import (
    before_start,
    coach,
    continuation,
    launcher,
    report_messages,
    retention_messages,
    worker,
)
from studio.training.before_start import DoesNotFit
from studio.training.memory import limit_memory

INSIST_HINT = Message(
    "`studio estimate` says what would fit; --insist starts it all the same, "
    "and it ends with a sentence where memory runs out."
)
REFRESH_SECONDS = 0.3
BAR_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {postfix}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the plan and its changes, or the run that goes on."""
    arguments.add_plan(parser, optional=True)
    arguments.add_set(parser, "method.settings.rank=16")
    parser.add_argument(
        "--resume", default="", metavar="RUN", help="go on with a stopped run instead: its id, or `last`"
    )
    elsewhere.add_arguments(parser)
    parser.add_argument(
        "--from",
        default="",
        dest="from_run",
        metavar="RUN",
        help="go on training from what a run learned: its id, or `last`; without a plan by the run's own",
    )
    parser.add_argument(
        "--insist", action="store_true", help="start a run that is estimated not to fit into memory"
    )


def run(options: argparse.Namespace) -> int:
    """Train a plan, or go on with a run; raises BadPlan where not exactly one of them is named."""
    has_plan = bool(options.plan or options.from_run)
    if has_plan == bool(options.resume) or (options.set and not options.plan):
        raise BadPlan(
            [
                "name a plan (with --set KEY=VALUE), --from RUN (with a plan or without),"
                " or --resume RUN, whose plan stays as it is"
            ]
        )
    if options.resume:
        return resume(options)
    changes = tuple(options.set)
    if options.from_run and options.on:
        raise BadPlan(["--from goes on here, where the result is; leave out --on"])
    if options.on:
        changes += (f"where={elsewhere.name_machine(options.on)}",)
    if options.from_run or arguments.load_plan(options.plan, changes).is_local:
        return train(options.plan, changes, options.insist, options.from_run)
    return train_elsewhere(options, changes)


def train(name: str, changes: tuple[str, ...], insist: bool = False, from_run: str = "") -> int:
    """Train a plan in this process and print the run's id and folder.

    The first Ctrl-C stops the run and keeps what it has learned.

    Args:
        name: The plan's file, or the name of a recipe; "" for the plan of `from_run`.
        changes: `KEY=VALUE` changes of the plan.
        insist: Start a run that is estimated not to fit into memory.
        from_run: A run whose result is the base model; "" for none.

    Returns:
        The exit code.

    Raises:
        BadPlan: With every problem of the plan, also those that only the method's library knows.
        ModelUnavailable: The folder of the base model is not one that can be trained.
        NotPossible: The run cannot fit into memory, and nobody insists; or this machine lacks what it needs.
    """
    plan = arguments.load_plan(name, changes) if name else None
    if from_run:
        plan = continuation.build_plan(runs.find(from_run), plan)
    assert plan is not None
    for remark in folder_check.require_startable(plan.model, plan.task):
        print(f"{remark.message.render()} {remark.to_do.render()}", flush=True)
    machine = catalogue.local_machine()
    try:
        estimate = before_start.check(plan, machine, insist)
    except DoesNotFit as error:
        _print_fitting_changes(plan)
        raise NotPossible(error.message, INSIST_HINT) from None
    new_run = before_start.create(plan, estimate, machine)
    _print_estimate(estimate)
    return run_in_foreground(new_run)


def train_elsewhere(options: argparse.Namespace, changes: tuple[str, ...]) -> int:
    """Train a plan on another machine, after saying what that comes to and asking; follow it here.

    The first Ctrl-C stops the run there and brings back what it has learned.

    Args:
        options: The plan, and whether to ask, to insist and to keep what lies there.
        changes: `KEY=VALUE` changes of the plan.

    Returns:
        The exit code.

    Raises:
        BadPlan: As `train` does.
        StudioError: The machine cannot be reached, refuses this person, or is too small.
    """
    plan = arguments.load_plan(options.plan, changes)
    machine = consent.current_machine(launchers.find_machine(plan.where))
    try:
        estimate = before_start.check(plan, machine, options.insist)
    except DoesNotFit as error:
        raise NotPossible(error.message, INSIST_HINT) from None
    agreement = consent.describe(plan, machine, estimate, options.keep_there)
    if not elsewhere.is_agreed(agreement.lines, options.yes):
        return EXIT_FAILED
    new_run = before_start.create(plan, estimate, machine)
    consent.record_agreement(new_run, agreement, options.keep_there)
    return run_in_foreground(new_run)


def resume(options: argparse.Namespace) -> int:
    """Go on with a stopped run; one that would be sent to another machine anew, after asking.

    Args:
        options: The run, whether to ask, and whether to keep what lies there.

    Returns:
        The exit code.

    Raises:
        BadPlan: Another machine is named than the run's.
        NotPossible: It has not ended, or is done.
        StudioError: The other machine cannot be reached, or refuses this person.
    """
    stopped_run = runs.find(options.resume)
    elsewhere.require_there(options.on, stopped_run.plan.where)
    if resumption.needs_agreement(stopped_run):
        machine = consent.current_machine(launchers.find_machine(stopped_run.plan.where))
        agreement = resumption.describe(stopped_run, machine, options.keep_there)
        if not elsewhere.is_agreed(agreement.lines, options.yes):
            return EXIT_FAILED
        consent.record_agreement(stopped_run, agreement, options.keep_there)
    launcher.requeue(stopped_run)
    return run_in_foreground(stopped_run)


def _print_estimate(estimate: Estimate | None) -> None:
    """Print what a run will take, where that is known."""
    if estimate and (minutes := estimate.minutes) and (memory_gb := estimate.memory_gb):
        minutes_text = f"{minutes.low:.1f} to {minutes.high:.1f} min"
        print(f"estimated {minutes_text}, {memory_gb.low:.1f} to {memory_gb.high:.1f} GB", flush=True)


def _print_fitting_changes(plan: Plan) -> None:
    """Print on stderr what would make a plan fit into memory."""
    gc.collect()  # what the run that broke off still holds
    for line in fitting_changes.format_lines(plan, catalogue.local_machine()):
        print(line, file=sys.stderr)


def run_in_foreground(run: Run) -> int:
    """Execute a run here, showing where it is. Returns the exit code."""
    print(f"run {run.id}\nfolder {run.folder}", flush=True)
    if not _execute(run):
        if runs.status(run).cause == "memory":
            _print_fitting_changes(run.plan)
        return EXIT_FAILED
    _print_result(run)
    return EXIT_FAILED if runs.status(run).state == "failed" else EXIT_OK  # as a worker elsewhere says it


def _execute(run: Run) -> bool:
    """Execute a run; returns whether it ended well, after saying what went wrong."""
    try:
        with _stop_on_ctrl_c(run), _progress_bar(run):
            if run.plan.is_local:
                with processes.worker_environment():
                    worker.run(run.id, before_start=limit_memory)
            else:
                follower.follow(run.id)
    except Exception as error:
        with (run.folder / "worker.log").open("a", encoding="utf-8") as log_file:
            traceback.print_exc(file=log_file)
        print(" ".join(explain(error, SEE_WORKER_LOG).render().split()), file=sys.stderr)
        return False
    return True


def _print_result(run: Run) -> None:
    report = runs.report(run)
    if report:
        own_openings = report_messages.describe_own_openings(run.plan.method.name, report)
        messages = (
            report_messages.describe_known_answers(report),
            own_openings,
            report_messages.describe_truncation(report),
            *retention_messages.describe_retention(report),
            history.build_receipt(history.load_estimate(run), report),
        )
        for message in filter(None, messages):
            print(message.render())
        if linear_baseline := report_messages.describe_linear_baseline(report):
            print(f"accuracy {report['after']['accuracy']:.0%}. {linear_baseline.render()}")
        measure = (
            "loss on its own openings" if own_openings else f"{report.get('measured_on', 'validation')} loss"
        )
        before, after = runs.start_scores(report), report["after"]
        state, seconds = runs.status(run).state, f"{report['seconds']:.0f} s"
        if "loss" in before:
            loss = f"{before['loss']:.3f} -> {after['loss']:.3f}"
            print(f"{state}: {measure} {loss} in {seconds}")
        else:  # questions alone have no answer whose loss could be measured
            print(f"{state} in {seconds}")
        for message in report_messages.describe_targets(report):
            print(message.render())
        if kept_start := report_messages.describe_kept_start(report):
            print(kept_start.render())
        if fault := verdict.read_fault(report):
            print(fault.render())
        if result := verdict.read(report):
            print(f"{result.word.render()}: {result.headline.render()} (why: studio verdict {run.id[:8]})")
    # A cap that was reached, what is left at another machine.
    if failure_text := runs.status(run).failure_text():
        print(failure_text)
    if runs.is_resumable(run):
        start = "from where it was" if runs.has_saved_state(run) else "from the beginning"
        print(f"It goes on {start} with: studio train --resume {run.id[:8]}")
    elif continuation.can_continue(run):
        print(f"To train further from this result: studio train --from {run.id[:8]}")


@contextmanager
def _stop_on_ctrl_c(run: Run) -> Iterator[None]:
    """The first Ctrl-C asks the run to stop; a second one means it."""

    def stop(signum: int, frame: FrameType | None) -> None:
        if run.stop_file.exists():
            raise KeyboardInterrupt
        launcher.stop(run)

    previous_handler = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous_handler)


@contextmanager
def _progress_bar(run: Run) -> Iterator[None]:
    """Show where the run is on stderr, as long as the block runs."""
    finished = threading.Event()
    thread = threading.Thread(target=_show_progress, args=(run, finished), daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def _show_progress(run: Run, finished: threading.Event) -> None:
    # Only a terminal gets a bar (disable=None).
    with tqdm(total=1, bar_format=BAR_FORMAT, leave=False, file=sys.stderr, disable=None) as bar:
        n_notes, last_rule, last_said, has_ended = 0, "", "", False
        while not has_ended:
            has_ended = finished.wait(REFRESH_SECONDS)
            for message in spec.read_notes(run.folder)[n_notes:]:
                bar.write(message.render())
                n_notes += 1
            status = runs.status(run)
            is_over = status.state in runs.ENDED_STATES  # then it is said with the result
            if status.message and status.message.text != last_said and not is_over:
                bar.write(status.message.render())
            last_said = status.message.text if status.message else ""
            finding = coach.read_curve(runs.read_points(run)) if status.state == "training" else None
            if finding and finding.rule != last_rule:  # the terminal scrolls: new figures alone are not told
                bar.write(" ".join(finding.render()))
                last_rule = finding.rule
            _refresh_bar(bar, status)


def _refresh_bar(bar: "tqdm[NoReturn]", status: Status) -> None:
    time_left = "" if status.seconds_left is None else f"{status.seconds_left:.0f} s left"
    activity = f"{status.state} {status.stage}".strip()
    if status.state == "waiting" and status.message:
        activity = status.message.render()
    bar.set_description_str(activity, refresh=False)
    bar.set_postfix_str(time_left, refresh=False)
    bar.total, bar.n = max(status.steps, 1), status.step
    bar.refresh()
