"""The single looks of the health check: each looks for one thing in a data set and says what it found, or nothing."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio import presets
from studio.data import faults, labels, languages, personal, tidy
from studio.data.enough import wanted
from studio.data.findings import SETTLED, UNDECIDED, WHY, Finding, Grade, by_share, finding
from studio.data.prepare import LEAST_EXAMPLES
from studio.data.view import View, rewritten
from studio.words import Words

Tell = Callable[[str, int, int], None]
# Below half of what a method wants, and below a fifth of it, rows are far too few (0–1); below so many the chooser advises against training.
HALF, FIFTH, HANDFUL = 0.5, 0.2, 50
# What these take from the score, a fifth and a handful.
FAR_OFF, TOO_FEW = 45, 25
# The largest label may be this many times the smallest, and have this share of all rows.
TIMES, SHARE = 10, 0.8
# Below this share the main language is not the only one; so many rows are looked at.
ONE_LANGUAGE, LOOKED_AT = 0.95, 2000
# From this share of a test set on, its verdict is worthless.
GIVEN_AWAY = 0.1
MOST_NAMES = 5
# English words and Chinese characters in a token, about.
A_WORD, A_CHARACTER = 0.75, 1.4
METHOD = Words("this method", "所选方法")


@dataclass(frozen=True)
class Case:
    """What the looks are told: the data set as they see it, each row's tokens and their limit, the method, the test set, who listens."""

    view: View
    lengths: Sequence[int] | None
    max_length: int
    method: str
    test: Sequence[Mapping[str, str]]
    tell: Tell

    @property
    def total(self) -> int:
        """The number of rows."""
        return len(self.view.table.rows)

    def listen(self, stage: str) -> Callable[[int, int], None]:
        """Who listens to a stage's progress."""
        return lambda done, total: self.tell(stage, done, total)

    def excerpts(self, rows: Sequence[int]) -> Iterator[str]:
        """What rows ask and answer."""
        return (" → ".join(filter(None, (self.view.asked[row][:1000], self.view.answered[row]))) for row in rows)


def _rows(case: Case, kind: str, rows: Sequence[int], grade: Grade | None = None, said: str = "", **values: Any) -> Iterator[Finding]:
    if rows:
        shown = case.excerpts(rows)
        yield finding(kind, grade or by_share(rows, case.total), rows, shown, said=said, total=case.total, **values)


def empty(case: Case) -> Iterator[Finding]:
    """Empty rows."""
    rows = case.view.empty
    used = [column for column in case.view.columns.values() if column]
    shown = (" | ".join(case.view.table.rows[row][column] or "–" for column in used) for row in rows)
    if rows:
        yield finding("empty", by_share(rows, case.total), rows, shown, total=case.total)


def few(case: Case) -> Iterator[Finding]:
    """Too few rows that are not empty."""
    full = len(case.view.full)
    least, why = wanted(case.method, case.view.task)
    if full < LEAST_EXAMPLES:
        yield finding("few", "stop", (), (), said="too_few", count=full, full=full, total=case.total, least=LEAST_EXAMPLES)
    elif full < least:
        card = presets.methods().get(case.method)
        name, half = card.name if card else METHOD, full < HALF * least
        cost = FAR_OFF if full < FIFTH * least else TOO_FEW if half and full < HANDFUL else None
        yield finding("few", "warn" if half else "hint", (), (), why=why, cost=cost, count=full, full=full, least=least, method=name)


def repeated(case: Case) -> Iterator[Finding]:
    """Exact duplicates."""
    yield from _rows(case, "duplicates", faults.duplicates(case.view))


def resembling(case: Case) -> Iterator[Finding]:
    """Near duplicates."""
    groups = faults.near_duplicates(case.view, case.listen("near"))
    rows = sorted(row for group in groups for row in group[1:])
    if rows:
        shown = (" ≈ ".join(_apart(case.view.whole(group[0]), case.view.whole(group[1]), 75)) for group in groups)
        yield finding("near_duplicates", by_share(rows, case.total), rows, shown, total=case.total)


