"""Cells that hold nothing: errors of a spreadsheet such as #N/A in any language, and words for missing."""

from collections import Counter
from dataclasses import replace

from studio.data.readers.rows import ParsedRows
from studio.i18n import Message

# The error values of Excel and LibreOffice, of which each language translates its own part.
ERROR_VALUES = frozenset(
    (
        *("#N/A", "#DIV/0!", "#REF!", "#VALUE!", "#NAME?", "#NULL!", "#NUM!"),
        *("#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!", "#CONNECT!", "#UNKNOWN!", "#BUSY!", "#GETTING_DATA"),
        *("#NV", "#BEZUG!", "#WERT!", "#ZAHL!", "#ÜBERLAUF!", "#KALK!", "#FELD!"),
        *("#VALEUR!", "#NOM?", "#NOMBRE!", "#NUL!", "#PROPAGATION!", "#CHAMP!"),
        *("#N/D", "#¡DIV/0!", "#¡REF!", "#¡VALOR!", "#¿NOMBRE?", "#¡NULO!", "#¡NUM!", "#NOMBRE?"),
        *("#RIF!", "#VALORE!", "#NOME?", "#NULLO!", "#ESPANSIONE!"),
        *("#VALOR!", "#NULO!", "#NÚM!", "#N/DISP", "#DESPEJAR!"),
        *("#N/B", "#DEEL/0!", "#VERW!", "#WAARDE!", "#NAAM?", "#LEEG!", "#GETAL!"),
        *("#SAKNAS!", "#DIVISION/0!", "#REFERENS!", "#VÄRDEFEL!", "#NAMN?", "#SKÄRNING!", "#OGILTIGT!"),
        *("#I/T", "#REFERENCE!", "#VÆRDI!", "#NAVN?"),
        *("#N/D!", "#DZIEL/0!", "#ADR!", "#ARG!", "#NAZWA?", "#ZERO!", "#LICZBA!"),
        *("#Н/Д", "#ДЕЛ/0!", "#ССЫЛКА!", "#ЗНАЧ!", "#ИМЯ?", "#ПУСТО!", "#ЧИСЛО!"),
    )
)
# What programs write for a missing value; among texts nobody means these words.
MISSING_WORDS = frozenset(("nan", "n/a", "null", "none", "<na>", "#n/a"))
MIN_MISSING = 2  # cells with such a word
MIN_TEXT_LENGTH, MIN_TEXT_SHARE = (
    20,
    0.5,
)  # the characters of a text, and the share of texts in a column (0–1)
SAMPLE_ROWS = 500  # rows that are looked at
MAX_NAMED_VALUES = 3
WORDS_CLEARED = Message(
    "{count:,} {count:cell says|cells say} that a value is missing ({values}) and {count:counts|count} as "
    "empty."
)
ERRORS_CLEARED = Message(
    "{count:,} {count:cell holds|cells hold} an error value ({values}) and {count:counts|count} as empty."
)


def clear_missing_words(parsed: ParsedRows) -> ParsedRows:
    """The rows with an empty cell for each word for a missing value in a column of texts, and a note."""
    counts: Counter[str] = Counter()
    columns = set()
    for name in parsed.columns:
        column_counts = Counter(
            row[name].strip() for row in parsed.rows if row[name].strip().lower() in MISSING_WORDS
        )
        if column_counts.total() >= MIN_MISSING and _holds_texts(parsed, name):
            columns.add(name)
            counts += column_counts
    if not counts:
        return parsed
    cleared_rows = [
        {name: "" if name in columns and cell.strip() in counts else cell for name, cell in row.items()}
        for row in parsed.rows
    ]
    values = [value for value, _ in counts.most_common(MAX_NAMED_VALUES)]
    note = WORDS_CLEARED.format(count=counts.total(), values=values)
    return replace(parsed, rows=cleared_rows, notes=(*parsed.notes, note))


def _holds_texts(parsed: ParsedRows, name: str) -> bool:
    """Whether most other cells of a column are texts and no single words."""
    cells = [row[name].strip() for row in parsed.rows[:SAMPLE_ROWS]]
    others = [cell for cell in cells if cell and cell.lower() not in MISSING_WORDS]
    return bool(others) and sum(len(cell) >= MIN_TEXT_LENGTH for cell in others) > MIN_TEXT_SHARE * len(
        others
    )


def unify_line_ends(parsed: ParsedRows) -> ParsedRows:
    """The rows with one line end in cells where Windows or an old Mac wrote its own."""
    if not any("\r" in cell for row in parsed.rows for cell in row.values()):
        return parsed
    unified = [
        {name: cell.replace("\r\n", "\n").replace("\r", "\n") for name, cell in row.items()}
        for row in parsed.rows
    ]
    return replace(parsed, rows=unified)


def clear_error_cells(parsed: ParsedRows) -> ParsedRows:
    """The rows with an empty cell for each error value, and a note of how many there were."""
    counts = Counter(
        cell.strip() for row in parsed.rows for cell in row.values() if cell.strip().upper() in ERROR_VALUES
    )
    if not counts:
        return parsed
    cleared_rows = [
        {name: "" if cell.strip() in counts else cell for name, cell in row.items()} for row in parsed.rows
    ]
    values = [value for value, _ in counts.most_common(MAX_NAMED_VALUES)]
    note = ERRORS_CLEARED.format(count=counts.total(), values=values)
    return replace(parsed, rows=cleared_rows, notes=(*parsed.notes, note))
