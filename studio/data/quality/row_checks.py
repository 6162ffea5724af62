"""Which rows a check is about: each function names the rows, what is said of them and what mends them stands elsewhere."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

from studio.data.quality import cleaning, label_stats
from studio.data.quality import near_duplicates as quality_near_duplicates
from studio.data.quality.table_view import StepCallback, TableView, extract_texts, join_texts, normalize_text

# A label with fewer examples can hardly be learned and checked on: with a tenth kept aside, not one would be for checking.
MIN_LABEL_EXAMPLES = 5
# An answer of fewer words (in Chinese and the like: characters) teaches little.
MIN_ANSWER_WORDS = 3
NEAR_DUPLICATE_SIMILARITY = 0.8


def find_duplicates(view: TableView) -> list[int]:
    """Rows that say word for word what an earlier row says."""
    seen: set[Hashable] = set()
    repeated_rows = []
    for row in view.complete_rows:
        content = (view.system_texts[row], view.texts[row])
        if content in seen:
            repeated_rows.append(row)
        seen.add(content)
    return repeated_rows


def find_near_duplicates(
    view: TableView, on_progress: StepCallback = quality_near_duplicates.ignore_steps
) -> list[list[int]]:
    """Groups of rows that say nearly the same, the longest first in each; copies alone make no group, nor do texts with different labels."""
    group_ids = quality_near_duplicates.group_texts(
        [view.full_text(row) for row in view.complete_rows], NEAR_DUPLICATE_SIMILARITY, on_progress
    )
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for group_id, row in zip(group_ids, view.complete_rows, strict=True):
        groups[
            group_id, label_stats.normalize_label(view.target_texts[row]) if view.task == "classify" else ""
        ].append(row)
    distinct_groups = (
        rows
        for rows in groups.values()
        if len({(view.system_texts[row], view.texts[row]) for row in rows}) > 1
    )
    return [sorted(rows, key=lambda row: (-len(view.full_text(row)), row)) for rows in distinct_groups]


def find_contradictions(view: TableView) -> list[list[int]]:
    """Groups of rows that ask the same but are answered differently; of pairs, those that prefer once the one and once the other answer."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for row in view.complete_rows if view.task != "complete" else ():
        if not view.target_texts[row]:
            continue
        pair = frozenset(map(normalize_text, view.texts[row][1:])) if view.task == "prefer" else frozenset()
        groups[normalize_text(view.system_texts[row]), normalize_text(view.input_texts[row]), pair].append(
            row
        )
    return [rows for rows in groups.values() if len({normalize_answer(view, row) for row in rows}) > 1]


def resolve_contradictions(view: TableView, groups: Sequence[Sequence[int]]) -> tuple[str, list[int]]:
    """How contradictions are settled at a click, and the rows that this drops: groups of rows that contradict each other are given.

    "most" keeps what most rows of a group say, and leaves the groups alone in which no answer prevails. Only where there is no other
    group, "first" keeps the first answer of a chat; of labels, pairs and known answers "all" keeps none, for one of them is wrong.
    """
    majority_answers = [_majority_answer(view, rows) for rows in groups]
    outvoted = [
        row
        for rows, majority in zip(groups, majority_answers, strict=True)
        if majority is not None
        for row in rows
        if normalize_answer(view, row) != majority
    ]
    if outvoted or not groups:
        return "most", sorted(outvoted)
    if view.task == "chat":
        return "first", sorted(
            row
            for rows in groups
            for row in rows
            if normalize_answer(view, row) != normalize_answer(view, rows[0])
        )
    return "all", sorted(row for rows in groups for row in rows)


def find_undecided(view: TableView, groups: Sequence[Sequence[int]]) -> list[int]:
    """The rows of the groups in which no answer prevails."""
    return sorted(row for rows in groups if _majority_answer(view, rows) is None for row in rows)


def _majority_answer(view: TableView, rows: Sequence[int]) -> str | None:
    """The answer that more of the rows give than any other, if there is one."""
    (best, best_count), (_, second_count) = Counter(normalize_answer(view, row) for row in rows).most_common(
        2
    )
    return best if best_count > second_count else None


def normalize_answer(view: TableView, row: int) -> str:
    """What a row answers, whatever its spelling."""
    return (
        label_stats.normalize_label(view.target_texts[row])
        if view.task == "classify"
        else normalize_text(view.target_texts[row])
    )


