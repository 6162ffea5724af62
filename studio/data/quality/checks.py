"""The single looks of the health check: each looks for one thing in a data set and says what it found, or nothing."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio import presets
from studio.data.examples import MIN_EXAMPLES
from studio.data.quality import cleaning, label_stats, language_id, pii, row_checks
from studio.data.quality.findings import (
    CONTRADICTION_FIX_LABELS,
    FINDING_ADVICE,
    UNDECIDED_ROWS,
    Finding,
    Grade,
    build_finding,
    grade_by_share,
)
from studio.data.quality.minimum_examples import get_min_examples
from studio.data.quality.table_view import TableView, rewrite_cells
from studio.i18n import Message

StageCallback = Callable[[str, int, int], None]
# Below half of what a method wants, and below a fifth of it, rows are far too few (0–1); below so many the chooser advises against training.
HALF_OF_MINIMUM, FIFTH_OF_MINIMUM, MIN_ADVISED_ROWS = 0.5, 0.2, 50
# What these take from the score, a fifth and a handful.
FAR_TOO_FEW_COST, TOO_FEW_COST = 45, 25
# The largest label may be this many times the smallest, and have this share of all rows.
MAX_LABEL_RATIO, MAX_LABEL_SHARE = 10, 0.8
# Below this share the main language is not the only one; so many rows are looked at.
MIN_MAIN_LANGUAGE_SHARE, MAX_LANGUAGE_ROWS = 0.95, 2000
# From this share of a test set on, its verdict is worthless.
MAX_LEAKED_SHARE = 0.1
MAX_NAMES = 5
# English words and Chinese characters in a token, about.
WORDS_PER_TOKEN, CHARS_PER_TOKEN = 0.75, 1.4
THIS_METHOD = Message("this method")


@dataclass(frozen=True)
class CheckContext:
    """What the looks are told: the data set as they see it, each row's tokens and their limit, the method, the test set, who listens."""

    view: TableView
    lengths: Sequence[int] | None
    max_length: int
    method: str
    test: Sequence[Mapping[str, str]]
    on_progress: StageCallback

    @property
    def total(self) -> int:
        """The number of rows."""
        return len(self.view.table.rows)

    def stage_callback(self, stage: str) -> Callable[[int, int], None]:
        """Who listens to a stage's progress."""
        return lambda done, total: self.on_progress(stage, done, total)

    def excerpts(self, rows: Sequence[int]) -> Iterator[str]:
        """What rows ask and answer."""
        return (
            " → ".join(filter(None, (self.view.input_texts[row][:1000], self.view.target_texts[row])))
            for row in rows
        )


def _row_finding(
    context: CheckContext,
    kind: str,
    rows: Sequence[int],
    grade: Grade | None = None,
    message_key: str = "",
    **values: Any,
) -> Iterator[Finding]:
    if rows:
        excerpts = context.excerpts(rows)
        yield build_finding(
            kind,
            grade or grade_by_share(rows, context.total),
            rows,
            excerpts,
            message_key=message_key,
            total=context.total,
            **values,
        )


def incomplete_rows(context: CheckContext) -> Iterator[Finding]:
    """Empty rows."""
    rows = context.view.incomplete_rows
    used = [column for column in context.view.columns.values() if column]
    excerpts = (" | ".join(context.view.table.rows[row][column] or "–" for column in used) for row in rows)
    if rows:
        yield build_finding("empty", grade_by_share(rows, context.total), rows, excerpts, total=context.total)


def too_few_rows(context: CheckContext) -> Iterator[Finding]:
    """Too few rows that are not empty."""
    n_complete = len(context.view.complete_rows)
    minimum, why = get_min_examples(context.method, context.view.task)
    if n_complete < MIN_EXAMPLES:
        yield build_finding(
            "few",
            "stop",
            (),
            (),
            message_key="too_few",
            count=n_complete,
            full=n_complete,
            total=context.total,
            least=MIN_EXAMPLES,
        )
    elif n_complete < minimum:
        card = presets.methods().get(context.method)
        name, is_below_half = card.name if card else THIS_METHOD, n_complete < HALF_OF_MINIMUM * minimum
        cost = (
            FAR_TOO_FEW_COST
            if n_complete < FIFTH_OF_MINIMUM * minimum
            else TOO_FEW_COST
            if is_below_half and n_complete < MIN_ADVISED_ROWS
            else None
        )
        yield build_finding(
            "few",
            "warn" if is_below_half else "hint",
            (),
            (),
            why=why,
            cost=cost,
            count=n_complete,
            full=n_complete,
            least=minimum,
            method=name,
        )


