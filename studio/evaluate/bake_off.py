"""Contenders of a bake-off compared on the same validation rows: who leads, and who is shown to be worse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studio.evaluate import measures
from studio.evaluate.measures import Measure
from studio.evaluate.paired import Difference, Estimate
from studio.evaluate.predictions import Prediction

# How often a bake-off of equal contenders may drop one of them, over all its looks and pairs (0 to 1).
MAX_FALSE_DROPS = 0.05


@dataclass(frozen=True)
class Ranking:
    """Contenders after a look, by name.

    Attributes:
        measure: What they are compared by.
        n_rows: The rows that all of them answered.
        estimates: The measure of each with its 95 % interval.
        leader: The best by its estimate.
        leads: How much better the leader is than each other one, on the same rows.
        losers: Those that the leader is shown to be better than.
    """

    measure: Measure
    n_rows: int
    estimates: Mapping[str, Estimate]
    leader: str
    leads: Mapping[str, Difference]
    losers: tuple[str, ...]


def rank(answers: Mapping[str, Sequence[Prediction]], n_looks: int) -> Ranking | None:
    """Compare contenders on the rows that all of them answered.

    The level of each test is MAX_FALSE_DROPS divided by all tests of the bake-off (Bonferroni), as it looks
    several times and at several contenders.

    Args:
        answers: What each contender answered to the validation rows.
        n_looks: How often the bake-off compares in all.

    Returns:
        The ranking; None where no measure fits what all of them answered.
    """
    measure = measures.choose(next(iter(answers.values())))
    if not measure:
        return None
    scored = {
        name: {each.row: measure.score(each.tuned, each.example) for each in rows if measure.can_score(each)}
        for name, rows in answers.items()
    }
    shared_rows = sorted(set.intersection(*(set(scores) for scores in scored.values())))
    if not shared_rows:
        return None
    scores = {name: [by_row[row] for row in shared_rows] for name, by_row in scored.items()}
    estimates = {name: measure.estimate(values) for name, values in scores.items()}
    leader = _find_leader(estimates, measure)
    alpha = MAX_FALSE_DROPS / max(1, n_looks * (len(answers) - 1))
    leads = {
        name: measure.compare(scores[leader], values, alpha)
        for name, values in scores.items()
        if name != leader
    }
    losers = tuple(name for name, lead in leads.items() if lead.is_better)
    return Ranking(measure, len(shared_rows), estimates, leader, leads, losers)


def _find_leader(estimates: Mapping[str, Estimate], measure: Measure) -> str:
    """The best contender; of equal ones the first, as they are listed."""
    sign = -1 if measure.kind == "errors" else 1
    return max(estimates, key=lambda name: sign * estimates[name].value)
