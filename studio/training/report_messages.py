"""Sentences on a run's report that the page and the command line share."""

from collections.abc import Mapping
from typing import Any

from studio import runs
from studio.data.intervals import wilson_interval
from studio.data.targets import LABEL_THRESHOLD
from studio.evaluate.score_names import FIELD_PREFIX, LABEL_PREFIX, read_parts
from studio.i18n import Message

KNOWN_ANSWERS = Message(
    "{after:.0%} of {asked:.0f} held-out questions answered correctly (95% interval {low:.0%} to "
    "{high:.0%}); by the base model, {before:.0%} ({base_low:.0%} to {base_high:.0%})."
)
OWN_OPENINGS = Message(
    "The perplexity of its own openings went from {before:.2f} to {after:.2f}. That does not measure "
    "quality: it falls because the model learns from its own text."
)
TEXTS_CUT = Message("{cut} {cut:example was|examples were} cut at {length} tokens. Raise “max length”.")
TEXTS_DROPPED = Message(
    "{dropped} {dropped:example was|examples were} left out: longer than {length} tokens. Raise “max length”."
)
TEXTS_CUT_AND_DROPPED = Message(
    "{cut} {cut:example was|examples were} cut at {length} tokens, and {dropped} left out as too long. Raise "
    "“max length”."
)
START_KEPT = Message(
    "No step was better than the start, so nothing was learned. Try more examples, another learning rate or "
    "another method."
)
LINEAR_MODEL_KEPT = Message(
    "No step was better than the linear model it started from, so that is the result. Try more examples, "
    "another learning rate or another method."
)
LINEAR_BASELINE = Message("A linear model on the same embeddings: {accuracy:.0%}, in {seconds:.0f} seconds.")


def describe_linear_baseline(report: Mapping[str, Any]) -> Message | None:
    """How often a linear model on the base's embeddings is right; None where none was fitted to classes."""
    baseline = report.get("linear_baseline")
    if not isinstance(baseline, Mapping) or "accuracy" not in baseline:
        return None
    return LINEAR_BASELINE.format(accuracy=baseline["accuracy"], seconds=baseline["seconds"])


LABEL_SETS = Message(
    "Micro F1 on held-out texts: {after:.0%} (before, {before:.0%}). All labels are correct on {exact:.0%} "
    "of them. A label counts from a probability of {threshold:.0%}."
)
RATINGS = Message(
    "Its numbers are off by {after:.2g} on average (before, {before:.2g}; always guessing the median, "
    "{median:.2g}). Rank correlation (Spearman): {spearman:.2f}."
)
RATING_STEPS = Message("Rounded to the scale, {half:.0%} are exact and {one:.0%} at most one step off.")
JSON_FIELDS = Message(
    "{after:.0%} of {count:.0f} answers are valid JSON (before, {before:.0%}). Correct by field: {fields}."
)
FIELD_SHARE = Message("{name} {after:.0%} (before, {before:.0%})")


def describe_targets(report: Mapping[str, Any]) -> list[Message]:
    """How well labels, numbers and the fields of JSON answers are right; empty where there are none."""
    before, after = runs.start_scores(report), dict(report.get("after") or {})
    sentences = []
    if "micro_f1" in before and "micro_f1" in after:
        sentences.append(
            LABEL_SETS.format(
                after=after["micro_f1"],
                before=before["micro_f1"],
                exact=after["exact_match"],
                threshold=LABEL_THRESHOLD,
            )
        )
    if "mae" in before and "mae" in after:
        sentences.append(
            RATINGS.format(
                after=after["mae"],
                before=before["mae"],
                median=after["mae_of_median"],
                spearman=after["spearman"],
            )
        )
    if "within_half_step" in after:
        sentences.append(RATING_STEPS.format(half=after["within_half_step"], one=after["within_one_step"]))
    if "valid_json" in before and "valid_json" in after:
        sentences.append(_describe_json_fields(before, after))
    return sentences


def _describe_json_fields(before: dict[str, float], after: dict[str, float]) -> Message:
    base_shares = read_parts(before, FIELD_PREFIX)
    fields = [
        FIELD_SHARE.format(name=name, after=share, before=base_shares.get(name, 0.0))
        for name, share in read_parts(after, FIELD_PREFIX).items()
    ]
    return JSON_FIELDS.format(
        count=after["n_json_answers"], after=after["valid_json"], before=before["valid_json"], fields=fields
    )


def label_rows(report: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """The F1 of each label, before and after (0 to 1); 0 before where it was neither named nor meant."""
    scores = (runs.start_scores(report), dict(report.get("after") or {}))
    before, after = (read_parts(part, LABEL_PREFIX) for part in scores)
    return [(name, before.get(name, 0.0), score) for name, score in after.items()]


def describe_truncation(report: Mapping[str, Any]) -> Message | None:
    """How many examples were cut or dropped as too long; None where none was, or the report does not say."""
    texts = report.get("texts")
    if not isinstance(texts, Mapping) or "max_length" not in texts:
        return None
    cut, dropped = texts["cut"], max(texts["dropped"], _count_long_pairs(report))
    if not cut and not dropped:
        return None
    message = TEXTS_CUT_AND_DROPPED if dropped else TEXTS_CUT
    return (message if cut else TEXTS_DROPPED).format(length=texts["max_length"], cut=cut, dropped=dropped)


def _count_long_pairs(report: Mapping[str, Any]) -> int:
    """The pairs that a stage of RLHF left out: both answers of a pair have to fit."""
    notes = report.get("method")
    sections = notes.values() if isinstance(notes, Mapping) else ()
    pairs = [section.get("pairs") for section in sections if isinstance(section, Mapping)]
    return max((counts.get("too_long", 0) for counts in pairs if isinstance(counts, Mapping)), default=0)


def describe_kept_start(report: Mapping[str, Any]) -> Message | None:
    """That no step was better than the state before the first, which is the result; None where one was."""
    notes = report.get("method")
    is_linear_run = isinstance(notes, Mapping) and bool(notes.get("linear_head"))
    if report.get("best_step", 1) or is_linear_run:
        return None
    return LINEAR_MODEL_KEPT if report.get("linear_baseline") else START_KEPT


def describe_known_answers(report: Mapping[str, Any]) -> Message | None:
    """How many questions are answered rightly before and after; None where the report does not say."""
    n_questions = _read_score(report, "after", "n_questions")
    before, after = (_read_score(report, part, "answer_accuracy") for part in ("before", "after"))
    if not n_questions or before is None or after is None:
        return None
    low, high = wilson_interval(after * n_questions, n_questions)
    base_low, base_high = wilson_interval(before * n_questions, n_questions)
    return KNOWN_ANSWERS.format(
        asked=n_questions,
        before=before,
        base_low=base_low,
        base_high=base_high,
        after=after,
        low=low,
        high=high,
    )


def describe_own_openings(method_name: str, report: Mapping[str, Any]) -> Message | None:
    """What became of the perplexity of UPFT's own openings, and what that means; None for other methods."""
    before, after = (_read_score(report, part, "perplexity") for part in ("before", "after"))
    if method_name != "upft" or before is None or after is None:
        return None
    return OWN_OPENINGS.format(before=before, after=after)


def _read_score(report: Mapping[str, Any], part: str, name: str) -> float | None:
    scores = report.get(part)
    value = scores.get(name) if isinstance(scores, Mapping) else None
    return float(value) if isinstance(value, int | float) else None
