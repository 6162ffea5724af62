"""Binary formats are parsed in a child process: a file that breaks its parser costs an answer only."""

import itertools
import json
import os
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from studio import processes
from studio.data import readers
from studio.data.readers import parquet
from studio.data.readers.rows import LineStream
from studio.data.readers.spec import Reader, SourceFile
from studio.errors import BadData, StudioError
from studio.i18n import Message

MAX_MEMORY_BYTES = 3_000_000_000  # of address space for the process, where the system can bound it
MAX_CPU_SECONDS = 120
LINES_PER_MESSAGE = 500
OUT_OF_RESOURCES = Message(
    "“{name}” could not be read to its end: it wants more memory or time than a file of its kind should."
)
COPY_TO_NEW_FILE = Message("Copy the cells with your examples into a new file and save it as .csv or .xlsx.")


@contextmanager
def open_stream(reader: Reader, source: SourceFile) -> Iterator[LineStream]:
    """Read a file in the sandbox; leaving the context ends the process.

    Args:
        reader: A registered reader with `sandboxed` set.
        source: The file; its path, name and sheet are what the process gets to know.

    Raises:
        BadData: The reader refuses the file, or the process ends before it is done.
    """
    request = {
        "task": "read",
        "reader": reader.name,
        "path": str(source.path),
        "name": source.name,
        "sheet": source.sheet,
    }
    with closing(read_in_subprocess(request)) as messages:
        info = next(messages)
        columns = info["columns"]
        yield LineStream(
            lines=((number, values) for message in messages for number, values in message["lines"]),
            total=info["total"],
            columns=None if columns is None else tuple(columns),
            skipped=tuple(map(Message.from_json, info["skipped"])),
            sheets=tuple(info["sheets"]),
            sheet=info["sheet"],
            notes=tuple(map(Message.from_json, info["notes"])),
        )


def merge_parquet(paths: Sequence[Path], target: Path, name: str) -> tuple[int, int]:
    """Join Parquet files into one that a data set may be, in the sandbox.

    Args:
        paths: The files, in order.
        target: The file to write.
        name: What error messages call them.

    Returns:
        How many rows were written, and how many there are in all the files.

    Raises:
        BadData: A file cannot be opened, or the process ends before it is done.
    """
    request = {
        "task": "merge_parquet",
        "paths": [str(path) for path in paths],
        "path": str(target),
        "name": name,
    }
    with closing(read_in_subprocess(request)) as messages:
        info = next(messages)
    return int(info["row_count"]), int(info["source_row_count"])


def read_in_subprocess(request: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
    """Start the child process and yield its messages: first what the file is, then its lines.

    Raises:
        BadData: What the reader refuses, or that the process ends before it is done.
    """
    try:
        yield from processes.stream_replies(
            "studio.data.readers.sandbox",
            request,
            OUT_OF_RESOURCES.format(name=request["name"]),
            COPY_TO_NEW_FILE,
            processes.ChildOptions(threads=1),
        )
    except StudioError as error:
        raise BadData(error.message, error.hint) from None


def run_request(request: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
    """Answer a request, in the child process. Raises BadData for a file that the reader refuses."""
    path = Path(request["path"])
    if request["task"] == "merge_parquet":
        paths = [Path(part_path) for part_path in request["paths"]]
        row_count, source_row_count = parquet.merge_files(paths, path, request["name"])
        yield {"row_count": row_count, "source_row_count": source_row_count}
        return
    reader = readers.get(request["reader"])
    stream = reader.read(SourceFile(request["name"], path, sheet=request["sheet"]))
    if not isinstance(stream, LineStream):
        raise TypeError(f"{reader.name} runs in the sandbox and must return a LineStream")
    yield {
        "columns": stream.columns,
        "total": stream.total,
        "skipped": [message.to_json() for message in stream.skipped],
        "sheets": stream.sheets,
        "sheet": stream.sheet,
        "notes": [message.to_json() for message in stream.notes],
    }
    yield from _in_batches(stream.lines)


def _in_batches(lines: Iterable[tuple[int, list[str] | None]]) -> Iterator[dict[str, Any]]:
    iterator = iter(lines)
    while batch := list(itertools.islice(iterator, LINES_PER_MESSAGE)):
        yield {"lines": batch}


def main() -> int:
    """The child process: one request on stdin, its messages on stdout."""
    request = json.loads(sys.stdin.read())
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # the other pools reserve more than they use
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - Windows has neither the module nor such bounds

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    try:
        for message in run_request(request):
            processes.send_reply(message)
    except BadData as error:
        processes.send_error(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
