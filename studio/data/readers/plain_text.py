"""Running text becomes examples to complete: pieces between blank lines and headings, short ones gathered; a list of questions stays one."""

import io
import re
from collections.abc import Iterable, Iterator

from studio.data.readers import rows
from studio.data.readers.rows import ParsedRows

MIN_PIECE_LENGTH = 400  # characters of a piece, where the text goes on
HEADING = re.compile(r"#{1,6}\s")
CODE_FENCE = re.compile(r"\s*(```|~~~)")
# Lines of which at least this share end in a question mark, and at least so many do, are a list of questions; a list's marks are no part of them.
MIN_QUESTION_SHARE, MIN_QUESTIONS = 0.7, 4
QUESTION_END = re.compile(r"[?？][\"”’」』)）]*$")
LIST_MARK = re.compile(r"\s*([-*•·]|\d{1,4}[.)、．])\s+|\s*(\d{1,4}[、．])")
# Where a piece that is too long for a cell is cut: after a sentence, else at a space.
CUT_POINT = re.compile(r"[.!?](?=\s)|[。！？]|\s")


def read_plain_text(text: str) -> ParsedRows:
    """The pieces of a text, or the questions of a list of them, under the column `text`. Raises BadData where there is more than a data set may hold."""
    rows.check_line_count(text)
    lines = [line.rstrip() for line in io.StringIO(text, newline=None)]
    if questions := _questions(lines):
        parsed, bad_lines = rows.collect(enumerate(questions, 1), lambda question: {"text": question})
        return ParsedRows(("text",) if parsed else (), parsed, bad_lines)
    parts = list(_paragraphs(lines))
    separator = "\n\n"
    if len(parts) < 2:
        parts, separator = [line for line in lines if line], "\n"
    parsed, bad_lines = rows.collect(
        enumerate(_merge_short(parts, separator), 1), lambda piece: {"text": piece}
    )
    return ParsedRows(("text",) if parsed else (), parsed, bad_lines)


def _questions(lines: list[str]) -> list[str]:
    """The lines of a list of questions, without its headings and marks; empty where the text is none."""
    text_lines = [line for line in lines if line and not HEADING.match(line)]
    question_count = sum(bool(QUESTION_END.search(line)) for line in text_lines)
    if question_count < MIN_QUESTIONS or question_count < MIN_QUESTION_SHARE * len(text_lines):
        return []
    has_marks = sum(bool(LIST_MARK.match(line)) for line in text_lines) > 0.5 * len(text_lines)
    return [(LIST_MARK.sub("", line, count=1) if has_marks else line).strip() for line in text_lines]


def _paragraphs(lines: list[str]) -> Iterator[str]:
    """What stands between blank lines; a Markdown heading begins a new one, within a block of code nothing does."""
    paragraph: list[str] = []
    in_code = False
    has_closed_fences = sum(bool(CODE_FENCE.match(line)) for line in lines) % 2 == 0
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
    """Neighbouring parts joined until a piece is long enough; what is left at the end goes with the last piece."""
    piece = ""
    pending: list[str] = []
    for part in (short for long in parts for short in _split_long(long)):
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
    """A part in portions that fit into a cell."""
    while len(part) > rows.MAX_CELL_LENGTH:
        ends = [
            match.end() for match in CUT_POINT.finditer(part, rows.MAX_CELL_LENGTH // 2, rows.MAX_CELL_LENGTH)
        ]
        end = ends[-1] if ends else rows.MAX_CELL_LENGTH
        yield part[:end].strip()
        part = part[end:].strip()
    if part:
        yield part
