"""Running text becomes examples to complete: pieces between blank lines and headings, short ones gathered; a list of questions stays one."""

import io
import re
from collections.abc import Iterable, Iterator

from studio.data import rows
from studio.data.rows import Found

LEAST = 400  # characters of a piece, where the text goes on
HEADING = re.compile(r"#{1,6}\s")
FENCE = re.compile(r"\s*(```|~~~)")
# Lines of which at least this share end in a question mark, and at least so many do, are a list of questions; a list's marks are no part of them.
MOSTLY, FEW = 0.7, 4
ASKS = re.compile(r"[?？][\"”’」』)）]*$")
MARK = re.compile(r"\s*([-*•·]|\d{1,4}[.)、．])\s+|\s*(\d{1,4}[、．])")
# Where a piece that is too long for a cell is cut: after a sentence, else at a space.
END = re.compile(r"[.!?](?=\s)|[。！？]|\s")


def read(text: str) -> Found:
    """The pieces of a text, or the questions of a list of them, under the column `text`. Raises BadData where there is more than a data set may hold."""
    rows.check_lines(text)
    lines = [line.rstrip() for line in io.StringIO(text, newline=None)]
    if asked := _questions(lines):
        found, bad = rows.collect(enumerate(asked, 1), lambda question: {"text": question})
        return Found(("text",) if found else (), found, bad)
    parts = list(_paragraphs(lines))
    blank = "\n\n"
    if len(parts) < 2:
        parts, blank = [line for line in lines if line], "\n"
    found, bad = rows.collect(enumerate(_gathered(parts, blank), 1), lambda piece: {"text": piece})
    return Found(("text",) if found else (), found, bad)


def _questions(lines: list[str]) -> list[str]:
    """The lines of a list of questions, without its headings and marks; empty where the text is none."""
    said = [line for line in lines if line and not HEADING.match(line)]
    asking = sum(bool(ASKS.search(line)) for line in said)
    if asking < FEW or asking < MOSTLY * len(said):
        return []
    marked = sum(bool(MARK.match(line)) for line in said) > 0.5 * len(said)
    return [(MARK.sub("", line, count=1) if marked else line).strip() for line in said]


def _paragraphs(lines: list[str]) -> Iterator[str]:
    """What stands between blank lines; a Markdown heading begins a new one, within a block of code nothing does."""
    part: list[str] = []
    code = False
    closed = sum(bool(FENCE.match(line)) for line in lines) % 2 == 0
    for line in lines:
        if closed and FENCE.match(line):
            code = not code
        if part and not code and (not line or HEADING.match(line)):
            yield "\n".join(part)
            part = []
        if line or (code and part):
            part.append(line)
    if part:
        yield "\n".join(part)


def _gathered(parts: Iterable[str], blank: str) -> Iterator[str]:
    """Neighbouring parts joined until a piece is long enough; what is left at the end goes with the last piece."""
    piece = ""
    waiting: list[str] = []
    for part in (short for long in parts for short in _cut(long)):
        joined = f"{piece}{blank}{part}" if piece else part
        if len(joined) > rows.MAX_CELL:
            waiting.append(piece)
            joined = part
        piece = joined
        if len(piece) >= LEAST:
            yield from waiting
            waiting, piece = [piece], ""
    if piece and waiting and len(waiting[-1]) + len(piece) + len(blank) <= rows.MAX_CELL:
        piece = f"{waiting.pop()}{blank}{piece}"
    yield from waiting
    if piece:
        yield piece


def _cut(part: str) -> Iterator[str]:
    """A part in portions that fit into a cell."""
    while len(part) > rows.MAX_CELL:
        ends = [match.end() for match in END.finditer(part, rows.MAX_CELL // 2, rows.MAX_CELL)]
        end = ends[-1] if ends else rows.MAX_CELL
        yield part[:end].strip()
        part = part[end:].strip()
    if part:
        yield part
