"""What a verdict rests on: a result's scores against those of base and baselines, paired row by row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from studio.evaluate import measures, paired
from studio.evaluate.measures import Measure
from studio.evaluate.paired import Difference, Estimate
from studio.evaluate.predictions import Answered, Outcome, Prediction
from studio.i18n import Message

# How often chance alone may look like a difference. Validation rows also chose the best of about ten states
# (`eval_count`): 1 − (1 − 0.005)¹⁰ = 5 % of them look better where none is.
ALPHA = {"test": 0.05, "validation": 0.01}
# What always giving the usual target is called, by the measure of a classifier.
USUAL_NAMES = {
    measures.ACCURACY.name: "majority",
    measures.MICRO_F1.name: "label_set",
    measures.ABSOLUTE_ERROR.name: "median",
}
Report = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The result against something else, on the same rows.

    Attributes:
        name: What it is compared with: "base", "majority", "label_set", "median", "linear", "chance", "start"
            or "run".
        score: The other's score.
        difference: How much better the result is; above 0 is better.
        in_points: Whether it is a difference of shares, which has points.
    """

    name: str
    score: Estimate
    difference: Difference
    in_points: bool = True


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on.

    Attributes:
        measure: The name of the measure, see studio.evaluate.measures; "reward" for practice by a rule.
        kind: The kind of the measure; "reward" for practice by a rule.
        split: The part of the rows, "test" or "validation".
        n: How many rows.
        score: The result's own score.
        hits: How many rows are right, where they are right or wrong.
        comparisons: The result against everything else.
        forgotten: What the model knew before: the scores of each suite that fell beyond its own noise.
        gaming: The sign that practice gamed its reward; None where there is none.
    """

    measure: str
    kind: str
    split: str
    n: int
    score: Estimate
    comparisons: tuple[Comparison, ...]
    hits: int = 0
    forgotten: Mapping[str, Mapping[str, float]] | None = None
    gaming: Message | None = None

    def find(self, name: str) -> Comparison | None:
        """The comparison of this name; None where there is none."""
        return next((comparison for comparison in self.comparisons if comparison.name == name), None)


def gather(answered: Answered | None, report: Report) -> Evidence | None:
    """Score a run's predictions.

    Args:
        answered: The predictions with their rows; None where there are none.
        report: The run's report.

    Returns:
        The evidence; None where no right answer is known and nothing else was measured.
    """
    measure = measures.choose(answered.predictions) if answered else None
    practice = _read_practice(report)
    # Practice does not aim at the examples' own answers.
    if not answered or not measure or (practice and measure is measures.LOSS):
        return _gather_reward(practice, report)
    rows = [row for row in answered.predictions if measure.can_score(row)]
    tuned = [measure.score(row.tuned, row.example) for row in rows]
    comparer = _Comparer(measure, rows, tuned, ALPHA[answered.split])
    comparisons = comparer.with_baselines(answered.usual, is_linear_run(report))
    if measure is measures.PAIRS and practice:
        comparisons.append(_compare_reward(practice))
    if not comparisons:
        return None
    return replace(
        comparer.conclude(answered.split, comparisons),
        forgotten=_find_forgotten(report),
        gaming=_read_gaming(report),
    )


def is_linear_run(report: Report) -> bool:
    """Whether the run's result is the linear model itself (frozen layers without a block)."""
    return bool((report.get("method") or {}).get("linear_head"))


def gather_runs(answered: Answered | None, other: Answered | None, n_tests: int = 1) -> Evidence | None:
    """Score one run against another on the rows that both answered; None where they share none.

    Args:
        answered: The first run's predictions.
        other: The second run's.
        n_tests: How many such tests are made: the level of each is divided by that (Bonferroni).
    """
    if not answered or not other:
        return None
    answers = {_key(row): row.tuned for row in other.predictions}
    rows = [
        Prediction(row.row, row.example, row.tuned, base=answers[_key(row)])
        for row in answered.predictions
        if _key(row) in answers
    ]
    measure = measures.choose(rows) if rows else None
    if not measure:
        return None
    rows = [row for row in rows if measure.can_score(row) and measure.needs in (row.base or {})]
    if not rows:
        return None
    tuned = [measure.score(row.tuned, row.example) for row in rows]
    comparer = _Comparer(measure, rows, tuned, ALPHA[answered.split] / n_tests)
    return comparer.conclude(answered.split, [comparer.with_outcomes("run", lambda row: row.base or {})])


