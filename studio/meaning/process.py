"""The process that reads what texts mean: one request on stdin, progress and the result on stdout."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from studio import processes
from studio.meaning import embeddings, rows
from studio.models import fetch
from studio.training.memory import limit_memory

# Whoever uses the machine meanwhile comes first.
NICENESS = 10


def _report(stage: str, done: float, total: float) -> None:
    processes.send_reply({"stage": stage, "done": done, "of": total})


def _check(request: Mapping[str, Any]) -> None:
    from studio.meaning import check  # noqa: PLC0415 - slow to load, and texts are embedded without it

    encoder = fetch.fetch(request["encoder"], lambda done, total: _report("fetch", done, total))
    processes.send_reply({"report": check.check(request, encoder.folder, _report).to_json()})


def _embed_labels(request: Mapping[str, Any]) -> None:
    """Embed the labelled texts and the candidates, so that suggestions take no time."""
    rows.require_one_label(request["task"], request["columns"])
    dataset, view = rows.open_view(request)
    label_rows = rows.label_rows(view)
    texts = rows.texts_of(view, (*label_rows.labelled, *label_rows.unlabelled))
    if texts and embeddings.find(dataset, request["encoder"], texts) is None:
        encoder = fetch.fetch(request["encoder"], lambda done, total: _report("fetch", done, total))
        embeddings.compute(
            dataset,
            request["encoder"],
            encoder.folder,
            texts,
            lambda done, total: _report("embed", done, total),
        )
    processes.send_reply({"embedded": len(texts)})


_TASKS: dict[str, Callable[[Mapping[str, Any]], None]] = {"check": _check, "embed": _embed_labels}


def _answer(request: dict[str, Any]) -> None:
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    _TASKS[request["do"]](request)


def main() -> int:
    """The child process."""
    limit_memory()
    return processes.serve_request(_answer)


if __name__ == "__main__":
    sys.exit(main())
