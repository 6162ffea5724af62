"""Delimited text becomes lines of fields: of many possible delimiters, the one by which the lines agree."""

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from studio.data.readers import header, plain_text, rows
from studio.data.readers.rows import MAX_BYTES, ParsedRows, Record
from studio.data.readers.spec import Reader, SourceFile
from studio.storage import ProgressCallback, no_progress

# Files that are read as tables whatever their lines look like; some systems name a text after a workbook.
TABLE_EXTENSIONS = (".csv", ".tsv", ".tab", ".psv", ".xls", ".xlsx")
DELIMITERS = (",", ";", "\t", "|")
# Signs that no text needs, and signs that some do: the latter make a table only where a file's extension says
# that it is one.
RARE_DELIMITERS, TEXT_LIKE_DELIMITERS = "\x01\x02\x1c\x1d\x1e\x1f^~¦§¬｜", ":#&*=/@$%+\\·•；，"
NO_DELIMITER = ""  # no sign divides the lines
# The csv module needs a delimiter: signs to choose from that the text does not hold.
PLACEHOLDER_DELIMITERS = "\x1f\x1e\x1d\x1c\ue000\ue001"
SAMPLE_LINES = 100
SAMPLE_LENGTH = 200_000  # characters of a text that does not say whether it is a table
# The share of the lines that agree by a common delimiter, below which a rare one is looked for.
MIN_COMMON_AGREEMENT = 0.9
MIN_AGREEMENT = 0.8  # the share of the lines below a title that have the same number of fields
MIN_TABLE_AGREEMENT = 0.9  # the same of a text that does not say that it is a table
MAX_REPAIRS = 20
MAX_NAME_WORDS = 3  # of a column's name, where nothing but the lines says that a text is a table
# Spark and MySQL write a backslash before a quote within quotes; others quote by single quotes.
ESCAPE = re.compile(r"\\(.)", re.DOTALL)
ESCAPED_QUOTE = re.compile(r"[^\\]\\[\"'](?!\s*[,;\t|\r\n])")
SINGLE_QUOTED = re.compile(r"^'[^'\n]*'[,;\t|]|[,;\t|]'[^\n]*'\s*$", re.MULTILINE)
MIN_QUOTED_SHARE = 0.5  # of the first lines must have such a field (0–1)
# Excel's own first line, which names the delimiter.
EXCEL_SEP_LINE = re.compile(r'"?sep=([^\w\s"]|\t)"?\r?\n')


class Dialect(NamedTuple):
    """How the fields of a text are divided.

    Attributes:
        delimiter: The sign between two fields; NO_DELIMITER where each line is one field.
        skip_spaces: Whether a space that follows the delimiter is no part of the field.
        quote: The sign around fields with delimiters in them.
        has_escapes: Whether a backslash stands before a quote within a field, in the place of a second quote.
    """

    delimiter: str
    skip_spaces: bool = False
    quote: str = '"'
    has_escapes: bool = False


class Agreement(NamedTuple):
    """A dialect, and the share of the lines that have as many fields by it as the header; 0 without one."""

    dialect: Dialect
    share: float


def is_table(source: SourceFile) -> bool:
    """Whether a text is a table: by its extension where that says so, else by its lines."""
    if source.extension in TABLE_EXTENSIONS:
        return True
    return source.extension not in plain_text.MARKDOWN_EXTENSIONS and is_delimited(source.text)


def read_delimited(text: str, on_progress: ProgressCallback = no_progress) -> ParsedRows:
    """Read the table in a delimited text.

    Args:
        text: The text; a first line such as `sep=;` names the delimiter, as Excel writes it.
        on_progress: Receives how many lines are read, and how many there are.

    Raises:
        BadData: There is more than a data set may hold.
    """
    rows.check_line_count(text)
    sep_line = EXCEL_SEP_LINE.match(text)
    if sep_line:
        lines = _split_lines(text[sep_line.end() :])
        dialect = Dialect(sep_line[1])
    else:
        lines = _split_lines(text)
        dialect = detect_dialect(lines)
    records = parse_records(lines, dialect)
    numbered_records = rows.with_progress(records, len(lines), on_progress)
    overrun = "" if dialect.skip_spaces else dialect.delimiter
    parsed = header.parse_table(numbered_records, overrun_delimiter=overrun)
    is_common = dialect.delimiter in (NO_DELIMITER, *DELIMITERS)
    return parsed if is_common else replace(parsed, delimiter=dialect.delimiter)


