"""Text with a delimiter becomes lines of fields: comma, semicolon, tab, bar or a rarer sign, told by which one makes the lines agree."""

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from studio.data.readers import header, rows
from studio.data.readers.header import Record
from studio.data.readers.rows import MAX_BYTES, ParsedRows
from studio.storage import ProgressCallback, no_progress

DELIMITERS = (",", ";", "\t", "|")
# Signs that no text needs, and signs that some do: these make a table only where a file's ending says that it is one.
RARE_DELIMITERS, TEXT_LIKE_DELIMITERS = "\x01\x02\x1c\x1d\x1e\x1f^~¦§¬｜", ":#&*=/@$%+\\·•；"
NO_DELIMITER = ""  # no sign divides the lines
PLACEHOLDER_DELIMITERS = "\x1f\x1e\x1d\x1c\ue000\ue001"
SAMPLE_LINES = 100
MIN_COMMON_AGREEMENT = (
    0.9  # the share of the lines that agree by a usual delimiter, below which a rare one is looked for
)
MIN_AGREEMENT = 0.8  # the share of the lines below a title that have the same number of fields
MAX_REPAIRS = 20
MAX_NAME_WORDS = 3  # of a column's name, where nothing but the lines says that a text is a table
# Excel's own first line, which names the delimiter.
EXCEL_SEP_LINE = re.compile(r'"?sep=([^\w\s"]|\t)"?\r?\n')


def read_delimited(text: str, on_progress: ProgressCallback = no_progress) -> ParsedRows:
    """The table in a delimited text; `tell` hears how many of its lines are read. Raises BadData where there is more than a data set may hold."""
    rows.check_line_count(text)
    sep_line = EXCEL_SEP_LINE.match(text)
    lines = io.StringIO(text[sep_line.end() :] if sep_line else text, newline="").readlines()
    delimiter, skip_spaces = (sep_line[1], False) if sep_line else detect_delimiter(lines)
    parsed = header.parse_table(
        rows.with_progress(parse_records(lines, delimiter, skip_spaces), len(lines), on_progress)
    )
    return parsed if delimiter in (NO_DELIMITER, *DELIMITERS) else replace(parsed, delimiter=delimiter)


def detect_delimiter(
    lines: list[str], rare_delimiters: str = RARE_DELIMITERS + TEXT_LIKE_DELIMITERS
) -> tuple[str, bool]:
    """The delimiter, and whether spaces follow it: the one by which the first lines have the same number of fields.

    One of the `rare` signs it is only where no usual one suits, and every line agrees with the names in the first.
    """
    best, agreement = _best_common_delimiter(lines)
    if agreement < MIN_COMMON_AGREEMENT:
        sample = "".join(lines[:SAMPLE_LINES])
        return next(
            (
                (candidate, False)
                for candidate in rare_delimiters
                if candidate in sample and _all_lines_agree(lines, candidate)
            ),
            best,
        )
    return best


def _all_lines_agree(lines: list[str], delimiter: str) -> bool:
    """Whether a sign makes a header of several names out of the first line, and as many fields of every other."""
    names, *body = [values for _, values in _sample_records(lines, delimiter)] or [[]]
    has_names = sum(bool(value.strip()) for value in names) > 1 and header.are_column_names(names)
    return has_names and len(body) > 0 and all(len(values) == len(names) for values in body)


def _sample_records(lines: list[str], delimiter: str, skip_spaces: bool = False) -> list[Record]:
    return [
        record
        for record in itertools.islice(
            parse_records(lines[: 20 * SAMPLE_LINES], delimiter, skip_spaces), SAMPLE_LINES
        )
        if any(record[1])
    ]


def _best_common_delimiter(lines: list[str]) -> tuple[tuple[str, bool], float]:
    """The usual delimiter that suits best, and the share of the lines that have as many fields as the header by it."""
    best = (NO_DELIMITER, False)
    best_score = (False, 0.0, 0, 0, False)
    is_padded = any(f"{char}\t" in line for line in lines[:SAMPLE_LINES] for char in ",;|")
    for delimiter, skip_spaces in itertools.product(DELIMITERS, (False, True)):
        sample = _sample_records(lines, delimiter, skip_spaces)
        if not sample or (len(sample[0][1]) < 2 and not header.count_titles(sample)):
            continue
        has_header = len(sample[0][1]) > 1
        field_count = (
            len(sample[0][1])
            if has_header
            else Counter(len(values) for _, values in sample).most_common(1)[0][0]
        )
        agreement = sum(len(values) == field_count for _, values in sample) / len(sample)
        if not has_header and agreement < MIN_AGREEMENT * (1 - header.count_titles(sample) / len(sample)):
            continue  # no title above a table, but texts with commas in them
        padded_quotes = sum(
            value[:1] == " " and value.lstrip()[:1] == '"' for _, values in sample for value in values
        )
        score = (
            has_header and agreement > 0.5,
            agreement,
            field_count,
            -padded_quotes,
            delimiter == "\t" and not is_padded,
        )
        if score > best_score:
            best, best_score = (delimiter, skip_spaces), score
    return best, best_score[1] if best_score[0] else 0


def is_delimited(text: str) -> bool:
    """Whether a text that does not say so is a table: at least two lines, all with the same number of fields under a header's names, or questions with answers."""
    lines = io.StringIO(text[:200_000], newline="").readlines()
    delimiter, skip_spaces = detect_delimiter(lines, RARE_DELIMITERS)
    sample = [
        record
        for record in itertools.islice(parse_records(lines, delimiter, skip_spaces), SAMPLE_LINES)
        if any(value.strip() for value in record[1])
    ]
    body = [values for _, values in sample[header.count_titles(sample) if sample else 0 :]]
    same_count = sum(len(values) == len(body[0]) for values in body) if body else 0
    has_questions = 0 < same_count == len(body) and header.has_questions_and_answers(body)
    if delimiter == NO_DELIMITER or len(body) < 2 or same_count < 0.9 * len(body):
        return False
    return (
        delimiter == "\t"
        or has_questions
        or (
            header.are_column_names(body[0])
            and all(0 < len(value.split()) <= MAX_NAME_WORDS for value in body[0])
        )
    )


def parse_records(lines: list[str], delimiter: str, skip_spaces: bool = False) -> Iterator[Record]:
    """Each record with the number of its last line; a quote that is never closed costs its own line, not all that follow."""
    csv.field_size_limit(MAX_BYTES)
    delimiter = delimiter or next(
        (char for char in PLACEHOLDER_DELIMITERS if not any(char in line for line in lines)),
        PLACEHOLDER_DELIMITERS[0],
    )
    start = repairs = 0
    has_header = False
    while start < len(lines):
        # Each repair reads on to the end of the file; past a few of them quotes no longer join lines, so that the time stays linear.
        remaining = itertools.islice(lines, start, None if repairs < MAX_REPAIRS else start + 1)
        reader = csv.reader(remaining, delimiter=delimiter, skipinitialspace=skip_spaces)
        record_start = start
        for values in reader:
            record_end = start + reader.line_num
            if (
                record_end - record_start > 1
                and sum(line.count('"') for line in lines[record_start:record_end]) % 2
            ):
                # A header is read without the quote, since everything below hangs on it.
                yield (
                    record_start + 1,
                    header.UNCLOSED_QUOTE
                    if has_header
                    else lines[record_start].replace('"', "").strip().split(delimiter),
                )
                has_header = True
                repairs += 1
                break
            yield record_end, values
            has_header = has_header or any(values)
            record_start = record_end
        else:
            if repairs < MAX_REPAIRS:
                return
            record_start = start
        start = record_start + 1
