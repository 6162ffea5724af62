"""The estimator's child process: counts tokens, traces steps and measures this machine, so that the page carries no torch.

`python -m studio.estimate.serve`: one question as JSON on each line of stdin, one answer on each line of stdout, in order.
"""

import gc
import json
import logging
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from studio.errors import explain
from studio.estimate.tally import together
from studio.methods.work import Row

# Models on meta tensors weigh nothing, but take a second to build.
KEPT_MODELS = 6


def lengths(asked: dict[str, Any]) -> dict[str, Any]:
    """Token lengths of examples that stand for all (`evenly` so many), under the model's own tokenizer and template: [asked, answer, other] each."""
    from studio.data import keep, prepare  # noqa: PLC0415
    from studio.estimate.load import fair  # noqa: PLC0415
    from studio.models import load  # noqa: PLC0415

    found, _ = prepare.examples(keep.find(asked["source"]).table(), asked["task"], asked["columns"])
    tokenizer, task = load.tokenizer(Path(asked["folder"])), asked["task"]
    rows = [[row.asked, row.answer, row.other] for row in fair(found, lambda one: Row(*_row(one, task, tokenizer)), int(asked["evenly"]))]
    known = sum(bool(example.get("answer")) for example in found) if task == "prompts" else 0
    return {"rows": rows, "count": len(found), "known": known}


def _row(example: dict[str, str], task: str, tokenizer: Any) -> list[int]:
    from studio.data import prepare  # noqa: PLC0415

    if task in ("classify", "complete"):
        count = len(tokenizer(example["text"])["input_ids"])
        return [count, 0, 0] if task == "classify" else [1, count, 0]
    question = prepare.question(example)
    first = len(prepare.template(tokenizer, question, answer_follows=True))
    if task == "prompts":
        return [first, 0, 0]
    both = []
    for answer in (prepare.conversation(example)[-1]["content"], example.get("rejected", "")):
        whole = (
            len(prepare.template(tokenizer, [*question, {"role": "assistant", "content": answer}], answer_follows=False))
            if answer
            else first
        )
        both.append(max(0, whole - first))
    return [first, *both]


def seen(asked: dict[str, Any]) -> dict[str, Any]:
    """The first examples as the model reads them: for each its texts in order, as [text, whether it is learned]; of a pair a second one."""
    from studio.data import keep, prepare  # noqa: PLC0415
    from studio.models import load  # noqa: PLC0415

    tokenizer, task = load.tokenizer(Path(asked["folder"])), asked["task"]
    found, _ = prepare.examples(keep.find(asked["source"]).table(), task, asked["columns"])
    shown = found[: int(asked["most"])]
    labels = prepare.labels_of(found) if task == "classify" else []
    told = []
    for example in shown:
        both = [example, {**example, "chosen": example["rejected"]}] if "rejected" in example else [example]
        told.append(
            [_marked(prepare.encode([one], task, tokenizer, int(asked["max_length"]), labels), task, tokenizer, one) for one in both]
        )
    return {"seen": told}


def _marked(pieces: list[Any], task: str, tokenizer: Any, example: dict[str, str]) -> list[list[Any]]:
    """A text in stretches that are learned and stretches that are only read; of a text to sort the class stands last."""
    marked: list[list[Any]] = []
    for piece in pieces[:1]:
        learned = [False] * len(piece.input_ids) if task == "classify" else [label != -100 for label in piece.labels]
        start = 0
        for place in range(1, len(learned) + 1):
            if place == len(learned) or learned[place] != learned[start]:
                marked.append([tokenizer.decode(piece.input_ids[start:place]), learned[start]])
                start = place
    return [*marked, [example["label"], True]] if task == "classify" else marked


@lru_cache(maxsize=KEPT_MODELS)
def _rehearsal(asked: str) -> Any:
    from studio.estimate.rehearse import Rehearsal  # noqa: PLC0415 - loads torch

    return Rehearsal(**json.loads(asked))


def trace(asked: dict[str, Any]) -> dict[str, Any]:
    """The tally of one portion on its way through a model; on a card with what its allocator reserves for the step."""
    from studio.estimate.rehearse import Pass  # noqa: PLC0415 - loads torch

    model = _rehearsal(json.dumps(asked["model"], sort_keys=True))
    found = model.run(Pass(**asked["pass"]), asked["states"])
    tally = together(found.phases.values())
    highest = tally.peak
    for lasting in ("frozen", "weights", "optimiser"):
        tally.peak -= tally.parts.pop(lasting, 0.0)
    if model.device == "cuda":
        free = found.replayed()
        tally.parts["slack"] = max(0.0, free.reserved - highest)
        tally.spare = float(free.reserved - found.least(free))
    del found
    gc.collect()
    return {"tally": vars(tally)}


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """What a question asks for; a problem in both languages where it cannot be answered."""
    try:
        if asked["what"] == "lengths":
            return lengths(asked)
        if asked["what"] == "trace":
            return trace(asked)
        if asked["what"] == "seen":
            return seen(asked)
        raise ValueError(f"expected lengths, trace or seen, but got {asked['what']!r}")
    except Exception as error:
        said = explain(error)
        return {"problem": {"en": said.say("en"), "zh": said.say("zh")}}


def main() -> int:
    """Answer until the input ends."""
    out, sys.stdout = sys.stdout, sys.stderr
    if hasattr(os, "nice"):
        os.nice(10)  # a page that is being used, and a training, come first
    logging.disable(logging.WARNING)
    for line in sys.stdin:
        out.write(json.dumps(answer(json.loads(line)), ensure_ascii=False) + "\n")
        out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
