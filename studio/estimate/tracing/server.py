"""The estimator's server process: counts tokens and traces steps, so that the page's process needs no torch.

`python -m studio.estimate.tracing.server` reads one request as JSON from each line of stdin and writes one
response to a line of stdout, in the same order.
"""

import dataclasses
import gc
import json
import logging
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.errors import explain
from studio.estimate.op_counts import total

if TYPE_CHECKING:
    from studio.estimate.tracing.meta_step import MetaStep

# Models on meta tensors take no memory for their weights, but a second to build.
MAX_CACHED_MODELS = 6
# The parts of a peak that are there all the time: the estimate counts them itself.
RESIDENT_PARTS = ("frozen", "weights", "optimiser")


def count_lengths(request: dict[str, Any]) -> dict[str, Any]:
    """Count the tokens of examples that represent all, with the model's own tokenizer and chat template.

    Args:
        request: "source", "task" and "columns" of the examples, "folder" of the model, "evenly", how many
            examples to count at most, and "first_step", whether UPFT's request for a first step is counted.

    Returns:
        "rows", for each example its tokens as the fields of RowTokens; "count" of all usable examples;
        "first_step_tokens", 0 where not counted.
    """
    from studio.data import examples, store  # noqa: PLC0415
    from studio.estimate import dataset_lengths  # noqa: PLC0415
    from studio.methods.training import first_step  # noqa: PLC0415
    from studio.models import load  # noqa: PLC0415

    task = request["task"]
    parsed_examples, _ = examples.build_examples(
        store.find(request["source"]).table(), task, request["columns"]
    )
    tokenizer = load.tokenizer(Path(request["folder"]))
    rows = dataset_lengths.sample_rows(
        parsed_examples,
        lambda example: dataset_lengths.count_row(example, task, tokenizer),
        int(request["evenly"]),
    )
    first_step_request = first_step.choose_request(parsed_examples) if request["first_step"] else ""
    return {
        "rows": [dataclasses.astuple(row) for row in rows],
        "count": len(parsed_examples),
        "first_step_tokens": len(tokenizer(first_step_request, add_special_tokens=False)["input_ids"]),
    }


def preview_examples(request: dict[str, Any]) -> dict[str, Any]:
    """Show the first examples as the model reads them.

    Args:
        request: "source", "task" and "columns" of the examples, "folder" of the model, "max_length" in
            tokens, "most", how many examples to show, and "mask_history", whether of a conversation the last
            answer alone is trained on.

    Returns:
        "seen": for each example its texts (two for a pair), each as a list of [text, is it trained on].
    """
    from studio.data import examples, store  # noqa: PLC0415
    from studio.models import load  # noqa: PLC0415

    task = request["task"]
    tokenizer = load.tokenizer(Path(request["folder"]))
    parsed_examples, _ = examples.build_examples(
        store.find(request["source"]).table(), task, request["columns"]
    )
    labels = examples.collect_labels(parsed_examples) if task == "classify" else []
    max_length, mask_history = int(request["max_length"]), bool(request["mask_history"])
    previews = []
    for example in parsed_examples[: int(request["most"])]:
        texts = [example]
        if "rejected" in example:
            answers = filter(None, (example["chosen"], example["rejected"]))
            texts = [{**example, "chosen": answer} for answer in answers]
        previews.append(
            [
                _mark_trained_spans(
                    examples.encode_examples([text], task, tokenizer, max_length, labels, mask_history),
                    task,
                    tokenizer,
                    text,
                )
                for text in texts
            ]
        )
    return {"seen": previews}


def _mark_trained_spans(
    encoded: list[Any], task: str, tokenizer: Any, example: dict[str, str]
) -> list[list[Any]]:
    """Return a text as spans of [text, is it trained on]; the label of a text to classify comes last.

    Args:
        encoded: The encoded example; empty where nothing is left of it within the length.
        task: The task.
        tokenizer: The model's tokenizer.
        example: The example itself.
    """
    from studio.data import examples, targets  # noqa: PLC0415

    spans: list[list[Any]] = []
    for piece in encoded[:1]:
        if task == "classify":
            is_trained = [False] * len(piece.input_ids)
        else:
            is_trained = [label != examples.IGNORE_INDEX for label in piece.labels]
        start = 0
        for end in range(1, len(is_trained) + 1):
            if end == len(is_trained) or is_trained[end] != is_trained[start]:
                spans.append([tokenizer.decode(piece.input_ids[start:end]), is_trained[start]])
                start = end
    if task == "classify":
        spans.append([targets.describe(example), True])
    return spans


@lru_cache(maxsize=MAX_CACHED_MODELS)
def _load_meta_step(model_json: str) -> "MetaStep":
    from studio.estimate.tracing.meta_step import MetaStep, ModelSpec  # noqa: PLC0415 - loads torch

    meta_step = MetaStep(ModelSpec(**json.loads(model_json)))
    # Each step ends with two garbage collections, which would visit half a million objects of the libraries
    # and models. Frozen, those are left out; an evicted model is collected before the next freeze.
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    return meta_step


def trace_pass(request: dict[str, Any]) -> dict[str, Any]:
    """Trace one micro batch on its way through a model; on a GPU with what its allocator reserves.

    Args:
        request: "model", the fields of a ModelSpec; "pass", those of a PassSpec; "states", whether the
            optimiser's averages lie in the device's memory.

    Returns:
        "counts": the fields of OpCounts, without what is resident all the time.
    """
    from studio.estimate.tracing.meta_step import PassSpec  # noqa: PLC0415 - loads torch

    meta_step = _load_meta_step(json.dumps(request["model"], sort_keys=True))
    trace = meta_step.run(PassSpec(**request["pass"]), request["states"])
    counts = total(trace.phases.values())
    peak_bytes = counts.peak
    for part in RESIDENT_PARTS:
        counts.peak -= counts.parts.pop(part, 0.0)
    if meta_step.device == "cuda":
        unbounded = trace.replay_allocator()
        counts.parts["slack"] = max(0.0, unbounded.peak_reserved - peak_bytes)
        counts.spare = float(unbounded.peak_reserved - trace.min_capacity(unbounded))
    # The trace refers to the model's storages in cycles.
    del trace
    gc.collect()
    return {"counts": vars(counts)}


def handle_request(request: dict[str, Any]) -> dict[str, Any]:
    """Return the response to a request; with "problem", a message, where it fails."""
    handlers = {"lengths": count_lengths, "trace": trace_pass, "seen": preview_examples}
    try:
        if request["what"] not in handlers:
            raise ValueError(f"expected lengths, trace or seen, but got {request['what']!r}")
        return handlers[request["what"]](request)
    except Exception as error:
        return {"problem": explain(error).to_message().to_json()}


def main() -> int:
    """Answer requests until the input ends."""
    # Whatever a library prints must not get among the responses.
    output, sys.stdout = sys.stdout, sys.stderr
    if hasattr(os, "nice"):
        os.nice(10)  # a page that is being used, and a training, come first
    logging.disable(logging.WARNING)
    for line in sys.stdin:
        output.write(json.dumps(handle_request(json.loads(line)), ensure_ascii=False) + "\n")
        output.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
