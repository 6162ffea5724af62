"""“Would more data help?”: the same plan on smaller shares of the training rows, as ordinary runs."""

import numpy as np

from studio import runs
from studio.errors import BadPlan, NotPossible, StudioError
from studio.estimate import all_methods
from studio.estimate.machines import catalogue
from studio.evaluate import measures, predictions
from studio.evaluate.learning_curve import MIN_HELD_OUT, Projection, SizeResult, project
from studio.evaluate.measures import Measure
from studio.i18n import Message
from studio.plan import Plan
from studio.runs import Run
from studio.training import before_start

# The shares that are trained on beside the run itself, which is the whole.
SHARES = (0.25, 0.5)
# Fewer training rows than this leave too few for the smallest share.
MIN_TRAIN_ROWS = 40
MAX_NAME_CHARS = 110

NOT_DONE = Message("“{name}” has no complete result yet.")
NOT_DONE_TO_DO = Message("Wait until it has ended, or choose another run.")
IS_A_PART = Message("“{name}” is itself a part of a learning curve.")
IS_A_PART_TO_DO = Message("Choose the run on all training rows.")
NOT_SCORED = Message("“{name}” kept no answers to held-out rows that can be scored one by one.")
NOT_SCORED_TO_DO = Message(
    "Runs of an earlier studio kept none: train it again. Several labels a text do not work."
)
TOO_FEW_ROWS = Message(
    "“{name}” has {train} training rows and {held_out} held-out ones, too few for a curve."
)
TOO_FEW_ROWS_TO_DO = Message("It takes {train} training rows and {held_out} held-out ones.")


def check_possible(run: Run) -> None:
    """Raise NotPossible or DamagedFile, with the reason, where no learning curve can be made of a run."""
    plan = run.plan
    if runs.status(run).state != "done" or not runs.report(run):
        raise NotPossible(NOT_DONE, NOT_DONE_TO_DO, name=plan.name)
    if plan.data.train_share < 1:
        raise NotPossible(IS_A_PART, IS_A_PART_TO_DO, name=plan.name)
    n_held_out = len(_read_errors(run, choose_measure(run)))
    n_train = _count_train(run)
    if n_held_out < MIN_HELD_OUT or n_train < MIN_TRAIN_ROWS:
        raise NotPossible(
            TOO_FEW_ROWS.format(name=plan.name, train=n_train, held_out=n_held_out),
            TOO_FEW_ROWS_TO_DO.format(train=MIN_TRAIN_ROWS, held_out=MIN_HELD_OUT),
        )


def derive_plan(plan: Plan, share: float) -> Plan:
    """The plan on a share (0 to 1) of its training rows; all else is the same."""
    data = plan.data.model_copy(update={"train_share": share})
    name = f"{plan.name[:MAX_NAME_CHARS]} · {share:.0%}"
    return plan.model_copy(update={"data": data, "name": name, "where": "local"})


def find_part(run: Run, share: float) -> Run | None:
    """The newest run of the same plan and data on a share that is done or may still be; None without one."""
    wanted = derive_plan(run.plan, share)
    for other in runs.all_runs():
        try:
            is_part = other.plan == wanted
        except BadPlan:
            continue
        if is_part and runs.status(other).state not in ("failed", "stopped") and _has_same_data(run, other):
            return other
    return None


def _has_same_data(run: Run, other: Run) -> bool:
    """Whether two runs read the same file; one without a report has yet to read it."""
    report = runs.report(other)
    return not report or report["data"]["sha256"] == runs.report(run)["data"]["sha256"]


def missing_shares(run: Run) -> list[float]:
    """The shares that have not been trained on and are not going to be."""
    return [share for share in SHARES if not find_part(run, share)]


def unfinished_parts(run: Run) -> list[Run]:
    """The parts that wait or train."""
    parts = [part for share in SHARES if (part := find_part(run, share))]
    return [part for part in parts if runs.status(part).state != "done"]


def estimate_minutes(run: Run) -> tuple[float, float] | None:
    """How long the missing shares take (minutes, from and to); None where that is not known."""
    machine = catalogue.local_machine()
    low = high = 0.0
    for share in missing_shares(run):
        try:
            minutes = all_methods.estimate_chosen_method(derive_plan(run.plan, share), machine).minutes
        except StudioError:
            return None
        if not minutes:
            return None
        low, high = low + minutes.low, high + minutes.high
    return low, high


def create_missing(run: Run) -> list[Run]:
    """Create a waiting run for each missing share; who calls starts them.

    Raises:
        StudioError: No learning curve can be made of this run, or its plan cannot train on this machine.
    """
    check_possible(run)
    machine = catalogue.local_machine()
    plans = [derive_plan(run.plan, share) for share in missing_shares(run)]
    estimates = [before_start.check(plan, machine) for plan in plans]
    return [
        before_start.create(plan, estimate, machine) for plan, estimate in zip(plans, estimates, strict=True)
    ]


def read_sizes(run: Run) -> list[SizeResult] | None:
    """The results at each size on the rows that all answered, the run's own last; None before all are there.

    Raises:
        NotPossible: The run kept no answers that can be scored row by row.
    """
    parts = [find_part(run, share) for share in SHARES]
    done = [part for part in (*parts, run) if part and runs.status(part).state == "done"]
    if len(done) <= len(SHARES):
        return None
    errors_by_run = [_read_errors(part, choose_measure(run)) for part in done]
    rows = sorted(set.intersection(*(set(errors) for errors in errors_by_run)))
    return [
        SizeResult(_count_train(part), np.array([errors[row] for row in rows]))
        for part, errors in zip(done, errors_by_run, strict=True)
    ]


def read_projection(run: Run) -> Projection | None:
    """What more rows would bring; None until every size is there."""
    sizes = read_sizes(run)
    return project(sizes, choose_measure(run).name) if sizes else None


def choose_measure(run: Run) -> Measure:
    """What the held-out rows of a run are scored by; raises NotPossible where nothing fits."""
    answered = predictions.read(run.folder)
    measure = measures.choose(answered.predictions) if answered else None
    if not measure or measure.kind == "f1":  # which is no mean over rows
        raise NotPossible(NOT_SCORED, NOT_SCORED_TO_DO, name=run.plan.name)
    return measure


def _read_errors(run: Run, measure: Measure) -> dict[int, float]:
    """The error of each held-out row by its index: 1 or 0 if it is wrong or right, else the measure's own."""
    answered = predictions.read(run.folder)
    scored = [each for each in answered.predictions if measure.can_score(each)] if answered else []
    scores = {each.row: float(measure.score(each.tuned, each.example)) for each in scored}
    return {row: 1 - score if measure.kind == "hits" else score for row, score in scores.items()}


def _count_train(run: Run) -> int:
    """Training rows of the person's own, without general ones mixed in."""
    counts = runs.report(run).get("data") or {}
    try:
        return int(counts["train"] - counts.get("replay", 0))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise predictions.damaged_file(run.folder / "report.json") from None
