"""Asks what texts mean, in child processes: the check by meaning, and the next texts to label."""

import atexit
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

from studio import processes
from studio.errors import StudioError
from studio.i18n import Message, label
from studio.meaning import report
from studio.meaning.report import MeaningReport
from studio.models import fetch
from studio.processes import ChildOptions, ModuleServer

ENDED_EARLY = Message("The process that reads what texts mean ended early: {why}")
NO_ANSWER = Message("The process that reads what texts mean gave no answer.")
TRY_AGAIN = Message("Close other programs and try again.")
# More threads than free cores slow small fits down.
ONE_THREAD = ChildOptions(threads=1)
# Longer than the longest fit on a busy machine (seconds); and after so many without a question it ends.
TIMEOUT_SECONDS, IDLE_SECONDS = 180.0, 900.0
# Texts that are labelled at a time.
BATCH_SIZE = 20
# What is shown while a child works, by the stage that it reports.
STAGE_LABELS = {
    "fetch": label("Fetching the encoder"),
    "embed": label("Reading what the texts mean"),
    "doubts": label("Looking for wrong labels"),
    "embed_test": label("Reading what the test set means"),
    "compare": label("Comparing with the test set by meaning"),
}


class Progress(NamedTuple):
    """What is being done, and the share of it that is done (0 to 1)."""

    stage: str
    share: float


@dataclass(frozen=True)
class Suggested:
    """The next texts to label.

    Attributes:
        suggestions: For each its `row`, `text`, guessed `label` ("" for none) and `certainty` (0 to 1).
        labels: All labels of the data.
        labelled: The rows with a label.
        unlabelled: The rows without one.
        candidates: Those of them among which was chosen.
    """

    suggestions: list[dict[str, Any]]
    labels: list[str]
    labelled: int
    unlabelled: int
    candidates: int


def has_encoder() -> bool:
    """Whether the encoder is on this machine."""
    return fetch.find_cached(report.ENCODER) is not None


def run_check(
    source: str, task: str, columns: Mapping[str, str], test: str = "", sheet: str = ""
) -> Iterator[Progress | MeaningReport]:
    """Look for likely wrong labels, and for rows that say what a test example says.

    The encoder is fetched where it is not on this machine; closing the iterator ends the process.

    Args:
        source: The data set.
        task: What a model is to learn from it.
        columns: Role -> column.
        test: The source of a test set; "" for none.
        sheet: The sheet of a workbook that is no data set of the studio; "" for its usual one.

    Yields:
        The progress, and at the end the report.

    Raises:
        StudioError: The data cannot be used, or the encoder cannot be fetched.
    """
    request = _request("check", source, task, columns, sheet)
    with closing(_stream({**request, "test": test})) as replies:
        for reply in replies:
            if "report" in reply:
                yield MeaningReport.from_json(reply["report"])
            elif "stage" in reply:
                yield Progress(reply["stage"], reply["done"] / max(reply["of"], 1e-9))


def embed_labels(source: str, task: str, columns: Mapping[str, str], sheet: str = "") -> Iterator[Progress]:
    """Embed the texts that `suggest` needs, and keep them with the data set; arguments as in `run_check`."""
    with closing(_stream(_request("embed", source, task, columns, sheet))) as replies:
        for reply in replies:
            if "stage" in reply:
                yield Progress(reply["stage"], reply["done"] / max(reply["of"], 1e-9))


def _request(do: str, source: str, task: str, columns: Mapping[str, str], sheet: str) -> dict[str, Any]:
    encoder = report.ENCODER
    request = {"do": do, "source": source, "task": task, "columns": dict(columns)}
    return {**request, "sheet": sheet, "encoder": encoder}


def _stream(request: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
    return processes.stream_replies(
        "studio.meaning.process", request, ENDED_EARLY, TRY_AGAIN, processes.WORKER
    )


class LabelClient:
    """A client of one process that suggests texts (studio.meaning.server), started when it is first asked."""

    def __init__(self) -> None:
        self._server: ModuleServer | None = None
        self._lock = threading.Lock()
        self._idle_timer: threading.Timer | None = None
        atexit.register(self.close)

    def suggest(
        self, source: str, task: str, columns: Mapping[str, str], n_texts: int, sheet: str = ""
    ) -> Suggested | None:
        """The next texts to label; None where `embed_labels` has to read them first.

        Args:
            source: The data set.
            task: Classification, or an error says what to choose.
            columns: Role -> column.
            n_texts: How many are wanted.
            sheet: As in `run_check`.

        Raises:
            StudioError: The data cannot be used.
        """
        request = _request("next", source, task, columns, sheet)
        reply = self._ask({**request, "texts": n_texts})
        return None if reply.get("missing") else Suggested(**reply)

    def measure_curve(
        self, source: str, task: str, columns: Mapping[str, str], sheet: str = ""
    ) -> list[Message]:
        """Whether more labels still pay, in sentences; arguments and errors as in `suggest`."""
        reply = self._ask(_request("curve", source, task, columns, sheet))
        return [Message.from_json(message) for message in reply.get("messages", [])]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            if self._idle_timer:
                self._idle_timer.cancel()
            if not self._server or not self._server.is_alive:
                self._server = ModuleServer("studio.meaning.server", options=ONE_THREAD)
            reply = self._server.ask(request, TIMEOUT_SECONDS)
            self._idle_timer = threading.Timer(IDLE_SECONDS, self.close)
            self._idle_timer.daemon = True
            self._idle_timer.start()
        if reply is None:
            raise StudioError(NO_ANSWER, TRY_AGAIN)
        if "problem" in reply:
            raise StudioError(Message.from_json(reply["problem"]), Message.from_json(reply["to_do"]))
        return reply

    def close(self) -> None:
        """End the process; the next question starts another one."""
        with self._lock:
            if self._idle_timer:
                self._idle_timer.cancel()
            if self._server:
                self._server.close()
            self._server = None


label_client = LabelClient()
