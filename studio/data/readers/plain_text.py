"""Running text becomes examples to complete: its paragraphs, or the single lines of a list of questions."""

import io
import re
from collections.abc import Iterable, Iterator

from studio.data.readers import rows
from studio.data.readers.rows import EXPORT_AS_CSV, ParsedRows
from studio.data.readers.spec import Reader, SourceFile
from studio.errors import BadData
from studio.i18n import Message

LABEL = Message("text")
HOLDS_NO_JSON = Message("“{name}” holds no JSON: it begins with “{start}”.")
MARKDOWN_EXTENSIONS = (".md", ".markdown")
MIN_PIECE_LENGTH = 400  # characters of a piece, where the text goes on
QUOTED_START_LENGTH = 30
HEADING = re.compile(r"#{1,6}\s")
CODE_FENCE = re.compile(r"\s*(```|~~~)")
# A text is a list of questions where at least this share of its lines end in a question mark, and so many do.
MIN_QUESTION_SHARE, MIN_QUESTIONS = 0.7, 4
QUESTION_END = re.compile(r"[?？][\"”’」』)）]*$")
# A bullet or a number before a question, which is no part of it.
LIST_MARK = re.compile(r"\s*([-*•·]|\d{1,4}[.)、．])\s+|\s*(\d{1,4}[、．])")
MIN_MARKED_SHARE = 0.5
# Where a piece that is too long for a cell is cut: after a sentence, else at a space.
CUT_POINT = re.compile(r"[.!?](?=\s)|[。！？]|\s")


def is_plain_text(source: SourceFile) -> bool:
    """True: whatever no other format recognises is running text.

    Raises:
        BadData: The file is called .json, so that its text would be a surprise.
    """
    if source.extension == ".json":
        raise BadData(
            HOLDS_NO_JSON,
            EXPORT_AS_CSV,
            name=source.name,
            start=source.text_start[:QUOTED_START_LENGTH],
        )
    return True


def read_plain_text(text: str) -> ParsedRows:
    """Read the pieces of a text, or the questions of a list, into the column `text`.

    Raises:
        BadData: There is more than a data set may hold.
    """
    rows.check_line_count(text)
    lines = [line.rstrip() for line in io.StringIO(text, newline=None)]
    pieces = _questions(lines) or _pieces(lines)
    parsed, bad_lines = rows.collect(enumerate(pieces, 1), lambda piece: {"text": piece})
    return ParsedRows(("text",) if parsed else (), parsed, bad_lines)


def _questions(lines: list[str]) -> list[str]:
    """The lines of a list of questions, without its headings and marks; empty where the text is none."""
    text_lines = [line for line in lines if line and not HEADING.match(line)]
    question_count = sum(bool(QUESTION_END.search(line)) for line in text_lines)
    if question_count < MIN_QUESTIONS or question_count < MIN_QUESTION_SHARE * len(text_lines):
        return []
    marked_count = sum(bool(LIST_MARK.match(line)) for line in text_lines)
    if marked_count > MIN_MARKED_SHARE * len(text_lines):
        text_lines = [LIST_MARK.sub("", line, count=1) for line in text_lines]
    return [line.strip() for line in text_lines]


def _pieces(lines: list[str]) -> Iterator[str]:
    """The paragraphs of a text, or its lines where it has no several paragraphs; short ones are merged."""
    paragraphs = list(_paragraphs(lines))
    if len(paragraphs) < 2:
        return _merge_short([line for line in lines if line], "\n")
    return _merge_short(paragraphs, "\n\n")


def _paragraphs(lines: list[str]) -> Iterator[str]:
    """The text between blank lines; a Markdown heading begins a paragraph, and code is never divided."""
    paragraph: list[str] = []
    in_code = False
    fence_count = sum(bool(CODE_FENCE.match(line)) for line in lines)
    has_closed_fences = fence_count % 2 == 0
    for line in lines:
        if has_closed_fences and CODE_FENCE.match(line):
            in_code = not in_code
        if paragraph and not in_code and (not line or HEADING.match(line)):
            yield "\n".join(paragraph)
            paragraph = []
        if line or (in_code and paragraph):
            paragraph.append(line)
    if paragraph:
        yield "\n".join(paragraph)


def _merge_short(parts: Iterable[str], separator: str) -> Iterator[str]:
    """Neighbouring parts, merged up to MIN_PIECE_LENGTH; a short end is merged with the last piece."""
    piece = ""
    pending: list[str] = []  # the pieces before it, of which the last may still grow by a short end
    for part in (short_part for long_part in parts for short_part in _split_long(long_part)):
        merged = f"{piece}{separator}{part}" if piece else part
        if len(merged) > rows.MAX_CELL_LENGTH:
            pending.append(piece)
            merged = part
        piece = merged
        if len(piece) >= MIN_PIECE_LENGTH:
            yield from pending
            pending, piece = [piece], ""
    if piece and pending and len(pending[-1]) + len(piece) + len(separator) <= rows.MAX_CELL_LENGTH:
        piece = f"{pending.pop()}{separator}{piece}"
    yield from pending
    if piece:
        yield piece


def _split_long(part: str) -> Iterator[str]:
    """A part cut into pieces that fit into a cell."""
    while len(part) > rows.MAX_CELL_LENGTH:
        cut_points = CUT_POINT.finditer(part, rows.MAX_CELL_LENGTH // 2, rows.MAX_CELL_LENGTH)
        ends = [match.end() for match in cut_points]
        end = ends[-1] if ends else rows.MAX_CELL_LENGTH
        yield part[:end].strip()
        part = part[end:].strip()
    if part:
        yield part


READER = Reader(
    name="plain_text",
    label=LABEL,
    extensions=(".txt", ".md"),
    read=lambda source: read_plain_text(source.text),
    matches=is_plain_text,
)
