"""JSON becomes rows: a list of objects, an object of columns, or the one list that lies within an object."""

import ast
import itertools
import json
import re
from collections.abc import Iterable, Iterator

from studio.data.readers import csv as csv_reader
from studio.data.readers import header, plain_text, rows
from studio.data.readers.rows import BRING_PART, EXPORT_AS_CSV, NESTED_TOO_DEEP, ParsedRows, Record, Row
from studio.data.readers.spec import Reader, SourceFile
from studio.errors import BadData
from studio.i18n import Message
from studio.storage import ProgressCallback, no_progress

JSONL_EXTENSIONS = (".jsonl", ".ndjson")
KEYS_DROPPED = Message(
    "only the first {limit} of {count:,} different keys became columns;"
    " left out are “{first}” and those after it"
)
NOT_JSON = Message("is not a JSON object")
DAMAGED_JSON = Message("is damaged JSON")
REST_UNREADABLE = Message("is damaged JSON, and nothing after it can be read")
TEXT_AFTER_LIST = Message("is where the list ends, but more follows, which is left out")
TOO_MANY_KEYS = Message("The objects have {count} different keys over {rows} lines.")
TOO_MANY_VALUES = Message("The file holds more than {limit:,} values.")
FILE_NESTED_TOO_DEEP = Message("“{name}” is nested more than 100 levels deep.")
SINGLE_VALUE = Message("“{name}” holds a single value and no list of examples.")
SEVERAL_LISTS = Message("“{name}” holds several lists: {lists}.")
DAMAGED_FILE = Message("“{name}” is damaged JSON: it cannot be read beyond line {line}, place {column}.")
EXPECTED_JSON = Message(
    "It must hold a list of JSON objects, each of them an example, such as [{object}]. {first}"
)
MAX_REPAIRS = 20
MAX_LIST_DEPTH = 3  # levels of objects within which the list of examples is looked for
MAX_QUOTED_KEY_LENGTH = 60
MAX_NAMED_LISTS = 12
DECODER = json.JSONDecoder()
SEPARATORS = re.compile(r"[\s,]*")
FIRST_KEY = re.compile(r'\{\s*("(?:[^"\\]|\\.){0,200}")\s*:')
OBJECT_START = re.compile(r'\{\s*("(?:[^"\\]|\\.)*"\s*:|\}|$)')
# A list that is JSON for certain, and one that may also begin a text or a table.
RECORDS_START = re.compile(r'\[\s*(\{\s*["}]|\[\s*["{\[])')
LIST_START = re.compile(r'\[\s*(\{\s*["}]|\[|"|\]|$)')
# How Python writes an object, and a list of them.
PYTHON_OBJECT_START = re.compile(r"\{\s*'[^'\n]{1,100}'\s*:")
PYTHON_LIST_START = re.compile(r"\[\s*\{\s*'[^'\n]{1,100}'\s*:")
# What people write into JSON by hand: strings stay, comments and a comma before a bracket go.
HAND_WRITTEN = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/|,(?=\s{0,1000}[}\]])', re.DOTALL)
HAND_WRITTEN_SIGN = re.compile(r",\s{0,1000}[}\]]|^\s{0,1000}(//|/\*)|[,{\[]\s{0,1000}(//|/\*)", re.MULTILINE)
MAX_PYTHON_LENGTH = 5_000_000  # characters of a text as Python writes it
# Lists with such items are one conversation, which is one example.
MESSAGE_KEYS = ({"role", "content"}, {"from", "value"})


def starts_with_object(source: SourceFile) -> bool:
    """Whether a text begins as a JSON object does, or as Python writes one."""
    return bool(OBJECT_START.match(source.text_start) or PYTHON_OBJECT_START.match(source.text_start))


def starts_with_list(source: SourceFile) -> bool:
    """Whether a text begins as a JSON list does.

    Where that is not certain, its extension must not name another format.
    """
    if RECORDS_START.match(source.text_start) or PYTHON_LIST_START.match(source.text_start):
        return True
    other_formats = (*csv_reader.TABLE_EXTENSIONS, *plain_text.MARKDOWN_EXTENSIONS, *JSONL_EXTENSIONS)
    return source.extension not in other_formats and bool(LIST_START.match(source.text_start))


def is_json(source: SourceFile) -> bool:
    """Whether a text begins as JSON does."""
    return starts_with_object(source) or starts_with_list(source)


def read_json(text: str, name: str, on_progress: ProgressCallback = no_progress) -> ParsedRows:
    """Read the rows of a JSON text, whatever its shape.

    Args:
        text: The JSON, of which a damaged item costs that item alone.
        name: What error messages call the file.
        on_progress: Receives how many characters of a list are read, and how many there are.

    Raises:
        BadData: The text breaks off within its only object, holds no examples, or more than a data set may.
    """
    check_value_count(text)
    text = repair_json(text.rstrip())
    start = len(text) - len(text.lstrip())
    if text.startswith("[", start):
        return _rows_from_items(_list_items(text, start + 1, on_progress))
    try:
        value, end = DECODER.raw_decode(text, start)
    except RecursionError:
        raise BadData(FILE_NESTED_TOO_DEEP, EXPORT_AS_CSV, name=name) from None
    except json.JSONDecodeError as error:
        raise _damaged_json(name, error.lineno, error.colno) from None
    except ValueError:
        raise _damaged_json(name, 1, 1) from None
    if SEPARATORS.fullmatch(text, end):
        return _rows_from_object(value, name)
    return _rows_from_items(_list_items(text, start, on_progress))


