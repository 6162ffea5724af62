"""A classifier opened by ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path

from studio import processes, runs
from studio.data.examples import Example
from studio.errors import StudioError
from studio.evaluate.predictions import Outcome
from studio.export.replay.classify import classify
from studio.export.replay.result import PromptCheck
from studio.i18n import Message
from studio.models import load
from studio.runs import Run

TIMEOUT_SECONDS = 120
NOT_OPENED = Message("ONNX Runtime could not use {file}: {why}")
TAKE_WHOLE_MODEL = Message("Take the whole model home instead, and report this sentence.")


class OnnxRuntime:
    """An ONNX file, opened."""

    name = "ONNX Runtime"

    def __init__(self, run: Run, tools: Path, file: Path) -> None:
        self._report, self._file = runs.report(run), file
        self._tokenizer = load.tokenizer(file.parent)
        self._server = processes.ModuleServer("studio.export.replay.onnx_server", str(tools), str(file))

    def measure(self, row: Example, needs: str) -> Outcome:
        """See `Runtime`."""
        max_length = self._report["texts"]["max_length"]
        inputs = dict(self._tokenizer(row["text"], truncation=True, max_length=max_length))
        reply = self._server.ask(inputs, TIMEOUT_SECONDS) or {"error": "its process ended"}
        if "error" in reply:
            raise StudioError(NOT_OPENED, TAKE_WHOLE_MODEL, file=self._file.name, why=reply["error"])
        return classify(reply["logits"], self._report)

    def check_prompts(self, rows: Sequence[Example]) -> tuple[PromptCheck, ...]:
        """A classifier has no prompts."""
        return ()

    def close(self) -> None:
        """End ONNX Runtime."""
        self._server.close()
