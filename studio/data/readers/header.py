"""Lines of fields become rows: which line is the header, and what a line that does not fit it costs."""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from studio.data.readers import rows
from studio.data.readers.rows import BadLine, LineStream, ParsedRows, Record, Row
from studio.i18n import Message
from studio.storage import ProgressCallback

FIELD_COUNT_DIFFERS = Message("has more or fewer fields than the header ({found} instead of {wanted})")
FIRST_ROW_TAKEN_AS_HEADER = Message(
    "The first row was taken for the names of the columns: “{first}”. If it is an example, put a row with"
    " names above it and bring the file again."
)
REST_UNREADABLE = Message("and all rows after it cannot be read: the file is damaged there")
# The fields of a line with a quote that is never closed; recognised by identity.
UNCLOSED_QUOTE: list[str] = ['"']
QUOTE_NEVER_CLOSED = Message("has a quotation mark that is never closed")
REPEATS_HEADER = Message("repeats the header")
OVERRUN_REJOINED = Message(
    "{count:,} {count:line has|lines have} delimiters within a text without quotes around it: what they "
    "divided was joined again."
)
# Two lines of names need several columns, and examples below them.
MIN_GROUPED_COLUMNS, MIN_GROUPED_LINES = 3, 3
SAMPLE_LINES = 200
MAX_TITLES = 10
MAX_NAME_LENGTH = 60  # characters of a column's name, where a line is taken for the header by its looks
MAX_HEADER_LENGTH = 200  # characters; a longer field is a text and no name
SENTENCE_END = re.compile(r"[.!?。！？…][\"”’」』)）]*$")
# Four words, or eight Chinese characters.
SEVERAL_WORDS = re.compile(r"\S\s+\S+\s+\S+\s+\S|[\u3400-\u9fff]{8}")
WHITESPACE = re.compile(r"\s")
TO_ASCII_PUNCTUATION = str.maketrans("。！？", ".!?")
MIN_TEXT_LENGTH = 8  # characters, from which on the length of a text tells it from the name above it
MIN_TEXT_TO_NAME_RATIO = 4  # so many times as long as a name are the texts below it
MAX_SHORT_FIELD_LENGTH = 20  # characters; a longer field is more than a name, a label or a number
MIN_SAME_KIND_SHARE = 0.8  # the share of a column whose values are of the kind of its first
# Names of an only column, whose texts may have commas; any other single word above two columns is a title.
SINGLE_COLUMN_NAMES = frozenset(
    (
        *("text", "texts", "prompt", "question", "content", "message", "sentence"),
        *("文本", "内容", "问题", "正文", "语料"),
    )
)
# With these, names that nothing but a header has together.
COMMON_NAMES = SINGLE_COLUMN_NAMES | {
    *("answer", "response", "reply", "label", "category", "instruction"),
    *("input", "output", "completion", "chosen", "rejected"),
    *("回答", "答案", "回复", "答复", "标签", "类别", "分类", "指令", "输入", "输出"),
}
ROW_NUMBER = re.compile(r"[-+]?(?!(?:19|20)\d\d$)\d[\d.,\s]*%?")
# What no column is called; years are, so a number does not have four digits that begin with 19 or 20.
VALUE_PATTERNS = (
    ROW_NUMBER,
    re.compile(r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?.*|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}.*"),
    re.compile(r"[^@\s]+@[^@\s]+\.\w+"),
    re.compile(r"https?://\S+"),
    re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},? [\w ]{4,20}\d{1,2}:\d{2}.*"),
)


def parse_stream(stream: LineStream, on_progress: ProgressCallback) -> ParsedRows:
    """Collect the rows of a stream of lines.

    Args:
        stream: The lines. Where they hold the header, empty fields at the end of a line are not written out.
        on_progress: Receives how many lines are read, and how many there are.

    Raises:
        BadData: There is more than a data set may hold.
    """
    damaged_lines: list[BadLine] = []

    def readable_records() -> Iterator[Record]:
        for number, values in rows.with_progress(stream.lines, stream.total, on_progress):
            if values is None:
                damaged_lines.append((number, REST_UNREADABLE))
            else:
                yield Record(number, values)

    if stream.columns is None:
        parsed = parse_table(readable_records(), pad_short_lines=True)
    else:
        columns = rows.unique_column_names(list(stream.columns))
        parsed_rows, bad_lines = rows.collect(
            readable_records(), lambda values: dict(zip(columns, values, strict=True))
        )
        parsed = ParsedRows(columns, parsed_rows, bad_lines)
    skipped = [(0, reason) for reason in stream.skipped]
    all_bad_lines = [*skipped, *parsed.bad_lines, *damaged_lines]
    return replace(
        parsed,
        bad_lines=all_bad_lines,
        sheets=stream.sheets,
        sheet=stream.sheet,
        notes=(*stream.notes, *parsed.notes),
    )


