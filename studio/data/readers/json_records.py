"""JSON becomes rows: one object a line, a list of objects, an object of columns, or the one list that lies within an object."""

import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator

from studio.data.readers import header, rows
from studio.data.readers.rows import BRING_PART, EXPORT_AS_CSV, NESTED_TOO_DEEP, ParsedRows, Row
from studio.errors import BadData
from studio.i18n import Message
from studio.storage import ProgressCallback, no_progress

KEYS_DROPPED = Message(
    "only the first {limit} of {count:,} different keys became columns; left out are “{first}” and those after it"
)
NOT_JSON = Message("is not a JSON object")
DAMAGED_JSON = Message("is damaged JSON")
REST_UNREADABLE = Message("is damaged JSON, and nothing after it can be read")
TEXT_AFTER_LIST = Message("is where the list ends, but more follows, which is left out")
LINE_TOO_LONG = Message("has more than 10 million characters")
MAX_LINE_LENGTH = 10_000_000
MAX_REPAIRS = 20
MAX_LIST_DEPTH = 3  # levels of objects within which the list of examples is looked for
DECODER = json.JSONDecoder()
SEPARATORS = re.compile(r"[\s,]*")
FIRST_KEY = re.compile(r'\{\s*("(?:[^"\\]|\\.){0,200}")\s*:')
# Lists with such items are one conversation, which is one example.
MESSAGE_KEYS = ({"role", "content"}, {"from", "value"})


def read_json_lines(text: str, on_progress: ProgressCallback = no_progress) -> ParsedRows:
    """One JSON object a line; a value that is no plain text is kept as JSON text. `tell` hears how many lines are read."""
    _check_value_count(text)

    def parse_line(line: str) -> Row | Message | None:
        if not line.strip():
            return None
        if len(line) > MAX_LINE_LENGTH:
            return LINE_TOO_LONG
        try:
            return row_from_value(json.loads(line.rstrip().removesuffix(",")))  # as copied out of a list
        except RecursionError:
            return NESTED_TOO_DEEP
        except ValueError:
            return NOT_JSON

    numbered_lines = enumerate(io.StringIO(text, newline=None), 1)
    return align_columns(
        *rows.collect(rows.with_progress(numbered_lines, text.count("\n") + 1, on_progress), parse_line)
    )


def read_json(text: str, name: str, on_progress: ProgressCallback = no_progress) -> ParsedRows:
    """The rows of a JSON text, whatever its shape; `tell` hears how many of a list's characters are read. Raises BadData where it breaks off within its only object, or holds no examples."""
    _check_value_count(text)
    text = text.rstrip()
    start = len(text) - len(text.lstrip())
    if text.startswith("[", start):
        return _rows_from_items(_list_items(text, start + 1, on_progress))
    try:
        value, end = DECODER.raw_decode(text, start)
    except RecursionError:
        raise BadData(
            Message("“{name}” is nested more than 100 levels deep."), EXPORT_AS_CSV, name=name
        ) from None
    except json.JSONDecodeError as error:
        raise _damaged_json(name, error.lineno, error.colno) from None
    except ValueError:
        raise _damaged_json(name, 1, 1) from None
    if SEPARATORS.fullmatch(text, end):
        return _rows_from_object(value, name)
    return _rows_from_items(_list_items(text, start, on_progress))


def row_from_value(value: object) -> Row | Message:
    """A JSON object as a row, a bare list of objects as the conversation it is; the reason where it is neither."""
    if isinstance(value, Message):
        return value
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        value = {"messages": value}
    if not isinstance(value, dict):
        return NOT_JSON
    if rows.nesting_depth(value) > rows.MAX_DEPTH:
        return NESTED_TOO_DEEP
    return {rows.replace_surrogates(str(key)): rows.to_cell_text(item) for key, item in value.items()}


def align_columns(records: list[Row], bad_lines: list[rows.BadLine]) -> ParsedRows:
    """Objects as rows that all have the same columns: every key that occurs, in the order of its first appearance."""
    columns: dict[str, None] = {}
    for row in records:
        columns.update(dict.fromkeys(row))
    names = tuple(columns)[: rows.MAX_COLUMNS]
    if len(records) * len(names) > rows.MAX_FIELDS:
        raise BadData(
            Message("The objects have {count} different keys over {rows} lines."),
            Message("Keep the keys with the texts and drop the others."),
            count=len(columns),
            rows=len(records),
        )
    if len(columns) > len(names):
        dropped = KEYS_DROPPED.format(
            limit=len(names), count=len(columns), first=tuple(columns)[len(names)][:60]
        )
        bad_lines = [(0, dropped), *bad_lines]
    return ParsedRows(names, [{name: row.get(name, "") for name in names} for row in records], bad_lines)