def pasted_extension(text: str) -> str:
    """The extension that names a pasted table: cells copied from a spreadsheet have tabs between them."""
    dialect = detect_dialect(text.splitlines(keepends=True)[:SAMPLE_LINES])
    return ".tsv" if dialect.delimiter == "\t" else ".csv"


def detect_dialect(
    lines: list[str], rare_delimiters: str = RARE_DELIMITERS + TEXT_LIKE_DELIMITERS
) -> Dialect:
    """The dialect by which the first lines have the same number of fields.

    Args:
        lines: The lines with their line ends.
        rare_delimiters: Signs that divide the fields only where no common delimiter does, and where every
            line agrees with the names in the first.
    """
    dialect, share = _best_common_dialect(lines)
    if share >= MIN_COMMON_AGREEMENT:
        return dialect
    sample = "".join(lines[:SAMPLE_LINES])
    for candidate in rare_delimiters:
        if candidate in sample and _all_lines_agree(lines, candidate):
            return Dialect(candidate)
    return dialect


def is_delimited(text: str) -> bool:
    """Whether a text that does not say so is a table.

    It is one where at least two lines, and nearly all of them, have the same number of fields, under the
    names of a header, or as questions with answers.
    """
    lines = _split_lines(text[:SAMPLE_LENGTH])
    dialect = detect_dialect(lines, RARE_DELIMITERS)
    records = itertools.islice(parse_records(lines, dialect), SAMPLE_LINES)
    sample = [record for record in records if any(value.strip() for value in record.values)]
    title_count = header.count_titles(sample) if sample else 0
    table = [record.values for record in sample[title_count:]]
    if dialect.delimiter == NO_DELIMITER or len(table) < 2:
        return False
    same_count = sum(len(values) == len(table[0]) for values in table)
    if same_count < MIN_TABLE_AGREEMENT * len(table):
        return False
    if dialect.delimiter == "\t":
        return True
    if same_count == len(table) and header.has_questions_and_answers(table):
        return True
    has_short_names = all(0 < len(value.split()) <= MAX_NAME_WORDS for value in table[0])
    return has_short_names and header.are_column_names(table[0])


def parse_records(lines: list[str], dialect: Dialect) -> Iterator[Record]:
    """Yield the records of a delimited text; a quote that is never closed costs its own line alone.

    Args:
        lines: The lines with their line ends.
        dialect: How their fields are divided.
    """
    csv.field_size_limit(MAX_BYTES)
    if dialect.has_escapes:
        lines = [_double_quotes(line, dialect.quote) for line in lines]
    delimiter = dialect.delimiter or _unused_delimiter(lines)
    start = repairs = 0
    has_header = False
    while start < len(lines):
        # Each repair reads on to the end of the file; past a few of them quotes no longer join lines, so that
        # the time stays linear.
        stop = None if repairs < MAX_REPAIRS else start + 1
        remaining = itertools.islice(lines, start, stop)
        reader = csv.reader(
            remaining,
            delimiter=delimiter,
            skipinitialspace=dialect.skip_spaces,
            quotechar=dialect.quote,
        )
        record_start = start
        for values in reader:
            record_end = start + reader.line_num
            if _has_open_quote(lines[record_start:record_end], dialect.quote):
                if has_header:
                    yield Record(record_start + 1, header.UNCLOSED_QUOTE)
                else:
                    # A header is read without the quote, since everything below depends on it.
                    unquoted = lines[record_start].replace(dialect.quote, "").strip()
                    yield Record(record_start + 1, unquoted.split(delimiter))
                has_header = True
                repairs += 1
                break
            yield Record(record_end, values)
            has_header = has_header or any(values)
            record_start = record_end
        else:
            if repairs < MAX_REPAIRS:
                return
            record_start = start
        start = record_start + 1


def _split_lines(text: str) -> list[str]:
    """The lines of a text with their line ends as they are."""
    return io.StringIO(text, newline="").readlines()