def contradicted(case: Case) -> Iterator[Finding]:
    """The same question with different answers, and pairs that prefer nothing."""
    view = case.view
    groups = faults.contradictions(view)
    rows = sorted(row for group in groups for row in group)
    if rows:
        said = {"classify": "two_labels", "prefer": "both_ways"}.get(view.task, "")
        grade = "warn" if said else by_share(rows, case.total)
        shown, (way, drops) = (_both(view, group) for group in groups), faults.settled(view, groups)
        rest = len(faults.undecided(view, groups)) if way == "most" else 0
        why = (
            Words("{why} {rest}", "{why}{rest}").filled(why=WHY[said or "contradictions"], rest=UNDECIDED.filled(rest=rest))
            if rest
            else None
        )
        fix = SETTLED[way].filled(drops=len(drops))
        yield finding("contradictions", grade, rows, shown, said=said, why=why, fix=fix, total=case.total)
    if view.task == "prefer":
        yield from _rows(case, "same_pairs", faults.same_pairs(view), "warn")


def _both(view: View, group: Sequence[int]) -> str:
    """What rows ask, and two different answers of theirs."""
    other = next(row for row in group if faults.meant(view, row) != faults.meant(view, group[0]))
    return f"{view.asked[group[0]][:80]} → {' | '.join(_apart(view.answered[group[0]], view.answered[other], 35))}"


def _apart(one: str, other: str, most: int) -> tuple[str, str]:
    """Two texts in at most so many characters each, from shortly before the place where they differ."""
    same = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, same - most // 2) if max(len(one), len(other)) > most else 0
    mark = "…" if start else ""
    return mark + one[start : start + most], mark + other[start : start + most]


def answers(case: Case) -> Iterator[Finding]:
    """Very short answers, one answer to nearly everything, and questions given back."""
    if case.view.task not in ("chat", "prefer"):
        return
    yield from _rows(case, "short_answers", faults.short_answers(case.view), "hint", limit=faults.SHORT)
    same = faults.same_answer(case.view)
    yield from _rows(case, "same_answer", same, "warn", share=len(same) / max(1, len(case.view.full)))
    yield from _rows(case, "echoes", faults.echoes(case.view))


def lengths(case: Case) -> Iterator[Finding]:
    """Texts cut at the limit, or that nobody could count; a plain text is never cut, it becomes several pieces."""
    if not case.max_length or case.view.task == "complete":
        return
    if case.lengths is None:
        words, characters = (10 * round(each * case.max_length / 10) for each in (A_WORD, A_CHARACTER))
        yield finding("uncounted", "open", (), (), limit=case.max_length, some=Words(f"{words:,}", f"{characters:,}"))
        return
    sizes = [case.lengths[row] for row in case.view.full]
    asked = case.view.task == "prompts"  # a question needs room for an answer after it
    rows = [row for row, size in zip(case.view.full, sizes, strict=True) if size + asked > case.max_length]
    share = len(rows) / max(1, len(sizes))
    if asked:
        yield from _rows(case, "long_prompt", rows, share=share, limit=case.max_length)
    elif rows:
        why = WHY["cut_text"] if case.view.task == "classify" else None
        shown = case.excerpts(rows)
        yield finding("cut", by_share(rows, len(sizes)), rows, shown, why=why, total=case.total, share=share, limit=case.max_length)


def leak(case: Case) -> Iterator[Finding]:
    """Rows that stand in the test set as well, word for word."""
    yield from _leaked(case, close=False)


def resembling_test(case: Case) -> Iterator[Finding]:
    """Rows that stand in the test set as well, as they are or nearly so."""
    yield from _leaked(case, close=True)


def _leaked(case: Case, close: bool) -> Iterator[Finding]:
    rows, given = faults.leaked(case.view, case.test, close, case.listen("leak")) if case.test else ([], 0)
    grade: Grade = "stop" if given >= GIVEN_AWAY * len(case.test) else "warn"
    yield from _rows(case, "leak", rows, grade, given=given, tested=len(case.test))


