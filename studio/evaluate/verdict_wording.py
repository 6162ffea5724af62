"""Evidence in words: the sentence to repeat, the reasons, and what to do next."""

import math
from collections.abc import Iterator

from studio.evaluate import paired
from studio.evaluate import verdict_messages as messages
from studio.evaluate.evidence import ALPHA, Comparison, Evidence
from studio.evaluate.retention import suites
from studio.i18n import Message

# With fewer held-out rows no percentage is called a result: the 95 % interval of a share spans 40 points.
MIN_ROWS = 20
# The difference that more rows should show: of a share (0 to 1), or relative to the other's error.
WANTED_DIFFERENCE = 0.10
# The least difference worth shipping, likewise.
WORTHWHILE_DIFFERENCE = 0.05
NOUNS = {"answer_accuracy": "questions", "exact_match": "answers", "loss": "answers", "pairs": "pairs"}
# The base of a classifier has a head that has yet to learn: the baselines say more.
NAMED_IN_HEADLINE = ("majority", "median", "linear", "run")


def row_name(evidence: Evidence) -> Message:
    """What the rows are called."""
    return messages.ROWS[evidence.split, NOUNS.get(evidence.measure, "texts")]


def headline(evidence: Evidence) -> Message:
    """The result in one sentence, with its interval and what it is compared with."""
    others = [_tell_other(comparison, evidence) for comparison in _headline_comparisons(evidence)]
    result = _tell_result(evidence)
    if not others:
        return messages.HEADLINE_ALONE.format(result=result)
    return messages.HEADLINE.format(result=result, others=messages.join_clauses(others))


def _headline_comparisons(evidence: Evidence) -> list[Comparison]:
    """The comparisons that the headline names; of practice by a rule those with a baseline alone."""
    with_baselines = [item for item in evidence.comparisons if item.name in NAMED_IN_HEADLINE]
    if with_baselines or evidence.kind == "reward":
        return with_baselines
    return [item for item in evidence.comparisons if item.name != "start"]


def _tell_result(evidence: Evidence) -> Message:
    template = messages.RESULTS[_template_name(evidence), evidence.n >= MIN_ROWS]
    first = evidence.comparisons[0]
    values = {"value": evidence.score.value, "low": evidence.score.low, "high": evidence.score.high}
    if evidence.kind == "reward":
        difference = first.difference
        values = {"value": difference.value, "low": difference.low, "high": difference.high}
    return template.format(
        **values,
        n=evidence.n,
        rows=row_name(evidence),
        hits=evidence.hits,
        n_better=first.difference.n_better,
    )


def _template_name(evidence: Evidence) -> str:
    return evidence.measure if evidence.measure in ("loss", "pairs") else evidence.kind


def _tell_other(comparison: Comparison, evidence: Evidence) -> Message:
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
        yield messages.TOO_FEW.format(n=evidence.n, least=MIN_ROWS)
    else:
        yield from (_compare(comparison) for comparison in evidence.deciding)
        if linear := evidence.find("linear"):
            yield _compare_with_linear(linear, evidence)
    if evidence.forgotten:
        yield _tell_forgotten(evidence)
    if evidence.measure == "loss":
        yield messages.LOSS_IS_NOT_QUALITY
    if evidence.split == "validation" and evidence.kind != "reward":
        yield messages.CHOSE_THE_STATE
    if evidence.kind != "reward":
        yield _tell_what_rows_show(evidence)


def _compare(comparison: Comparison) -> Message:
    template = messages.NOT_SHOWN
    if comparison.difference.is_better:
        template = messages.BETTER
    elif comparison.difference.is_worse:
        template = messages.WORSE
    return template.format(other=messages.OTHERS[comparison.name], difference=tell_difference(comparison))


def _compare_with_linear(linear: Comparison, evidence: Evidence) -> Message:
    if linear.difference.is_better:
        return _compare(linear)
    template = messages.LINEAR_IS_BETTER if linear.difference.is_worse else messages.LINEAR_IS_AS_GOOD
    return template.format(n=evidence.n, difference=tell_difference(linear))


def tell_difference(comparison: Comparison) -> Message:
    """A difference with its interval, and on how many rows each is better."""
    difference = comparison.difference
    scale = 100 if comparison.in_points else 1
    interval = (messages.POINTS if comparison.in_points else messages.UNITS).format(
        value=scale * difference.value, low=scale * difference.low, high=scale * difference.high
    )
    if not difference.n_better + difference.n_worse:
        return interval
    return messages.WITH_COUNTS.format(
        interval=interval, n_better=difference.n_better, n_worse=difference.n_worse
    )


def _tell_forgotten(evidence: Evidence) -> Message:
    falls = [
        messages.FORGOT_SUITE.format(
            name=suites.suite_name(name), before=suite["before"], after=suite["after"]
        )
        for name, suite in (evidence.forgotten or {}).items()
    ]
    return messages.FORGOT.format(suites=falls)


def _tell_what_rows_show(evidence: Evidence) -> Message:
    closest = hardest_comparison(evidence)
    visible = closest.difference.visible
    values = {"n": evidence.n, "rows": row_name(evidence)}
    if math.isinf(visible):
        return messages.CAN_SHOW_NONE.format(**values)
    if closest.in_points:
        return messages.CAN_SHOW.format(**values, points=math.ceil(round(100 * visible, 6)))
    return messages.CAN_SHOW_UNITS.format(**values, difference=visible)


def hardest_comparison(evidence: Evidence) -> Comparison:
    """The deciding comparison with the smallest lead: what more rows would have to show."""
    with_rows = [comparison for comparison in evidence.deciding if comparison.name != "start"]
    return min(with_rows, key=lambda comparison: comparison.difference.low)


def next_steps(evidence: Evidence, state: str) -> tuple[Message, ...]:
    """What to do next, as concrete sentences."""
    return tuple(_iterate_steps(evidence, state))


def _iterate_steps(evidence: Evidence, state: str) -> Iterator[Message]:
    linear = evidence.find("linear")
    if linear and evidence.n >= MIN_ROWS and not linear.difference.is_better:
        yield messages.TAKE_LINEAR
    if evidence.forgotten:
        yield messages.DECIDE_ON_FORGETTING
    if state == "ship":
        yield messages.SHIP_STEP
    if state == "do_not_ship":
        yield messages.TRAIN_OTHERWISE
    if state == "cannot_tell" and evidence.n < MIN_ROWS:
        yield messages.AT_LEAST.format(least=MIN_ROWS)
    if state == "cannot_tell" and evidence.kind != "reward" and (more := _tell_more_rows(evidence)):
        yield more
    if state != "do_not_ship" and evidence.split == "validation" and evidence.kind != "reward":
        yield messages.SET_TEST_ASIDE


def _tell_more_rows(evidence: Evidence) -> Message | None:
    """How many more rows would show a difference worth it; None where these do already."""
    closest = hardest_comparison(evidence)
    n_more = count_more_rows(evidence, closest)
    if n_more <= 0:
        return None
    values = {"count": n_more, "rows": row_name(evidence)}
    if closest.in_points:
        return messages.MORE_ROWS.format(**values, points=round(100 * WANTED_DIFFERENCE))
    return messages.MORE_ROWS_UNITS.format(**values, difference=wanted_difference(closest))


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
