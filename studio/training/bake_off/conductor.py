"""Conducts a bake-off: contenders train in turns up to each look, losers are dropped, the winner goes on.

Every turn is a worker of its own that trains an ordinary run and pauses, so a bake-off that breaks off goes
on where it was, and so does each of its runs. At another machine none pauses: all train to their end, as many
at once as that machine has room for, and are compared then.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from studio import runs
from studio.errors import StudioError
from studio.estimate import all_methods, history
from studio.estimate.machines import catalogue
from studio.evaluate import bake_off as rankings
from studio.evaluate.bake_off import Ranking
from studio.evaluate.predictions import Prediction
from studio.i18n import Message
from studio.plan import Plan
from studio.runs import Run
from studio.training import before_start, launcher, pause
from studio.training.bake_off import record
from studio.training.bake_off.record import BakeOff, Contender
from studio.training.pause import Pause

POLL_SECONDS, POLL_ELSEWHERE_SECONDS = 0.5, 2.0
# This share of the cap is kept for what a worker does after its time is up: validating and saving.
RESERVED_SHARE = 0.05
WAS_DELETED = Message("Its run was deleted.")
NOTHING_COMPARABLE = Message("It has not answered any validation row that can be scored.")
# Trains a run up to a pause or its end; returns the minutes that took, without those it waited.
TrainUntil = Callable[[Run, Pause], float]
OnProgress = Callable[[BakeOff, Contender], None]


def create(named_plans: Sequence[tuple[str, Plan]], cap_minutes: float) -> BakeOff:
    """A bake-off on this machine whose contenders have been checked; nothing trains yet.

    Args:
        named_plans: The contenders, each with its name.
        cap_minutes: How long all of it may take.

    Raises:
        StudioError: These plans cannot be compared, or one of them cannot train here.
    """
    record.require_comparable(named_plans, cap_minutes)
    machine = catalogue.local_machine()
    estimates = [before_start.check_contender(name, plan, machine) for name, plan in named_plans]
    minutes = [estimate.minutes.low if estimate and estimate.minutes else None for estimate in estimates]
    return record.create(named_plans, cap_minutes, record.choose_looks(minutes))


def require_startable(bake_off: BakeOff) -> None:
    """Check that what is left of a bake-off can go on; raises NotPossible where this machine lacks a GPU."""
    for contender in bake_off.remaining:
        before_start.require_here(contender.plan)


def conduct(
    bake_off: BakeOff,
    train_until: TrainUntil | None = None,
    on_progress: OnProgress = lambda bake_off, contender: None,
) -> BakeOff:
    """Run a bake-off to its end, from where it is.

    Args:
        bake_off: The bake-off.
        train_until: Trains a run up to a pause; a worker process by default.
        on_progress: Called before each turn, with the contender whose turn it is; of a bake-off elsewhere
            when the state of a contender's run changes.

    Returns:
        The bake-off as it ended: "done", "time_is_up" or "stopped".
    """
    train_until = train_until or train_in_worker
    if bake_off.stop_file.exists():  # since it was started
        return _end(bake_off, "stopped")
    bake_off = replace(bake_off, state="training")
    if not bake_off.is_local:
        return _conduct_elsewhere(bake_off, on_progress)
    for n_looks, share in enumerate(bake_off.look_shares, start=1):
        for contender in bake_off.remaining:
            if contender.looks >= n_looks or contender.share >= 1:
                continue
            if not _has_time(bake_off, contender, share):
                return _end(bake_off, "time_is_up")
            on_progress(bake_off, contender)
            bake_off = _take_turn(bake_off, contender, n_looks, train_until)
            if bake_off.stop_file.exists():
                return _end(bake_off, "stopped")
        bake_off = _drop_losers(bake_off)
        if len(bake_off.remaining) <= 1:
            break
    return _finish(bake_off, train_until, on_progress)


def stop(bake_off: BakeOff) -> BakeOff:
    """Ask a bake-off to stop, and the run whose turn it is; what was learned is kept."""
    bake_off.stop_file.touch()
    for contender in bake_off.remaining:
        if contender.run and runs.is_alive(contender.run):
            launcher.stop(contender.run)
    return _end(bake_off, "stopped")


def _take_turn(bake_off: BakeOff, contender: Contender, n_looks: int, train_until: TrainUntil) -> BakeOff:
    """Train a contender up to a look, or to its end with `n_looks` beyond the last one."""
    is_last_turn = n_looks > bake_off.n_looks
    eval_count = contender.plan.training.eval_count
    until = 0 if is_last_turn else math.ceil(bake_off.look_shares[n_looks - 1] * eval_count)
    run = contender.run
    if not run:
        if contender.run_id:
            return _save(bake_off, replace(contender, outcome="broke_off", reason=WAS_DELETED))
        estimate = all_methods.estimate_before_start(contender.plan, catalogue.local_machine())
        run = before_start.create(contender.plan, estimate, catalogue.local_machine())
        contender = replace(contender, run_id=run.id)
        bake_off = _save(bake_off, contender)
    minutes = train_until(run, Pause(until, 60 * _minutes_left(bake_off)))
    status, standing = runs.status(run), pause.read(run)
    was_interrupted = bake_off.stop_file.exists() and status.state == "stopped" and status.stage != "paused"
    looks = contender.looks if was_interrupted else n_looks  # an interrupted turn is taken again
    contender = replace(contender, minutes=contender.minutes + minutes, looks=looks)
    if status.state == "done":
        contender = replace(contender, share=1.0)
    elif standing:
        contender = replace(contender, share=standing.share)
    if status.state == "failed":
        contender = replace(contender, outcome="broke_off", reason=status.message)
    return _save(bake_off, contender)


def _conduct_elsewhere(bake_off: BakeOff, on_progress: OnProgress) -> BakeOff:
    """Let all contenders train at another machine, each to its end, and compare them then.

    How many train at once is for that machine to say; a plan's own cap ends each of them.
    """
    for contender in bake_off.remaining:
        bake_off = _send(bake_off, contender)
    states: dict[str, str] = {}
    looked_at, is_training = time.monotonic(), True
    while is_training:
        time.sleep(POLL_ELSEWHERE_SECONDS)
        passed_minutes, looked_at = (time.monotonic() - looked_at) / 60, time.monotonic()
        is_training = any(each.run and runs.is_alive(each.run) for each in bake_off.remaining)
        for contender in bake_off.remaining:
            bake_off = _look_at(bake_off, contender, passed_minutes)
        for contender in bake_off.contenders:
            state = runs.status(contender.run).state if contender.run else ""
            if states.get(contender.name) != state:
                states[contender.name] = state
                on_progress(bake_off, contender)
    if bake_off.stop_file.exists():
        return _end(bake_off, "stopped")
    return _compare_ended(bake_off)


def _send(bake_off: BakeOff, contender: Contender) -> BakeOff:
    """Let a contender's run train at its machine, unless it does or has."""
    run = contender.run
    if not run:
        return _save(bake_off, replace(contender, outcome="broke_off", reason=WAS_DELETED))
    state = runs.status(run).state
    if state != "done" and not runs.is_alive(run):
        (launcher.start if state == "waiting" else launcher.resume)(run)
    return bake_off


