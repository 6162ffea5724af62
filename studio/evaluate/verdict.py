"""Did it work? Ship, do not ship, or cannot tell yet, from paired answers to the same held-out rows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from studio.evaluate import cap_messages, next_steps
from studio.evaluate import evidence as evidences
from studio.evaluate import verdict_messages as messages
from studio.evaluate import verdict_wording as wording
from studio.evaluate.evidence import Comparison, Evidence, Report
from studio.evaluate.next_steps import NextStep, Setup
from studio.evaluate.paired import Difference, Estimate
from studio.evaluate.predictions import Answered
from studio.i18n import Message
from studio.plan import Plan

State = Literal["ship", "do_not_ship", "cannot_tell"]


@dataclass(frozen=True)
class Verdict:
    """Whether a result is shown to be better than what there was.

    Attributes:
        state: "ship", "do_not_ship" or "cannot_tell".
        headline: One sentence that can be repeated.
        reasons: Why it is so.
        next_steps: What to do next, each with the changes of the plan that do it.
        measure: The name of the measure; "" where nothing could be compared.
        split: The part of the rows, "test" or "validation"; "" likewise.
        n: How many rows.
        score: The result's own score; None where nothing could be compared.
        comparisons: The result against base and baselines.
    """

    state: State
    headline: Message
    reasons: tuple[Message, ...] = ()
    next_steps: tuple[NextStep, ...] = ()
    measure: str = ""
    split: str = ""
    n: int = 0
    score: Estimate | None = None
    comparisons: tuple[Comparison, ...] = ()

    @property
    def word(self) -> Message:
        """The verdict in a few words."""
        return messages.STATES[self.state]

    def to_json(self) -> dict[str, Any]:
        """Plain values for a report; `from_json` reads them."""
        return {
            "state": self.state,
            "headline": self.headline.to_json(),
            "reasons": [message.to_json() for message in self.reasons],
            "next_steps": [step.to_json() for step in self.next_steps],
            "measure": self.measure,
            "split": self.split,
            "n": self.n,
            "score": asdict(self.score) if self.score else None,
            "comparisons": [asdict(comparison) for comparison in self.comparisons],
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Verdict":
        """A verdict from a report."""
        return cls(
            state=raw["state"],
            headline=Message.from_json(raw["headline"]),
            reasons=tuple(map(Message.from_json, raw["reasons"])),
            next_steps=tuple(map(NextStep.from_json, raw["next_steps"])),
            measure=raw["measure"],
            split=raw["split"],
            n=raw["n"],
            score=Estimate(**raw["score"]) if raw["score"] else None,
            comparisons=tuple(map(_read_comparison, raw["comparisons"])),
        )


def _read_comparison(raw: Mapping[str, Any]) -> Comparison:
    score, difference = Estimate(**raw["score"]), Difference(**raw["difference"])
    return Comparison(raw["name"], score, difference, raw["in_points"])


def read_fault(report: Report) -> Message | None:
    """Why a run has a report and no verdict; None where it has one, or is from an earlier studio."""
    raw = report.get("verdict_fault")
    return Message.from_json(raw) if isinstance(raw, Mapping) else None


def read(report: Report) -> Verdict | None:
    """The verdict in a run's report; None in those of earlier studios."""
    raw = report.get("verdict")
    return Verdict.from_json(raw) if isinstance(raw, Mapping) else None


def judge(answered: Answered | None, report: Report, plan: Plan | None = None) -> Verdict:
    """The verdict on a run; the same predictions always get the same one.

    Args:
        answered: What base, baseline and tuned model answered to the held-out rows; None where nothing was.
        report: The run's report.
        plan: The run's plan; without it no next step has changes of it.
    """
    return _conclude(evidences.gather(answered, report), Setup(plan, report))


def judge_runs(answered: Answered | None, other: Answered | None) -> Verdict:
    """The verdict on a run against another one, on the rows that both answered.

    "ship" then means: rather this one than the other.
    """
    return _conclude(evidences.gather_runs(answered, other), Setup())


def _conclude(evidence: Evidence | None, setup: Setup) -> Verdict:
    if not evidence:
        steps = (NextStep(next_steps.KNOWN_ANSWERS),)
        return Verdict("cannot_tell", messages.NOTHING_HELD_OUT, next_steps=steps)
    state = decide(evidence)
    return Verdict(
        state=state,
        headline=wording.headline(evidence),
        reasons=(*wording.reasons(evidence), *_describe_ending(setup)),
        next_steps=next_steps.find(evidence, state, setup),
        measure=evidence.measure,
        split=evidence.split,
        n=evidence.n,
        score=evidence.score,
        comparisons=evidence.comparisons,
    )


def _describe_ending(setup: Setup) -> tuple[Message, ...]:
    """The cap that has ended the training, if one has: more of it may have led further."""
    reached_cap = cap_messages.describe(setup.report)
    return (reached_cap,) if reached_cap else ()


def decide(evidence: Evidence) -> State:
    """The state that evidence leads to.

    Ship where the result is shown to be better than all it is compared with, nothing was forgotten, and no
    reward was gamed. Do not ship where it is shown to be worse than anything, or where even the upper end of
    its lead is not worth it.
    """
    if evidence.n < wording.MIN_ROWS:
        return "cannot_tell"
    if any(comparison.difference.is_worse for comparison in evidence.comparisons):
        return "do_not_ship"
    open_comparisons = [item for item in evidence.comparisons if not item.difference.is_better]
    if not open_comparisons:
        return "cannot_tell" if evidence.forgotten or evidence.gaming else "ship"
    return "do_not_ship" if any(map(_is_futile, open_comparisons)) else "cannot_tell"


def _is_futile(comparison: Comparison) -> bool:
    """Whether even the upper end of the lead is less than would be worth shipping."""
    worthwhile = wording.WORTHWHILE_DIFFERENCE * (1.0 if comparison.in_points else comparison.score.value)
    return comparison.name != "start" and comparison.difference.high < worthwhile
