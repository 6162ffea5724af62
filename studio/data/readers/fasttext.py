"""Training files of fastText become texts with their classes, as in `__label__billing My invoice`."""

import io
import json
import re

from studio.data.readers import rows
from studio.data.readers.rows import ParsedRows, Row
from studio.data.readers.spec import Reader, SourceFile

LABELS = re.compile(r"((?:__label__\S+[ \t]+)+)(\S.*)")
PREFIX = "__label__"
MIN_SHARE = 0.9  # of the first lines must begin with a label (0–1)
SAMPLE_LINES = 100


def is_fasttext(source: SourceFile) -> bool:
    """Whether nearly all first lines of a text begin with a label."""
    if not source.text_start.startswith(PREFIX):
        return False
    lines = [line for line in source.text_start.splitlines()[:SAMPLE_LINES] if line.strip()]
    return sum(line.lstrip().startswith(PREFIX) for line in lines) >= MIN_SHARE * len(lines)


def read_fasttext(text: str) -> ParsedRows:
    """Read one text with its classes a line.

    Raises:
        BadData: There is more than a data set may hold.
    """
    rows.check_line_count(text)
    has_several = False

    def parse_line(line: str) -> Row | None:
        nonlocal has_several
        match = LABELS.fullmatch(line.strip())
        if not match:
            return {"text": line.strip(), "label": ""} if line.strip() else None
        labels = [name.removeprefix(PREFIX) for name in match[1].split()]
        has_several = has_several or len(labels) > 1
        return {"text": match[2], "label": labels[0] if len(labels) == 1 else json.dumps(labels)}

    parsed, bad_lines = rows.collect(enumerate(io.StringIO(text, newline=None), 1), parse_line)
    column = "labels" if has_several else "label"
    renamed = [{"text": row["text"], column: row["label"]} for row in parsed]
    return ParsedRows(("text", column) if renamed else (), renamed, bad_lines)


READER = Reader(
    name="fasttext",
    label="fastText",
    extensions=(),
    read=lambda source: read_fasttext(source.text),
    matches=is_fasttext,
    names_columns=True,
    pasted_extension=lambda _: ".txt",
)
