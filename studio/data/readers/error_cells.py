"""Errors that a spreadsheet wrote into cells, such as #N/A, are empty cells, whatever language it speaks."""

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
MAX_NAMED_VALUES = 3
ERRORS_CLEARED = Message(
    "{count:,} {count:cell holds|cells hold} an error value ({values}) and {count:counts|count} as empty."
)


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
