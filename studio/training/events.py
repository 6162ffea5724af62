"""What a worker prints of its run, an event a line, and how an event becomes part of the run elsewhere."""

import json
import threading
from dataclasses import dataclass
from typing import IO, Any

from studio import runs
from studio.runs import Run
from studio.storage import write_text

# Files of a run that the page reads while it goes on; each travels whole when it has changed.
LIVE_FILES = ("notes.json", "report.json", "use.json")
MAX_FILE_CHARACTERS = 5_000_000
KINDS = ("point", "rewind", "status", "file")


@dataclass(frozen=True)
class Event:
    """One change of a run.

    Attributes:
        seq: Its number; whoever reads a number twice leaves the second out.
        kind: One of KINDS.
        values: A point, a status, where a stage begins again, or the name and text of a file.
    """

    seq: int
    kind: str
    values: dict[str, Any]

    def to_line(self) -> str:
        """The event as a line of JSON."""
        return json.dumps({"seq": self.seq, "event": self.kind, "values": self.values}) + "\n"


class _Printer:
    """Prints each change of a run as a numbered line."""

    def __init__(self, run: Run, first_seq: int, stream: IO[str]) -> None:
        self._run, self._seq, self._stream = run, first_seq, stream
        self._file_versions: dict[str, int] = {}
        self._lock = threading.Lock()

    def on_change(self, kind: str, values: dict[str, Any]) -> None:
        """Print the files that changed, then the change: an end comes behind all that belongs to it."""
        with self._lock:
            for name in LIVE_FILES:
                self._print_changed_file(name)
            self._print(kind, values)

    def _print_changed_file(self, name: str) -> None:
        try:
            version = (self._run.folder / name).stat().st_mtime_ns
            if self._file_versions.get(name) == version:
                return
            text = (self._run.folder / name).read_text(encoding="utf-8")
        except OSError:
            return
        self._file_versions[name] = version
        self._print("file", {"name": name, "text": text})

    def _print(self, kind: str, values: dict[str, Any]) -> None:
        self._stream.write(Event(self._seq, kind, values).to_line())
        self._stream.flush()
        self._seq += 1


def print_events(run: Run, first_seq: int, stream: IO[str]) -> None:
    """Print each change of the run from now on.

    Args:
        run: The run that this process executes.
        first_seq: The number of the first event.
        stream: Where to.
    """
    runs.LISTENERS.append(_Printer(run, first_seq, stream).on_change)


def parse(line: str) -> Event | None:
    """The event in a line; None where it is another line of a log."""
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict):
        return None
    seq, kind, values = raw.get("seq"), raw.get("event"), raw.get("values")
    if isinstance(seq, int) and kind in KINDS and isinstance(values, dict):
        return Event(seq, str(kind), values)
    return None


def apply(run: Run, event: Event) -> runs.Status | None:
    """Write an event into the folder of a run that trains elsewhere; one that makes no sense is left out.

    Returns:
        The status, where the event is one; it is the caller's to write.
    """
    values = event.values
    try:
        if event.kind == "status":
            return runs.parse_status(values)
        if event.kind == "point" and runs.parse_point(json.dumps(values).encode()):
            runs.copy_point(run, values)
        elif event.kind == "rewind":
            runs.rewind(run, str(values["stage"]), int(values["step"]))
        elif event.kind == "file" and values.get("name") in LIVE_FILES:
            write_text(run.folder / values["name"], str(values["text"])[:MAX_FILE_CHARACTERS])
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
    return None
