"""Which rows a problem concerns: each function finds rows; texts and fixes are in `findings` and `fixes`."""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

from studio.data import targets
from studio.data.quality import cleaning, label_stats, near_duplicates
from studio.data.quality.table_view import TableView, extract_texts, join_texts, normalize_text
from studio.data.schema import doubts
from studio.storage import ProgressCallback, no_progress

# A label with fewer examples can hardly be learned and validated: with a tenth set aside, not one example
# would be for validation.
MIN_LABEL_EXAMPLES = 5
# An answer of fewer words (in Chinese and the like: characters) teaches little; a text of so many characters
# is never that short, so its words need not be counted.
MIN_ANSWER_WORDS, LONG_ANSWER_CHARS = 3, 100
NEAR_DUPLICATE_SIMILARITY = 0.8
# From so many texts without a label on they are an unlabelled part, and not gaps in the data.
MIN_UNLABELLED = 20
N_PAIR_TEXTS = 3  # of a pair: the question, the better and the worse answer
# What a template left for somebody or a program to fill in.
PLACEHOLDER = re.compile(
    r"\{\{[\w .\-]{1,60}\}\}|\{[a-z]+_[a-z_]{1,40}\}|%[A-Z]+_[A-Z_]{1,40}%"
    r"|\[(?:your|insert|enter|customer|company|first|last)\b[^\]\n]{0,40}\]|\[name\]",
    re.IGNORECASE,
)
PLACEHOLDER_SIGNS = "{[%"


def find_unlabelled(view: TableView) -> list[int]:
    """Rows with a text and no label; fewer than MIN_UNLABELLED are gaps in the data, and none is returned."""
    if view.columns.get("label", "") not in view.table.columns:
        return []
    text, label = view.columns["text"], view.columns["label"]
    cells = [view.table.rows[row] for row in view.incomplete_rows]
    rows = [
        row
        for row, cell in zip(view.incomplete_rows, cells, strict=True)
        if cell[text].strip() and not cell[label].strip()
    ]
    return rows if len(rows) >= MIN_UNLABELLED else []


def find_incomplete(view: TableView) -> list[int]:
    """Rows that lack a cell, without those that only wait for a label."""
    unlabelled = set(find_unlabelled(view))
    return [row for row in view.incomplete_rows if row not in unlabelled]


def find_duplicates(view: TableView) -> list[int]:
    """Rows that repeat an earlier row word for word."""
    seen: set[Hashable] = set()
    repeated_rows = []
    for row in view.complete_rows:
        content = (view.system_texts[row], view.texts[row])
        if content in seen:
            repeated_rows.append(row)
        seen.add(content)
    return repeated_rows


def find_near_duplicates(view: TableView, on_progress: ProgressCallback = no_progress) -> list[list[int]]:
    """Groups of rows that are nearly the same, the longest first in each.

    Exact copies alone make no group, nor do texts with different labels.
    """
    texts = [view.full_text(row) for row in view.complete_rows]
    group_ids = near_duplicates.group_texts(texts, NEAR_DUPLICATE_SIMILARITY, on_progress)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for group_id, row in zip(group_ids, view.complete_rows, strict=True):
        label = label_stats.normalize_label(view.target_texts[row]) if view.task == "classify" else ""
        groups[group_id, label].append(row)

    def has_different_texts(rows: Sequence[int]) -> bool:
        return len({(view.system_texts[row], view.texts[row]) for row in rows}) > 1

    def longest_first(row: int) -> tuple[int, int]:
        return -len(view.full_text(row)), row

    return [sorted(rows, key=longest_first) for rows in groups.values() if has_different_texts(rows)]


def find_contradictions(view: TableView) -> list[list[int]]:
    """Groups of rows with the same input but different answers; of pairs, with opposite preferences."""
    if view.task == "complete":
        return []
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for row in view.complete_rows:
        if not view.target_texts[row]:
            continue
        answers = map(normalize_text, view.texts[row][1:])
        pair = frozenset(answers) if view.task == "prefer" else frozenset()
        question = (normalize_text(view.system_texts[row]), normalize_text(view.input_texts[row]))
        groups[question, pair].append(row)
    return [rows for rows in groups.values() if len({normalize_answer(view, row) for row in rows}) > 1]


