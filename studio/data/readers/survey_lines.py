"""Lines that a survey tool writes below the names of the columns, such as Qualtrics, are no examples."""

from dataclasses import replace

from studio.data.readers.rows import ParsedRows
from studio.i18n import Message

IMPORT_ID = '{"ImportId":'
MAX_LINES = 3  # below the header
LINES_DROPPED = Message("{count} lines of Qualtrics below the names of the columns were left out.")


def drop_survey_lines(parsed: ParsedRows) -> ParsedRows:
    """The rows without the questions and ids that Qualtrics writes above the answers."""
    for index, row in enumerate(parsed.rows[:MAX_LINES]):
        cells = [cell.strip() for cell in row.values() if cell.strip()]
        if cells and all(cell.startswith(IMPORT_ID) for cell in cells):
            note = LINES_DROPPED.format(count=index + 1)
            return replace(parsed, rows=parsed.rows[index + 1 :], notes=(*parsed.notes, note))
    return parsed
