"""What to do after a verdict: a sentence each, and the changes of the plan that would do it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from studio.evaluate import measures
from studio.evaluate import verdict_wording as wording
from studio.evaluate.evidence import Comparison, Evidence, is_linear_run
from studio.evaluate.verdict_wording import MIN_ROWS
from studio.i18n import Message
from studio.plan import Plan, format_learning_rate

SHIP = Message("Try it in the Playground with your own questions, then download it from the Share tab.")
TAKE_LINEAR = Message("Use the linear model: it trains in seconds.")
READ_ANSWERS = Message("Read its answers. If they got worse, raise the KL setting or choose another reward.")
ENOUGH_ROWS = Message("Set aside a test set of at least {least} rows.")
MORE_EXAMPLES = Message("Bring more examples: a test set needs at least {least}.")
TEST_SET = Message("Set aside a test set: these validation rows also chose which training step was kept.")
LARGER_TEST = Message("Use a larger test set: {count:,} rows can show a difference of {difference}.")
MORE_ROWS = Message(
    "Bring {count:,} more examples for the test, enough to show a difference of {difference}."
)
LET_PEOPLE_VOTE = Message(
    "{n} answers to held-out questions are judged and cannot show a smaller difference. Let people vote on "
    "more of them in the Playground (blind vote)."
)
IN_POINTS, IN_UNITS = Message("{points} points"), Message("{difference:.2g}")
KNOWN_ANSWERS = Message("Bring questions with known answers, or let people vote in the Playground.")
LOWER_RATE = Message("Lower the learning rate: {rate} instead of {now}.")
MORE_EPOCHS = Message("Train for more epochs: {epochs:g} instead of {now:g}.")
FEWER_EPOCHS = Message("Train for fewer epochs: {epochs:g} instead of {now:g}.")
LARGER_BASE = Message(
    "Choose a larger base model: this one answers none of {n} questions right, and this method learns from "
    "the base model's own answers."
)
TRAIN_OTHERWISE = Message("Bring more examples, or try another method or base model.")
REMEMBER = Message("If you need what it forgot, train again with one change at a time.")
MIX_GENERAL_EXAMPLES = Message("Mix in {share:.0%} general examples (replay).")
FEED_FORWARD_ONLY = Message("Train the feed-forward layers only (PEFT, LoRA on MLP).")
REPLAY_SHARE = 0.2
# A test set takes no more than this share of the examples: the others are needed to learn from.
MAX_TEST_SHARE = 0.3
# The steps in which the share is set on the Method tab.
TEST_SHARE_STEP = 0.05
MAX_EPOCHS = 100
# Their learning rate and epochs belong to one stage of several.
MANY_STAGE_METHODS = ("rlhf",)
# What they learn from is written by the base model.
SELF_TAUGHT_METHODS = ("upft",)
WRITING_TASKS = ("chat", "complete")
# They judge answers in writing, of which there are no more than MAX_QUESTIONS.
WRITTEN_MEASURES = (measures.KNOWN_ANSWER.name, measures.EXACT_MATCH.name)
# The head as it was fitted to the frozen base's embeddings: frozen layers without a block that learns.
LINEAR_PLAN = {"method.name": "frozen", "method.settings": {"blocks": 0}, "training.learning_rate": None}
# A method's own learning rate is taken where another one was set for the method before.
FEED_FORWARD_PLAN = {
    "method.name": "peft",
    "method.settings": {"type": "lora_mlp"},
    "training.learning_rate": None,
}


@dataclass(frozen=True)
class NextStep:
    """What to do next.

    Attributes:
        message: What, in a sentence.
        plan_changes: The changes of the run's plan that do it, as its keys (`training.epochs`) with their
            new values; empty where it takes more than another plan.
    """

    message: Message
    plan_changes: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a report; `from_json` reads them."""
        return {"message": self.message.to_json(), "plan_changes": dict(self.plan_changes)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "NextStep":
        """A step from a report; those of earlier studios are a message alone."""
        if "message" not in raw:
            return cls(Message.from_json(raw))
        return cls(Message.from_json(raw["message"]), raw["plan_changes"])


@dataclass(frozen=True)
class Setup:
    """How a run was trained, as far as it can be changed.

    Attributes:
        plan: Its plan; None where the verdict is not on a single run.
        report: Its report.
    """

    plan: Plan | None = None
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def training(self) -> Mapping[str, Any]:
        """The plan's training with everything filled in; empty where nothing of it can be changed."""
        is_fixed = not self.plan or is_linear_run(self.report)
        return {} if is_fixed else self.report.get("training") or {}

    @property
    def trains_in_one_stage(self) -> bool:
        """Whether learning rate and epochs are those of the whole training."""
        return bool(self.plan and self.plan.method.name not in MANY_STAGE_METHODS)

    @property
    def base_knows_nothing(self) -> bool:
        """Whether a method learned from the answers of a base that answers no question right."""
        is_self_taught = self.plan is not None and self.plan.method.name in SELF_TAUGHT_METHODS
        return is_self_taught and (self.report.get("before") or {}).get("answer_accuracy") == 0

    def find_test_share(self, n_rows: int) -> float | None:
        """The share of the examples that gives a test set of so many rows; None where it cannot be had."""
        counts = self.report.get("data") or {}
        n_examples = sum(counts.get(name, 0) for name in ("train", "validation", "test"))
        n_examples -= counts.get("replay", 0)
        if not self.plan or self.plan.data.test or not n_examples:
            return None
        share = round(TEST_SHARE_STEP * math.ceil(n_rows / n_examples / TEST_SHARE_STEP), 2)
        is_larger = share * n_examples > counts.get("test", 0)
        return share if is_larger and share <= MAX_TEST_SHARE else None


def find(evidence: Evidence, state: str, setup: Setup) -> tuple[NextStep, ...]:
    """What to do next, the best first."""
    return tuple(_iterate(evidence, state, setup))


def _iterate(evidence: Evidence, state: str, setup: Setup) -> Iterator[NextStep]:
    if wording.is_linear_enough(evidence):
        yield NextStep(TAKE_LINEAR, LINEAR_PLAN if setup.plan else {})
    if evidence.gaming:
        yield NextStep(READ_ANSWERS)
    if evidence.forgotten:
        yield NextStep(REMEMBER)
        yield from _against_forgetting(setup)
    if state == "ship":
        yield NextStep(SHIP)
    if setup.base_knows_nothing:
        yield NextStep(LARGER_BASE.format(n=int(setup.report["before"]["n_questions"])))
        return
    if state == "do_not_ship":
        yield from _train_otherwise(evidence, setup)
    if state != "do_not_ship" and evidence.kind != "reward":
        yield from _test_on_more(evidence, state, setup)
    if state == "cannot_tell" and evidence.kind == "reward" and not (evidence.gaming or evidence.forgotten):
        yield NextStep(READ_ANSWERS)
        yield NextStep(TRAIN_OTHERWISE)


def _against_forgetting(setup: Setup) -> Iterator[NextStep]:
    """What makes a run forget less, with its own figures."""
    epochs = setup.training.get("epochs")
    if setup.trains_in_one_stage and epochs and epochs > 1:
        yield NextStep(FEWER_EPOCHS.format(epochs=epochs / 2, now=epochs), {"training.epochs": epochs / 2})
    yield from _lower_rate(setup)
    plan = setup.plan
    if not plan or plan.task not in WRITING_TASKS or not setup.trains_in_one_stage:
        return
    if plan.task == "chat" and plan.training.replay_share < REPLAY_SHARE:
        message = MIX_GENERAL_EXAMPLES.format(share=REPLAY_SHARE)
        yield NextStep(message, {"training.replay_share": REPLAY_SHARE})
    if plan.method.name != "peft":
        yield NextStep(FEED_FORWARD_ONLY, FEED_FORWARD_PLAN)


def _lower_rate(setup: Setup) -> Iterator[NextStep]:
    rate = setup.training.get("learning_rate")
    if not rate or not setup.trains_in_one_stage:
        return
    lower = float(f"{rate / 3:.1e}")
    message = LOWER_RATE.format(rate=format_learning_rate(lower), now=format_learning_rate(rate))
    yield NextStep(message, {"training.learning_rate": lower})


def _train_otherwise(evidence: Evidence, setup: Setup) -> Iterator[NextStep]:
    """A lower learning rate where something got worse, more epochs where nothing changed."""
    if any(comparison.difference.is_worse for comparison in evidence.comparisons):
        yield from _lower_rate(setup)
    else:
        yield from _more_epochs(setup)
    yield NextStep(TRAIN_OTHERWISE)


def _more_epochs(setup: Setup) -> Iterator[NextStep]:
    now = setup.training.get("epochs")
    is_cut_short = setup.report.get("stopped_early")
    if not now or not setup.trains_in_one_stage or is_cut_short or 2 * now > MAX_EPOCHS:
        return
    yield NextStep(MORE_EPOCHS.format(epochs=2 * now, now=now), {"training.epochs": 2 * now})


def _test_on_more(evidence: Evidence, state: str, setup: Setup) -> Iterator[NextStep]:
    """A test set where there is none, and one that is large enough where rows cannot tell."""
    is_open = state == "cannot_tell"
    if is_open and evidence.n < MIN_ROWS:
        yield _set_aside(ENOUGH_ROWS, MORE_EXAMPLES, MIN_ROWS, setup)
    elif is_open and (more := _tell_more_rows(evidence, setup)):
        yield more
    elif evidence.split == "validation":
        yield NextStep(TEST_SET, _test_share_change(evidence.n, setup))
    elif is_open and not evidence.forgotten:
        yield from _train_otherwise(evidence, setup)


def _tell_more_rows(evidence: Evidence, setup: Setup) -> NextStep | None:
    """What would show a difference worth it; None where these rows do already."""
    closest = wording.hardest_comparison(evidence)
    n_more = wording.count_more_rows(evidence, closest)
    if n_more <= 0:
        return None
    if evidence.measure in WRITTEN_MEASURES and evidence.n + n_more > measures.MAX_QUESTIONS:
        return NextStep(LET_PEOPLE_VOTE.format(n=evidence.n))
    difference = _describe_wanted(closest)
    changes = _test_share_change(evidence.n + n_more, setup)
    if changes:
        return NextStep(LARGER_TEST.format(count=evidence.n + n_more, difference=difference), changes)
    return NextStep(MORE_ROWS.format(count=n_more, difference=difference))


def _describe_wanted(comparison: Comparison) -> Message:
    wanted = wording.wanted_difference(comparison)
    if comparison.in_points:
        return IN_POINTS.format(points=round(100 * wanted))
    return IN_UNITS.format(difference=wanted)


def _set_aside(possible: Message, impossible: Message, n_rows: int, setup: Setup) -> NextStep:
    changes = _test_share_change(n_rows, setup)
    return NextStep((possible if changes else impossible).format(least=n_rows), changes)


def _test_share_change(n_rows: int, setup: Setup) -> dict[str, Any]:
    share = setup.find_test_share(n_rows)
    return {"data.test_share": share} if share else {}
