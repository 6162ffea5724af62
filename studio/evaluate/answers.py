"""Ask a model questions whose answers are known, and count how often it is right."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch

from studio.data import examples
from studio.data.examples import Example

NUMBER_PATTERN = re.compile(r"-?\d+(?:[.,]\d+)*")
# How many questions are asked, and how long an answer may be (tokens): enough to see a change, and minutes on a CPU.
MAX_QUESTIONS, MAX_NEW_TOKENS = 64, 160
BATCH_SIZE = 16


def measure_accuracy(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Example],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, float]:
    """The share of questions answered rightly (0 to 1) with the likeliest words, and how many were asked; empty where no answer is known."""
    answerable = [example for example in rows if example.get("answer")][:MAX_QUESTIONS]
    if not answerable:
        return {}
    n_correct = 0
    for start in range(0, len(answerable), BATCH_SIZE):
        on_progress(start, len(answerable))
        batch_rows = answerable[start : start + BATCH_SIZE]
        prompts = [
            examples.apply_chat_template(
                tokenizer, examples.to_prompt_messages(example), add_generation_prompt=True
            )
            for example in batch_rows
        ]
        n_correct += sum(
            is_correct(text, example["answer"])
            for text, example in zip(
                generate_texts(model, tokenizer, prompts, MAX_NEW_TOKENS), batch_rows, strict=True
            )
        )
    return {"answer_accuracy": n_correct / len(answerable), "n_questions": float(len(answerable))}


def generate_texts(
    model: Any, tokenizer: Any, prompts: Sequence[list[int]], max_new_tokens: int
) -> list[str]:
    """The likeliest answers to tokenized questions, at most `longest` tokens each."""
    return [
        tokenizer.decode(ids, skip_special_tokens=True)
        for ids in generate(model, tokenizer, prompts, max_new_tokens)
    ]


def generate(
    model: Any, tokenizer: Any, prompts: Sequence[list[int]], max_new_tokens: int, **sampling: Any
) -> list[list[int]]:
    """The token ids of one answer per question, its end included where it came within `longest` tokens; greedy without `sampling`."""
    width, was_training = max(len(ids) for ids in prompts), model.training
    input_ids = torch.tensor(
        [[tokenizer.pad_token_id] * (width - len(ids)) + ids for ids in prompts], device=model.device
    )
    mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts], device=model.device)
    generation_kwargs = (
        {"do_sample": True, **sampling}
        if sampling
        else {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    )
    model.eval()
    with torch.no_grad():
        output_ids = model.generate(
            input_ids=input_ids,
            attention_mask=mask,
            max_new_tokens=max_new_tokens,
            pad_token_id=tokenizer.pad_token_id,
            **generation_kwargs,
        )
    model.train(was_training)
    stop_ids = stop_token_ids(model, tokenizer)
    completions = output_ids[:, width:].tolist()
    return [
        ids[: next((position for position, token_id in enumerate(ids) if token_id in stop_ids), len(ids)) + 1]
        for ids in completions
    ]


def stop_token_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer: the tokenizer's, and those at which the model's own settings stop (Gemma ends a turn with another)."""
    eos_token_id = model.generation_config.eos_token_id
    model_eos_ids = eos_token_id if isinstance(eos_token_id, list | tuple) else [eos_token_id]
    return frozenset(
        token_id for token_id in (tokenizer.eos_token_id, *model_eos_ids) if token_id is not None
    )


def is_correct(text: str, answer: str) -> bool:
    """Whether a text gives the known answer: its last number is the answer's last, or, where that has none, it holds the answer's words."""
    expected_numbers, text_numbers = NUMBER_PATTERN.findall(answer), NUMBER_PATTERN.findall(text)
    if expected_numbers:
        return bool(text_numbers) and _parse_number(text_numbers[-1]) == _parse_number(expected_numbers[-1])
    return answer.strip().lower() in text.lower()


def _parse_number(text: str) -> float:
    return float(text.replace(",", "")) if text.replace(",", "").count(".") < 2 else float("nan")