def repair_json(text: str) -> str:
    """JSON as a program writes it, made of JSON that a person has edited or that Python has printed.

    Comments and commas before a closing bracket go. A text that needs no repair, or is past it, stays.
    """
    stripped = text.lstrip()
    if PYTHON_OBJECT_START.match(stripped) or PYTHON_LIST_START.match(stripped):
        return _from_python(stripped) or text
    if not HAND_WRITTEN_SIGN.search(text):
        return text
    return HAND_WRITTEN.sub(lambda match: match[1] or "", text)


def _from_python(text: str) -> str:
    """A list or an object as Python writes it, as JSON; "" where it is none."""
    if len(text) > MAX_PYTHON_LENGTH:
        return ""
    try:
        return json.dumps(ast.literal_eval(text), ensure_ascii=False)  # it builds values and runs nothing
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return ""


def row_from_value(value: object) -> Row | Message:
    """A JSON object as a row, a list of objects as a conversation; the reason where a value is neither."""
    if isinstance(value, Message):
        return value
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        value = {"messages": value}
    if not isinstance(value, dict):
        return NOT_JSON
    if rows.nesting_depth(value) > rows.MAX_DEPTH:
        return NESTED_TOO_DEEP
    return {rows.replace_surrogates(str(key)): rows.json_to_text(item) for key, item in value.items()}


def align_columns(records: list[Row], bad_lines: list[rows.BadLine]) -> ParsedRows:
    """Give all rows the same columns: every key that occurs, in the order of its first appearance.

    Raises:
        BadData: The rows have so many different keys that there are too many fields.
    """
    keys: dict[str, None] = {}
    for row in records:
        keys.update(dict.fromkeys(row))
    columns = tuple(keys)[: rows.MAX_COLUMNS]
    if len(records) * len(columns) > rows.MAX_FIELDS:
        raise BadData(
            TOO_MANY_KEYS,
            Message("Keep the keys with the texts and drop the others."),
            count=len(keys),
            rows=len(records),
        )
    if len(keys) > len(columns):
        first_dropped = tuple(keys)[len(columns)][:MAX_QUOTED_KEY_LENGTH]
        dropped = KEYS_DROPPED.format(limit=len(columns), count=len(keys), first=first_dropped)
        bad_lines = [(0, dropped), *bad_lines]
    aligned = [{column: row.get(column, "") for column in columns} for row in records]
    return ParsedRows(columns, aligned, bad_lines)


def check_value_count(text: str) -> None:
    """Raise BadData where a JSON text has too many values, counted by its brackets and commas."""
    if sum(map(text.count, "[{,")) > rows.MAX_JSON_VALUES:
        raise BadData(TOO_MANY_VALUES, BRING_PART, limit=rows.MAX_JSON_VALUES)


def _list_items(text: str, start: int, on_progress: ProgressCallback) -> Iterator[tuple[int, object]]:
    """Yield the values of a list, each with its line, or with its position where the list is on one line.

    A damaged value becomes a message; the list goes on where an object begins with the key that the first one
    begins with.

    Args:
        text: The text that the list ends.
        start: Where its first value, or a blank before it, begins.
        on_progress: Receives how many characters are read, and how many there are.
    """
    is_multiline = "\n" in text.lstrip()
    next_object = _next_object_pattern(text, start)
    line = 1
    item_number = 0
    counted_to = repairs = 0
    while True:
        value_start = _skip_separators(text, start)
        ends_with_list = text[value_start : value_start + 1] == "]" and value_start == len(text) - 1
        if value_start >= len(text) or ends_with_list:
            return
        line += text.count("\n", counted_to, value_start)
        counted_to = value_start
        item_number += 1
        number = line if is_multiline else item_number
        if text[value_start] == "]":
            yield number, TEXT_AFTER_LIST
            return
        try:
            value, start = DECODER.raw_decode(text, value_start)
            on_progress(start, len(text))
            yield number, value
        except (ValueError, RecursionError) as error:
            repairs += 1
            match = None
            if next_object and repairs <= MAX_REPAIRS:
                match = next_object.search(text, value_start + 1)
            if not match:
                yield number, REST_UNREADABLE
                return
            yield number, NESTED_TOO_DEEP if isinstance(error, RecursionError) else DAMAGED_JSON
            start = match.start()