def resolve_contradictions(view: TableView, groups: Sequence[Sequence[int]]) -> tuple[str, list[int]]:
    """How the one-click fix resolves contradictions.

    "most" keeps what most rows of a group say, and leaves the groups alone in which no answer prevails. Where
    no answer prevails in any group, "first" keeps the first answer of a chat; of labels, pairs and known
    answers "all" keeps none, for one of them is wrong.

    Args:
        view: The data set.
        groups: Groups of rows that contradict each other, from `find_contradictions`.

    Returns:
        The strategy ("most", "first" or "all"), and the rows that it drops.
    """
    outvoted = [row for rows in groups for row in _outvoted_rows(view, rows)]
    if outvoted or not groups:
        return "most", sorted(outvoted)
    if view.task == "chat":
        return "first", sorted(row for rows in groups for row in _differing_rows(view, rows))
    return "all", sorted(row for rows in groups for row in rows)


def _outvoted_rows(view: TableView, rows: Sequence[int]) -> list[int]:
    """The rows of a group that do not give its majority answer; none where no answer prevails."""
    majority = _majority_answer(view, rows)
    if majority is None:
        return []
    return [row for row in rows if normalize_answer(view, row) != majority]


def _differing_rows(view: TableView, rows: Sequence[int]) -> list[int]:
    """The rows of a group that do not give the answer of its first row."""
    first_answer = normalize_answer(view, rows[0])
    return [row for row in rows if normalize_answer(view, row) != first_answer]


def find_undecided(view: TableView, groups: Sequence[Sequence[int]]) -> list[int]:
    """The rows of the groups in which no answer prevails."""
    return sorted(row for rows in groups if _majority_answer(view, rows) is None for row in rows)


def _majority_answer(view: TableView, rows: Sequence[int]) -> str | None:
    """The answer that more of the rows give than any other, if there is one."""
    answer_counts = Counter(normalize_answer(view, row) for row in rows)
    (best, best_count), (_, second_count) = answer_counts.most_common(2)
    return best if best_count > second_count else None


def normalize_answer(view: TableView, row: int) -> str:
    """The answer of a row, without differences of spelling that do not matter."""
    answer = view.target_texts[row]
    return label_stats.normalize_label(answer) if view.task == "classify" else normalize_text(answer)


def find_leaks(
    view: TableView,
    test: Sequence[Mapping[str, str]],
    include_near: bool,
    on_progress: ProgressCallback = no_progress,
) -> tuple[list[int], int]:
    """Rows that a test set holds too.

    Args:
        view: The data set.
        test: The examples of the test set (role -> text).
        include_near: Whether inputs that are nearly the same count as well.
        on_progress: Called with the steps done and their total.

    Returns:
        The rows, and how many examples of the test set they give away.
    """
    test_texts = [extract_texts(example, view.task) for example in test]
    test_inputs = [normalize_text(texts.input) for texts in test_texts]
    row_inputs = {row: normalize_text(view.input_texts[row]) for row in view.complete_rows}
    known_test_inputs, known_row_inputs = set(test_inputs), set(row_inputs.values())
    rows = {row for row, text in row_inputs.items() if text in known_test_inputs}
    leaked_tests = {index for index, text in enumerate(test_inputs) if text in known_row_inputs}
    if include_near and test_texts:
        joined_tests = [join_texts(texts.input, texts.parts, view.task) for texts in test_texts]
        joined_rows = [view.full_text(row) for row in view.complete_rows]
        group_ids = near_duplicates.group_texts(
            [*joined_tests, *joined_rows], NEAR_DUPLICATE_SIMILARITY, on_progress
        )
        test_groups, row_groups = group_ids[: len(joined_tests)], group_ids[len(joined_tests) :]
        shared = set(test_groups) & set(row_groups)
        rows |= {row for row, group in zip(view.complete_rows, row_groups, strict=True) if group in shared}
        leaked_tests |= {index for index, group in enumerate(test_groups) if group in shared}
    return sorted(rows), len(leaked_tests)


