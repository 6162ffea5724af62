"""Binary files are opened in a process of their own: one made to break its reader costs an answer, not the page."""

import itertools
import json
import os
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from studio import child
from studio.data import columnar, grid, rows, sheets
from studio.data.rows import Found, Told, unheard
from studio.errors import BadData, StudioError
from studio.words import Words

Reader = Literal["workbook", "parquet", "cut"]
MEMORY = 3_000_000_000  # bytes of address space for the process, where the system can hold it to that
SECONDS = 120  # of work
AT_ONCE = 500  # lines in one answer
LOST = Words("and all rows after it cannot be read: the file is damaged there", "及其后的所有行无法读取：文件在此处损坏")
TOO_MUCH = Words(
    "“{name}” could not be read to its end: it wants more memory or time than a file of its kind should.",
    "“{name}”无法读完：读它要用的内存或时间，远远超出这类文件的正常范围。",
)
COPY = Words(
    "Copy the cells with your examples into a new file and save it as .csv or .xlsx.",
    "请把含样本的单元格复制到一个新文件，存成 .csv 或 .xlsx。",
)


def workbook(path: Path, name: str, sheet: str, tell: Told = unheard) -> Found:
    """The rows of a sheet; `tell` hears how many of them are read. Raises BadData where the workbook cannot be read, or holds more than a data set may."""
    with closing(answers("workbook", path, name, sheet)) as told:
        about = next(told)
        lines = ((number, values) for part in told for number, values in part["lines"])
        found = grid.table(rows.counted(lines, about["last"], tell), spare=True)
    return Found(found.columns, found.rows, found.bad, tuple(about["sheets"]), about["sheet"])


def parquet(path: Path, name: str, tell: Told = unheard) -> Found:
    """The rows of a Parquet file; `tell` hears how many of them are read. Raises BadData where it cannot be read, or holds more than a data set may."""
    with closing(answers("parquet", path, name)) as told:
        about = next(told)
        columns = rows.names(about["columns"])
        bad = [(0, Words.of(why)) for why in about["left_out"]]
        lines = ((number, values) for part in told for number, values in part["lines"])
        every = rows.counted(lines, about["rows"], tell)
        found, lost = rows.collect(every, lambda values: LOST if values is None else dict(zip(columns, values, strict=True)))
    return Found(columns, found, bad + lost)


def cut(paths: list[Path], target: Path, name: str) -> tuple[int, int]:
    """Join Parquet files into one that a data set may be: how many rows it has, and how many there were."""
    with closing(answers("cut", target, name, json.dumps([str(path) for path in paths]))) as told:
        about = next(told)
    return int(about["rows"]), int(about["of"])


def answers(reader: Reader, path: Path, name: str, more: str = "") -> Generator[dict[str, Any], None, None]:
    """What a reader says of a file, in a process that has so much memory and time and no more: first what it is, then its lines.

    Raises BadData with what the reader cannot do, or where the process ends before it is done.
    """
    asked = {"reader": reader, "path": str(path), "name": name, "more": more}
    silent = TOO_MUCH.filled(name=name.replace("{", "{{").replace("}", "}}"))
    try:
        yield from child.answers("studio.data.apart", asked, silent, COPY, threads=1)
    except StudioError as error:
        raise BadData(error.what, error.to_do, **error.values) from None


def told(reader: Reader, path: Path, name: str, more: str = "") -> Iterator[dict[str, Any]]:
    """The answers themselves, without the process. Raises BadData with what cannot be done."""
    if reader == "cut":
        kept, total = columnar.cut([Path(part) for part in json.loads(more)], path, name)
        yield {"rows": kept, "of": total}
        return
    found = sheets.read(path, name, more) if reader == "workbook" else columnar.read(path, name)
    yield found[0]
    yield from _in_parts(found[1])


def _in_parts(lines: Iterable[tuple[int, list[str] | None]]) -> Iterator[dict[str, Any]]:
    lines = iter(lines)
    while part := list(itertools.islice(lines, AT_ONCE)):
        yield {"lines": part}


def main() -> int:
    """The process: one question on stdin, answers on stdout."""
    asked = json.loads(sys.stdin.read())
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # the other pools reserve more than they use
    if sys.platform != "win32":  # which has no such bounds
        import resource  # noqa: PLC0415 - Windows has none

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    try:
        for answer in told(**{**asked, "path": Path(asked["path"])}):
            child.say(answer)
    except BadData as error:
        child.say_problem(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
