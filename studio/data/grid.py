"""Lines of fields become rows: where the header stands, what its columns are called, and what a line that does not fit it costs."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from studio.data import rows
from studio.data.rows import Found, Row
from studio.words import Words

Record = tuple[int, list[str]]  # a line's or a row's number, and its fields

FIELDS = Words(
    "has more or fewer fields than the header ({found} instead of {wanted})", "字段数与表头不一致（应为 {wanted} 个，实有 {found} 个）"
)
TAKEN = Words(
    "The first row was taken for the names of the columns: “{first}”. If it is an example, put a row with names above it and bring the file again.",
    "第一行被当作列名：“{first}”。如果它其实是样本，请在上面加一行列名，再重新上传。",
)
# What stands for a line with a quote that is never closed.
UNCLOSED: list[str] = ['"']
QUOTE = Words("has a quotation mark that is never closed", "有一个引号没有闭合")
REPEATED = Words("repeats the header", "重复了表头")
LOOKED_AT = 200
MOST_TITLES = 10
LONGEST_NAME = 60  # characters of a column's name, where a line is to be taken for the header by its looks
LONGEST_HEADER = 200  # characters; a field beyond that is a text and no name
ENDS_A_SENTENCE = re.compile(r"[.!?。！？…][\"”’」』)）]*$")
SEVERAL_WORDS = re.compile(r"\S\s+\S+\s+\S+\s+\S|[\u3400-\u9fff]{8}")  # four of them, of Chinese characters twice as many
SPOKEN = re.compile(r"\s")
WESTERN = str.maketrans("。！？", ".!?")
MORE = 8  # characters of a text, from which on it may be told from the name above it by its length
# Names of an only column, whose texts may have commas; any other single word above two columns is a title.
ONE_COLUMN = frozenset(("text", "texts", "prompt", "question", "content", "message", "sentence", "文本", "内容", "问题", "正文", "语料"))
# With these, names that nothing but a header has together.
USUAL_NAMES = ONE_COLUMN | {
    *("answer", "response", "reply", "label", "category", "instruction", "input", "output", "completion", "chosen", "rejected"),
    *("回答", "答案", "回复", "答复", "标签", "类别", "分类", "指令", "输入", "输出"),
}
NAME_ABOVE = 4  # times as long as a name are texts below it
LONG = 20  # characters of a field, beyond which it is more than a name, a label or a number
# What no column is called; years are, so a number has not four digits that begin with 19 or 20.
VALUES = (
    re.compile(r"[-+]?(?!(?:19|20)\d\d$)\d[\d.,\s]*%?"),
    re.compile(r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?.*|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}.*"),
    re.compile(r"[^@\s]+@[^@\s]+\.\w+"),
    re.compile(r"https?://\S+"),
)


def table(records: Iterator[Record], spare: bool = False) -> Found:
    """Rows under the names in the header; `spare` says that empty fields at the end of a line are not written out, as in a worksheet.

    Titles above the header are passed over where the header is evident; a first line that is data gets numbered columns. Raises
    BadData where there is more than a data set may hold.
    """
    filled = (record for record in records if any(value.strip() for value in record[1]))
    begun = list(itertools.islice(filled, LOOKED_AT))
    first = [record for record in begun if record[1] is not UNCLOSED]
    if not first:
        return Found((), [], [(number, QUOTE) for number, _ in begun])
    start = titles(first)
    header, below = first[start][1], [values for _, values in first[start + 1 :]]
    header = header + [""] * (max(map(len, [header, *below])) - len(header)) if spare else _untitled(header, below)
    if below and _is_data(header, below):
        columns = ("text",) if len(header) == 1 else tuple(f"column {number}" for number in range(1, len(header) + 1))
        named = False
    else:
        columns, named = rows.names(header), True

    def row(values: list[str]) -> Row | Words | None:
        if values is UNCLOSED:
            return QUOTE
        if spare and len(values) < len(columns):
            values = values + [""] * (len(columns) - len(values))
        elif len(values) > len(columns) and not any(value.strip() for value in values[len(columns) :]):
            values = values[: len(columns)]
        if len(values) != len(columns):
            return FIELDS.filled(found=len(values), wanted=len(columns))
        if named and values == header:
            return REPEATED
        return dict(zip(columns, values, strict=True))

    body = (record for record in begun if record[0] > first[start][0] or record[1] is UNCLOSED or (record is first[start] and not named))
    found, bad = rows.collect(itertools.chain(body, filled), row)
    nameless = [name for name, raw in zip(columns, header, strict=True) if named and not raw.strip()]
    empty = {name for name in nameless if not any(row[name].strip() for row in found)}
    if empty:
        columns = tuple(name for name in columns if name not in empty)
        found = [{name: row[name] for name in columns} for row in found]
    return Found(columns, found, bad)


def titles(first: Sequence[Record]) -> int:
    """How many of the first lines are titles above the header; 0 where it is not evident that the header comes later."""
    if _spoken_title(first):
        return 1
    filled = [sum(bool(value.strip()) for value in values) for _, values in first]
    usual = Counter(filled).most_common(1)[0][0]
    start = 0
    while start < min(MOST_TITLES, len(first) - 2) and filled[start] <= max(1, usual // 3):
        start += 1
    if not start or usual < 2 or filled[start] * 3 < usual * 2:
        return 0
    apart = first[start][0] - first[start - 1][0] > 1 or any(SPOKEN.search("".join(values).strip()) for _, values in first[:start])
    named = any("".join(values).strip().casefold() in ONE_COLUMN for _, values in first[:start])
    evident = usual > 2 or apart or (not named and max(_times([values for _, values in first[start:]])) >= NAME_ABOVE)
    return start if evident and like_names(first[start][1]) else 0


def _spoken_title(first: Sequence[Record]) -> bool:
    """Whether the first line is a title with a comma in it ("Help desk export, January") above names: usual ones, or short ones above texts."""
    lines = [values for _, values in first]
    known = [[cell.strip().casefold() in USUAL_NAMES for cell in values] for values in lines[:2]]
    if len(lines) > 2 and len(lines[0]) == len(lines[1]) > 1 and all(known[1]) and not any(known[0]):
        return True
    said = len(lines) > 2 and 1 < len(lines[0]) == len(lines[1]) and any(value[:1] == " " for value in lines[0][1:])
    several = said and all(lines[0]) and bool(SPOKEN.search(lines[0][0].strip()))
    times = _times(lines[1:]) if several else [0.0]
    return several and like_names(lines[1]) and min(times) >= 2 and max(times) >= NAME_ABOVE


def _times(lines: Sequence[list[str]]) -> list[float]:
    """How many times as long as each field in the first of the lines are usually those below it; 0 where these are no texts."""
    columns = ([len(values[place].strip()) for values in lines[1:] if len(values) > place] for place in range(len(lines[0])))
    usual = [sorted(sizes)[len(sizes) // 2] if sizes else 0 for sizes in columns]
    return [size / max(1, len(cell.strip())) if size >= MORE else 0.0 for cell, size in zip(lines[0], usual, strict=True)] or [0.0]


def like_names(values: Sequence[str]) -> bool:
    """Whether fields look like the names of columns: short, different, no sentences and no values."""
    cells = [value for value in values if value.strip()]
    return len(set(cells)) == len(cells) > 0 and not any(
        len(cell) > LONGEST_NAME or cell[0].isspace() or ENDS_A_SENTENCE.search(cell.strip()) or _value(cell) for cell in cells
    )


def _untitled(header: list[str], below: list[list[str]]) -> list[str]:
    """The header of lines that all have one field more, a number, as R writes row names: with a place for these."""
    more = [values for values in below if len(values) == len(header) + 1 and VALUES[0].fullmatch(values[0])]
    return ["", *header] if len(more) == len(below) > 1 and any(values[-1].strip() for values in more) else header


def _is_data(header: list[str], below: list[list[str]]) -> bool:
    """Whether the first line is an example like those below it, so that the file has no header."""
    if any(len(cell) > LONGEST_HEADER for cell in header):
        return True
    columns = [[values[place].strip() for values in below if values != header and len(values) > place] for place in range(len(header))]
    if asks([header, *below]):
        return True
    if len(header) == 1:
        ends = [_end(cell) for cell in columns[0]]
        return bool(_end(header[0])) and 2 * ends.count(_end(header[0])) > len(ends)
    alike = False
    for cell, column in zip(map(str.strip, header), columns, strict=True):
        usual = sorted(map(len, column))[len(column) // 2] if column else 0
        if usual > LONG and len(cell) * NAME_ABOVE < usual:
            return False  # a name above texts
        kind = _value(cell)
        same = sum(_value(value) == kind for value in column) if kind else 0
        alike = alike or (bool(cell) and column.count(cell) > 1) or (len(column) > 1 and same > 0.8 * len(column))
    return alike


def asks(lines: Sequence[list[str]]) -> bool:
    """Whether the first of the lines asks something in one field and answers in another, in a sentence or at length, as most others do."""

    def most(place: int, answers: bool) -> bool:
        marks = [_says(values[place], answers) for values in lines if len(values) > place and values[place].strip()]
        return bool(marks) and marks[0] and 2 * sum(marks) > len(marks)

    asked = [place for place in range(len(lines[0])) if most(place, False)]
    return len(lines) > 2 and bool(asked) and any(most(place, True) for place in range(len(lines[0])) if place not in asked)


def _says(cell: str, answers: bool) -> bool:
    """Whether a field asks, or whether it `answers`: ends like a sentence that does not ask, or is longer than a name."""
    end = _end(cell)
    return (bool(end) and end != "?") or len(cell.strip()) > LONGEST_NAME if answers else end == "?"


def doubtful(names: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether what was taken for the names of columns may be an example: a sentence, or of several words and as long as the texts below."""
    texts = [[*values] for values in below[:LOOKED_AT]]
    alike = bool(texts) and all(0 < times <= 2 for times in _times([[*names], *texts])) and any(map(SEVERAL_WORDS.search, names))
    return len(names) > 1 and (alike or any(ENDS_A_SENTENCE.search(name) for name in names))


def _end(cell: str) -> str:
    """The mark that ends a sentence, as it is written in the West; empty where none does."""
    found = ENDS_A_SENTENCE.search(cell.strip())
    return found[0][0].translate(WESTERN) if found else ""


def _value(cell: str) -> int:
    """Which kind of value a field is: a number, a date, an address; 0 for anything else."""
    return next((number for number, kind in enumerate(VALUES, 1) if kind.fullmatch(cell.strip())), 0)
