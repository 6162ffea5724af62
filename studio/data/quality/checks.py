"""The single checks of the health check: each looks for one problem in a data set and yields findings."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio import presets
from studio.data.examples import MIN_EXAMPLES
from studio.data.quality import base_languages, label_stats, language_id, pii, row_checks, surface_rules
from studio.data.quality.findings import (
    CONTRADICTION_FIX_LABELS,
    FINDING_ADVICE,
    KEEP_RATED,
    UNDECIDED_ROWS,
    USUAL_TEXTS,
    Finding,
    FindingOverrides,
    Grade,
    build_finding,
    grade_by_share,
)
from studio.data.quality.fixes import TEXT_FIXES
from studio.data.quality.minimum_examples import get_min_examples
from studio.data.quality.table_view import TableView, rewrite_cells
from studio.data.schema import doubts
from studio.i18n import Message
from studio.storage import ProgressCallback

# The stage (a key of health.CHECK_STAGES), how much of it is done, and how much there is to do.
StageCallback = Callable[[str, float, float], None]
# Below half of what a method wants, and below a fifth of it, rows are far too few (0–1); below so many rows
# the chooser advises against training.
HALF_OF_MINIMUM, FIFTH_OF_MINIMUM, MIN_ADVISED_ROWS = 0.5, 0.2, 50
# What these take from the score: fewer than a fifth, and only a handful.
FAR_TOO_FEW_COST, TOO_FEW_COST = 45, 25
# The rows are fine where only the base model is the wrong one for them.
UNKNOWN_LANGUAGE_COST = 10
# The largest label may be this many times the smallest, and have this share of all rows.
MAX_LABEL_RATIO, MAX_LABEL_SHARE = 10, 0.8
# Below this share the main language is not the only one; so many rows are looked at.
MIN_MAIN_LANGUAGE_SHARE, MAX_LANGUAGE_ROWS = 0.95, 2000
# From this share of a test set on, its result is worthless.
MAX_LEAKED_SHARE = 0.1
# Fewer pairs say little. With the whole interval above these shares (0–1), the surface of pairs is a hint or
# a warning: people do prefer somewhat longer answers, so some of it belongs to most pairs.
MIN_SURFACE_PAIRS, MIN_SURFACE_HINT, MIN_SURFACE_WARN = 20, 0.6, 0.75
MAX_SURFACE_PAIRS = 2000  # so many are looked at: a share is then known to 2 %
# How many labels or languages a finding names.
MAX_NAMES = 5
# English words and Chinese characters in a token, about.
WORDS_PER_TOKEN, CHARS_PER_TOKEN = 0.75, 1.4
# Characters of excerpts: of an input, of a text beside its near-duplicate, of a question, of an answer that
# contradicts another, and before the first change of a cell.
INPUT_CHARS, NEAR_DUPLICATE_CHARS, QUESTION_CHARS, ANSWER_CHARS, CHARS_BEFORE_CHANGE = 1000, 75, 80, 35, 60
# The doubts about a reading that are findings of their own, and how grave they are.
DOUBT_GRADES: dict[str, Grade] = {
    "machine_text": "stop",
    "links": "warn",
    "same_question": "warn",
    "unused_text": "hint",
}
MAX_DOUBT_CELLS, EXAMPLE_CHARS = 20, 40
THIS_METHOD = Message("this method")


def ignore_stages(_stage: str, _done: float, _total: float) -> None:
    """The progress callback that reports nothing."""


@dataclass(frozen=True)
class CheckOptions:
    """What a data set is checked against.

    Attributes:
        lengths: The tokens of each row's example (any number where a row makes none); None if nobody counted.
        max_length: The limit of these lengths (tokens); 0 for none.
        method: The id of the method, which decides how many examples are wanted; "" for methods in general.
        model: The base model, which should know the languages of the data; "" for none.
        test: Examples of a test set (role -> text) that must not occur in the table.
        on_progress: Called with the stage, the amount done and the total; may raise to end the check.
    """

    lengths: Sequence[int] | None = None
    max_length: int = 0
    method: str = ""
    model: str = ""
    test: Sequence[Mapping[str, str]] = ()
    on_progress: StageCallback = ignore_stages


@dataclass(frozen=True)
class CheckContext:
    """What every check gets: the data set as the checks see it, and the options."""

    view: TableView
    options: CheckOptions

    @property
    def total(self) -> int:
        """The number of rows."""
        return len(self.view.table.rows)

    def stage_callback(self, stage: str) -> ProgressCallback:
        """The progress callback of one stage."""
        return lambda done, total: self.options.on_progress(stage, done, total)

    def excerpts(self, rows: Sequence[int]) -> Iterator[str]:
        """The inputs and targets of rows."""
        for row in rows:
            parts = (self.view.input_texts[row][:INPUT_CHARS], self.view.target_texts[row])
            yield " → ".join(part for part in parts if part)


def _row_finding(
    context: CheckContext,
    kind: str,
    rows: Sequence[int],
    grade: Grade | None = None,
    overrides: FindingOverrides = USUAL_TEXTS,
    **values: Any,
) -> Iterator[Finding]:
    """A finding on these rows, graded by their share unless a grade is set; nothing if there are none."""
    if not rows:
        return
    grade = grade or grade_by_share(rows, context.total)
    yield build_finding(kind, grade, rows, context.excerpts(rows), overrides, total=context.total, **values)


def incomplete_rows(context: CheckContext) -> Iterator[Finding]:
    """Rows that lack a cell, and texts that nobody has labelled yet."""
    unlabelled = row_checks.find_unlabelled(context.view)
    if unlabelled:
        texts = (context.view.table.rows[row][context.view.columns["text"]] for row in unlabelled)
        overrides = FindingOverrides(cost=0)
        yield build_finding("unlabelled", "hint", unlabelled, texts, overrides, total=context.total)
    rows = row_checks.find_incomplete(context.view)
    if not rows:
        return
    used_columns = [column for column in context.view.columns.values() if column]
    excerpts = (
        " | ".join(context.view.table.rows[row][column] or "–" for column in used_columns) for row in rows
    )
    yield build_finding("empty", grade_by_share(rows, context.total), rows, excerpts, total=context.total)


def too_few_rows(context: CheckContext) -> Iterator[Finding]:
    """Too few complete rows to train at all, or for the method."""
    n_complete = len(context.view.complete_rows)
    if n_complete < MIN_EXAMPLES:
        yield build_finding(
            "few",
            "stop",
            (),
            (),
            FindingOverrides(message_key="too_few"),
            count=n_complete,
            full=n_complete,
            total=context.total,
            least=MIN_EXAMPLES,
        )
        return
    method = context.options.method
    minimum, why = get_min_examples(method, context.view.task)
    if n_complete >= minimum:
        return
    card = presets.methods().get(method)
    is_below_half = n_complete < HALF_OF_MINIMUM * minimum
    cost = None
    if n_complete < FIFTH_OF_MINIMUM * minimum:
        cost = FAR_TOO_FEW_COST
    elif is_below_half and n_complete < MIN_ADVISED_ROWS:
        cost = TOO_FEW_COST
    yield build_finding(
        "few",
        "warn" if is_below_half else "hint",
        (),
        (),
        FindingOverrides(why=why, cost=cost),
        count=n_complete,
        full=n_complete,
        least=minimum,
        method=card.name if card else THIS_METHOD,
    )


def exact_duplicates(context: CheckContext) -> Iterator[Finding]:
    """Rows that repeat an earlier one word for word."""
    yield from _row_finding(context, "duplicates", row_checks.find_duplicates(context.view))


def near_duplicates(context: CheckContext) -> Iterator[Finding]:
    """Rows that are nearly the same as another one."""
    view = context.view
    groups = row_checks.find_near_duplicates(view, context.stage_callback("near"))
    rows = sorted(row for group in groups for row in group[1:])
    if not rows:
        return

    def excerpt(group: Sequence[int]) -> str:
        first, second = (view.full_text(row) for row in group[:2])
        return " ≈ ".join(_excerpts_at_difference(first, second, NEAR_DUPLICATE_CHARS))

    grade = grade_by_share(rows, context.total)
    yield build_finding("near_duplicates", grade, rows, map(excerpt, groups), total=context.total)


def contradictory_answers(context: CheckContext) -> Iterator[Finding]:
    """The same question with different answers, and pairs whose two answers are the same."""
    view = context.view
    groups = row_checks.find_contradictions(view)
    rows = sorted(row for group in groups for row in group)
    if rows:
        message_key = {"classify": "two_labels", "prefer": "both_ways"}.get(view.task, "")
        strategy, dropped_rows = row_checks.resolve_contradictions(view, groups)
        n_undecided = len(row_checks.find_undecided(view, groups)) if strategy == "most" else 0
        why = None
        if n_undecided:
            advice = FINDING_ADVICE[message_key or "contradictions"]
            undecided = UNDECIDED_ROWS.format(undecided=n_undecided)
            why = Message("{why} {undecided}").format(why=advice, undecided=undecided)
        fix = CONTRADICTION_FIX_LABELS[strategy].format(drops=len(dropped_rows))
        yield build_finding(
            "contradictions",
            "warn" if message_key else grade_by_share(rows, context.total),
            rows,
            (_conflicting_answers(view, group) for group in groups),
            FindingOverrides(message_key, why, fix),
            total=context.total,
        )
    if view.task == "prefer":
        yield from _row_finding(context, "same_pairs", row_checks.find_identical_pairs(view), "warn")


def _conflicting_answers(view: TableView, group: Sequence[int]) -> str:
    """An excerpt of the question that rows share, and of two different answers to it."""
    first = group[0]
    other = next(
        row
        for row in group
        if row_checks.normalize_answer(view, row) != row_checks.normalize_answer(view, first)
    )
    answers = _excerpts_at_difference(view.target_texts[first], view.target_texts[other], ANSWER_CHARS)
    return f"{view.input_texts[first][:QUESTION_CHARS]} → {' | '.join(answers)}"


def _excerpts_at_difference(first: str, second: str, max_chars: int) -> tuple[str, str]:
    """Two texts in at most `max_chars` characters each, from shortly before the first difference."""
    if max(len(first), len(second)) <= max_chars:
        return first, second
    shorter_length = min(len(first), len(second))
    difference = _first_difference(first, second, default=shorter_length)
    start = max(0, difference - max_chars // 2)
    mark = "…" if start else ""
    return mark + first[start : start + max_chars], mark + second[start : start + max_chars]


def _first_difference(first: str, second: str, default: int) -> int:
    """The first position where two texts have different characters."""
    for position, (first_char, second_char) in enumerate(zip(first, second, strict=False)):
        if first_char != second_char:
            return position
    return default


def poor_answers(context: CheckContext) -> Iterator[Finding]:
    """Very short answers, the same answer to nearly everything, and answers that repeat the question."""
    view = context.view
    if view.task not in ("chat", "prefer"):
        return
    short_rows = row_checks.find_short_answers(view)
    yield from _row_finding(context, "short_answers", short_rows, "hint", limit=row_checks.MIN_ANSWER_WORDS)
    same_rows = row_checks.find_dominant_answer(view)
    share = len(same_rows) / max(1, len(view.complete_rows))
    yield from _row_finding(context, "same_answer", same_rows, "warn", share=share)
    yield from _row_finding(context, "echoes", row_checks.find_echoes(view))


def doubtful_reading(context: CheckContext) -> Iterator[Finding]:
    """Signs that what would be learned is not what somebody meant."""
    view = context.view
    for doubt in doubts.find_doubts(view.table, view.task, view.columns):
        if doubt.kind == "rated_answers":
            yield from _rated_answers(context, doubt.column)
        elif doubt.kind in DOUBT_GRADES:
            cells = [cell for row in view.table.rows[:MAX_DOUBT_CELLS] if (cell := row[doubt.column].strip())]
            yield build_finding(
                doubt.kind,
                DOUBT_GRADES[doubt.kind],
                (),
                cells,
                count=context.total,
                column=doubt.column,
                example=cells[0][:EXAMPLE_CHARS],
            )


def _rated_answers(context: CheckContext, column: str) -> Iterator[Finding]:
    """Answers that a column does not rate good, with the choice to learn the good ones alone."""
    ratings = doubts.read_ratings(context.view.table, column)
    rows = row_checks.find_badly_rated(context.view)
    best_first = ratings.good[::-1]
    overrides = FindingOverrides(fix=KEEP_RATED.format(good=_first_names(best_first)))
    yield from _row_finding(context, "rated_answers", rows, "warn", overrides, column=column)


def surface_of_pairs(context: CheckContext) -> Iterator[Finding]:
    """Pairs whose better answer shows in its length, opening, ending, marks or words."""
    view = context.view
    if view.task != "prefer":
        return
    rows = row_checks.sample_evenly(row_checks.find_pairs(view), MAX_SURFACE_PAIRS)
    better, worse = [view.texts[row][1] for row in rows], [view.texts[row][2] for row in rows]
    if len(set(better)) < MIN_SURFACE_PAIRS:
        return
    context.options.on_progress("surface", 0, len(rows))
    rule = surface_rules.find_best_rule(better, worse)
    ranking = surface_rules.measure_rule(rule, better, worse, surface_rules.N_RULES)
    probe = surface_rules.probe_words(better, worse)
    certain_share = max(ranking.low, probe.low)
    if certain_share <= MIN_SURFACE_HINT:
        return
    ranked_rows = [row for row in rows if surface_rules.prefers_better(rule, *view.texts[row][1:])]
    yield build_finding(
        "surface",
        "warn" if certain_share > MIN_SURFACE_WARN else "hint",
        ranked_rows,
        context.excerpts(ranked_rows),
        total=ranking.n,
        rule=rule.message,
        share=ranking.share,
        low=ranking.low,
        high=ranking.high,
        probed=probe.n,
        probe_share=probe.share,
        probe_low=probe.low,
        probe_high=probe.high,
    )


def unknown_languages(context: CheckContext) -> Iterator[Finding]:
    """Languages of the data that the base model hardly knows."""
    view = context.view
    languages = base_languages.find_languages([view.texts[row] for row in view.complete_rows], view.task)
    warning = base_languages.language_warning(languages, context.options.model)
    if warning:
        overrides = FindingOverrides(
            message=warning, why=base_languages.LANGUAGE_ADVICE, cost=UNKNOWN_LANGUAGE_COST
        )
        yield build_finding("base_language", "stop", (), (), overrides)


def too_long_texts(context: CheckContext) -> Iterator[Finding]:
    """Texts that exceed the limit, or that nobody could count.

    A plain text is never truncated, it becomes several chunks.
    """
    view, options = context.view, context.options
    if not options.max_length or view.task == "complete":
        return
    if options.lengths is None:
        yield _uncounted_finding(options.max_length)
        return
    is_prompts = view.task == "prompts"
    token_limit = options.max_length - is_prompts  # a question needs space for an answer after it
    rows = [row for row in view.complete_rows if options.lengths[row] > token_limit]
    share = len(rows) / max(1, len(view.complete_rows))
    if is_prompts:
        yield from _row_finding(context, "long_prompt", rows, share=share, limit=options.max_length)
        return
    overrides = USUAL_TEXTS
    if view.task == "classify":
        overrides = FindingOverrides(why=FINDING_ADVICE["cut_text"])
    elif view.task == "prefer":  # both answers of a pair are compared to their ends
        overrides = FindingOverrides(message_key="dropped")
    grade = grade_by_share(rows, len(view.complete_rows))
    yield from _row_finding(context, "cut", rows, grade, overrides, share=share, limit=options.max_length)


def _uncounted_finding(max_length: int) -> Finding:
    """Nobody could count the tokens; the finding names the limit in words and in Chinese characters too."""
    n_words = 10 * round(WORDS_PER_TOKEN * max_length / 10)
    n_chars = 10 * round(CHARS_PER_TOKEN * max_length / 10)
    words = Message("{n_words:,}").format(n_words=n_words, n_chars=n_chars)
    return build_finding("uncounted", "open", (), (), limit=max_length, words=words)


def test_leaks(context: CheckContext) -> Iterator[Finding]:
    """Rows that the test set holds too, word for word."""
    yield from _leak_finding(context, include_near=False)


def near_test_leaks(context: CheckContext) -> Iterator[Finding]:
    """Rows that the test set holds too, exactly or nearly so."""
    yield from _leak_finding(context, include_near=True)


def _leak_finding(context: CheckContext, include_near: bool) -> Iterator[Finding]:
    test = context.options.test
    if not test:
        return
    rows, n_leaked = row_checks.find_leaks(context.view, test, include_near, context.stage_callback("leak"))
    grade: Grade = "stop" if n_leaked >= MAX_LEAKED_SHARE * len(test) else "warn"
    yield from _row_finding(context, "leak", rows, grade, leaked=n_leaked, tested=len(test))


def label_problems(context: CheckContext) -> Iterator[Finding]:
    """Labels that are the only one, too many, unbalanced, rare, or spelled in several ways."""
    view = context.view
    row_labels = [name for row in view.complete_rows for name in view.labels[row]]
    if not row_labels:
        return
    yield from _respelled_labels(view)
    label_counts = label_stats.count_labels(row_labels).most_common()
    if len(label_counts) < 2:
        only_label, _ = label_counts[0]
        yield from _row_finding(context, "one_label", list(view.complete_rows), "stop", most=only_label)
        return
    if len(label_counts) * 2 > len(view.complete_rows):
        yield build_finding(
            "many_labels",
            "stop",
            view.complete_rows,
            (f"“{name}” ({n_rows})" for name, n_rows in label_counts),
            labels=len(label_counts),
            total=len(view.complete_rows),
        )
        return
    yield from _unbalanced_labels(context, label_counts)
    yield from _rare_labels(view, label_counts)


def _respelled_labels(view: TableView) -> Iterator[Finding]:
    respelled_rows = row_checks.find_respelled_labels(view)
    if not respelled_rows:
        return
    replacements = row_checks.map_label_spellings(view)
    names = [name for row in respelled_rows for name in view.labels[row] if name in replacements]
    pairs = Counter((name, replacements[name]) for name in names)
    names = [f"“{label}” / “{spelling}”" for (label, spelling), _ in pairs.most_common()]
    yield build_finding("alike_labels", "warn", respelled_rows, names, names=_first_names(names))


def _unbalanced_labels(context: CheckContext, label_counts: Sequence[tuple[str, int]]) -> Iterator[Finding]:
    view = context.view
    (most_common, max_count), (least_common, min_count) = label_counts[0], label_counts[-1]
    is_balanced = max_count <= MAX_LABEL_RATIO * min_count and max_count <= MAX_LABEL_SHARE * len(
        view.complete_rows
    )
    if is_balanced:
        return
    meaning = label_stats.normalize_label(most_common)
    rows = [
        row for row in view.complete_rows if meaning in map(label_stats.normalize_label, view.labels[row])
    ]
    yield from _row_finding(
        context, "unbalanced", rows, "warn", most=most_common, least=least_common, fewest=min_count
    )


def _rare_labels(view: TableView, label_counts: Sequence[tuple[str, int]]) -> Iterator[Finding]:
    names = [
        f"“{name}” ({n_rows})"
        for name, n_rows in reversed(label_counts)
        if n_rows < row_checks.MIN_LABEL_EXAMPLES
    ]
    if not names:
        return
    yield build_finding(
        "rare_labels",
        "warn",
        row_checks.find_rare_labels(view),
        names,
        names=_first_names(names),
        limit=row_checks.MIN_LABEL_EXAMPLES,
    )


def _first_names(names: Sequence[str]) -> tuple[str, ...]:
    if len(names) <= MAX_NAMES:
        return tuple(names)
    return (*names[:MAX_NAMES], "…")


def mixed_languages(context: CheckContext) -> Iterator[Finding]:
    """Texts in several languages.

    Inputs and answers are looked at separately, since a translation has one language in each.
    """
    view = context.view
    rows = row_checks.sample_evenly(view.complete_rows, MAX_LANGUAGE_ROWS)
    context.options.on_progress("languages", 0, len(rows))
    sides = [[view.input_texts[row] for row in rows]]
    if view.task in ("chat", "prefer"):
        sides.append([view.target_texts[row] for row in rows])
    mixes = [(language_id.detect_mix(texts), texts) for texts in sides]
    mix, texts = min(mixes, key=lambda pair: pair[0].share)
    if mix.share >= MIN_MAIN_LANGUAGE_SHARE:
        return
    yield build_finding(
        "languages",
        "hint",
        [rows[index] for index in mix.other_indices],
        (texts[index] for index in mix.other_indices),
        total=mix.n_texts,
        share=mix.share,
        main=language_id.language_name(mix.main),
        others=[language_id.language_name(language) for language in mix.others][:MAX_NAMES],
    )


def artifacts(context: CheckContext) -> Iterator[Finding]:
    """Personal data, HTML and garbled characters."""
    view = context.view
    for kind, rewrite in TEXT_FIXES.items():
        include_labels = kind != "personal"
        on_progress = context.stage_callback(kind)
        new_texts = rewrite_cells(view.table, view.task, view.columns, rewrite, include_labels, on_progress)
        rows = list(dict.fromkeys(row for row, _ in new_texts))
        if not rows:
            continue
        cells = {(row, column): view.table.rows[row][column] for row, column in new_texts}
        excerpts = (_excerpt_at_change(cells[position], text) for position, text in new_texts.items())
        values: dict[str, Any] = {"total": context.total}
        if kind == "personal":
            values["kinds"] = _count_pii_kinds(cells.values())
        yield build_finding(kind, "hint" if kind == "html" else "warn", rows, excerpts, **values)
    yield from _row_finding(context, "placeholders", row_checks.find_placeholders(context.view))
    yield from _row_finding(context, "lost", row_checks.find_lost_characters(view))


def _count_pii_kinds(cells: Iterable[str]) -> list[Message]:
    """The kinds of personal data in cells, the commonest first, each with how often it occurs."""
    counts = Counter(span.kind for cell in cells for span in pii.find_pii(cell))
    return [
        Message("{kind} ({count:,})").format(count=n, kind=pii.PII_KINDS[kind])
        for kind, n in counts.most_common()
    ]


def _excerpt_at_change(cell: str, rewritten_cell: str) -> str:
    """A cell from shortly before the position where it would be changed."""
    start = max(0, _first_difference(cell, rewritten_cell, default=0) - CHARS_BEFORE_CHANGE)
    return ("…" if start else "") + cell[start:]


Check = Callable[[CheckContext], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    incomplete_rows,
    exact_duplicates,
    contradictory_answers,
    doubtful_reading,
    poor_answers,
    surface_of_pairs,
    test_leaks,
    label_problems,
    mixed_languages,
    artifacts,
)
# The checks that depend on the method, the base model or the limit, and all kinds they may yield: when only
# these change, no other check needs to run again.
LIMIT_CHECKS: tuple[Check, ...] = (too_few_rows, too_long_texts, unknown_languages)
LIMIT_KINDS = frozenset(("few", "uncounted", "long_prompt", "cut", "base_language"))
# The checks that take long; their findings replace those of the same kind from the other checks.
SLOW_CHECKS: tuple[Check, ...] = (near_duplicates, near_test_leaks)
