"""Text with a delimiter becomes lines of fields: comma, semicolon, tab, bar or a rarer sign, told by which one makes the lines agree."""

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from studio.data import grid, rows
from studio.data.grid import Record
from studio.data.rows import MAX_BYTES, Found, Told, unheard

DELIMITERS = (",", ";", "\t", "|")
# Signs that no text needs, and signs that some do: these make a table only where a file's ending says that it is one.
RARE, RARER = "\x01\x02\x1c\x1d\x1e\x1f^~¦§¬｜", ":#&*=/@$%+\\·•；"
NONE = ""  # no sign divides the lines
UNUSED = "\x1f\x1e\x1d\x1c\ue000\ue001"
LOOKED_AT = 100
LEAST_OF_USUAL = 0.9  # the share of the lines that agree by a usual delimiter, below which a rare one is looked for
LEAST_AGREEMENT = 0.8  # the share of the lines below a title that have the same number of fields
MOST_REPAIRS = 20
MOST_WORDS = 3  # of a column's name, where nothing but the lines says that a text is a table
# Excel's own first line, which names the delimiter.
SAID = re.compile(r'"?sep=([^\w\s"]|\t)"?\r?\n')


def read(text: str, tell: Told = unheard) -> Found:
    """The table in a delimited text; `tell` hears how many of its lines are read. Raises BadData where there is more than a data set may hold."""
    rows.check_lines(text)
    said = SAID.match(text)
    lines = io.StringIO(text[said.end() :] if said else text, newline="").readlines()
    delimiter, spaced = (said[1], False) if said else told(lines)
    found = grid.table(rows.counted(records(lines, delimiter, spaced), len(lines), tell))
    return found if delimiter in (NONE, *DELIMITERS) else replace(found, delimiter=delimiter)


def told(lines: list[str], rare: str = RARE + RARER) -> tuple[str, bool]:
    """The delimiter, and whether spaces follow it: the one by which the first lines have the same number of fields.

    One of the `rare` signs it is only where no usual one suits, and every line agrees with the names in the first.
    """
    best, agreement = _usual(lines)
    if agreement < LEAST_OF_USUAL:
        head = "".join(lines[:LOOKED_AT])
        return next(((sign, False) for sign in rare if sign in head and _all_agree(lines, sign)), best)
    return best


def _all_agree(lines: list[str], sign: str) -> bool:
    """Whether a sign makes a header of several names out of the first line, and as many fields of every other."""
    header, *below = [values for _, values in _first(lines, sign)] or [[]]
    several = sum(bool(value.strip()) for value in header) > 1 and grid.like_names(header)
    return several and len(below) > 0 and all(len(values) == len(header) for values in below)


def _first(lines: list[str], delimiter: str, spaced: bool = False) -> list[Record]:
    return [record for record in itertools.islice(records(lines[: 20 * LOOKED_AT], delimiter, spaced), LOOKED_AT) if any(record[1])]


def _usual(lines: list[str]) -> tuple[tuple[str, bool], float]:
    """The usual delimiter that suits best, and the share of the lines that have as many fields as the header by it."""
    best = (NONE, False)
    most = (False, 0.0, 0, 0, False)
    padded = any(f"{sign}\t" in line for line in lines[:LOOKED_AT] for sign in ",;|")
    for delimiter, spaced in itertools.product(DELIMITERS, (False, True)):
        first = _first(lines, delimiter, spaced)
        if not first or (len(first[0][1]) < 2 and not grid.titles(first)):
            continue
        headed = len(first[0][1]) > 1
        wanted = len(first[0][1]) if headed else Counter(len(values) for _, values in first).most_common(1)[0][0]
        agreement = sum(len(values) == wanted for _, values in first) / len(first)
        if not headed and agreement < LEAST_AGREEMENT * (1 - grid.titles(first) / len(first)):
            continue  # no title above a table, but texts with commas in them
        quotes = sum(value[:1] == " " and value.lstrip()[:1] == '"' for _, values in first for value in values)
        mark = (headed and agreement > 0.5, agreement, wanted, -quotes, delimiter == "\t" and not padded)
        if mark > most:
            best, most = (delimiter, spaced), mark
    return best, most[1] if most[0] else 0


def agree(text: str) -> bool:
    """Whether a text that does not say so is a table: at least two lines, all with the same number of fields under a header's names, or questions with answers."""
    lines = io.StringIO(text[:200_000], newline="").readlines()
    delimiter, spaced = told(lines, RARE)
    every = [one for one in itertools.islice(records(lines, delimiter, spaced), LOOKED_AT) if any(value.strip() for value in one[1])]
    first = [values for _, values in every[grid.titles(every) if every else 0 :]]
    same = sum(len(values) == len(first[0]) for values in first) if first else 0
    asked = 0 < same == len(first) and grid.asks(first)
    if delimiter == NONE or len(first) < 2 or same < 0.9 * len(first):
        return False
    return delimiter == "\t" or asked or (grid.like_names(first[0]) and all(0 < len(value.split()) <= MOST_WORDS for value in first[0]))


def records(lines: list[str], delimiter: str, spaced: bool = False) -> Iterator[Record]:
    """Each record with the number of its last line; a quote that is never closed costs its own line, not all that follow."""
    csv.field_size_limit(MAX_BYTES)
    delimiter = delimiter or next((sign for sign in UNUSED if not any(sign in line for line in lines)), UNUSED[0])
    start = repairs = 0
    headed = False
    while start < len(lines):
        # Each repair reads on to the end of the file; past a few of them quotes no longer join lines, so that the time stays linear.
        part = itertools.islice(lines, start, None if repairs < MOST_REPAIRS else start + 1)
        reader = csv.reader(part, delimiter=delimiter, skipinitialspace=spaced)
        begun = start
        for values in reader:
            end = start + reader.line_num
            if end - begun > 1 and sum(line.count('"') for line in lines[begun:end]) % 2:
                # A header is read without the quote, since everything below hangs on it.
                yield begun + 1, grid.UNCLOSED if headed else lines[begun].replace('"', "").strip().split(delimiter)
                headed = True
                repairs += 1
                break
            yield end, values
            headed = headed or any(values)
            begun = end
        else:
            if repairs < MOST_REPAIRS:
                return
            begun = start
        start = begun + 1
