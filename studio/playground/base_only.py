"""Ask the base model alone, before anything is trained: a child process loads it, writes one answer as it grows, and ends."""

import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

from studio import processes
from studio.errors import explain
from studio.i18n import Message

NO_ANSWER = Message("The base model ended without an answer: {why}")
RETRY_HINT = Message("Close other programs and ask again, or choose a smaller model.")


def ask(model: str, prompt: str, length: int, task: str = "chat") -> Iterator[tuple[str, float]]:
    """The answer as far as it has come, and the share of the model that has been fetched (0 to 1) while there is no answer yet.

    Raises StudioError where it cannot answer; closing the iterator ends it.
    """
    request = {"model": model, "prompt": prompt, "length": length, "task": task}
    text = ""
    for reply in processes.stream_replies(
        "studio.playground.base_only",
        request,
        NO_ANSWER,
        RETRY_HINT,
        processes.ChildOptions(gpus="first", online=True),
    ):
        text += reply.get("text", "")
        yield text, float(reply.get("fetched", 1.0))


def _stream_answer(request: dict[str, Any]) -> None:
    from studio.models import fetch  # noqa: PLC0415 - only the child process

    base = fetch.fetch(
        request["model"], lambda done, total: processes.send_reply({"fetched": done / max(total, 1e-9)})
    )
    import torch  # noqa: PLC0415
    from transformers import TextIteratorStreamer  # noqa: PLC0415

    from studio.models import load  # noqa: PLC0415
    from studio.playground import server as model_server  # noqa: PLC0415

    tokenizer = load.tokenizer(base.folder)
    model = load.base_model(
        base.folder, "complete" if request["task"] == "complete" else "chat", (), 0, False
    ).eval()
    context_length = int(getattr(model.config, "max_position_embeddings", 0) or 2048)
    length = max(1, min(int(request["length"]), context_length // 2))
    prompt_ids = model_server.encode_prompt(request["task"], request["prompt"], tokenizer)[
        -(context_length - length) :
    ]  # of a long prompt the end is what is asked
    input_ids = torch.tensor([prompt_ids], device=model.device)
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    greedy_settings: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    generate_kwargs = {
        "input_ids": input_ids,
        "attention_mask": torch.ones_like(input_ids),
        "max_new_tokens": length,
        "streamer": streamer,
        **greedy_settings,
    }
    thread = threading.Thread(
        target=model.generate, kwargs={**generate_kwargs, "pad_token_id": tokenizer.pad_token_id}, daemon=True
    )
    thread.start()
    for piece in streamer:
        if piece:
            processes.send_reply({"text": piece})
    thread.join()


def main() -> int:
    """The child process: one question on stdin, the answer in pieces on stdout."""
    request = json.loads(sys.stdin.read())
    output, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not land between the pieces
    processes.OUTPUT_STREAMS[:] = [output]
    try:
        _stream_answer(request)
    except Exception as error:
        processes.send_error(explain(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