def parse_table(
    records: Iterator[Record], pad_short_lines: bool = False, overrun_delimiter: str = ""
) -> ParsedRows:
    """Make rows of lines of fields, under the names in the header.

    Titles above the header are passed over where the header is evident; where the first line is data, the
    columns are numbered.

    Args:
        records: The lines; blank ones are passed over.
        pad_short_lines: Whether empty fields at the end of a line are not written out, as in a worksheet.
        overrun_delimiter: The delimiter, where it may stand within a text without quotes around it: a field
            that begins with a space is then the end of the text before it.

    Raises:
        BadData: There is more than a data set may hold.
    """
    filled_records = (record for record in records if any(value.strip() for value in record.values))
    head = list(itertools.islice(filled_records, SAMPLE_LINES))
    sample = [record for record in head if record.values is not UNCLOSED_QUOTE]
    if not sample:
        return ParsedRows((), [], [(record.number, QUOTE_NEVER_CLOSED) for record in head])
    header_index = count_titles(sample)
    header_record = sample[header_index]
    sample_lines = [record.values for record in sample[header_index + 1 :]]
    header = header_record.values
    if pad_short_lines:
        column_count = max(map(len, [header, *sample_lines]))
        header = header + [""] * (column_count - len(header))
    else:
        header = _with_row_number_column(header, sample_lines)
    if has_group_line(header, sample_lines):
        header = _grouped_names(header, sample_lines[0])
        header_record = sample[header_index + 1]
        sample_lines = sample_lines[1:]
    has_header = not sample_lines or not _is_data(header, sample_lines)
    columns = rows.unique_column_names(header) if has_header else _numbered_columns(len(header))

    n_overrun = 0

    def parse_line(values: list[str]) -> Row | Message:
        nonlocal n_overrun
        if values is UNCLOSED_QUOTE:
            return QUOTE_NEVER_CLOSED
        if overrun_delimiter and len(values) > len(columns):
            rejoined = _rejoin(values, overrun_delimiter)
            if len(rejoined) == len(columns):
                n_overrun += 1
                values = rejoined
        if pad_short_lines and len(values) < len(columns):
            values = values + [""] * (len(columns) - len(values))
        elif len(values) > len(columns) and not any(value.strip() for value in values[len(columns) :]):
            values = values[: len(columns)]
        if len(values) != len(columns):
            return FIELD_COUNT_DIFFERS.format(found=len(values), wanted=len(columns))
        if has_header and values == header:
            return REPEATS_HEADER
        return dict(zip(columns, values, strict=True))

    body = (
        record
        for record in head
        if record.number > header_record.number
        or record.values is UNCLOSED_QUOTE
        or (record is header_record and not has_header)
    )
    parsed, bad_lines = rows.collect(itertools.chain(body, filled_records), parse_line)
    unnamed_columns = [
        name for name, title in zip(columns, header, strict=True) if has_header and not title.strip()
    ]
    empty_columns = {name for name in unnamed_columns if not any(row[name].strip() for row in parsed)}
    if empty_columns:
        columns = tuple(name for name in columns if name not in empty_columns)
        parsed = [{name: row[name] for name in columns} for row in parsed]
    notes = (OVERRUN_REJOINED.format(count=n_overrun),) if n_overrun else ()
    return ParsedRows(columns, parsed, bad_lines, notes=notes)


def _rejoin(values: Sequence[str], delimiter: str) -> list[str]:
    """The fields of a line, each that begins with a space joined to the one before it."""
    fields: list[str] = []
    for value in values:
        if fields and value[:1] == " " and value.strip():
            fields[-1] += delimiter + value
        else:
            fields.append(value)
    return fields


