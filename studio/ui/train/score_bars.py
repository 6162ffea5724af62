"""The chart of a verdict: the result beside what it was compared with, each with its interval and cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from studio.errors import StudioError
from studio.evaluate import baselines
from studio.evaluate.baselines import NAMES, Baseline, Baselines
from studio.evaluate.paired import Estimate
from studio.evaluate.verdict import Verdict
from studio.evaluate.verdict_messages import OTHERS
from studio.evaluate.verdict_wording import MIN_ROWS
from studio.i18n import Message
from studio.runs import Run
from studio.ui import units

TITLE = Message("The result and what needs no training, on the same {n} rows (95% intervals)")
TUNED, TOOK = Message("Tuned model", context="bars"), Message("trained in {time}")
SHARE, AMOUNT = Message("{value:.0%} ({low:.0%}–{high:.0%})"), Message("{value:.3g} ({low:.3g}–{high:.3g})")
# What has another unit in the comparisons than the result's own score.
WITHOUT_BARS = ("loss", "reward")


def describe(run: Run, report: Mapping[str, Any], result: Verdict, lang: str) -> dict[str, Any] | None:
    """The bars for the browser; None where there is nothing to compare, or rows are too few for a share."""
    if not result.score or result.measure in WITHOUT_BARS or result.n < MIN_ROWS:
        return None
    measured = _find_baselines(run, result)
    costs = {entry.name: entry.cost for entry in measured}
    is_share = result.measure != "mae"
    scores: list[tuple[Message, Estimate, Message | None]] = [
        (TUNED, result.score, _training_time(report, lang))
    ]
    for comparison in result.comparisons:
        title = NAMES.get(comparison.name) or OTHERS[comparison.name]
        scores.append((title, comparison.score, costs.get(comparison.name)))
    compared = {comparison.name for comparison in result.comparisons}
    scores += [(entry.title, entry.score, entry.cost) for entry in measured if entry.name not in compared]
    return {
        "title": TITLE.render(lang, n=result.n),
        "isShare": is_share,
        "bars": [_bar(title, score, cost, is_share, lang) for title, score, cost in scores],
    }


def _bar(title: Message, score: Estimate, cost: Message | None, is_share: bool, lang: str) -> dict[str, Any]:
    text = (SHARE if is_share else AMOUNT).render(lang, value=score.value, low=score.low, high=score.high)
    return {
        "name": title.render(lang),
        "cost": cost.render(lang) if cost else "",
        "text": text,
        "value": score.value,
        "above": score.high - score.value,
        "below": score.value - score.low,
    }


def _find_baselines(run: Run, result: Verdict) -> Sequence[Baseline]:
    """What was measured of the run's plan without training, on the rows of the verdict; often nothing."""
    try:
        measured: Baselines | None = baselines.find(run.plan)
    except (StudioError, OSError):  # its data set or file is gone
        return ()
    is_same = measured and (measured.measure, measured.split, measured.n) == (
        result.measure,
        result.split,
        result.n,
    )
    return measured.entries if measured and is_same else ()


def _training_time(report: Mapping[str, Any], lang: str) -> Message | None:
    seconds = report.get("seconds")
    if not isinstance(seconds, int | float):
        return None
    return TOOK.format(time=units.format_seconds(float(seconds), lang))