def find_rare_labels(view: TableView) -> list[int]:
    """Rows with a label that, in all its spellings, has fewer than MIN_LABEL_EXAMPLES examples."""
    meanings = {row: set(map(label_stats.normalize_label, view.labels[row])) for row in view.complete_rows}
    counts = Counter(meaning for row_meanings in meanings.values() for meaning in row_meanings)
    return [
        row
        for row, row_meanings in meanings.items()
        if any(counts[meaning] < MIN_LABEL_EXAMPLES for meaning in row_meanings)
    ]


def find_respelled_labels(view: TableView) -> dict[int, str]:
    """Row -> its cell with the most common spelling of each label, for rows that spell one differently."""
    replacements = map_label_spellings(view)
    respelled = {}
    for row in view.complete_rows:
        names = [replacements.get(name, name) for name in view.labels[row]]
        if names != list(view.labels[row]):
            respelled[row] = targets.dump_names(names) if "labels" in view.columns else names[0]
    return respelled


def map_label_spellings(view: TableView) -> dict[str, str]:
    """Spelling of a label -> its most common one, where they differ."""
    return label_stats.map_spellings([name for row in view.complete_rows for name in view.labels[row]])


def find_short_answers(view: TableView) -> list[int]:
    """Rows whose answer has fewer than MIN_ANSWER_WORDS words."""

    def is_short(answer: str) -> bool:
        return len(answer) < LONG_ANSWER_CHARS and len(near_duplicates.split_words(answer)) < MIN_ANSWER_WORDS

    return [row for row in view.complete_rows if is_short(view.target_texts[row])]


def find_dominant_answer(view: TableView) -> list[int]:
    """The rows with the same answer, where more than half of the rows have it."""
    answers = {row: normalize_text(view.target_texts[row]) for row in view.complete_rows}
    if not answers:
        return []
    commonest, count = Counter(answers.values()).most_common(1)[0]
    if count < 2 or count * 2 <= len(answers):
        return []
    return [row for row, answer in answers.items() if answer == commonest]


def find_echoes(view: TableView) -> list[int]:
    """Rows whose answer is their question."""
    return [
        row
        for row in view.complete_rows
        if normalize_text(view.input_texts[row]) == normalize_text(view.target_texts[row])
    ]


def find_placeholders(view: TableView) -> list[int]:
    """Rows with a placeholder that nobody filled in."""
    return [row for row in view.complete_rows if any(map(_has_placeholder, view.texts[row]))]


def _has_placeholder(text: str) -> bool:
    return any(sign in text for sign in PLACEHOLDER_SIGNS) and bool(PLACEHOLDER.search(text))


def find_badly_rated(view: TableView) -> list[int]:
    """The rows whose answer is not rated good by the first column that rates answers."""
    rating_columns = doubts.rating_columns(view.table, view.task, view.columns)
    if not rating_columns:
        return []
    column = rating_columns[0]
    bad = set(doubts.read_ratings(view.table, column).bad)
    return [row for row, cells in enumerate(view.table.rows) if cells[column].strip() in bad]


def find_identical_pairs(view: TableView) -> list[int]:
    """Rows whose better answer is also the worse one."""
    return [row for row in find_pairs(view) if len(set(map(normalize_text, view.texts[row][1:]))) == 1]


def find_pairs(view: TableView) -> list[int]:
    """The rows with a better and a worse answer; an answer that was only rated is alone."""
    return [row for row in view.complete_rows if len(view.texts[row]) == N_PAIR_TEXTS]


def find_lost_characters(view: TableView) -> list[int]:
    """Rows with traces of characters that an earlier program could not read."""
    return [row for row in view.complete_rows if any(map(cleaning.has_lost_characters, view.texts[row]))]


def sample_evenly(rows: Iterable[int], max_rows: int) -> list[int]:
    """At most `max_rows` of the rows, evenly from the first to the last."""
    all_rows = list(rows)
    if len(all_rows) <= max_rows:
        return all_rows
    return [all_rows[len(all_rows) * index // max_rows] for index in range(max_rows)]
