"""What a verdict rests on: a result's scores against those of base and baselines, paired row by row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.evaluate import measures, paired
from studio.evaluate.measures import Measure
from studio.evaluate.paired import Difference, Estimate
from studio.evaluate.predictions import Answered, Outcome, Prediction

# How often chance alone may look like a difference. Validation rows also chose the best of about ten states
# (`eval_count`): 1 − (1 − 0.005)¹⁰ = 5 % of them look better where none is.
ALPHA = {"test": 0.05, "validation": 0.01}
Report = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The result against something else, on the same rows.

    Attributes:
        name: What it is compared with: "base", "majority", "median", "linear", "chance", "start" or "run".
        score: The other's score.
        difference: How much better the result is; above 0 is better.
        in_points: Whether it is a difference of shares, told in points.
        decides: Whether a result must be better to be shipped; the linear head is an alternative alone.
    """

    name: str
    score: Estimate
    difference: Difference
    in_points: bool = True
    decides: bool = True


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
    """

    measure: str
    kind: str
    split: str
    n: int
    score: Estimate
    comparisons: tuple[Comparison, ...]
    hits: int = 0
    forgotten: Mapping[str, Mapping[str, float]] | None = None

    @property
    def deciding(self) -> list[Comparison]:
        """The comparisons that a result must win."""
        return [comparison for comparison in self.comparisons if comparison.decides]

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
        return _gather_reward(practice)
    rows = [row for row in answered.predictions if measure.can_score(row)]
    tuned = [measure.score(row.tuned, row.example) for row in rows]
    compare = _Comparer(measure, rows, tuned, ALPHA[answered.split])
    comparisons = compare.with_baselines(answered.usual_label, report)
    if measure is measures.PAIRS and practice:
        comparisons.append(_compare_reward(practice))
    return Evidence(
        measure=measure.name,
        kind=measure.kind,
        split=answered.split,
        n=len(rows),
        score=measure.estimate(tuned),
        comparisons=tuple(comparisons),
        hits=sum(tuned) if measure.kind == "hits" else 0,
        forgotten=_find_forgotten(report),
    )


def gather_runs(answered: Answered | None, other: Answered | None) -> Evidence | None:
    """Score one run against another on the rows that both answered; None where they share none.

    Args:
        answered: The first run's predictions.
        other: The second run's.
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
    rows = [row for row in rows if measure.can_score(row)]
    tuned = [measure.score(row.tuned, row.example) for row in rows]
    compare = _Comparer(measure, rows, tuned, ALPHA[answered.split])
    comparison = compare.with_outcomes("run", lambda row: row.base or {})
    hits = sum(tuned) if measure.kind == "hits" else 0
    return Evidence(
        measure.name, measure.kind, answered.split, len(rows), measure.estimate(tuned), (comparison,), hits
    )


def _key(prediction: Prediction) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(prediction.example.items()))


class _Comparer:
    """Compares a result's scores with those of other outcomes on the same rows."""

    def __init__(
        self, measure: Measure, rows: Sequence[Prediction], tuned: Sequence[Any], alpha: float
    ) -> None:
        self.measure, self.rows, self.tuned, self.alpha = measure, rows, tuned, alpha

    def with_baselines(self, usual_label: str, report: Report) -> list[Comparison]:
        """With the base and every baseline that there is for these rows."""
        if not all(row.base for row in self.rows):
            return [self._with_chance()]
        comparisons = [self.with_outcomes("base", lambda row: row.base or {})]
        if self.measure is measures.ACCURACY and usual_label:
            comparisons.append(self.with_outcomes("majority", lambda row: {"label": usual_label}))
        if self.measure is measures.ABSOLUTE_ERROR:
            median = report["scale"]["median"]
            comparisons.append(self.with_outcomes("median", lambda row: {"value": median}))
        if all(row.linear for row in self.rows):
            linear = self.with_outcomes("linear", lambda row: row.linear or {}, decides=False)
            comparisons.append(linear)
        return comparisons

    def with_outcomes(
        self, name: str, outcome_of: Callable[[Prediction], Outcome], decides: bool = True
    ) -> Comparison:
        """With what something else answered to each row."""
        other = [self.measure.score(outcome_of(row), row.example) for row in self.rows]
        return Comparison(
            name,
            self.measure.estimate(other),
            self.measure.compare(self.tuned, other, self.alpha),
            in_points=self.measure.kind != "errors",
            decides=decides,
        )

    def _with_chance(self) -> Comparison:
        even = Estimate(0.5, 0.5, 0.5)
        return Comparison("chance", even, paired.compare_with_chance(self.tuned, self.alpha))


def _gather_reward(practice: Mapping[str, Any]) -> Evidence | None:
    """The change of the reward in practice; None where there was none."""
    if not practice:
        return None
    after = float(practice["after"]["reward"])
    n = int(practice["questions"]["held_out"])
    comparison = _compare_reward(practice)
    return Evidence("reward", "reward", "validation", n, Estimate(after, after, after), (comparison,))


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


def _find_forgotten(report: Report) -> dict[str, Mapping[str, float]]:
    """The suites of general abilities whose scores fell beyond the base's own noise."""
    suites = report.get("retention") or {}
    return {name: suite for name, suite in suites.items() if suite.get("high", 0.0) < 0}
