"""JSON becomes rows: one object a line, a list of objects, an object of columns, or the one list that lies within an object."""

import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator

from studio.data import grid, rows
from studio.data.rows import BRING_PART, DEEP, EXPORT, Found, Row, Told, unheard
from studio.errors import BadData
from studio.words import Words

KEYS = Words(
    "only the first {limit} of {count:,} different keys became columns; left out are “{first}” and those after it",
    "共有 {count:,} 个不同的键，只取了前 {limit} 个作为列；“{first}”及其后的键被忽略",
)
NOT_JSON = Words("is not a JSON object", "不是一个 JSON 对象")
BROKEN = Words("is damaged JSON", "的 JSON 已损坏")
LOST = Words("is damaged JSON, and nothing after it can be read", "的 JSON 已损坏，其后的内容也无法读取")
AFTER = Words("is where the list ends, but more follows, which is left out", "处列表已结束，其后的内容被忽略")
LONG_LINE = Words("has more than 10 million characters", "超过一千万个字符")
MAX_LINE = 10_000_000
MOST_REPAIRS = 20
LISTS_WITHIN = 3  # levels of objects within which the list of examples is looked for
DECODER = json.JSONDecoder()
SPACE = re.compile(r"[\s,]*")
FIRST_KEY = re.compile(r'\{\s*("(?:[^"\\]|\\.){0,200}")\s*:')
# Lists with such items are one conversation, which is one example.
TALK = ({"role", "content"}, {"from", "value"})


def lines(text: str, tell: Told = unheard) -> Found:
    """One JSON object a line; a value that is no plain text is kept as JSON text. `tell` hears how many lines are read."""
    _check_parts(text)

    def row(line: str) -> Row | Words | None:
        if not line.strip():
            return None
        if len(line) > MAX_LINE:
            return LONG_LINE
        try:
            return record(json.loads(line.rstrip().removesuffix(",")))  # as copied out of a list
        except RecursionError:
            return DEEP
        except ValueError:
            return NOT_JSON

    every = enumerate(io.StringIO(text, newline=None), 1)
    return united(*rows.collect(rows.counted(every, text.count("\n") + 1, tell), row))


def read(text: str, name: str, tell: Told = unheard) -> Found:
    """The rows of a JSON text, whatever its shape; `tell` hears how many of a list's characters are read. Raises BadData where it breaks off within its only object, or holds no examples."""
    _check_parts(text)
    text = text.rstrip()
    begun = len(text) - len(text.lstrip())
    if text.startswith("[", begun):
        return _listed(_items(text, begun + 1, tell))
    try:
        value, end = DECODER.raw_decode(text, begun)
    except RecursionError:
        raise BadData(Words("“{name}” is nested more than 100 levels deep.", "“{name}”嵌套超过 100 层。"), EXPORT, name=name) from None
    except json.JSONDecodeError as error:
        raise _damaged(name, error.lineno, error.colno) from None
    except ValueError:
        raise _damaged(name, 1, 1) from None
    if SPACE.fullmatch(text, end):
        return _shaped(value, name)
    return _listed(_items(text, begun, tell))


def record(value: object) -> Row | Words:
    """A JSON object as a row, a bare list of objects as the conversation it is; the reason where it is neither."""
    if isinstance(value, Words):
        return value
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        value = {"messages": value}
    if not isinstance(value, dict):
        return NOT_JSON
    if rows.depth(value) > rows.MAX_DEPTH:
        return DEEP
    return {rows.whole(str(key)): rows.plain(item) for key, item in value.items()}


def united(found: list[Row], bad: list[rows.Bad]) -> Found:
    """Objects as rows that all have the same columns: every key that occurs, in the order of its first appearance."""
    columns: dict[str, None] = {}
    for row in found:
        columns.update(dict.fromkeys(row))
    names = tuple(columns)[: rows.MAX_COLUMNS]
    if len(found) * len(names) > rows.MAX_FIELDS:
        raise BadData(
            Words("The objects have {count} different keys over {rows} lines.", "{rows} 行里一共出现了 {count} 个不同的键。"),
            Words("Keep the keys with the texts and drop the others.", "请只保留含文本的键。"),
            count=len(columns),
            rows=len(found),
        )
    if len(columns) > len(names):
        left_out = KEYS.filled(limit=len(names), count=len(columns), first=tuple(columns)[len(names)][:60])
        bad = [(0, left_out), *bad]
    return Found(names, [{name: row.get(name, "") for name in names} for row in found], bad)


