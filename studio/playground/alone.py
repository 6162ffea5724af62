"""Ask the base model alone, before anything is trained: a child process loads it, writes one answer as it grows, and ends."""

import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

from studio import child
from studio.errors import explain
from studio.words import Words

SILENT = Words("The base model ended without an answer: {why}", "基础模型没有作答就退出了：{why}")
AGAIN = Words("Close other programs and ask again, or choose a smaller model.", "请关闭其他程序后再问，或换一个小一些的模型。")


def ask(model: str, prompt: str, length: int, task: str = "chat") -> Iterator[tuple[str, float]]:
    """The answer as far as it has come, and the share of the model that has been fetched (0 to 1) while there is no answer yet.

    Raises StudioError where it cannot answer; closing the iterator ends it.
    """
    asked = {"model": model, "prompt": prompt, "length": length, "task": task}
    text = ""
    for found in child.answers("studio.playground.alone", asked, SILENT, AGAIN, cards=True, online=True):
        text += found.get("text", "")
        yield text, float(found.get("fetched", 1.0))


def _answer(asked: dict[str, Any]) -> None:
    from studio.models import fetch  # noqa: PLC0415 - only the child process

    base = fetch.fetch(asked["model"], lambda done, of: child.say({"fetched": done / max(of, 1e-9)}))
    import torch  # noqa: PLC0415
    from transformers import TextIteratorStreamer  # noqa: PLC0415

    from studio.models import load  # noqa: PLC0415
    from studio.playground import serve  # noqa: PLC0415

    tokenizer = load.tokenizer(base.folder)
    model = load.base(base.folder, "complete" if asked["task"] == "complete" else "chat", (), 0, False).eval()
    most = int(getattr(model.config, "max_position_embeddings", 0) or 2048)
    length = max(1, min(int(asked["length"]), most // 2))
    ids = serve.asked(asked["task"], asked["prompt"], tokenizer)[-(most - length) :]  # of a long prompt the end is what is asked
    given = torch.tensor([ids], device=model.device)
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    settings: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    told = {"input_ids": given, "attention_mask": torch.ones_like(given), "max_new_tokens": length, "streamer": streamer, **settings}
    thread = threading.Thread(target=model.generate, kwargs={**told, "pad_token_id": tokenizer.pad_token_id}, daemon=True)
    thread.start()
    for piece in streamer:
        if piece:
            child.say({"text": piece})
    thread.join()


def main() -> int:
    """The child process: one question on stdin, the answer in pieces on stdout."""
    asked = json.loads(sys.stdin.read())
    out, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not land between the pieces
    child.OUT[:] = [out]
    try:
        _answer(asked)
    except Exception as error:
        child.say_problem(explain(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
