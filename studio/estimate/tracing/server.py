"""The estimator's child process: counts tokens, traces steps and measures this machine, so that the page carries no torch.

`python -m studio.estimate.tracing.server`: one question as JSON on each line of stdin, one answer on each line of stdout, in order.
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
from studio.estimate.op_counts import total
from studio.methods.workload import RowTokens

# Models on meta tensors weigh nothing, but take a second to build.
MAX_CACHED_MODELS = 6


def count_lengths(request: dict[str, Any]) -> dict[str, Any]:
    """Token lengths of examples that stand for all (`evenly` so many), under the model's own tokenizer and template: [asked, answer, other] each."""
    from studio.data import examples, store  # noqa: PLC0415
    from studio.estimate.dataset_lengths import sample_rows  # noqa: PLC0415
    from studio.models import load  # noqa: PLC0415

    parsed_examples, _ = examples.build_examples(
        store.find(request["source"]).table(), request["task"], request["columns"]
    )
    tokenizer, task = load.tokenizer(Path(request["folder"])), request["task"]
    rows = [
        [row.prompt_tokens, row.completion_tokens, row.rejected_tokens]
        for row in sample_rows(
            parsed_examples,
            lambda item: RowTokens(*_count_example_tokens(item, task, tokenizer)),
            int(request["evenly"]),
        )
    ]
    n_with_answer = (
        sum(bool(example.get("answer")) for example in parsed_examples) if task == "prompts" else 0
    )
    return {"rows": rows, "count": len(parsed_examples), "known": n_with_answer}


def _count_example_tokens(example: dict[str, str], task: str, tokenizer: Any) -> list[int]:
    from studio.data import examples  # noqa: PLC0415

    if task in ("classify", "complete"):
        count = len(tokenizer(example["text"])["input_ids"])
        return [count, 0, 0] if task == "classify" else [1, count, 0]
    question = examples.to_prompt_messages(example)
    n_prompt = len(examples.apply_chat_template(tokenizer, question, add_generation_prompt=True))
    if task == "prompts":
        return [n_prompt, 0, 0]
    n_responses = []
    for response in (examples.to_messages(example)[-1]["content"], example.get("rejected", "")):
        n_total = (
            len(
                examples.apply_chat_template(
                    tokenizer,
                    [*question, {"role": "assistant", "content": response}],
                    add_generation_prompt=False,
                )
            )
            if response
            else n_prompt
        )
        n_responses.append(max(0, n_total - n_prompt))
    return [n_prompt, *n_responses]


def preview_examples(request: dict[str, Any]) -> dict[str, Any]:
    """The first examples as the model reads them: for each its texts in order, as [text, whether it is learned]; of a pair a second one."""
    from studio.data import examples, store  # noqa: PLC0415
    from studio.models import load  # noqa: PLC0415

    tokenizer, task = load.tokenizer(Path(request["folder"])), request["task"]
    parsed_examples, _ = examples.build_examples(
        store.find(request["source"]).table(), task, request["columns"]
    )
    previewed = parsed_examples[: int(request["most"])]
    labels = examples.collect_labels(parsed_examples) if task == "classify" else []
    marked_texts = []
    for example in previewed:
        pair = [example, {**example, "chosen": example["rejected"]}] if "rejected" in example else [example]
        marked_texts.append(
            [
                _mark_trained_spans(
                    examples.encode_examples([item], task, tokenizer, int(request["max_length"]), labels),
                    task,
                    tokenizer,
                    item,
                )
                for item in pair
            ]
        )
    return {"seen": marked_texts}


def _mark_trained_spans(
    encoded_pieces: list[Any], task: str, tokenizer: Any, example: dict[str, str]
) -> list[list[Any]]:
    """A text in stretches that are learned and stretches that are only read; of a text to sort the class stands last."""
    spans: list[list[Any]] = []
    for piece in encoded_pieces[:1]:
        is_trained = (
            [False] * len(piece.input_ids)
            if task == "classify"
            else [label != -100 for label in piece.labels]
        )
        start = 0
        for index in range(1, len(is_trained) + 1):
            if index == len(is_trained) or is_trained[index] != is_trained[start]:
                spans.append([tokenizer.decode(piece.input_ids[start:index]), is_trained[start]])
                start = index
    return [*spans, [example["label"], True]] if task == "classify" else spans


@lru_cache(maxsize=MAX_CACHED_MODELS)
def _load_meta_step(model_request: str) -> Any:
    from studio.estimate.tracing.meta_step import MetaStep  # noqa: PLC0415 - loads torch

    return MetaStep(**json.loads(model_request))


def trace_pass(request: dict[str, Any]) -> dict[str, Any]:
    """The tally of one portion on its way through a model; on a card with what its allocator reserves for the step."""
    from studio.estimate.tracing.meta_step import PassSpec  # noqa: PLC0415 - loads torch

    meta_step = _load_meta_step(json.dumps(request["model"], sort_keys=True))
    step_trace = meta_step.run(PassSpec(**request["pass"]), request["states"])
    counts = total(step_trace.phases.values())
    peak_bytes = counts.peak
    for resident_part in ("frozen", "weights", "optimiser"):
        counts.peak -= counts.parts.pop(resident_part, 0.0)
    if meta_step.device == "cuda":
        unbounded = step_trace.replay_allocator()
        counts.parts["slack"] = max(0.0, unbounded.peak_reserved - peak_bytes)
        counts.spare = float(unbounded.peak_reserved - step_trace.min_capacity(unbounded))
    del step_trace
    gc.collect()
    return {"tally": vars(counts)}


def handle_request(request: dict[str, Any]) -> dict[str, Any]:
    """What a question asks for; a problem in both languages where it cannot be answered."""
    try:
        if request["what"] == "lengths":
            return count_lengths(request)
        if request["what"] == "trace":
            return trace_pass(request)
        if request["what"] == "seen":
            return preview_examples(request)
        raise ValueError(f"expected lengths, trace or seen, but got {request['what']!r}")
    except Exception as error:
        return {"problem": explain(error).to_message().to_json()}


def main() -> int:
    """Answer until the input ends."""
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