def has_group_line(header: Sequence[str], body: Sequence[list[str]]) -> bool:
    """Whether a first line has names of groups of columns, such as “Customer”, above their own names."""
    if len(body) < MIN_GROUPED_LINES or len(header) < MIN_GROUPED_COLUMNS or not header[0].strip():
        return False
    n_filled = sum(bool(name.strip()) for name in header)
    names = body[0]
    if not 1 < n_filled < len(header) or len(names) != len(header):
        return False
    are_names = all(
        name.strip()
        and len(name) <= MAX_NAME_LENGTH
        and not SENTENCE_END.search(name.strip())
        and not _value_kind(name)
        for name in names
    )
    return are_names and max(_length_ratios(body)) >= MIN_TEXT_TO_NAME_RATIO


def _grouped_names(groups: Sequence[str], names: Sequence[str]) -> list[str]:
    """The names of columns, each after the name of its group."""
    group = ""
    full_names = []
    for group_name, name in zip(groups, names, strict=True):
        group = group_name.strip() or group
        full_names.append(f"{group} {name.strip()}")
    return full_names


def count_titles(records: Sequence[Record]) -> int:
    """How many of the first lines are titles above the header; 0 where that is not evident."""
    if _has_comma_title(records):
        return 1
    filled_counts = [sum(bool(value.strip()) for value in record.values) for record in records]
    common_count = Counter(filled_counts).most_common(1)[0][0]
    max_title_fields = max(1, common_count // 3)
    max_titles = min(MAX_TITLES, len(records) - 2)
    title_count = 0
    while title_count < max_titles and filled_counts[title_count] <= max_title_fields:
        title_count += 1
    if not title_count or common_count < 2 or filled_counts[title_count] * 3 < common_count * 2:
        return 0
    if not are_column_names(records[title_count].values):
        return 0
    return title_count if common_count > 2 or _are_evident_titles(records, title_count) else 0


def _are_evident_titles(records: Sequence[Record], title_count: int) -> bool:
    """Whether lines of one field above two columns are titles, not the name and texts of an only column."""
    has_gap = records[title_count].number - records[title_count - 1].number > 1
    titles = ["".join(record.values).strip() for record in records[:title_count]]
    if has_gap or any(WHITESPACE.search(title) for title in titles):
        return True
    if any(title.casefold() in SINGLE_COLUMN_NAMES for title in titles):
        return False
    ratios = _length_ratios([record.values for record in records[title_count:]])
    return max(ratios) >= MIN_TEXT_TO_NAME_RATIO


def _has_comma_title(records: Sequence[Record]) -> bool:
    """Whether the first line is a title with a comma in it ("Help desk export, January").

    It is one above common names of columns, or above short names with texts below them.
    """
    lines = [record.values for record in records]
    if len(lines) < 3 or not 1 < len(lines[0]) == len(lines[1]):
        return False
    title, names = lines[:2]
    title_is_common, names_are_common = (
        [cell.strip().casefold() in COMMON_NAMES for cell in cells] for cells in (title, names)
    )
    if all(names_are_common) and not any(title_is_common):
        return True
    has_comma = any(cell[:1] == " " for cell in title[1:])
    has_words = all(title) and bool(WHITESPACE.search(title[0].strip()))
    if not has_comma or not has_words or not are_column_names(names):
        return False
    ratios = _length_ratios(lines[1:])
    return min(ratios) >= 2 and max(ratios) >= MIN_TEXT_TO_NAME_RATIO


def _length_ratios(lines: Sequence[list[str]]) -> list[float]:
    """How many times as long as each field of the first line are those below it; 0 where these are no texts.

    The length of the fields below is their median.
    """
    ratios = []
    for index, cell in enumerate(lines[0]):
        lengths = [len(values[index].strip()) for values in lines[1:] if len(values) > index]
        length = _median(lengths)
        ratios.append(length / max(1, len(cell.strip())) if length >= MIN_TEXT_LENGTH else 0.0)
    return ratios or [0.0]


def are_column_names(values: Sequence[str]) -> bool:
    """Whether fields look like the names of columns: short, different, no sentences and no values."""
    cells = [value for value in values if value.strip()]
    if not cells or len(set(cells)) < len(cells):
        return False
    return not any(
        len(cell) > MAX_NAME_LENGTH
        or cell[0].isspace()
        or SENTENCE_END.search(cell.strip())
        or _value_kind(cell)
        for cell in cells
    )


def _numbered_columns(count: int) -> tuple[str, ...]:
    """The names of columns that have none."""
    return ("text",) if count == 1 else tuple(f"column {number}" for number in range(1, count + 1))


def _with_row_number_column(header: list[str], body: list[list[str]]) -> list[str]:
    """The header, with a nameless column in front where each line begins with a row number, as R has it."""
    numbered = [
        values for values in body if len(values) == len(header) + 1 and ROW_NUMBER.fullmatch(values[0])
    ]
    has_last_field = any(values[-1].strip() for values in numbered)
    return ["", *header] if len(numbered) == len(body) > 1 and has_last_field else header


def _is_data(header: list[str], body: list[list[str]]) -> bool:
    """Whether the first line is an example like those below it, so that the file has no header."""
    if any(len(cell) > MAX_HEADER_LENGTH for cell in header):
        return True
    if has_questions_and_answers([header, *body]):
        return True
    columns = [
        [values[index].strip() for values in body if values != header and len(values) > index]
        for index in range(len(header))
    ]
    if len(header) == 1:
        sentence_ends = [_sentence_end(cell) for cell in columns[0]]
        same_count = sentence_ends.count(_sentence_end(header[0]))
        return bool(_sentence_end(header[0])) and 2 * same_count > len(sentence_ends)
    is_alike = False
    for cell, column in zip(map(str.strip, header), columns, strict=True):
        length = _median([len(value) for value in column])
        if length > MAX_SHORT_FIELD_LENGTH and len(cell) * MIN_TEXT_TO_NAME_RATIO < length:
            return False  # a name above texts
        is_alike = is_alike or _is_repeated(cell, column) or _is_of_same_kind(cell, column)
    return is_alike


def _is_repeated(cell: str, column: list[str]) -> bool:
    """Whether a field is repeated below, as a label is."""
    return bool(cell) and column.count(cell) > 1


def _is_of_same_kind(cell: str, column: list[str]) -> bool:
    """Whether a field is a value of the kind that those below it are."""
    kind = _value_kind(cell)
    same_count = sum(_value_kind(value) == kind for value in column) if kind else 0
    return len(column) > 1 and same_count > MIN_SAME_KIND_SHARE * len(column)


def has_questions_and_answers(lines: Sequence[list[str]]) -> bool:
    """Whether the first line and most others ask in one field and answer in another."""
    if len(lines) < 3:
        return False
    indices = range(len(lines[0]))
    question_indices = [index for index in indices if _are_mostly(_is_question, lines, index)]
    other_indices = [index for index in indices if index not in question_indices]
    return bool(question_indices) and any(_are_mostly(_is_answer, lines, index) for index in other_indices)


def _are_mostly(test: Callable[[str], bool], lines: Sequence[list[str]], index: int) -> bool:
    """Whether the first filled field of a column passes a test, and most of the others do."""
    cells = [values[index] for values in lines if len(values) > index and values[index].strip()]
    results = [test(cell) for cell in cells]
    return bool(results) and results[0] and 2 * sum(results) > len(results)


def _is_question(cell: str) -> bool:
    return _sentence_end(cell) == "?"


def _is_answer(cell: str) -> bool:
    """Whether a field ends as a sentence that does not ask, or is longer than a name."""
    return _sentence_end(cell) not in ("", "?") or len(cell.strip()) > MAX_NAME_LENGTH


def is_doubtful_header(names: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Whether what was taken for the names of columns may be an example.

    It may be where one is a sentence, or where they have several words and the length of the texts below.
    """
    if len(names) < 2:
        return False
    if any(SENTENCE_END.search(name) for name in names):
        return True
    texts = [[*values] for values in body[:SAMPLE_LINES]]
    has_several_words = any(map(SEVERAL_WORDS.search, names))
    return (
        bool(texts)
        and has_several_words
        and all(0 < ratio <= 2 for ratio in _length_ratios([[*names], *texts]))
    )


def _median(lengths: Sequence[int]) -> int:
    """The upper median; 0 of nothing."""
    return sorted(lengths)[len(lengths) // 2] if lengths else 0


def _sentence_end(cell: str) -> str:
    """The mark that ends a sentence, in its ASCII form; "" where none does."""
    match = SENTENCE_END.search(cell.strip())
    return match[0][0].translate(TO_ASCII_PUNCTUATION) if match else ""


def _value_kind(cell: str) -> int:
    """Which kind of value a field is, as a position in VALUE_PATTERNS from 1 on; 0 for anything else."""
    stripped = cell.strip()
    for number, pattern in enumerate(VALUE_PATTERNS, 1):
        if pattern.fullmatch(stripped):
            return number
    return 0
