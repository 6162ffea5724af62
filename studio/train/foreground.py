"""`studio train`: the run in this process, with a progress bar on the terminal."""

import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from studio import methods, plan, presets, runs
from studio.errors import IN_LOG, BadPlan, NotPossible, StudioError, explain
from studio.estimate import machines, record, table
from studio.methods import base, trial
from studio.runs import Run
from studio.train import launch, worker
from studio.words import Words

INSIST = Words(
    "`studio estimate` says what would fit; --insist starts it all the same, and it ends with a sentence where memory runs out.",
    "用 `studio estimate` 查看哪些设置放得下；加 --insist 可以强行开始，内存用尽时会给出说明并结束。",
)
BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {postfix}"


def train(name: str, changes: tuple[str, ...], insist: bool = False) -> int:
    """Train the plan in a file, or the recipe of this name; prints the run's id and folder. Returns the exit code.

    A run that cannot fit into memory is not started unless someone insists (NotPossible).
    Raises BadPlan with every problem of the plan, also those that only the method's library knows. The first Ctrl-C stops the run and keeps what was learned.
    """
    path = presets.recipes().get(name, Path(name))
    found = plan.read(path, changes, (methods.problems,))
    if refused := trial.refusal(found):
        raise BadPlan([f"{path}: method.settings: {refused}"])
    run = runs.create(found)
    _foretell(run, insist)
    return _follow(run)


def _foretell(run: Run, insist: bool) -> None:
    """Say what the run will take and keep it beside the run; raises NotPossible where it cannot fit and nobody insists."""
    place = machines.here()
    try:
        told = table.chosen(run.plan, place)
    except StudioError:
        return  # what is wrong with the data is said by the run itself
    if told.fits == "no" and told.why_not and not insist:
        runs.delete(run)
        raise NotPossible(told.why_not, INSIST)
    record.foretell(run, told, place)
    if told.minutes and told.memory_gb:
        low, high = told.minutes.low, told.minutes.high
        print(f"estimated {low:.1f} to {high:.1f} min, {told.memory_gb.low:.1f} to {told.memory_gb.high:.1f} GB", flush=True)  # noqa: T201


def resume(name: str) -> int:
    """Go on with a stopped run: its id, the beginning of it, or `last`. Returns the exit code; raises NotPossible where it cannot."""
    run = runs.find(name)
    launch.rewake(run)
    return _follow(run)


def _follow(run: Run) -> int:
    """Execute a run here, showing where it is. Returns the exit code."""
    print(f"run {run.id}\nfolder {run.folder}", flush=True)  # noqa: T201 - the terminal is where this command speaks
    os.environ.update({**launch.QUIET, "CUDA_VISIBLE_DEVICES": launch.one_card()})
    before = signal.signal(signal.SIGINT, _stopper(run))
    over = threading.Event()
    bar = threading.Thread(target=_show, args=(run, over), daemon=True)
    bar.start()
    try:
        worker.run(run.id, before=worker.limit_memory)
    except Exception as error:
        with (run.folder / "worker.log").open("a", encoding="utf-8") as log:
            traceback.print_exc(file=log)
        over.set()
        bar.join()
        print(" ".join(explain(error, IN_LOG).say().split()), file=sys.stderr)  # noqa: T201
        return 1
    finally:
        over.set()
        bar.join()
        signal.signal(signal.SIGINT, before)
    found = runs.report(run)
    if found:
        texts = found["texts"]
        if texts["cut"] or texts["dropped"]:
            print(worker.LEFT_OUT.say(cut=texts["cut"], length=texts["max_length"], dropped=texts["dropped"]))  # noqa: T201
        loss = f"{found['before']['loss']:.3f} -> {found['after']['loss']:.3f}"
        if said := record.receipt(record.foretold(run), found):
            print(said.say())  # noqa: T201
        print(f"{runs.status(run).state}: validation loss {loss} in {found['seconds']:.0f} s")  # noqa: T201
        if "right" in found["after"] and "right" in found["before"]:
            print(f"known answers right: {found['before']['right']:.0%} -> {found['after']['right']:.0%}")  # noqa: T201
    if runs.resumable(run):
        print(f"It goes on from where it was with: studio train --resume {run.id[:8]}")  # noqa: T201
    return 0


def _stopper(run: Run) -> "signal._HANDLER":
    def stop(number: int, frame: FrameType | None) -> None:
        if run.stop_file.exists():  # a second Ctrl-C means it
            raise KeyboardInterrupt
        launch.stop(run)

    return stop


def _show(run: Run, over: threading.Event) -> None:
    with tqdm(total=1, bar_format=BAR, leave=False, file=sys.stderr) as bar:
        told, ended = 0, False
        while not ended:
            ended = over.wait(0.3)
            for one in base.said(run.folder)[told:]:
                bar.write(one.say())
                told += 1
            status = runs.status(run)
            bar.set_description_str(f"{status.state} {status.stage}".strip(), refresh=False)
            bar.total, bar.n = max(status.steps, 1), status.step
            bar.set_postfix_str(f"{status.seconds_left:.0f} s left" if status.seconds_left is not None else "", refresh=False)
            bar.refresh()
