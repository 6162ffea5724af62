"""Evidence in words: the sentence to repeat, and the reasons."""

import math
from collections.abc import Iterator

from studio.evaluate import paired
from studio.evaluate import verdict_messages as messages
from studio.evaluate.evidence import ALPHA, Comparison, Evidence
from studio.evaluate.paired import Estimate
from studio.evaluate.retention import suites
from studio.i18n import Message

# With fewer held-out rows no percentage is called a result: the 95 % interval of a share spans 40 points.
MIN_ROWS = 20
# The difference that more rows should show: of a share (0 to 1), or relative to the other's error.
WANTED_DIFFERENCE = 0.10
# The least difference worth shipping, likewise.
WORTHWHILE_DIFFERENCE = 0.05
NOUNS = {
    "answer_accuracy": "questions",
    "exact_match": "answers",
    "loss": "answers",
    "pairs": "pairs",
    "reward": "questions",
}


def row_name(evidence: Evidence) -> Message:
    """What the rows are called."""
    return messages.ROWS[evidence.split, NOUNS.get(evidence.measure, "texts")]


def headline(evidence: Evidence) -> Message:
    """The result in one sentence, with its interval and what it is compared with."""
    linear = evidence.find("linear")
    if linear and is_linear_enough(evidence):
        return _describe_linear(linear, evidence)
    others = [_describe_other(item, evidence) for item in evidence.comparisons if _is_named(item, evidence)]
    result = _describe_result(evidence)
    if not others:
        return messages.HEADLINE_ALONE.format(result=result)
    return messages.HEADLINE.format(result=result, others=messages.join_clauses(others))


def _is_named(comparison: Comparison, evidence: Evidence) -> bool:
    """Whether a headline names the other's score: a change says it, and a loss tells people nothing."""
    return comparison.name != "start" and evidence.measure != "loss"


def is_linear_enough(evidence: Evidence) -> bool:
    """Whether the linear model is as good, as far as the rows can show, and both are better than guessing."""
    linear = evidence.find("linear")
    if not linear or linear.difference.is_better or evidence.n < MIN_ROWS:
        return False
    return linear.difference.is_worse or all(
        comparison.difference.is_better for comparison in evidence.comparisons if comparison is not linear
    )


def _describe_linear(linear: Comparison, evidence: Evidence) -> Message:
    template = messages.LINEAR_IS_BETTER if linear.difference.is_worse else messages.LINEAR_IS_AS_GOOD
    return template.format(
        linear=_describe_score(linear.score, evidence),
        tuned=_describe_score(evidence.score, evidence),
        n=evidence.n,
        rows=row_name(evidence),
    )


def _describe_score(score: Estimate, evidence: Evidence) -> Message:
    return messages.SCORES[evidence.kind].format(value=score.value)


def _describe_result(evidence: Evidence) -> Message:
    template = messages.RESULTS[_template_name(evidence), evidence.n >= MIN_ROWS]
    first = evidence.comparisons[0]
    values = {"value": evidence.score.value, "low": evidence.score.low, "high": evidence.score.high}
    if evidence.kind == "reward":
        difference = first.difference
        values = {"value": difference.value, "low": difference.low, "high": difference.high}
    return template.format(
        **{name: _to_percent(value, evidence) for name, value in values.items()},
        n=evidence.n,
        rows=row_name(evidence),
        hits=evidence.hits,
        n_better=first.difference.n_better,
    )


def _to_percent(value: float, evidence: Evidence) -> float:
    """A share in per cent, every other score as it is."""
    return 100 * value if evidence.kind in ("hits", "f1") else value


def _template_name(evidence: Evidence) -> str:
    return evidence.measure if evidence.measure in ("loss", "pairs") else evidence.kind


def _describe_other(comparison: Comparison, evidence: Evidence) -> Message:
    name = messages.OTHERS[comparison.name]
    if evidence.n < MIN_ROWS and evidence.kind == "hits":
        return messages.FEW_HITS_OF_OTHER.format(name=name, hits=round(comparison.score.value * evidence.n))
    template = messages.SHARE_OF_OTHER if comparison.in_points else messages.ERROR_OF_OTHER
    return template.format(name=name, value=comparison.score.value)