def _look_at(bake_off: BakeOff, contender: Contender, passed_minutes: float) -> BakeOff:
    """The bake-off with what a contender's run has come to, in the minutes since it was looked at last."""
    run = contender.run
    if not run:
        return _save(bake_off, replace(contender, outcome="broke_off", reason=WAS_DELETED))
    status, standing = runs.status(run), pause.read(run)
    changed = contender
    if status.state not in ("waiting", *runs.ENDED_STATES):
        changed = replace(changed, minutes=contender.minutes + passed_minutes)
    if status.state == "training" and status.steps:
        changed = replace(changed, share=min(1.0, status.step / status.steps))
    if status.state in runs.ENDED_STATES:
        report = runs.report(run)
        if report and not report.get("resumed"):
            changed = replace(changed, minutes=history.actual_minutes(report))
        share = standing.share if standing else contender.share
        changed = replace(changed, looks=1, share=1.0 if status.state == "done" else share)
    if status.state == "failed":
        changed = replace(changed, outcome="broke_off", reason=status.message)
    return bake_off if changed == contender else _save(bake_off, changed)


def _compare_ended(bake_off: BakeOff) -> BakeOff:
    """The bake-off with what each contender came to, once all have ended."""
    bake_off = _drop_silent(bake_off)
    ranking = rank(bake_off, bake_off.remaining)
    if not ranking:
        return _end(bake_off, "done")
    for contender in bake_off.remaining:
        outcome: record.Outcome = "worse" if contender.name in ranking.losers else "second"
        outcome = "winner" if contender.name == ranking.leader else outcome
        bake_off = _save(bake_off, replace(contender, outcome=outcome))
    (winner,) = bake_off.remaining
    return _end(bake_off, "done" if winner.share >= 1 else "time_is_up")