def _unused_delimiter(lines: list[str]) -> str:
    """A sign that divides nothing."""
    for candidate in PLACEHOLDER_DELIMITERS:
        if not any(candidate in line for line in lines):
            return candidate
    return PLACEHOLDER_DELIMITERS[0]


def _has_open_quote(record_lines: list[str], quote: str) -> bool:
    """Whether several lines were joined to one record by a quote that is never closed."""
    return len(record_lines) > 1 and sum(line.count(quote) for line in record_lines) % 2 == 1


def _double_quotes(line: str, quote: str) -> str:
    """A line whose quotes after a backslash are doubled instead, as the csv module reads them."""
    if "\\" not in line:
        return line
    return ESCAPE.sub(lambda match: 2 * quote if match[1] == quote else match[0], line)


def _all_lines_agree(lines: list[str], delimiter: str) -> bool:
    """Whether a delimiter makes several names of the first line, and as many fields of all others."""
    sample = _sample_records(lines, Dialect(delimiter))
    if len(sample) < 2:
        return False
    names, *body = [record.values for record in sample]
    has_several_names = sum(bool(value.strip()) for value in names) > 1
    if not has_several_names or not header.are_column_names(names):
        return False
    return all(len(values) == len(names) for values in body)


def _sample_records(lines: list[str], dialect: Dialect) -> list[Record]:
    """The first records that are not empty."""
    records = itertools.islice(parse_records(lines[: 20 * SAMPLE_LINES], dialect), SAMPLE_LINES)
    return [record for record in records if any(record.values)]


def _best_common_dialect(lines: list[str]) -> Agreement:
    """The dialect with a common delimiter that suits the lines best."""
    best_dialect = Dialect(NO_DELIMITER)
    best_score = (False, 0.0, 0, 0, False)
    is_padded = any(f"{delimiter}\t" in line for line in lines[:SAMPLE_LINES] for delimiter in ",;|")
    for delimiter, skip_spaces, quoting in itertools.product(DELIMITERS, (False, True), _quotings(lines)):
        dialect = Dialect(delimiter, skip_spaces, *quoting)
        sample = _sample_records(lines, dialect)
        if not sample:
            continue
        has_header = len(sample[0].values) > 1
        title_count = 0 if has_header else header.count_titles(sample)
        if not has_header and not title_count:
            continue
        field_counts = [len(record.values) for record in sample]
        field_count = field_counts[0] if has_header else Counter(field_counts).most_common(1)[0][0]
        agreement = field_counts.count(field_count) / len(sample)
        if not has_header and agreement < MIN_AGREEMENT * (1 - title_count / len(sample)):
            continue  # no title above a table, but texts with commas in them
        score = (
            has_header and agreement > 0.5,
            agreement,
            field_count,
            -_count_padded_quotes(sample),
            delimiter == "\t" and not is_padded,
        )
        if score > best_score:
            best_dialect, best_score = dialect, score
    has_agreement, share, *_ = best_score
    return Agreement(best_dialect, share if has_agreement else 0)


def _quotings(lines: list[str]) -> list[tuple[str, bool]]:
    """The ways in which fields may be quoted, the usual one first: the quote, and whether it has escapes."""
    sample = "".join(lines[:SAMPLE_LINES])
    quotings = [('"', False)]
    has_escapes = bool(ESCAPED_QUOTE.search(sample))
    if has_escapes:
        quotings.append(('"', True))
    n_lines = len(lines[:SAMPLE_LINES])
    if len(SINGLE_QUOTED.findall(sample)) >= MIN_QUOTED_SHARE * n_lines:
        quotings.append(("'", has_escapes))
    return quotings


def _count_padded_quotes(sample: list[Record]) -> int:
    """How many fields begin with a space and a quote, which then divides nothing."""
    return sum(value[:1] == " " and value.lstrip()[:1] == '"' for record in sample for value in record.values)


READER = Reader(
    name="csv",
    label="CSV",
    extensions=(".csv", ".tsv"),
    read=lambda source: read_delimited(source.text, source.on_progress),
    matches=is_table,
    pasted_extension=pasted_extension,
)
