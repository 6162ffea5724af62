"""Which rows a check is about: each function names the rows, what is said of them and what mends them stands elsewhere."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

from studio.data import labels, near, tidy
from studio.data.view import Tell, View, of, plain, together

# A label with fewer examples can hardly be learned and checked on: with a tenth kept aside, not one would be for checking.
RARE = 5
# An answer of fewer words (in Chinese and the like: characters) teaches little.
SHORT = 3
ALIKE = 0.8


def duplicates(view: View) -> list[int]:
    """Rows that say word for word what an earlier row says."""
    seen: set[Hashable] = set()
    found = []
    for row in view.full:
        said = (view.before[row], view.texts[row])
        if said in seen:
            found.append(row)
        seen.add(said)
    return found


def near_duplicates(view: View, tell: Tell = near.quiet) -> list[list[int]]:
    """Groups of rows that say nearly the same, the longest first in each; copies alone make no group, nor do texts with different labels."""
    numbers = near.groups([view.whole(row) for row in view.full], ALIKE, tell)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for number, row in zip(numbers, view.full, strict=True):
        groups[number, labels.key(view.answered[row]) if view.task == "classify" else ""].append(row)
    several = (rows for rows in groups.values() if len({(view.before[row], view.texts[row]) for row in rows}) > 1)
    return [sorted(rows, key=lambda row: (-len(view.whole(row)), row)) for rows in several]


def contradictions(view: View) -> list[list[int]]:
    """Groups of rows that ask the same but are answered differently; of pairs, those that prefer once the one and once the other answer."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for row in view.full if view.task != "complete" else ():
        if not view.answered[row]:
            continue
        pair = frozenset(map(plain, view.texts[row][1:])) if view.task == "prefer" else frozenset()
        groups[plain(view.before[row]), plain(view.asked[row]), pair].append(row)
    return [rows for rows in groups.values() if len({meant(view, row) for row in rows}) > 1]


def settled(view: View, groups: Sequence[Sequence[int]]) -> tuple[str, list[int]]:
    """How contradictions are settled at a click, and the rows that this drops: groups of rows that contradict each other are given.

    "most" keeps what most rows of a group say, and leaves the groups alone in which no answer prevails. Only where there is no other
    group, "first" keeps the first answer of a chat; of labels, pairs and known answers "all" keeps none, for one of them is wrong.
    """
    prevailing = [_prevailing(view, rows) for rows in groups]
    outvoted = [row for rows, best in zip(groups, prevailing, strict=True) if best is not None for row in rows if meant(view, row) != best]
    if outvoted or not groups:
        return "most", sorted(outvoted)
    if view.task == "chat":
        return "first", sorted(row for rows in groups for row in rows if meant(view, row) != meant(view, rows[0]))
    return "all", sorted(row for rows in groups for row in rows)


def undecided(view: View, groups: Sequence[Sequence[int]]) -> list[int]:
    """The rows of the groups in which no answer prevails."""
    return sorted(row for rows in groups if _prevailing(view, rows) is None for row in rows)


def _prevailing(view: View, rows: Sequence[int]) -> str | None:
    """The answer that more of the rows give than any other, if there is one."""
    (best, most), (_, second) = Counter(meant(view, row) for row in rows).most_common(2)
    return best if most > second else None


def meant(view: View, row: int) -> str:
    """What a row answers, whatever its spelling."""
    return labels.key(view.answered[row]) if view.task == "classify" else plain(view.answered[row])


def leaked(view: View, test: Sequence[Mapping[str, str]], close: bool, tell: Tell = near.quiet) -> tuple[list[int], int]:
    """Rows that also stand in the test set, and how many of its examples they give away; `close` counts those that are nearly the same."""
    parts = [of(example, view.task) for example in test]
    asked = {plain(question) for _, question, _ in parts}
    rows = {row for row in view.full if plain(view.asked[row]) in asked}
    known = {plain(view.asked[row]) for row in view.full}
    given = {number for number, (_, question, _) in enumerate(parts) if plain(question) in known}
    if close and parts:
        texts = [together(question, said, view.task) for _, question, said in parts]
        numbers = near.groups([*texts, *(view.whole(row) for row in view.full)], ALIKE, tell)
        tested, learned = numbers[: len(texts)], numbers[len(texts) :]
        shared = set(tested) & set(learned)
        rows |= {row for number, row in zip(learned, view.full, strict=True) if number in shared}
        given |= {number for number, group in enumerate(tested) if group in shared}
    return sorted(rows), len(given)


def rare(view: View) -> list[int]:
    """Rows whose label has fewer than RARE examples, alike spellings taken together."""
    found = [labels.key(view.answered[row]) for row in view.full]
    seen = Counter(found)
    return [row for row, name in zip(view.full, found, strict=True) if seen[name] < RARE]


def respelled(view: View) -> dict[int, str]:
    """Row -> the commonest spelling of its label, for the rows that spell it differently."""
    better = labels.spellings([view.answered[row] for row in view.full])
    return {row: better[name] for row in view.full if (name := view.answered[row].strip()) in better}


def short_answers(view: View) -> list[int]:
    """Rows whose answer has fewer than SHORT words."""
    return [row for row in view.full if len(view.answered[row]) < 100 and len(near.words(view.answered[row])) < SHORT]


def same_answer(view: View) -> list[int]:
    """Rows with the one answer that more than half of the rows have."""
    seen = Counter(plain(view.answered[row]) for row in view.full)
    said, count = seen.most_common(1)[0] if seen else ("", 0)
    return [row for row in view.full if plain(view.answered[row]) == said] if count * 2 > len(view.full) and count > 1 else []


def echoes(view: View) -> list[int]:
    """Rows whose answer is their question."""
    return [row for row in view.full if plain(view.asked[row]) == plain(view.answered[row])]


def same_pairs(view: View) -> list[int]:
    """Rows whose better answer is also the worse one."""
    return [row for row in view.full if len(set(map(plain, view.texts[row][1:]))) == 1]


def lost(view: View) -> list[int]:
    """Rows with the sign for a character that an earlier program could not read."""
    return [row for row in view.full if any(map(tidy.lost, view.texts[row]))]


def spread(rows: Iterable[int], most: int) -> list[int]:
    """At most `most` of the rows, evenly from the first to the last."""
    every = list(rows)
    return [every[len(every) * number // most] for number in range(most)] if len(every) > most else every
