"""Lines of fields become rows: where the header stands, what its columns are called, and what a line that does not fit it costs."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from studio.data.readers import rows
from studio.data.readers.rows import ParsedRows, Row
from studio.i18n import Message

Record = tuple[int, list[str]]  # a line's or a row's number, and its fields

FIELD_COUNT_DIFFERS = Message("has more or fewer fields than the header ({found} instead of {wanted})")
FIRST_ROW_TAKEN_AS_HEADER = Message(
    "The first row was taken for the names of the columns: “{first}”. If it is an example, put a row with names above it and bring the file again."
)
# What stands for a line with a quote that is never closed.
UNCLOSED_QUOTE: list[str] = ['"']
QUOTE_NEVER_CLOSED = Message("has a quotation mark that is never closed")
REPEATS_HEADER = Message("repeats the header")
SAMPLE_LINES = 200
MAX_TITLES = 10
MAX_NAME_LENGTH = 60  # characters of a column's name, where a line is to be taken for the header by its looks
MAX_HEADER_LENGTH = 200  # characters; a field beyond that is a text and no name
SENTENCE_END = re.compile(r"[.!?。！？…][\"”’」』)）]*$")
SEVERAL_WORDS = re.compile(
    r"\S\s+\S+\s+\S+\s+\S|[\u3400-\u9fff]{8}"
)  # four of them, of Chinese characters twice as many
WHITESPACE = re.compile(r"\s")
TO_ASCII_PUNCTUATION = str.maketrans("。！？", ".!?")
MIN_TEXT_LENGTH = 8  # characters of a text, from which on it may be told from the name above it by its length
# Names of an only column, whose texts may have commas; any other single word above two columns is a title.
SINGLE_COLUMN_NAMES = frozenset(
    (
        "text",
        "texts",
        "prompt",
        "question",
        "content",
        "message",
        "sentence",
        "文本",
        "内容",
        "问题",
        "正文",
        "语料",
    )
)
# With these, names that nothing but a header has together.
COMMON_NAMES = SINGLE_COLUMN_NAMES | {
    *(
        "answer",
        "response",
        "reply",
        "label",
        "category",
        "instruction",
        "input",
        "output",
        "completion",
        "chosen",
        "rejected",
    ),
    *("回答", "答案", "回复", "答复", "标签", "类别", "分类", "指令", "输入", "输出"),
}
MIN_TEXT_TO_NAME_RATIO = 4  # times as long as a name are texts below it
MAX_SHORT_FIELD_LENGTH = 20  # characters of a field, beyond which it is more than a name, a label or a number
# What no column is called; years are, so a number has not four digits that begin with 19 or 20.
VALUE_PATTERNS = (
    re.compile(r"[-+]?(?!(?:19|20)\d\d$)\d[\d.,\s]*%?"),
    re.compile(r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?.*|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}.*"),
    re.compile(r"[^@\s]+@[^@\s]+\.\w+"),
    re.compile(r"https?://\S+"),
)


def parse_table(records: Iterator[Record], pad_short_lines: bool = False) -> ParsedRows:
    """Rows under the names in the header; `spare` says that empty fields at the end of a line are not written out, as in a worksheet.

    Titles above the header are passed over where the header is evident; a first line that is data gets numbered columns. Raises
    BadData where there is more than a data set may hold.
    """
    non_empty = (record for record in records if any(value.strip() for value in record[1]))
    head = list(itertools.islice(non_empty, SAMPLE_LINES))
    sample = [record for record in head if record[1] is not UNCLOSED_QUOTE]
    if not sample:
        return ParsedRows((), [], [(line_number, QUOTE_NEVER_CLOSED) for line_number, _ in head])
    header_index = count_titles(sample)
    header, sample_lines = sample[header_index][1], [values for _, values in sample[header_index + 1 :]]
    header = (
        header + [""] * (max(map(len, [header, *sample_lines])) - len(header))
        if pad_short_lines
        else _with_row_number_column(header, sample_lines)
    )
    if sample_lines and _is_data(header, sample_lines):
        columns = (
            ("text",)
            if len(header) == 1
            else tuple(f"column {line_number}" for line_number in range(1, len(header) + 1))
        )
        has_header = False
    else:
        columns, has_header = rows.unique_column_names(header), True

    def row(values: list[str]) -> Row | Message | None:
        if values is UNCLOSED_QUOTE:
            return QUOTE_NEVER_CLOSED
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
        if record[0] > sample[header_index][0]
        or record[1] is UNCLOSED_QUOTE
        or (record is sample[header_index] and not has_header)
    )
    parsed, bad_lines = rows.collect(itertools.chain(body, non_empty), row)
    unnamed = [name for name, raw in zip(columns, header, strict=True) if has_header and not raw.strip()]
    empty_columns = {name for name in unnamed if not any(row[name].strip() for row in parsed)}
    if empty_columns:
        columns = tuple(name for name in columns if name not in empty_columns)
        parsed = [{name: row[name] for name in columns} for row in parsed]
    return ParsedRows(columns, parsed, bad_lines)


def count_titles(records: Sequence[Record]) -> int:
    """How many of the first lines are titles above the header; 0 where it is not evident that the header comes later."""
    if _has_comma_title(records):
        return 1
    filled_counts = [sum(bool(value.strip()) for value in values) for _, values in records]
    common_count = Counter(filled_counts).most_common(1)[0][0]
    title_count = 0
    while title_count < min(MAX_TITLES, len(records) - 2) and filled_counts[title_count] <= max(
        1, common_count // 3
    ):
        title_count += 1
    if not title_count or common_count < 2 or filled_counts[title_count] * 3 < common_count * 2:
        return 0
    is_separate = records[title_count][0] - records[title_count - 1][0] > 1 or any(
        WHITESPACE.search("".join(values).strip()) for _, values in records[:title_count]
    )
    is_single_column = any(
        "".join(values).strip().casefold() in SINGLE_COLUMN_NAMES for _, values in records[:title_count]
    )
    is_evident = (
        common_count > 2
        or is_separate
        or (
            not is_single_column
            and max(_length_ratios([values for _, values in records[title_count:]])) >= MIN_TEXT_TO_NAME_RATIO
        )
    )
    return title_count if is_evident and are_column_names(records[title_count][1]) else 0


def _has_comma_title(records: Sequence[Record]) -> bool:
    """Whether the first line is a title with a comma in it ("Help desk export, January") above names: usual ones, or short ones above texts."""
    lines = [values for _, values in records]
    is_common = [[cell.strip().casefold() in COMMON_NAMES for cell in values] for values in lines[:2]]
    if len(lines) > 2 and len(lines[0]) == len(lines[1]) > 1 and all(is_common[1]) and not any(is_common[0]):
        return True
    has_comma = (
        len(lines) > 2
        and 1 < len(lines[0]) == len(lines[1])
        and any(value[:1] == " " for value in lines[0][1:])
    )
    is_candidate = has_comma and all(lines[0]) and bool(WHITESPACE.search(lines[0][0].strip()))
    ratios = _length_ratios(lines[1:]) if is_candidate else [0.0]
    return (
        is_candidate
        and are_column_names(lines[1])
        and min(ratios) >= 2
        and max(ratios) >= MIN_TEXT_TO_NAME_RATIO
    )


def _length_ratios(lines: Sequence[list[str]]) -> list[float]:
    """How many times as long as each field in the first of the lines are usually those below it; 0 where these are no texts."""
    columns = (
        [len(values[index].strip()) for values in lines[1:] if len(values) > index]
        for index in range(len(lines[0]))
    )
    median_lengths = [sorted(lengths)[len(lengths) // 2] if lengths else 0 for lengths in columns]
    return [
        length / max(1, len(cell.strip())) if length >= MIN_TEXT_LENGTH else 0.0
        for cell, length in zip(lines[0], median_lengths, strict=True)
    ] or [0.0]


def are_column_names(values: Sequence[str]) -> bool:
    """Whether fields look like the names of columns: short, different, no sentences and no values."""
    cells = [value for value in values if value.strip()]
    return len(set(cells)) == len(cells) > 0 and not any(
        len(cell) > MAX_NAME_LENGTH
        or cell[0].isspace()
        or SENTENCE_END.search(cell.strip())
        or _value_kind(cell)
        for cell in cells
    )


def _with_row_number_column(header: list[str], body: list[list[str]]) -> list[str]:
    """The header of lines that all have one field more, a number, as R writes row names: with a place for these."""
    numbered = [
        values for values in body if len(values) == len(header) + 1 and VALUE_PATTERNS[0].fullmatch(values[0])
    ]
    return (
        ["", *header]
        if len(numbered) == len(body) > 1 and any(values[-1].strip() for values in numbered)
        else header
    )


def _is_data(header: list[str], body: list[list[str]]) -> bool:
    """Whether the first line is an example like those below it, so that the file has no header."""
    if any(len(cell) > MAX_HEADER_LENGTH for cell in header):
        return True
    columns = [
        [values[index].strip() for values in body if values != header and len(values) > index]
        for index in range(len(header))
    ]
    if has_questions_and_answers([header, *body]):
        return True
    if len(header) == 1:
        sentence_ends = [_sentence_end(cell) for cell in columns[0]]
        return bool(_sentence_end(header[0])) and 2 * sentence_ends.count(_sentence_end(header[0])) > len(
            sentence_ends
        )
    is_alike = False
    for cell, column in zip(map(str.strip, header), columns, strict=True):
        median_length = sorted(map(len, column))[len(column) // 2] if column else 0
        if median_length > MAX_SHORT_FIELD_LENGTH and len(cell) * MIN_TEXT_TO_NAME_RATIO < median_length:
            return False  # a name above texts
        kind = _value_kind(cell)
        same_count = sum(_value_kind(value) == kind for value in column) if kind else 0
        is_alike = (
            is_alike
            or (bool(cell) and column.count(cell) > 1)
            or (len(column) > 1 and same_count > 0.8 * len(column))
        )
    return is_alike


def has_questions_and_answers(lines: Sequence[list[str]]) -> bool:
    """Whether the first of the lines asks something in one field and answers in another, in a sentence or at length, as most others do."""

    def is_mostly(index: int, is_answer: bool) -> bool:
        matches = [
            _asks_or_answers(values[index], is_answer)
            for values in lines
            if len(values) > index and values[index].strip()
        ]
        return bool(matches) and matches[0] and 2 * sum(matches) > len(matches)

    question_indices = [index for index in range(len(lines[0])) if is_mostly(index, False)]
    return (
        len(lines) > 2
        and bool(question_indices)
        and any(is_mostly(index, True) for index in range(len(lines[0])) if index not in question_indices)
    )


def _asks_or_answers(cell: str, is_answer: bool) -> bool:
    """Whether a field asks, or whether it `answers`: ends like a sentence that does not ask, or is longer than a name."""
    end_mark = _sentence_end(cell)
    return (
        (bool(end_mark) and end_mark != "?") or len(cell.strip()) > MAX_NAME_LENGTH
        if is_answer
        else end_mark == "?"
    )


def is_doubtful_header(names: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Whether what was taken for the names of columns may be an example: a sentence, or of several words and as long as the texts below."""
    texts = [[*values] for values in body[:SAMPLE_LINES]]
    is_alike = (
        bool(texts)
        and all(0 < ratio <= 2 for ratio in _length_ratios([[*names], *texts]))
        and any(map(SEVERAL_WORDS.search, names))
    )
    return len(names) > 1 and (is_alike or any(SENTENCE_END.search(name) for name in names))


def _sentence_end(cell: str) -> str:
    """The mark that ends a sentence, as it is written in the West; empty where none does."""
    match = SENTENCE_END.search(cell.strip())
    return match[0][0].translate(TO_ASCII_PUNCTUATION) if match else ""


def _value_kind(cell: str) -> int:
    """Which kind of value a field is: a number, a date, an address; 0 for anything else."""
    return next(
        (number for number, pattern in enumerate(VALUE_PATTERNS, 1) if pattern.fullmatch(cell.strip())), 0
    )