def _drop_silent(bake_off: BakeOff) -> BakeOff:
    """The bake-off without those that answered nothing."""
    for contender in bake_off.remaining:
        if not read_answers(contender):
            bake_off = _save(bake_off, replace(contender, outcome="broke_off", reason=NOTHING_COMPARABLE))
    return bake_off


def _drop_losers(bake_off: BakeOff) -> BakeOff:
    """The bake-off without those that are shown to be worse, and without those that answered nothing."""
    bake_off = _drop_silent(bake_off)
    ranking = rank(bake_off, bake_off.remaining)
    for contender in bake_off.remaining:
        if ranking and contender.name in ranking.losers:
            bake_off = _save(bake_off, replace(contender, outcome="dropped"))
    return bake_off


def rank(bake_off: BakeOff, contenders: Sequence[Contender]) -> Ranking | None:
    """Compare contenders by what they made of the validation rows; None where nothing can be compared."""
    answers = {each.name: rows for each in contenders if (rows := read_answers(each))}
    return rankings.rank(answers, bake_off.n_looks) if answers else None


def read_answers(contender: Contender) -> Sequence[Prediction]:
    """What a contender made of its validation rows at its last pause."""
    return pause.read_answers(contender.run) if contender.run else ()


def _finish(bake_off: BakeOff, train_until: TrainUntil, on_progress: OnProgress) -> BakeOff:
    """Let the winner train to its end, where there is time for it."""
    ranking = rank(bake_off, bake_off.remaining)
    if not ranking:
        return _end(bake_off, "done")
    for contender in bake_off.remaining:
        is_winner = contender.name == ranking.leader
        bake_off = _save(bake_off, replace(contender, outcome="winner" if is_winner else "second"))
    (winner,) = bake_off.remaining
    if winner.share < 1 and not _has_time(bake_off, winner, 1.0):
        return _end(bake_off, "time_is_up")
    if winner.share < 1:
        on_progress(bake_off, winner)
        bake_off = _take_turn(bake_off, winner, bake_off.n_looks + 1, train_until)
    if bake_off.stop_file.exists():
        return _end(bake_off, "stopped")
    is_complete = next(each.share for each in bake_off.contenders if each.name == winner.name) >= 1
    return _end(bake_off, "done" if is_complete else "time_is_up")


def _has_time(bake_off: BakeOff, contender: Contender, share: float) -> bool:
    """Whether a contender can be expected to reach a share of its training before the cap."""
    minutes_left = _minutes_left(bake_off)
    if contender.share:
        expected = contender.minutes / contender.share * (share - contender.share)
    else:
        expected = share * (estimate_minutes(contender.plan) or 0.0)
    return minutes_left > 0 and expected <= minutes_left


def _minutes_left(bake_off: BakeOff) -> float:
    return (1 - RESERVED_SHARE) * bake_off.cap_minutes - bake_off.minutes


def estimate_minutes(plan: Plan) -> float | None:
    """How long a training takes at least by its estimate; None where nobody knows."""
    try:
        estimate = all_methods.estimate_chosen_method(plan, catalogue.local_machine())
    except StudioError:
        return None
    return estimate.minutes.low if estimate.minutes else None


def _save(bake_off: BakeOff, contender: Contender) -> BakeOff:
    bake_off = bake_off.with_contender(contender)
    record.save(bake_off)
    return bake_off


def _end(bake_off: BakeOff, state: record.State) -> BakeOff:
    bake_off = replace(bake_off, state=state)
    record.save(bake_off)
    return bake_off


def train_in_worker(run: Run, until: Pause) -> float:
    """Train a run in a worker process up to a pause or its end.

    Returns:
        The minutes that took, without those in which the run waited for another one.
    """
    state = runs.status(run).state
    if state == "done":  # a person has let it go on meanwhile
        return 0.0
    if not runs.is_alive(run):  # one that an earlier conductor or a person has started is waited for
        (launcher.start if state == "waiting" else launcher.resume)(run, until)
    started_at, waited = time.monotonic(), 0.0
    while runs.is_alive(run):
        before = time.monotonic()
        time.sleep(POLL_SECONDS)
        if runs.status(run).state == "waiting":
            waited += time.monotonic() - before
    return (time.monotonic() - started_at - waited) / 60