def _items(text: str, start: int, tell: Told) -> Iterator[tuple[int, object]]:
    """The values of a list that begins at `start`, each with its line, or its place where all stand on one; Words stand for a damaged one.

    After a damaged one the list goes on where an object begins with the key that the first one began with.
    """
    spread = "\n" in text.lstrip()
    line = place = 1
    counted = repairs = 0
    known = FIRST_KEY.match(text, SPACE.match(text, start).end())  # type: ignore[union-attr] # it matches nothing at least
    again = re.compile(r"(?<=[\[,\s])\{\s*" + re.escape(known[1]) + r"\s*:") if known else None
    while True:
        begun = SPACE.match(text, start).end()  # type: ignore[union-attr]
        if begun >= len(text) or (text[begun] == "]" and begun == len(text) - 1):
            return
        line, counted = line + text.count("\n", counted, begun), begun
        number = line if spread else place
        place += 1
        if text[begun] == "]":
            yield number, AFTER
            return
        try:
            value, start = DECODER.raw_decode(text, begun)
            tell(start, len(text))
            yield number, value
        except (ValueError, RecursionError) as error:
            repairs += 1
            found = again.search(text, begun + 1) if again and repairs <= MOST_REPAIRS else None
            if not found:
                yield number, LOST
                return
            yield number, DEEP if isinstance(error, RecursionError) else BROKEN
            start = found.start()


def _listed(items: Iterable[tuple[int, object]]) -> Found:
    """Rows of a list of objects, of texts, of conversations or of lines whose first one names the columns."""
    items = iter(items)
    first = next(items, None)
    if first is None:
        return Found((), [], [])
    every = itertools.chain([first], items)
    if isinstance(first[1], list) and not any(isinstance(cell, dict) for cell in first[1]):
        lines = ((number, [rows.plain(cell) for cell in value] if isinstance(value, list) else []) for number, value in every)
        return grid.table(lines, spare=True)
    if isinstance(first[1], str):
        return united(*rows.collect(every, lambda value: {"text": rows.whole(value)} if isinstance(value, str) else _reason(value)))
    if isinstance(first[1], list):
        return united(*rows.collect(every, lambda value: record(value) if isinstance(value, list) else _reason(value)))
    return united(*rows.collect(every, record))


def _reason(value: object) -> Words:
    return value if isinstance(value, Words) else NOT_JSON


def _shaped(value: object, name: str) -> Found:
    """The rows in one JSON object, by its shape."""
    if not isinstance(value, dict):
        raise BadData(
            Words("“{name}” holds a single value and no list of examples.", "“{name}”里只有一个值，没有样本列表。"), EXPORT, name=name
        )
    columns, data = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(data, list) and all(isinstance(line, list) for line in data):
        return grid.table(((number, [rows.plain(cell) for cell in line]) for number, line in enumerate([columns, *data])), spare=True)
    lists = _lists(value, LISTS_WITHIN)
    if len(lists) == 1:
        return _listed(enumerate(next(iter(lists.values())), 1))
    parts = list(value.values())
    if parts and all(isinstance(part, dict) for part in parts):
        if all(str(key).isdigit() for part in parts for key in part):  # as pandas writes a table by its columns
            keys = dict.fromkeys(key for part in parts for key in part)
            return _listed((number, {column: value[column].get(key) for column in value}) for number, key in enumerate(keys, 1))
        return _listed((number, {"id": key, **part}) for number, (key, part) in enumerate(value.items(), 1))
    if len(lists) > 1:
        raise BadData(
            Words("“{name}” holds several lists: {lists}.", "“{name}”里有多个列表：{lists}。"),
            Words("Save the one with your examples as a file of its own.", "请把含有样本的那个列表单独存成一个文件。"),
            name=name,
            lists=[f"{key[:60]} ({len(found)})" for key, found in lists.items()][:12],
        )
    if parts and all(isinstance(part, list) and not _is_talk(part) for part in parts) and len({len(part) for part in parts}) == 1:
        return _listed((number, dict(zip(value, line, strict=True))) for number, line in enumerate(zip(*parts, strict=True), 1))
    return united(*rows.collect([(1, value)], record))


def _lists(value: dict[str, object], levels: int) -> dict[str, list[object]]:
    """The lists of objects within an object, by their keys; a conversation is no such list."""
    found: dict[str, list[object]] = {}
    for key, part in value.items():
        if isinstance(part, list) and part and isinstance(part[0], dict):
            if not _is_talk(part):
                found[key] = part
        elif isinstance(part, dict) and levels > 1:
            found |= {f"{key}.{inner}": items for inner, items in _lists(part, levels - 1).items()}
    return found


def _is_talk(part: list[object]) -> bool:
    """Whether a list is one conversation."""
    return bool(part) and isinstance(part[0], dict) and any(kind <= set(part[0]) for kind in TALK)


def _check_parts(text: str) -> None:
    if sum(map(text.count, "[{,")) > rows.MAX_PARTS:
        raise BadData(
            Words("The file holds more than {limit:,} values.", "文件中的值超过 {limit:,} 个。"), BRING_PART, limit=rows.MAX_PARTS
        )


def _damaged(name: str, line: int, column: int) -> BadData:
    return BadData(
        Words(
            "“{name}” is damaged JSON: it cannot be read beyond line {line}, place {column}.",
            "“{name}”的 JSON 已损坏：第 {line} 行第 {column} 个字符之后无法读取。",
        ),
        Words("Export it again, or bring one JSON object a line (.jsonl).", "请重新导出，或改为每行一个 JSON 对象（.jsonl）。"),
        name=name,
        line=line,
        column=column,
    )