def classes(case: Case) -> Iterator[Finding]:
    """Labels that are alone, too many, unbalanced, rare, or spelled in several ways."""
    view = case.view
    named = [view.answered[row] for row in view.full]
    if view.task != "classify" or not named:
        return
    other = faults.respelled(view)
    if other:
        pairs = Counter((named[place], other[row]) for place, row in enumerate(view.full) if row in other)
        names = [f"“{one}” / “{better}”" for one, better in dict(pairs.most_common())]
        yield finding("alike_labels", "warn", other, names, names=_few(names))
    seen = labels.counts(named).most_common()
    (most, count), (least, fewest) = seen[0], seen[-1]
    if len(seen) < 2:
        yield from _rows(case, "one_label", list(view.full), "stop", most=most)
    elif len(seen) * 2 > len(named):
        yield finding(
            "many_labels", "stop", view.full, (f"“{name}” ({number})" for name, number in seen), labels=len(seen), total=len(named)
        )
    else:
        if count > TIMES * fewest or count > SHARE * len(named):
            rows = [row for row in view.full if labels.key(view.answered[row]) == labels.key(most)]
            yield from _rows(case, "unbalanced", rows, "warn", most=most, least=least, fewest=fewest)
        names = [f"“{name}” ({number})" for name, number in reversed(seen) if number < faults.RARE]
        if names:
            yield finding("rare_labels", "warn", faults.rare(view), names, names=_few(names), limit=faults.RARE)


def _few(names: Sequence[str]) -> tuple[str, ...]:
    return (*names[:MOST_NAMES], *(["…"] if len(names) > MOST_NAMES else []))


def spoken(case: Case) -> Iterator[Finding]:
    """Texts in several languages; questions and answers are looked at by themselves, since a translation has one in each."""
    view = case.view
    rows = faults.spread(view.full, LOOKED_AT)
    case.tell("languages", 0, len(rows))
    sides = [[view.asked[row] for row in rows]]
    sides += [[view.answered[row] for row in rows]] if view.task in ("chat", "prefer") else []
    found, texts = min(((languages.mixture(side), side) for side in sides), key=lambda pair: pair[0].share)
    if found.share < ONE_LANGUAGE:
        name = languages.NAMES
        others = [name.get(other, Words(other)) for other in found.others][:MOST_NAMES]
        listed = Words(", ".join(other.say("en") for other in others), "、".join(other.say("zh") for other in others))
        values: dict[str, Any] = {
            "total": found.looked_at,
            "share": found.share,
            "main": name.get(found.main, Words(found.main)),
            "others": listed,
        }
        yield finding("languages", "hint", [rows[place] for place in found.places], (texts[place] for place in found.places), **values)


def traces(case: Case) -> Iterator[Finding]:
    """Personal data, HTML and garbled characters."""
    view = case.view
    for kind, change in MENDED.items():
        cells = rewritten(view.table, view.task, view.columns, change, kind != "personal", case.listen(kind))
        rows = list(dict.fromkeys(row for row, _ in cells))
        if not rows:
            continue
        shown = (_around(view.table.rows[row][column], text) for (row, column), text in cells.items())
        values: dict[str, Any] = {"total": case.total}
        if kind == "personal":
            seen = Counter(item.kind for row, column in cells for item in personal.find(view.table.rows[row][column]))
            said = {
                one: Words("{kind} ({count:,})", "{kind} {count:,} 处").filled(count=n, kind=personal.KINDS[one])
                for one, n in seen.most_common()
            }
            values["kinds"] = Words(", ".join(one.en for one in said.values()), "、".join(one.zh for one in said.values()))
        yield finding(kind, "hint" if kind == "html" else "warn", rows, shown, **values)
    yield from _rows(case, "lost", faults.lost(view))


MENDED: dict[str, Callable[[str], str]] = {"personal": personal.mask, "html": tidy.without_html, "mojibake": tidy.repaired}


def _around(cell: str, mended: str) -> str:
    """A cell from shortly before the place where it would be changed."""
    same = next((place for place, (one, other) in enumerate(zip(cell, mended, strict=False)) if one != other), 0)
    start = max(0, same - 60)
    return ("…" if start else "") + cell[start:]


Look = Callable[[Case], Iterator[Finding]]
LOOKS: tuple[Look, ...] = (empty, repeated, contradicted, answers, leak, classes, spoken, traces)
# Those that hang on the method or the length, and all they may find: nothing else need be looked at again when one of the two changes.
LIMITS: tuple[Look, ...] = (few, lengths)
LIMITED = frozenset(("few", "uncounted", "long_prompt", "cut"))
# Those that take long; what they find stands for what the others found of its kind.
SLOW: tuple[Look, ...] = (resembling, resembling_test)