def exact_duplicates(context: CheckContext) -> Iterator[Finding]:
    """Exact duplicates."""
    yield from _row_finding(context, "duplicates", row_checks.find_duplicates(context.view))


def near_duplicates(context: CheckContext) -> Iterator[Finding]:
    """Near duplicates."""
    groups = row_checks.find_near_duplicates(context.view, context.stage_callback("near"))
    rows = sorted(row for group in groups for row in group[1:])
    if rows:
        excerpts = (
            " ≈ ".join(
                _excerpts_at_difference(
                    context.view.full_text(group[0]), context.view.full_text(group[1]), 75
                )
            )
            for group in groups
        )
        yield build_finding(
            "near_duplicates", grade_by_share(rows, context.total), rows, excerpts, total=context.total
        )


def contradictory_answers(context: CheckContext) -> Iterator[Finding]:
    """The same question with different answers, and pairs that prefer nothing."""
    view = context.view
    groups = row_checks.find_contradictions(view)
    rows = sorted(row for group in groups for row in group)
    if rows:
        message_key = {"classify": "two_labels", "prefer": "both_ways"}.get(view.task, "")
        grade = "warn" if message_key else grade_by_share(rows, context.total)
        excerpts, (strategy, dropped_rows) = (
            (_conflicting_answers(view, group) for group in groups),
            row_checks.resolve_contradictions(view, groups),
        )
        n_undecided = len(row_checks.find_undecided(view, groups)) if strategy == "most" else 0
        why = (
            Message("{why} {rest}").format(
                why=FINDING_ADVICE[message_key or "contradictions"],
                rest=UNDECIDED_ROWS.format(rest=n_undecided),
            )
            if n_undecided
            else None
        )
        fix = CONTRADICTION_FIX_LABELS[strategy].format(drops=len(dropped_rows))
        yield build_finding(
            "contradictions",
            grade,
            rows,
            excerpts,
            message_key=message_key,
            why=why,
            fix=fix,
            total=context.total,
        )
    if view.task == "prefer":
        yield from _row_finding(context, "same_pairs", row_checks.find_identical_pairs(view), "warn")


def _conflicting_answers(view: TableView, group: Sequence[int]) -> str:
    """What rows ask, and two different answers of theirs."""
    other = next(
        row
        for row in group
        if row_checks.normalize_answer(view, row) != row_checks.normalize_answer(view, group[0])
    )
    return f"{view.input_texts[group[0]][:80]} → {' | '.join(_excerpts_at_difference(view.target_texts[group[0]], view.target_texts[other], 35))}"