def _next_object_pattern(text: str, start: int) -> re.Pattern[str] | None:
    """How the objects of a list begin, by the key of the first one; None where it is no object."""
    first_key = FIRST_KEY.match(text, _skip_separators(text, start))
    if not first_key:
        return None
    return re.compile(r"(?<=[\[,\s])\{\s*" + re.escape(first_key[1]) + r"\s*:")


def _skip_separators(text: str, start: int) -> int:
    """Where blanks and commas end."""
    match = SEPARATORS.match(text, start)
    return match.end() if match else start


def _rows_from_items(items: Iterable[tuple[int, object]]) -> ParsedRows:
    """The rows of a list of objects, of texts, of conversations, or of lines under column names."""
    iterator = iter(items)
    first_item = next(iterator, None)
    if first_item is None:
        return ParsedRows((), [], [])
    all_items = itertools.chain([first_item], iterator)
    first_value = first_item[1]
    if isinstance(first_value, str):
        return align_columns(*rows.collect(all_items, _row_from_text))
    if not isinstance(first_value, list):
        return align_columns(*rows.collect(all_items, row_from_value))
    if any(isinstance(cell, dict) for cell in first_value):
        return align_columns(*rows.collect(all_items, _row_from_conversation))
    records = (Record(number, _cells(value)) for number, value in all_items)
    return header.parse_table(records, pad_short_lines=True)


def _row_from_text(value: object) -> Row | Message:
    if isinstance(value, str):
        return {"text": rows.replace_surrogates(value)}
    return value if isinstance(value, Message) else NOT_JSON


def _row_from_conversation(value: object) -> Row | Message:
    return row_from_value(value) if isinstance(value, list | Message) else NOT_JSON


def _cells(value: object) -> list[str]:
    """The fields of a line that is a list; none of anything else."""
    return [rows.json_to_text(cell) for cell in value] if isinstance(value, list) else []


def _rows_from_object(value: object, name: str) -> ParsedRows:
    """The rows in one JSON object, by its shape."""
    if not isinstance(value, dict):
        raise BadData(SINGLE_VALUE, EXPORT_AS_CSV, name=name)
    columns, data = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(data, list) and all(isinstance(line, list) for line in data):
        records = (Record(number, _cells(line)) for number, line in enumerate([columns, *data]))
        return header.parse_table(records, pad_short_lines=True)
    lists = _find_lists(value, MAX_LIST_DEPTH)
    if len(lists) == 1:
        (only_list,) = lists.values()
        return _rows_from_items(enumerate(only_list, 1))
    parts = list(value.values())
    if parts and all(isinstance(part, dict) for part in parts):
        return _rows_from_objects(value)
    if len(lists) > 1:
        raise BadData(
            SEVERAL_LISTS,
            Message("Save the one with your examples as a file of its own."),
            name=name,
            lists=[
                f"{key[:MAX_QUOTED_KEY_LENGTH]} ({len(entries)})"
                for key, entries in itertools.islice(lists.items(), MAX_NAMED_LISTS)
            ],
        )
    if _are_columns(parts):
        lines = zip(*parts, strict=True)
        return _rows_from_items(
            (number, dict(zip(value, line, strict=True))) for number, line in enumerate(lines, 1)
        )
    return align_columns(*rows.collect([(1, value)], row_from_value))


def _rows_from_objects(value: dict[str, dict[str, object]]) -> ParsedRows:
    """The rows of an object of objects: columns by row number, as pandas has them, or rows by id."""
    is_by_column = all(str(key).isdigit() for part in value.values() for key in part)
    if not is_by_column:
        return _rows_from_items(
            (number, {"id": key, **part}) for number, (key, part) in enumerate(value.items(), 1)
        )
    keys = dict.fromkeys(key for part in value.values() for key in part)
    return _rows_from_items(
        (number, {column: cells.get(key) for column, cells in value.items()})
        for number, key in enumerate(keys, 1)
    )


def _are_columns(parts: list[object]) -> bool:
    """Whether the values of an object are columns of a table: lists of one length, none a conversation."""
    lengths = {len(part) for part in parts if isinstance(part, list) and not _is_conversation(part)}
    are_lists = all(isinstance(part, list) and not _is_conversation(part) for part in parts)
    return are_lists and len(lengths) == 1


def _find_lists(value: dict[str, object], levels: int) -> dict[str, list[object]]:
    """The lists of objects within an object, by their keys joined with dots; conversations are left out."""
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
    first = part[0] if part else None
    return isinstance(first, dict) and any(keys <= set(first) for keys in MESSAGE_KEYS)


def _damaged_json(name: str, line: int, column: int) -> BadData:
    return BadData(
        DAMAGED_FILE,
        Message("Export it again, or bring one JSON object a line (.jsonl)."),
        name=name,
        line=line,
        column=column,
    )


READER = Reader(
    name="json",
    label="JSON",
    extensions=(".json",),
    read=lambda source: read_json(source.text, source.name, source.on_progress),
    matches=is_json,
    names_columns=True,
    expected_content=EXPECTED_JSON,
)
