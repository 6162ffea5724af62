"""When messages were sent: a column of times becomes numbers that sort, however they are written."""

import datetime
import math
import re
from collections.abc import Sequence

from studio.data.schema import column_names

TIME_COLUMN_NAME = re.compile(
    r"(^|[\W_])(time|timestamp|datetime|date|sent|sent_at|created|created_at|posted|ts|when)$|时间|日期"
)
EPOCH = re.compile(r"\d{10}(\.\d+)?|\d{13}")
MAX_SECONDS = 1e11  # a larger number counts milliseconds
CLOCKS = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p")
DAY_FIRST = ("%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%y", "%d.%m.%y")
MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m/%d/%y")
YEAR_FIRST = ("%Y/%m/%d", "%Y年%m月%d日", "%a %b %d %Y")
SEPARATOR = re.compile(r"[,T]?\s+|T")
UTC = datetime.UTC


def is_time_column(name: str) -> bool:
    """Whether a column's name says that it holds times."""
    return bool(TIME_COLUMN_NAME.search(column_names.normalize(name).replace(" ", "_")))


def parse_times(groups: Sequence[Sequence[str]]) -> list[list[float]] | None:
    """The times of the messages of several conversations, in seconds; None where some cell is no time.

    Where both the day and the month may come first, the reading counts by which the conversations are
    shortest.
    """
    cells = [cell for group in groups for cell in group]
    readings = []
    for formats in ((), YEAR_FIRST, DAY_FIRST, MONTH_FIRST):
        times = _parse_all(cells, formats)
        if times:
            iterator = iter(times)
            readings.append([[next(iterator) for _ in group] for group in groups])
    return min(readings, key=_total_length, default=None)


def _total_length(groups: Sequence[Sequence[float]]) -> float:
    return sum(max(times) - min(times) for times in groups if times)


def _parse_all(cells: Sequence[str], date_formats: Sequence[str]) -> list[float] | None:
    """The times of all cells in one format, or in ISO's and in seconds; None where a cell has another one."""
    if not date_formats:
        times = [_parse_iso_or_epoch(cell.strip()) for cell in cells]
        return None if None in times else [time for time in times if time is not None]
    for date_format in date_formats:
        formats = [f"{date_format} {clock}" for clock in CLOCKS] + [date_format]
        first = SEPARATOR.sub(" ", cells[0].strip())
        for full_format in formats:
            if _parse(first, full_format) is None:
                continue
            times = [_parse(SEPARATOR.sub(" ", cell.strip()), full_format) for cell in cells]
            if None not in times:
                return [time for time in times if time is not None]
    return None


def _parse(text: str, full_format: str) -> float | None:
    try:
        return datetime.datetime.strptime(text, full_format).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def _parse_iso_or_epoch(cell: str) -> float | None:
    if EPOCH.fullmatch(cell):
        number = float(cell)
        return number / 1000 if number > MAX_SECONDS else number
    try:
        time = datetime.datetime.fromisoformat(cell)
    except ValueError:
        return None
    seconds = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return seconds if math.isfinite(seconds) else None