def find_leaks(
    view: TableView,
    test: Sequence[Mapping[str, str]],
    include_near: bool,
    on_progress: StepCallback = quality_near_duplicates.ignore_steps,
) -> tuple[list[int], int]:
    """Rows that also stand in the test set, and how many of its examples they give away; `close` counts those that are nearly the same."""
    test_parts = [extract_texts(example, view.task) for example in test]
    test_inputs = {normalize_text(question) for _, question, _ in test_parts}
    rows = {row for row in view.complete_rows if normalize_text(view.input_texts[row]) in test_inputs}
    row_inputs = {normalize_text(view.input_texts[row]) for row in view.complete_rows}
    leaked_tests = {
        number for number, (_, question, _) in enumerate(test_parts) if normalize_text(question) in row_inputs
    }
    if include_near and test_parts:
        texts = [join_texts(question, example_texts, view.task) for _, question, example_texts in test_parts]
        group_ids = quality_near_duplicates.group_texts(
            [*texts, *(view.full_text(row) for row in view.complete_rows)],
            NEAR_DUPLICATE_SIMILARITY,
            on_progress,
        )
        test_groups, row_groups = group_ids[: len(texts)], group_ids[len(texts) :]
        shared_groups = set(test_groups) & set(row_groups)
        rows |= {
            row for number, row in zip(row_groups, view.complete_rows, strict=True) if number in shared_groups
        }
        leaked_tests |= {number for number, group in enumerate(test_groups) if group in shared_groups}
    return sorted(rows), len(leaked_tests)


def find_rare_labels(view: TableView) -> list[int]:
    """Rows whose label has fewer than RARE examples, alike spellings taken together."""
    label_keys = [label_stats.normalize_label(view.target_texts[row]) for row in view.complete_rows]
    key_counts = Counter(label_keys)
    return [
        row
        for row, label_key in zip(view.complete_rows, label_keys, strict=True)
        if key_counts[label_key] < MIN_LABEL_EXAMPLES
    ]


def find_respelled_labels(view: TableView) -> dict[int, str]:
    """Row -> the commonest spelling of its label, for the rows that spell it differently."""
    replacements = label_stats.map_spellings([view.target_texts[row] for row in view.complete_rows])
    return {
        row: replacements[name]
        for row in view.complete_rows
        if (name := view.target_texts[row].strip()) in replacements
    }


def find_short_answers(view: TableView) -> list[int]:
    """Rows whose answer has fewer than SHORT words."""
    return [
        row
        for row in view.complete_rows
        if len(view.target_texts[row]) < 100
        and len(quality_near_duplicates.split_words(view.target_texts[row])) < MIN_ANSWER_WORDS
    ]


def find_dominant_answer(view: TableView) -> list[int]:
    """Rows with the one answer that more than half of the rows have."""
    answer_counts = Counter(normalize_text(view.target_texts[row]) for row in view.complete_rows)
    commonest, count = answer_counts.most_common(1)[0] if answer_counts else ("", 0)
    return (
        [row for row in view.complete_rows if normalize_text(view.target_texts[row]) == commonest]
        if count * 2 > len(view.complete_rows) and count > 1
        else []
    )


def find_echoes(view: TableView) -> list[int]:
    """Rows whose answer is their question."""
    return [
        row
        for row in view.complete_rows
        if normalize_text(view.input_texts[row]) == normalize_text(view.target_texts[row])
    ]


def find_identical_pairs(view: TableView) -> list[int]:
    """Rows whose better answer is also the worse one."""
    return [row for row in view.complete_rows if len(set(map(normalize_text, view.texts[row][1:]))) == 1]


def find_lost_characters(view: TableView) -> list[int]:
    """Rows with the sign for a character that an earlier program could not read."""
    return [row for row in view.complete_rows if any(map(cleaning.has_lost_characters, view.texts[row]))]


def sample_evenly(rows: Iterable[int], max_rows: int) -> list[int]:
    """At most `most` of the rows, evenly from the first to the last."""
    all_rows = list(rows)
    return (
        [all_rows[len(all_rows) * number // max_rows] for number in range(max_rows)]
        if len(all_rows) > max_rows
        else all_rows
    )
