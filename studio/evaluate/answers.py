"""Generates answers, and counts how often a model gives the known answer to a question."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch

from studio.data import examples
from studio.data.examples import Example

# A minus between two numbers, as in 10-12, is no sign.
NUMBER_PATTERN = re.compile(r"(?:(?<!\w)[-\N{MINUS SIGN}])?\d+(?:[.,]\d+)*")
THOUSANDS_WITH_COMMAS = re.compile(r"-?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
THOUSANDS_WITH_POINTS = re.compile(r"-?[1-9]\d{0,2}((\.\d{3})+,\d+|(\.\d{3}){2,})")
# How many questions are put, and how long an answer may be (tokens): enough to see a change, and minutes on
# a CPU.
MAX_QUESTIONS, MAX_NEW_TOKENS = 64, 160
BATCH_SIZE = 16
GREEDY = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}


def measure_accuracy(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Example],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, float]:
    """The share of questions that greedy decoding answers correctly, over at most MAX_QUESTIONS of them.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer, with a chat template.
        rows: Examples; those with an `answer` are questions whose answer is known.
        on_progress: Called with the questions answered so far, of all.

    Returns:
        `answer_accuracy` (0 to 1) and `n_questions`; empty where no answer is known.
    """
    questions = [example for example in rows if example.get("answer")][:MAX_QUESTIONS]
    if not questions:
        return {}
    texts = answer_questions(model, tokenizer, questions, MAX_NEW_TOKENS, on_progress)
    pairs = zip(texts, questions, strict=True)
    n_correct = sum(is_correct(text, example["answer"]) for text, example in pairs)
    return {"answer_accuracy": n_correct / len(questions), "n_questions": float(len(questions))}


def answer_questions(
    model: Any,
    tokenizer: Any,
    questions: Sequence[Example],
    max_new_tokens: int,
    on_progress: Callable[[int, int], None],
) -> list[str]:
    """The greedy answer to each question, BATCH_SIZE of them at once."""
    texts = []
    for start in range(0, len(questions), BATCH_SIZE):
        on_progress(start, len(questions))
        prompts = [
            examples.apply_chat_template(
                tokenizer, examples.to_prompt_messages(example), add_generation_prompt=True
            )
            for example in questions[start : start + BATCH_SIZE]
        ]
        texts += generate_texts(model, tokenizer, prompts, max_new_tokens)
    return texts


def generate_texts(
    model: Any, tokenizer: Any, prompts: Sequence[list[int]], max_new_tokens: int
) -> list[str]:
    """The greedy completions of tokenized prompts, as text without special tokens."""
    completions = generate(model, tokenizer, prompts, max_new_tokens)
    return [tokenizer.decode(ids, skip_special_tokens=True) for ids in completions]


def generate(
    model: Any, tokenizer: Any, prompts: Sequence[list[int]], max_new_tokens: int, **sampling: Any
) -> list[list[int]]:
    """Complete prompts, all in one batch. The model is left in the mode it came in.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.
        prompts: Token ids of each prompt.
        max_new_tokens: The most tokens of a completion.
        sampling: Arguments of `model.generate` to sample with; without any, decoding is greedy.

    Returns:
        The token ids of each completion, with the token that ends it where it ended by itself.
    """
    was_training = model.training
    stop_ids = stop_token_ids(model, tokenizer)
    input_ids, attention_mask = _pad_left(prompts, tokenizer.pad_token_id, model.device)
    decoding = {"do_sample": True, **sampling} if sampling else GREEDY
    model.eval()
    with torch.no_grad():
        output_ids = model.generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            max_new_tokens=max_new_tokens,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=sorted(stop_ids),
            **decoding,
        )
    model.train(was_training)
    prompt_width = input_ids.shape[1]
    return [_cut_after_stop(ids, stop_ids) for ids in output_ids[:, prompt_width:].tolist()]


def _pad_left(rows: Sequence[list[int]], pad_token_id: int, device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, each (rows, longest row)."""
    width = max(len(ids) for ids in rows)
    padded = [[pad_token_id] * (width - len(ids)) + ids for ids in rows]
    mask = [[0] * (width - len(ids)) + [1] * len(ids) for ids in rows]
    return torch.tensor(padded, device=device), torch.tensor(mask, device=device)


def _cut_after_stop(ids: list[int], stop_ids: frozenset[int]) -> list[int]:
    """Token ids up to and including the first that ends an answer; all of them where none does."""
    for position, token_id in enumerate(ids):
        if token_id in stop_ids:
            return ids[: position + 1]
    return ids


def stop_token_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer: the tokenizer's, the chat template's and the generation config's.

    Gemma ends a turn with another token than its tokenizer's.
    """
    eos_token_id = model.generation_config.eos_token_id
    model_eos_ids = eos_token_id if isinstance(eos_token_id, list | tuple) else [eos_token_id]
    candidates = (tokenizer.eos_token_id, examples.end_of_turn_id(tokenizer), *model_eos_ids)
    return frozenset(token_id for token_id in candidates if token_id is not None)


def is_correct(text: str, answer: str, check: str = "data") -> bool:
    """Whether a text gives the known answer.

    Args:
        text: The text.
        answer: The known answer.
        check: How they are compared: "number", the last of each; "exact", all of both; "contains", the
            answer's words in the text; "data", by the number where the answer has one, else "contains".
    """
    if check == "number" or (check == "data" and has_number(answer)):
        return last_number(text) == last_number(answer)
    if check == "exact":
        return text.strip().casefold() == answer.strip().casefold()
    return answer.strip().casefold() in text.casefold()


def has_number(text: str) -> bool:
    """Whether there is a number in a text."""
    return NUMBER_PATTERN.search(text) is not None


def last_number(text: str) -> float:
    """The last number of a text; NaN, which equals nothing, where there is none or it cannot be read."""
    numbers = NUMBER_PATTERN.findall(text)
    return _parse_number(numbers[-1]) if numbers else math.nan


def _parse_number(text: str) -> float:
    """A number with marks between its thousands and before its decimals, as in English or as in German.

    1,234 are thousands, 3,5 and 3.5 decimals, as is 1.234.
    """
    digits = text.replace("\N{MINUS SIGN}", "-")
    if THOUSANDS_WITH_COMMAS.fullmatch(digits):
        digits = digits.replace(",", "")
    elif THOUSANDS_WITH_POINTS.fullmatch(digits):
        digits = digits.replace(".", "")
    digits = digits.replace(",", ".")
    return float(digits) if digits.count(".") < 2 else math.nan
