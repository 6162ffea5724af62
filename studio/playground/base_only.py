"""Asks the base model alone: a child process loads it, writes one answer, and ends."""

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from typing import Any

from studio import processes
from studio.i18n import Message
from studio.playground.session import Question

NO_ANSWER = Message("The base model gave no answer: {why}")
RETRY_HINT = Message("Close other programs and ask again, or choose a smaller model.")


def ask(model: str, question: Question, task: str = "chat") -> Iterator[tuple[str, float]]:
    """Ask a base model in a child process; closing the iterator ends it.

    Args:
        model: A catalogue id, a hub id or a local folder.
        question: The question, or with the task "complete" the text to continue, and how it is answered.
        task: The task it is asked for.

    Yields:
        The answer so far, and while it is empty the share of the model that has been downloaded (0 to 1).

    Raises:
        StudioError: The model cannot answer.
    """
    request = {"model": model, "task": task, "question": asdict(question)}
    text = ""
    with closing(
        processes.stream_replies(
            "studio.playground.base_only", request, NO_ANSWER, RETRY_HINT, processes.WORKER
        )
    ) as replies:
        for reply in replies:
            text += reply.get("text", "")
            yield text, float(reply.get("fetched", 1.0))


def _stream_answer(request: dict[str, Any]) -> None:
    """Fetch and load the model, and send its answer in pieces."""
    from studio.models import fetch  # noqa: PLC0415 - only the child process

    def on_fetched(done: float, total: float) -> None:
        processes.send_reply({"fetched": done / max(total, 1e-9)})

    base = fetch.fetch(request["model"], on_fetched)

    from studio.models import load  # noqa: PLC0415 - loads torch
    from studio.playground import server  # noqa: PLC0415

    task, question = request["task"], request["question"]
    tokenizer = load.tokenizer(base.folder)
    model = load.base_model(base.folder, "complete" if task == "complete" else "chat")
    context = server.usable_context(model)
    length = max(1, min(int(question["length"]), context // 2))
    earlier = server.earlier_messages("base", question)
    prompt_ids = server.encode_prompt(task, question["prompt"], tokenizer, earlier)
    prompt_ids = prompt_ids[-(context - length) :]  # a long prompt asks at its end
    server.stream_generation(
        model,
        tokenizer,
        prompt_ids,
        {"max_new_tokens": length, **server.sampling_kwargs(question)},
        lambda text: processes.send_reply({"text": text}),
    )


def main() -> int:
    """The child process: one request on stdin, the answer in pieces on stdout."""
    return processes.serve_request(_stream_answer)


if __name__ == "__main__":
    sys.exit(main())