def _key(prediction: Prediction) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(prediction.example.items()))


class _Comparer:
    """Compares a result's scores with those of other outcomes on the same rows."""

    def __init__(
        self, measure: Measure, rows: Sequence[Prediction], tuned: Sequence[Any], alpha: float
    ) -> None:
        self.measure, self.rows, self.tuned, self.alpha = measure, rows, tuned, alpha

    def with_baselines(self, usual: Outcome | None, is_linear: bool) -> list[Comparison]:
        """With what there was before; of a classifier with what needs no training.

        A classifier's base has a head of random numbers, which says nothing.

        Args:
            usual: The usual target, where there is one.
            is_linear: Whether the result is the linear model itself.
        """
        if self.measure.name in USUAL_NAMES:
            return self._with_class_baselines(usual, is_linear)
        if not all(row.base for row in self.rows):
            return [self._with_chance()]
        return [self.with_outcomes("base", lambda row: row.base or {})]

    def _with_class_baselines(self, usual: Outcome | None, is_linear: bool) -> list[Comparison]:
        comparisons = []
        if usual is not None:
            comparisons.append(self.with_outcomes(USUAL_NAMES[self.measure.name], lambda row: usual))
        if not is_linear and all(row.linear for row in self.rows):
            comparisons.append(self.with_outcomes("linear", lambda row: row.linear or {}))
        return comparisons

    def with_outcomes(self, name: str, outcome_of: Callable[[Prediction], Outcome]) -> Comparison:
        """With what something else answered to each row."""
        other = [self.measure.score(outcome_of(row), row.example) for row in self.rows]
        return Comparison(
            name,
            self.measure.estimate(other),
            self.measure.compare(self.tuned, other, self.alpha),
            in_points=self.measure.kind != "errors",
        )

    def conclude(self, split: str, comparisons: Sequence[Comparison]) -> Evidence:
        """The evidence of these comparisons."""
        return Evidence(
            measure=self.measure.name,
            kind=self.measure.kind,
            split=split,
            n=len(self.rows),
            score=self.measure.estimate(self.tuned),
            comparisons=tuple(comparisons),
            hits=sum(self.tuned) if self.measure.kind == "hits" else 0,
        )

    def _with_chance(self) -> Comparison:
        even = Estimate(0.5, 0.5, 0.5)
        return Comparison("chance", even, paired.compare_with_chance(self.tuned, self.alpha))


def _gather_reward(practice: Mapping[str, Any], report: Report) -> Evidence | None:
    """The change of the reward in practice; None where there was none."""
    if not practice:
        return None
    after = float(practice["after"]["reward"])
    n = int(practice["questions"]["held_out"])
    comparison = _compare_reward(practice)
    score = Estimate(after, after, after)
    return Evidence(
        measure="reward",
        kind="reward",
        split="validation",
        n=n,
        score=score,
        comparisons=(comparison,),
        forgotten=_find_forgotten(report),
        gaming=_read_gaming(report),
    )


def _read_practice(report: Report) -> Mapping[str, Any]:
    """RLHF's practice with its change of the reward; empty where there was none."""
    practice = (report.get("method") or {}).get("rl") or {}
    return practice if practice.get("change") else {}


def _compare_reward(practice: Mapping[str, Any]) -> Comparison:
    before, change = float(practice["before"]["reward"]), practice["change"]
    difference = Difference(
        value=change["mean"],
        low=change["low"],
        high=change["high"],
        is_better=change["low"] > 0,
        is_worse=change["high"] < 0,
        n_better=0,
        n_worse=0,
        visible=0.0,
    )
    return Comparison("start", Estimate(before, before, before), difference, in_points=False)


def _read_gaming(report: Report) -> Message | None:
    return Message.from_json(report["gaming"]) if report.get("gaming") else None


def _find_forgotten(report: Report) -> dict[str, Mapping[str, float]]:
    """The suites of general abilities whose scores fell beyond the base's own noise."""
    suites = report.get("retention") or {}
    return {name: suite for name, suite in suites.items() if suite.get("high", 0.0) < 0}
