"""The child process that takes a result home for the page, and says once a second what it is doing."""

import sys
import threading
from pathlib import Path
from typing import Any

from studio import export, processes, runs
from studio.export.spec import ExportOptions
from studio.i18n import Message

STARTING = Message("Starting…")
AFTER_SECONDS = Message("{step} {seconds:.0f} s")
INTERVAL_SECONDS = 1.0


class Progress:
    """Repeats what is being done, with its seconds, until it is stopped."""

    def __init__(self) -> None:
        self._step, self._seconds = STARTING, 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._repeat, daemon=True)
        self._thread.start()

    def show(self, step: Message) -> None:
        """Take over what is being done now."""
        if step.text != self._step.text:
            self._seconds = 0.0
        self._step = step

    def _repeat(self) -> None:
        while not self._stopped.wait(INTERVAL_SECONDS):
            self._seconds += INTERVAL_SECONDS
            message = AFTER_SECONDS.format(step=self._step, seconds=self._seconds)
            processes.send_reply({"progress": message.to_json()})

    def stop(self) -> None:
        """Say no more."""
        self._stopped.set()
        self._thread.join()


def answer(request: dict[str, Any]) -> None:
    """Save the result of a run, as the request says."""
    progress = Progress()
    options = ExportOptions(
        precision=request["precision"],
        language=request["language"],
        rows=request["rows"],
        on_progress=progress.show,
    )
    try:
        export.save_result(runs.get(request["run"]), request["form"], Path(request["folder"]), options)
    finally:
        progress.stop()


if __name__ == "__main__":
    sys.exit(processes.serve_request(answer))