def _list_items(text: str, start: int, on_progress: ProgressCallback) -> Iterator[tuple[int, object]]:
    """The values of a list that begins at `start`, each with its line, or its place where all stand on one; Words stand for a damaged one.

    After a damaged one the list goes on where an object begins with the key that the first one began with.
    """
    is_multiline = "\n" in text.lstrip()
    line = item_number = 1
    counted_to = repairs = 0
    first_key = FIRST_KEY.match(text, SEPARATORS.match(text, start).end())  # type: ignore[union-attr] # it matches nothing at least
    next_item = re.compile(r"(?<=[\[,\s])\{\s*" + re.escape(first_key[1]) + r"\s*:") if first_key else None
    while True:
        value_start = SEPARATORS.match(text, start).end()  # type: ignore[union-attr]
        if value_start >= len(text) or (text[value_start] == "]" and value_start == len(text) - 1):
            return
        line, counted_to = line + text.count("\n", counted_to, value_start), value_start
        number = line if is_multiline else item_number
        item_number += 1
        if text[value_start] == "]":
            yield number, TEXT_AFTER_LIST
            return
        try:
            value, start = DECODER.raw_decode(text, value_start)
            on_progress(start, len(text))
            yield number, value
        except (ValueError, RecursionError) as error:
            repairs += 1
            match = next_item.search(text, value_start + 1) if next_item and repairs <= MAX_REPAIRS else None
            if not match:
                yield number, REST_UNREADABLE
                return
            yield number, NESTED_TOO_DEEP if isinstance(error, RecursionError) else DAMAGED_JSON
            start = match.start()


def _rows_from_items(items: Iterable[tuple[int, object]]) -> ParsedRows:
    """Rows of a list of objects, of texts, of conversations or of lines whose first one names the columns."""
    items = iter(items)
    first = next(items, None)
    if first is None:
        return ParsedRows((), [], [])
    all_items = itertools.chain([first], items)
    if isinstance(first[1], list) and not any(isinstance(cell, dict) for cell in first[1]):
        lines = (
            (number, [rows.to_cell_text(cell) for cell in value] if isinstance(value, list) else [])
            for number, value in all_items
        )
        return header.parse_table(lines, pad_short_lines=True)
    if isinstance(first[1], str):
        return align_columns(
            *rows.collect(
                all_items,
                lambda value: (
                    {"text": rows.replace_surrogates(value)}
                    if isinstance(value, str)
                    else _bad_item_reason(value)
                ),
            )
        )
    if isinstance(first[1], list):
        return align_columns(
            *rows.collect(
                all_items,
                lambda value: row_from_value(value) if isinstance(value, list) else _bad_item_reason(value),
            )
        )
    return align_columns(*rows.collect(all_items, row_from_value))


def _bad_item_reason(value: object) -> Message:
    return value if isinstance(value, Message) else NOT_JSON


def _rows_from_object(value: object, name: str) -> ParsedRows:
    """The rows in one JSON object, by its shape."""
    if not isinstance(value, dict):
        raise BadData(
            Message("“{name}” holds a single value and no list of examples."), EXPORT_AS_CSV, name=name
        )
    columns, data = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(data, list) and all(isinstance(line, list) for line in data):
        return header.parse_table(
            (
                (number, [rows.to_cell_text(cell) for cell in line])
                for number, line in enumerate([columns, *data])
            ),
            pad_short_lines=True,
        )
    lists = _find_lists(value, MAX_LIST_DEPTH)
    if len(lists) == 1:
        return _rows_from_items(enumerate(next(iter(lists.values())), 1))
    parts = list(value.values())
    if parts and all(isinstance(part, dict) for part in parts):
        if all(
            str(key).isdigit() for part in parts for key in part
        ):  # as pandas writes a table by its columns
            keys = dict.fromkeys(key for part in parts for key in part)
            return _rows_from_items(
                (number, {column: value[column].get(key) for column in value})
                for number, key in enumerate(keys, 1)
            )
        return _rows_from_items(
            (number, {"id": key, **part}) for number, (key, part) in enumerate(value.items(), 1)
        )
    if len(lists) > 1:
        raise BadData(
            Message("“{name}” holds several lists: {lists}."),
            Message("Save the one with your examples as a file of its own."),
            name=name,
            lists=[f"{key[:60]} ({len(entries)})" for key, entries in lists.items()][:12],
        )
    if (
        parts
        and all(isinstance(part, list) and not _is_conversation(part) for part in parts)
        and len({len(part) for part in parts}) == 1
    ):
        return _rows_from_items(
            (number, dict(zip(value, line, strict=True)))
            for number, line in enumerate(zip(*parts, strict=True), 1)
        )
    return align_columns(*rows.collect([(1, value)], row_from_value))


def _find_lists(value: dict[str, object], levels: int) -> dict[str, list[object]]:
    """The lists of objects within an object, by their keys; a conversation is no such list."""
    lists: dict[str, list[object]] = {}
    for key, part in value.items():
        if isinstance(part, list) and part and isinstance(part[0], dict):
            if not _is_conversation(part):
                lists[key] = part
        elif isinstance(part, dict) and levels > 1:
            lists |= {f"{key}.{inner}": items for inner, items in _find_lists(part, levels - 1).items()}
    return lists


def _is_conversation(part: list[object]) -> bool:
    """Whether a list is one conversation."""
    return bool(part) and isinstance(part[0], dict) and any(keys <= set(part[0]) for keys in MESSAGE_KEYS)


def _check_value_count(text: str) -> None:
    if sum(map(text.count, "[{,")) > rows.MAX_JSON_VALUES:
        raise BadData(
            Message("The file holds more than {limit:,} values."), BRING_PART, limit=rows.MAX_JSON_VALUES
        )


def _damaged_json(name: str, line: int, column: int) -> BadData:
    return BadData(
        Message("“{name}” is damaged JSON: it cannot be read beyond line {line}, place {column}."),
        Message("Export it again, or bring one JSON object a line (.jsonl)."),
        name=name,
        line=line,
        column=column,
    )
