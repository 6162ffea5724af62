"""A GGUF file opened by llama.cpp in a child process, for the processes that ask it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from studio import processes
from studio.errors import StudioError
from studio.i18n import Message

TIMEOUT_SECONDS = 300
NOT_OPENED = Message("llama.cpp could not use {file}: {why}")
TAKE_WHOLE_MODEL = Message("Take the whole model home instead, and report this sentence.")
NO_REPLY = "its process ended"


class LlamaClient:
    """Asks llama.cpp about one file."""

    def __init__(self, tools: Path, file: Path, context: int, log_path: Path) -> None:
        self._file, self._log_path = file, log_path
        with log_path.open("wb") as log:
            self._server = processes.ModuleServer(
                "studio.export.llama_cpp.server", str(tools), str(file), str(context), log=log
            )

    def ask(self, name: str, **arguments: Any) -> Any:
        """The reply to a request, see `studio.export.llama_cpp.server.LlamaServer`.

        Raises:
            StudioError: llama.cpp cannot open the file, or refuses the request.
        """
        reply = self._server.ask({"ask": name, **arguments}, TIMEOUT_SECONDS)
        if reply is None:
            raise StudioError(NOT_OPENED, TAKE_WHOLE_MODEL, file=self._file.name, why=self._last_error())
        if "error" in reply:
            raise StudioError(NOT_OPENED, TAKE_WHOLE_MODEL, file=self._file.name, why=reply["error"])
        return reply["result"]

    def _last_error(self) -> str:
        """The first error that llama.cpp logged, as the later ones follow from it."""
        lines = self._log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        errors = [line.split(" E ", 1)[1] for line in lines if " E " in line]
        return (*errors, NO_REPLY)[0]

    def close(self) -> None:
        """End the process."""
        self._server.close()


@contextmanager
def open_file(tools: Path, file: Path, context: int, log_path: Path) -> Iterator[LlamaClient]:
    """llama.cpp with a file, as long as the block runs.

    Args:
        tools: The folder of the toolset.
        file: The GGUF file.
        context: How many tokens of context it gets.
        log_path: Where it logs.
    """
    client = LlamaClient(tools, file, context, log_path)
    try:
        yield client
    finally:
        client.close()