def _excerpts_at_difference(first: str, second: str, max_chars: int) -> tuple[str, str]:
    """Two texts in at most so many characters each, from shortly before the place where they differ."""
    common_length = next(
        (index for index, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
        min(len(first), len(second)),
    )
    start = max(0, common_length - max_chars // 2) if max(len(first), len(second)) > max_chars else 0
    mark = "…" if start else ""
    return mark + first[start : start + max_chars], mark + second[start : start + max_chars]


def poor_answers(context: CheckContext) -> Iterator[Finding]:
    """Very short answers, one answer to nearly everything, and questions given back."""
    if context.view.task not in ("chat", "prefer"):
        return
    yield from _row_finding(
        context,
        "short_answers",
        row_checks.find_short_answers(context.view),
        "hint",
        limit=row_checks.MIN_ANSWER_WORDS,
    )
    same_answer_rows = row_checks.find_dominant_answer(context.view)
    yield from _row_finding(
        context,
        "same_answer",
        same_answer_rows,
        "warn",
        share=len(same_answer_rows) / max(1, len(context.view.complete_rows)),
    )
    yield from _row_finding(context, "echoes", row_checks.find_echoes(context.view))


def too_long_texts(context: CheckContext) -> Iterator[Finding]:
    """Texts cut at the limit, or that nobody could count; a plain text is never cut, it becomes several pieces."""
    if not context.max_length or context.view.task == "complete":
        return
    if context.lengths is None:
        n_words, n_chars = (
            10 * round(per_token * context.max_length / 10)
            for per_token in (WORDS_PER_TOKEN, CHARS_PER_TOKEN)
        )
        yield build_finding(
            "uncounted",
            "open",
            (),
            (),
            limit=context.max_length,
            some=Message("{n_words:,}").format(n_words=n_words, n_chars=n_chars),
        )
        return
    token_counts = [context.lengths[row] for row in context.view.complete_rows]
    is_prompts = context.view.task == "prompts"  # a question needs room for an answer after it
    rows = [
        row
        for row, n_tokens in zip(context.view.complete_rows, token_counts, strict=True)
        if n_tokens + is_prompts > context.max_length
    ]
    share = len(rows) / max(1, len(token_counts))
    if is_prompts:
        yield from _row_finding(context, "long_prompt", rows, share=share, limit=context.max_length)
    elif rows:
        why = FINDING_ADVICE["cut_text"] if context.view.task == "classify" else None
        excerpts = context.excerpts(rows)
        yield build_finding(
            "cut",
            grade_by_share(rows, len(token_counts)),
            rows,
            excerpts,
            why=why,
            total=context.total,
            share=share,
            limit=context.max_length,
        )


def test_leaks(context: CheckContext) -> Iterator[Finding]:
    """Rows that stand in the test set as well, word for word."""
    yield from _leak_finding(context, include_near=False)


def near_test_leaks(context: CheckContext) -> Iterator[Finding]:
    """Rows that stand in the test set as well, as they are or nearly so."""
    yield from _leak_finding(context, include_near=True)


def _leak_finding(context: CheckContext, include_near: bool) -> Iterator[Finding]:
    rows, n_leaked = (
        row_checks.find_leaks(context.view, context.test, include_near, context.stage_callback("leak"))
        if context.test
        else ([], 0)
    )
    grade: Grade = "stop" if n_leaked >= MAX_LEAKED_SHARE * len(context.test) else "warn"
    yield from _row_finding(context, "leak", rows, grade, given=n_leaked, tested=len(context.test))


def label_problems(context: CheckContext) -> Iterator[Finding]:
    """Labels that are alone, too many, unbalanced, rare, or spelled in several ways."""
    view = context.view
    row_labels = [view.target_texts[row] for row in view.complete_rows]
    if view.task != "classify" or not row_labels:
        return
    respelled_rows = row_checks.find_respelled_labels(view)
    if respelled_rows:
        pairs = Counter(
            (row_labels[index], respelled_rows[row])
            for index, row in enumerate(view.complete_rows)
            if row in respelled_rows
        )
        names = [f"“{label}” / “{spelling}”" for label, spelling in dict(pairs.most_common())]
        yield build_finding("alike_labels", "warn", respelled_rows, names, names=_first_names(names))
    label_counts = label_stats.count_labels(row_labels).most_common()
    (most_common, max_count), (least_common, min_count) = label_counts[0], label_counts[-1]
    if len(label_counts) < 2:
        yield from _row_finding(context, "one_label", list(view.complete_rows), "stop", most=most_common)
    elif len(label_counts) * 2 > len(row_labels):
        yield build_finding(
            "many_labels",
            "stop",
            view.complete_rows,
            (f"“{name}” ({n_rows})" for name, n_rows in label_counts),
            labels=len(label_counts),
            total=len(row_labels),
        )
    else:
        if max_count > MAX_LABEL_RATIO * min_count or max_count > MAX_LABEL_SHARE * len(row_labels):
            rows = [
                row
                for row in view.complete_rows
                if label_stats.normalize_label(view.target_texts[row])
                == label_stats.normalize_label(most_common)
            ]
            yield from _row_finding(
                context, "unbalanced", rows, "warn", most=most_common, least=least_common, fewest=min_count
            )
        names = [
            f"“{name}” ({n_rows})"
            for name, n_rows in reversed(label_counts)
            if n_rows < row_checks.MIN_LABEL_EXAMPLES
        ]
        if names:
            yield build_finding(
                "rare_labels",
                "warn",
                row_checks.find_rare_labels(view),
                names,
                names=_first_names(names),
                limit=row_checks.MIN_LABEL_EXAMPLES,
            )


def _first_names(names: Sequence[str]) -> tuple[str, ...]:
    return (*names[:MAX_NAMES], *(["…"] if len(names) > MAX_NAMES else []))


def mixed_languages(context: CheckContext) -> Iterator[Finding]:
    """Texts in several languages; questions and answers are looked at by themselves, since a translation has one in each."""
    view = context.view
    rows = row_checks.sample_evenly(view.complete_rows, MAX_LANGUAGE_ROWS)
    context.on_progress("languages", 0, len(rows))
    sides = [[view.input_texts[row] for row in rows]]
    sides += [[view.target_texts[row] for row in rows]] if view.task in ("chat", "prefer") else []
    mix, texts = min(((language_id.detect_mix(side), side) for side in sides), key=lambda pair: pair[0].share)
    if mix.share < MIN_MAIN_LANGUAGE_SHARE:
        language_names = language_id.LANGUAGE_NAMES
        other_languages = [language_names.get(language, Message(language)) for language in mix.others][
            :MAX_NAMES
        ]
        values: dict[str, Any] = {
            "total": mix.n_texts,
            "share": mix.share,
            "main": language_names.get(mix.main, Message(mix.main)),
            "others": other_languages,
        }
        yield build_finding(
            "languages",
            "hint",
            [rows[index] for index in mix.other_indices],
            (texts[index] for index in mix.other_indices),
            **values,
        )


def artifacts(context: CheckContext) -> Iterator[Finding]:
    """Personal data, HTML and garbled characters."""
    view = context.view
    for kind, rewrite in TEXT_FIXES.items():
        rewritten_cells = rewrite_cells(
            view.table, view.task, view.columns, rewrite, kind != "personal", context.stage_callback(kind)
        )
        rows = list(dict.fromkeys(row for row, _ in rewritten_cells))
        if not rows:
            continue
        excerpts = (
            _excerpt_at_change(view.table.rows[row][column], text)
            for (row, column), text in rewritten_cells.items()
        )
        values: dict[str, Any] = {"total": context.total}
        if kind == "personal":
            kind_counts = Counter(
                item.kind
                for row, column in rewritten_cells
                for item in pii.find_pii(view.table.rows[row][column])
            )
            kind_messages = {
                entry: Message("{kind} ({count:,})").format(count=n, kind=pii.PII_KINDS[entry])
                for entry, n in kind_counts.most_common()
            }
            values["kinds"] = list(kind_messages.values())
        yield build_finding(kind, "hint" if kind == "html" else "warn", rows, excerpts, **values)
    yield from _row_finding(context, "lost", row_checks.find_lost_characters(view))


TEXT_FIXES: dict[str, Callable[[str], str]] = {
    "personal": pii.mask_pii,
    "html": cleaning.strip_html,
    "mojibake": cleaning.fix_mojibake,
}


def _excerpt_at_change(cell: str, rewritten_cell: str) -> str:
    """A cell from shortly before the place where it would be changed."""
    first_change = next(
        (
            index
            for index, (old_char, new_char) in enumerate(zip(cell, rewritten_cell, strict=False))
            if old_char != new_char
        ),
        0,
    )
    start = max(0, first_change - 60)
    return ("…" if start else "") + cell[start:]


Check = Callable[[CheckContext], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    incomplete_rows,
    exact_duplicates,
    contradictory_answers,
    poor_answers,
    test_leaks,
    label_problems,
    mixed_languages,
    artifacts,
)
# Those that hang on the method or the length, and all they may find: nothing else need be looked at again when one of the two changes.
LIMIT_CHECKS: tuple[Check, ...] = (too_few_rows, too_long_texts)
LIMIT_KINDS = frozenset(("few", "uncounted", "long_prompt", "cut"))
# Those that take long; what they find stands for what the others found of its kind.
SLOW_CHECKS: tuple[Check, ...] = (near_duplicates, near_test_leaks)
