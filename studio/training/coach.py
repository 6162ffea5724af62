"""Reads the curve of a run while it grows: one finding at a time, with the figures it rests on.

The constants and where they come from: docs/methods.md#the-coach.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, variance
from typing import Any, NamedTuple

from studio.evaluate.next_steps import NextStep, Setup
from studio.evaluate.score_names import share_right
from studio.i18n import SENTENCE_SEPARATOR, Message, join_messages
from studio.plan import format_learning_rate

Point = Mapping[str, Any]
Series = Sequence[tuple[int, float]]
# What is seen, and what to do about it.
Found = tuple[Message, Message | None] | None
# Training points are read in blocks of so many: a finding can change at the end of a block or at a check.
BLOCK_POINTS = 10
# Two blocks differ clearly where their means lie so many standard errors apart (95 % of a normal).
CLEAR_STANDARD_ERRORS = 2.0
# Checks beside that of the start before a validation loss is read.
MIN_CHECKS = 2
# A loss has moved where it changed by this share of its start.
MOVED_SHARE = 0.02
# Overfitting: the validation loss is so far above its minimum, in relation to it.
OVERFITTING_RISE = 0.05
# Checks since the minimum before overfitting is said, and before it is said that nothing improves.
OVERFITTING_CHECKS, SETTLED_CHECKS = 2, 3
# Too fast: the training loss is so far above its start, or so many points of the last two blocks jump to
# SPIKE_FACTOR times its start.
DIVERGING_RISE = 0.2
SPIKE_FACTOR, MIN_SPIKES = 2.0, 3
# Practice teaches little where the answers to this share of the questions all score the same.
NO_SIGNAL_SHARE = 0.9
# Signs of a gamed reward while the score rises: answers longer by this factor, this much more of them cut
# off, their entropy below this share of its start, and a KL that doubled since half time and is above so many
# nats for an answer.
LONGER_FACTOR, MORE_CUT_SHARE, ALIKE_SHARE = 1.5, 0.25, 0.5
FAR_FACTOR, FAR_NATS = 2.0, 10.0

LEARNING = Message("Learning: validation loss fell from {before:.3f} to {after:.3f} by step {step}.")
LEARNING_UNCHECKED = Message(
    "Learning: training loss averaged {before:.3f} at first and {after:.3f} since step {since}."
)
FLAT = Message("Flat: by step {step} validation loss has hardly moved ({before:.3f} to {after:.3f}).")
RAISE_RATE = Message("Try three times the learning rate, unless the model knows these examples already.")
SETTLED = Message(
    "No progress since step {best}: validation loss was {lowest:.3f} there and is {after:.3f} at step {step}."
)
OVERFITTING = Message(
    "Overfitting since step {best}: validation loss rose from {lowest:.3f} to {after:.3f} (step {step}) "
    "while training loss fell from {train_before:.3f} to {train_after:.3f}."
)
STOP_AND_KEEP = Message("You can stop: step {kept} is kept either way.")
STOP_AND_KEEP_START = Message(
    "Nothing beats the start so far. Stop, and try a third of the learning rate or fewer epochs."
)
WORSE = Message(
    "Every check is worse than the start: validation loss was {before:.3f} and is {after:.3f} at step {step}."
)
DIVERGING = Message(
    "Learning rate too high: training loss was {before:.3f} at the start and averages {after:.3f} from step "
    "{since} to {step}."
)
JUMPING = Message(
    "Learning rate too high: since step {since} training loss jumped {count} times above twice its start "
    "({before:.3f}), up to {highest:.3f}."
)
LOWER_RATE = Message("If this goes on, stop and start again with a third of the learning rate.")
NO_SIGNAL = Message(
    "Little to learn from: since step {since}, all answers to a question score the same in {share:.0%} of "
    "cases."
)
OTHER_REWARD = Message("Choose a reward that some answers earn and others do not, or allow longer answers.")
GAMED = Message(
    "The score rises ({before:.2f} to {after:.2f} by step {step}), but {signs}: the model may be gaming the "
    "reward (reward hacking)."
)
READ_ANSWERS = Message(
    "Read its latest answers. If they got worse, stop, and raise the KL setting or choose another reward."
)
RAISE_KL = Message("Next time raise the KL setting (beta), or choose another reward.")
OTHER_RATE = Message("Train again with a learning rate of {rate} instead of {now}.")
OTHER_EPOCHS = Message("Train again for {epochs:g} epochs instead of {now:g}.")
LONGER = Message("answers grew from {before:.0f} to {after:.0f} tokens")
MORE_CUT = Message("{after:.0%} of the answers are cut off ({before:.0%} at the start)")
ALIKE = Message("answers become alike (entropy {before:.2f} to {after:.2f})")
FAR = Message("it drifts from its start (KL of an answer {before:.1f} to {after:.1f})")
SCORE_FALLS = Message("The score is falling: {before:.2f} at the start, {after:.2f} at step {step}.")
SCORE_RISES = Message("Learning: the score rose from {before:.2f} to {after:.2f} by step {step}.")
SCORE_FLAT = Message("Flat: by step {step} the score has not clearly moved ({before:.2f} to {after:.2f}).")


class Finding(NamedTuple):
    """What a curve says.

    Attributes:
        rule: The name of the rule in RULES.
        sentence: What is seen, with its figures and steps.
        advice: What to do about it, where there is something.
    """

    rule: str
    sentence: Message
    advice: Message | None = None

    def render(self, language: str = "en") -> list[str]:
        """One or two sentences."""
        return [part.render(language) for part in (self.sentence, self.advice) if part]


class Block(NamedTuple):
    """Consecutive values: the steps of the first and the last, their mean and its standard error."""

    since: int
    step: int
    mean: float
    error: float


@dataclass(frozen=True)
class StageCurve:
    """The points of one stage, in order: those of its steps, and those of its checks."""

    steps: list[Point] = field(default_factory=list)
    checks: list[Point] = field(default_factory=list)

    def series(self, key: str) -> Series:
        """The (step, value) of whole blocks of training points; a block that has begun is left out."""
        values = [(point["step"], float(point[key])) for point in self.steps if key in point]
        return values[: len(values) // BLOCK_POINTS * BLOCK_POINTS]

    def ends(self, key: str) -> tuple[Block, Block] | None:
        """The first and the last block of a metric; None where there are not two."""
        series = self.series(key)
        if len(series) < 2 * BLOCK_POINTS:
            return None
        return _block(series[:BLOCK_POINTS]), _block(series[-BLOCK_POINTS:])

    def training_loss_before(self, step: int) -> float:
        """The mean training loss of the last block of points before a step; NaN where there is none."""
        losses = [float(point["loss"]) for point in self.steps if point["step"] < step]
        return mean(losses[-BLOCK_POINTS:]) if losses else math.nan

    def has_checks(self) -> bool:
        """Whether the validation loss can be read."""
        return len(self.checks) > MIN_CHECKS

    def lowest(self) -> Point:
        """The check with the lowest validation loss, the first of several."""
        return min(self.checks, key=lambda check: float(check["eval_loss"]))


class Rule(NamedTuple):
    """What is looked for in a curve, and where that comes from."""

    name: str
    find: Callable[[StageCurve], Found]
    source: str


def read_curve(points: Iterable[Point]) -> Finding | None:
    """What the curve of the stage that a run is in says; None where there are too few points to say it.

    Args:
        points: The points of the run in order, as `studio.runs.read_points` gives them.
    """
    curve = _latest_stage(points)
    for rule in RULES:
        if match := rule.find(curve):
            return Finding(rule.name, *match)
    return None


def _latest_stage(points: Iterable[Point]) -> StageCurve:
    of_training = [point for point in points if point.get("stage") not in (None, "after")]
    stage = of_training[-1]["stage"] if of_training else ""
    of_stage = [point for point in of_training if point["stage"] == stage]
    return StageCurve(
        steps=[point for point in of_stage if "loss" in point],
        checks=[point for point in of_stage if "eval_loss" in point],
    )


def _block(series: Series) -> Block:
    values = [value for _, value in series]
    return Block(series[0][0], series[-1][0], mean(values), math.sqrt(variance(values) / len(values)))


def _clearly_above(higher: Block, lower: Block) -> bool:
    """Whether a block's mean is above another's by more than chance."""
    return higher.mean - lower.mean > CLEAR_STANDARD_ERRORS * math.hypot(higher.error, lower.error)


def _right(check: Point) -> float:
    """The share of right answers of a check that a state is chosen by; 0 where it has none."""
    return share_right({name.removeprefix("eval_"): value for name, value in check.items()})


def _advise_stopping(curve: StageCurve) -> Message | None:
    """Which state is kept; None for a run of an earlier studio, which did not write that down."""
    best_step = curve.checks[-1].get("best_step")
    if best_step is None:
        return None
    return STOP_AND_KEEP.format(kept=best_step) if best_step else STOP_AND_KEEP_START


def _is_practice(curve: StageCurve) -> bool:
    return bool(curve.steps) and "reward" in curve.steps[-1]


def _find_no_signal(curve: StageCurve) -> Found:
    series = curve.series("zero_std_share")
    if not series:
        return None
    last = _block(series[-BLOCK_POINTS:])
    if last.mean < NO_SIGNAL_SHARE:
        return None
    return NO_SIGNAL.format(since=last.since, share=last.mean), OTHER_REWARD


def _find_gaming(curve: StageCurve) -> Found:
    score = curve.ends("reward")
    if not score or not _clearly_above(score[1], score[0]):
        return None
    signs = [sign for sign in (_longer(curve), _more_cut(curve), _alike(curve), _far(curve)) if sign]
    if not signs:
        return None
    first, last = score
    return GAMED.format(before=first.mean, after=last.mean, step=last.step, signs=signs), READ_ANSWERS


def _longer(curve: StageCurve) -> Message | None:
    ends = curve.ends("completion_length")
    if not ends or ends[1].mean < LONGER_FACTOR * ends[0].mean:
        return None
    return LONGER.format(before=ends[0].mean, after=ends[1].mean)


def _more_cut(curve: StageCurve) -> Message | None:
    ends = curve.ends("clipped_ratio")
    if not ends or ends[1].mean < ends[0].mean + MORE_CUT_SHARE:
        return None
    return MORE_CUT.format(before=ends[0].mean, after=ends[1].mean)


def _alike(curve: StageCurve) -> Message | None:
    ends = curve.ends("entropy")
    if not ends or ends[1].mean > ALIKE_SHARE * ends[0].mean:
        return None
    return ALIKE.format(before=ends[0].mean, after=ends[1].mean)


def _far(curve: StageCurve) -> Message | None:
    """TRL's KL is the mean of the tokens: times the length of an answer it is that of an answer."""
    lengths = dict(curve.series("completion_length"))
    per_answer = [(step, kl * lengths[step]) for step, kl in curve.series("kl") if step in lengths]
    if len(per_answer) < 2 * BLOCK_POINTS:
        return None
    half = _block(per_answer[: len(per_answer) // 2][-BLOCK_POINTS:])
    last = _block(per_answer[-BLOCK_POINTS:])
    if last.mean < max(FAR_NATS, FAR_FACTOR * half.mean):
        return None
    return FAR.format(before=half.mean, after=last.mean)


def _find_falling_score(curve: StageCurve) -> Found:
    ends = curve.ends("reward")
    if not ends or not _clearly_above(ends[0], ends[1]):
        return None
    return SCORE_FALLS.format(before=ends[0].mean, after=ends[1].mean, step=ends[1].step), LOWER_RATE


def _find_rising_score(curve: StageCurve) -> Found:
    ends = curve.ends("reward")
    if not ends or not _clearly_above(ends[1], ends[0]):
        return None
    return SCORE_RISES.format(before=ends[0].mean, after=ends[1].mean, step=ends[1].step), None


def _find_flat_score(curve: StageCurve) -> Found:
    ends = curve.ends("reward")
    if not ends:
        return None
    return SCORE_FLAT.format(before=ends[0].mean, after=ends[1].mean, step=ends[1].step), None


def _find_divergence(curve: StageCurve) -> Found:
    first, recent = _start_and_recent(curve)
    if not first or not recent:
        return None
    last = _block(recent)
    if last.mean > (1 + DIVERGING_RISE) * first.mean and _clearly_above(last, first):
        return DIVERGING.format(
            before=first.mean, after=last.mean, since=last.since, step=last.step
        ), LOWER_RATE
    return None


def _find_jumps(curve: StageCurve) -> Found:
    first, recent = _start_and_recent(curve)
    if not first or not recent:
        return None
    spikes = [loss for _, loss in recent if loss > SPIKE_FACTOR * first.mean]
    if len(spikes) < MIN_SPIKES:
        return None
    values = {"since": recent[0][0], "before": first.mean, "highest": max(spikes)}
    return JUMPING.format(count=len(spikes), **values), LOWER_RATE


def _start_and_recent(curve: StageCurve) -> tuple[Block | None, Series]:
    """The first block of the training loss, and the points of the last two.

    None and no points where there are not three, and where checks tell nothing bad: a classifier that starts
    from a linear fit knows its training examples by heart, and rightly loses that.
    """
    losses = curve.series("loss")
    has_bad_checks = len(curve.checks) > 1 and curve.checks[-1]["eval_loss"] > curve.checks[0]["eval_loss"]
    may_be_too_fast = has_bad_checks or not curve.checks
    if _is_practice(curve) or len(losses) < 3 * BLOCK_POINTS or not may_be_too_fast:
        return None, []
    return _block(losses[:BLOCK_POINTS]), losses[-2 * BLOCK_POINTS :]


def _find_worse_than_start(curve: StageCurve) -> Found:
    if not curve.has_checks():
        return None
    start, *later = curve.checks
    limit = (1 + OVERFITTING_RISE) * start["eval_loss"]
    last = later[-1]
    is_worse = all(check["eval_loss"] > limit and _right(check) <= _right(start) for check in later)
    is_recovering = last["eval_loss"] < later[0]["eval_loss"]
    if not is_worse or is_recovering:
        return None
    sentence = WORSE.format(before=start["eval_loss"], after=last["eval_loss"], step=last["step"])
    return sentence, _advise_stopping(curve)


def _find_overfitting(curve: StageCurve) -> Found:
    if not curve.has_checks():
        return None
    best, last = curve.lowest(), curve.checks[-1]
    since_best = curve.checks[curve.checks.index(best) + 1 :]
    limit = (1 + OVERFITTING_RISE) * best["eval_loss"]
    has_risen = len(since_best) >= OVERFITTING_CHECKS and last["eval_loss"] > limit
    losses = {
        "train_before": curve.training_loss_before(best["step"]),
        "train_after": curve.training_loss_before(last["step"]),
    }
    is_memorising = losses["train_after"] < losses["train_before"]
    # A classifier's loss may rise with its confidence while it is right more often (Guo et al. 2017).
    is_still_gaining = _right(last) > _right(best)
    if not has_risen or not is_memorising or is_still_gaining:
        return None
    steps = {"best": best["step"], "step": last["step"]}
    values = {"lowest": best["eval_loss"], "after": last["eval_loss"], **steps, **losses}
    return OVERFITTING.format(**values), _advise_stopping(curve)


def _find_settled(curve: StageCurve) -> Found:
    if not curve.has_checks():
        return None
    start, best, last = curve.checks[0], curve.lowest(), curve.checks[-1]
    n_since = len(curve.checks) - 1 - curve.checks.index(best)
    has_learned = best["eval_loss"] < (1 - MOVED_SHARE) * start["eval_loss"]
    is_still_gaining = _right(last) > _right(best)
    if not has_learned or n_since < SETTLED_CHECKS or is_still_gaining:
        return None
    values = {"best": best["step"], "lowest": best["eval_loss"], "after": last["eval_loss"]}
    return SETTLED.format(step=last["step"], **values), _advise_stopping(curve)


def _find_learning(curve: StageCurve) -> Found:
    if _is_practice(curve):
        return None
    if not curve.has_checks():
        return _find_falling_training_loss(curve)
    start, last = curve.checks[0], curve.checks[-1]
    if last["eval_loss"] >= (1 - MOVED_SHARE) * start["eval_loss"]:
        return None
    return LEARNING.format(before=start["eval_loss"], after=last["eval_loss"], step=last["step"]), None


def _find_falling_training_loss(curve: StageCurve) -> Found:
    """Before there are checks: the second half of the points against the first, which hardly flickers."""
    losses = curve.series("loss")
    if len(losses) < 3 * BLOCK_POINTS:
        return None
    first, second = _block(losses[: len(losses) // 2]), _block(losses[len(losses) // 2 :])
    if not _clearly_above(first, second):
        return None
    return LEARNING_UNCHECKED.format(before=first.mean, after=second.mean, since=second.since), None


def _find_flat(curve: StageCurve) -> Found:
    ends = curve.ends("loss")
    if not ends or not curve.has_checks():
        return None
    start, last = curve.checks[0], curve.checks[-1]
    moved = [abs(check["eval_loss"] / start["eval_loss"] - 1) for check in curve.checks]
    has_moved = max(moved) > MOVED_SHARE or ends[1].mean < (1 - MOVED_SHARE) * ends[0].mean
    if has_moved:
        return None
    values = {"before": start["eval_loss"], "after": last["eval_loss"], "step": last["step"]}
    return FLAT.format(**values), RAISE_RATE


# The first that finds something speaks: what harms comes before what is going well.
RULES = (
    Rule("no_signal", _find_no_signal, "Yu et al. 2025 (DAPO): groups of equal rewards have no gradient"),
    Rule("gaming", _find_gaming, "Gao et al. 2023 (over-optimisation); Singhal et al. 2023 (length)"),
    Rule("falling_score", _find_falling_score, "two means, 2 standard errors apart"),
    Rule("diverging", _find_divergence, "Smith 2017 (learning rate range test)"),
    Rule("jumping", _find_jumps, "Wortsman et al. 2023 (loss spikes at high learning rates)"),
    Rule("worse", _find_worse_than_start, "Prechelt 1998 (generalisation loss, against the start)"),
    Rule("overfitting", _find_overfitting, "Prechelt 1998 (generalisation loss above 5 %)"),
    Rule("settled", _find_settled, "Prechelt 1998 (checks in a row without progress)"),
    Rule("learning", _find_learning, "loss below its start by 2 %"),
    Rule("flat", _find_flat, "Smith 2017 (a rate too low for the loss to move)"),
    Rule("rising_score", _find_rising_score, "two means, 2 standard errors apart"),
    Rule("flat_score", _find_flat_score, "two means, less than 2 standard errors apart"),
)


# Findings that take more than another number in the plan.
NEXT_RUN_ADVICE = {"no_signal": NextStep(OTHER_REWARD), "gaming": NextStep(RAISE_KL)}
# By how much the learning rate is changed after these findings.
RATE_FACTORS = {"diverging": 1 / 3, "jumping": 1 / 3, "worse": 1 / 3, "flat": 3.0}


def advise_next_run(points: Iterable[Point], setup: Setup) -> NextStep | None:
    """What the curve of a run that has ended says for another one; None where it says nothing.

    Args:
        points: The points of the run in order.
        setup: How it was trained.
    """
    finding = read_curve(points)
    if not finding:
        return None
    advice = NEXT_RUN_ADVICE.get(finding.rule) or _advise_change(finding, setup)
    if not advice:
        return None
    message = join_messages([finding.sentence, advice.message], SENTENCE_SEPARATOR)
    return NextStep(message, advice.plan_changes)


def _advise_change(finding: Finding, setup: Setup) -> NextStep | None:
    """Another learning rate, or epochs up to the best step; None where several stages have their own."""
    training = setup.training if setup.trains_in_one_stage else {}
    rate, epochs = training.get("learning_rate"), training.get("epochs")
    if finding.rule in RATE_FACTORS and rate:
        new_rate = float(f"{rate * RATE_FACTORS[finding.rule]:.1e}")
        texts = {"rate": format_learning_rate(new_rate), "now": format_learning_rate(rate)}
        return NextStep(OTHER_RATE.format(**texts), {"training.learning_rate": new_rate})
    if finding.rule == "overfitting" and epochs:
        new_epochs = max(
            round(epochs * finding.sentence.values["best"] / finding.sentence.values["step"], 1), 0.1
        )
        return NextStep(OTHER_EPOCHS.format(epochs=new_epochs, now=epochs), {"training.epochs": new_epochs})
    return None
