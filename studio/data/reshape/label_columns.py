"""Labels in a column each, with 1 where one applies, become one column of labels."""

from studio.data.readers.rows import ParsedRows, Row
from studio.data.reshape import columns
from studio.data.schema import column_names
from studio.i18n import Message

MIN_LABEL_COLUMNS = 3
YES, NO = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no", "")
# Beside such columns, columns of ones and zeros are something else.
OTHER_TARGETS = ("label", "labels", "response", "chosen", "messages")
ATTRIBUTE_PREFIXES = ("is_", "has_", "was_")
LABELS_JOINED = Message("{count} columns of yes and no ({names}) became one column of labels.")
MAX_NAMES = 5


def join_label_columns(parsed: ParsedRows) -> ParsedRows:
    """Join columns of ones and zeros beside a single text into the list of those that apply."""
    names = [name for name in parsed.columns if _is_label_column(parsed, name)]
    if len(names) < MIN_LABEL_COLUMNS:
        return parsed
    others = [name for name in parsed.columns if name not in names]
    n_texts = sum(columns.has_prose(parsed, name) for name in others)
    has_target = any(column_names.matches_role(name, role) for name in others for role in OTHER_TARGETS)
    if n_texts != 1 or has_target:
        return parsed

    def make(row: Row) -> Row:
        return {"labels": columns.dump_value([name for name in names if row[name].strip().lower() in YES])}

    more = ["…"] if len(names) > MAX_NAMES else []
    note = LABELS_JOINED.format(count=len(names), names=[*names[:MAX_NAMES], *more])
    return columns.replace_columns(parsed, names, ("labels",), make, note)


def _is_label_column(parsed: ParsedRows, name: str) -> bool:
    """Whether a column says yes in some rows and no in the others."""
    if column_names.normalize(name).startswith(ATTRIBUTE_PREFIXES):
        return False
    if not columns.holds(parsed, name, lambda cell: cell.lower() in (*YES, *NO)):
        return False
    values = {row[name].strip().lower() for row in parsed.rows}
    return values <= {*YES, *NO} and bool(values & set(YES)) and bool(values & set(NO))