def reasons(evidence: Evidence) -> tuple[Message, ...]:
    """Why the verdict is what it is."""
    return tuple(_iterate_reasons(evidence))


def _iterate_reasons(evidence: Evidence) -> Iterator[Message]:
    if evidence.n < MIN_ROWS:
        yield messages.TOO_FEW.format(n=evidence.n, rows=row_name(evidence), least=MIN_ROWS)
    else:
        yield from map(_compare, evidence.comparisons)
    if evidence.gaming:
        yield evidence.gaming
    if evidence.forgotten:
        yield _describe_forgotten(evidence)
    if evidence.measure == "loss":
        yield messages.LOSS_IS_NOT_QUALITY
    if evidence.split == "validation" and evidence.kind != "reward":
        yield messages.CHOSE_THE_STATE
    if evidence.kind != "reward":
        yield _describe_what_rows_show(evidence)


def _compare(comparison: Comparison) -> Message:
    template = messages.NOT_SHOWN
    if comparison.difference.is_better:
        template = messages.BETTER
    elif comparison.difference.is_worse:
        template = messages.WORSE
    return template.format(other=messages.OTHERS[comparison.name], difference=describe_difference(comparison))


def describe_difference(comparison: Comparison) -> Message:
    """A difference with its interval, and on how many rows each is better."""
    difference = comparison.difference
    scale = 100 if comparison.in_points else 1
    interval = (messages.POINTS if comparison.in_points else messages.UNITS).format(
        value=scale * difference.value, low=scale * difference.low, high=scale * difference.high
    )
    # Against chance no row is better or worse than another.
    if comparison.name == "chance" or not difference.n_better + difference.n_worse:
        return interval
    return messages.WITH_COUNTS.format(
        interval=interval, n_better=difference.n_better, n_worse=difference.n_worse
    )


def _describe_forgotten(evidence: Evidence) -> Message:
    falls = [
        messages.FORGOT_SUITE.format(
            name=suites.suite_name(name), before=suite["before"], after=suite["after"]
        )
        for name, suite in (evidence.forgotten or {}).items()
    ]
    return messages.FORGOT.format(suites=falls)


def _describe_what_rows_show(evidence: Evidence) -> Message:
    closest = hardest_comparison(evidence)
    visible = closest.difference.visible
    values = {"n": evidence.n, "rows": row_name(evidence)}
    if math.isinf(visible):
        return messages.CAN_SHOW_NONE.format(**values)
    if closest.in_points:
        return messages.CAN_SHOW.format(**values, points=math.ceil(round(100 * visible, 6)))
    return messages.CAN_SHOW_UNITS.format(**values, difference=visible)


def hardest_comparison(evidence: Evidence) -> Comparison:
    """The comparison with the smallest lead: what more rows would have to show."""
    with_rows = [comparison for comparison in evidence.comparisons if comparison.name != "start"]
    return min(with_rows, key=lambda comparison: comparison.difference.low)


def wanted_difference(comparison: Comparison) -> float:
    """The difference that rows should show: ten points, or a tenth of the other's error."""
    return WANTED_DIFFERENCE * (1.0 if comparison.in_points else comparison.score.value)


def count_more_rows(evidence: Evidence, comparison: Comparison) -> int:
    """How many rows more than these would show the wanted difference; 0 or less where these do."""
    difference = comparison.difference
    if evidence.kind == "hits" and comparison.name != "chance":
        losses = (difference.n_worse + 1) / (evidence.n + 2)
        return paired.rows_to_show(WANTED_DIFFERENCE, losses, ALPHA[evidence.split]) - evidence.n
    # The standard error falls with the root of the rows.
    ratio = difference.visible / max(wanted_difference(comparison), 1e-12)
    return min(paired.MAX_ROWS, math.ceil(evidence.n * ratio**2)) - evidence.n
