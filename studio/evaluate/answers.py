"""Generates answers to held-out questions, and counts how often they are the known ones."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from studio.data import examples
from studio.data.examples import Example
from studio.data.text import json_answers
from studio.evaluate import known_answers
from studio.evaluate.measures import MAX_QUESTIONS
from studio.evaluate.predictions import Outcome
from studio.models.decoding import decode
from studio.plan import Task

# How long an answer may be (tokens): enough to see a change, and minutes on a CPU.
MAX_NEW_TOKENS = 160
BATCH_SIZE = 16
GREEDY = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}


class Answer(NamedTuple):
    """What a model wrote to a question.

    Attributes:
        text: The answer, without special tokens.
        is_cut: Whether it reached the limit of tokens before it ended by itself.
    """

    text: str
    is_cut: bool

    def to_outcome(self) -> Outcome:
        """The answer as predictions keep it."""
        return self._asdict()


def choose_questions(rows: Sequence[Example], task: Task) -> list[int]:
    """The indices of the rows whose questions are put to a model, MAX_QUESTIONS at most, evenly chosen.

    Those whose answer is known; without any, in a chat all.
    """
    answered = [index for index, row in enumerate(rows) if row.get("answer")]
    candidates = answered if answered or task != "chat" else range(len(rows))
    n_asked = min(len(candidates), MAX_QUESTIONS)
    return [candidates[len(candidates) * index // n_asked] for index in range(n_asked)]


def max_new_tokens(tokenizer: Any, questions: Sequence[Example]) -> int:
    """How many tokens an answer may have: room for the longest wanted one, and more for JSON objects."""
    if any(question.get("answer") for question in questions):
        return MAX_NEW_TOKENS
    wanted = [examples.answer_text(question) for question in questions]
    longest = max((len(tokenizer(answer)["input_ids"]) for answer in wanted), default=0)
    limit = json_answers.max_new_tokens(longest)
    return limit if json_answers.find_fields(wanted) else min(MAX_NEW_TOKENS, limit)


def score_accuracy(answers: Sequence[Answer], questions: Sequence[Example]) -> dict[str, float]:
    """The share of questions with known answers that are answered correctly; one that was cut is wrong.

    Args:
        answers: The answer to each question.
        questions: Examples; those with an `answer` are questions whose answer is known.

    Returns:
        `answer_accuracy` (0 to 1) and `n_questions`; empty where no answer is known.
    """
    is_right = [
        not answer.is_cut and known_answers.is_correct(answer.text, question["answer"])
        for answer, question in zip(answers, questions, strict=True)
        if question.get("answer")
    ]
    if not is_right:
        return {}
    return {"answer_accuracy": sum(is_right) / len(is_right), "n_questions": float(len(is_right))}


def answer_questions(
    model: Any,
    tokenizer: Any,
    questions: Sequence[Example],
    max_new_tokens: int,
    on_progress: Callable[[int, int], None],
) -> list[Answer]:
    """The greedy answer to each question, BATCH_SIZE of like length at once."""
    prompts = [
        examples.apply_chat_template(
            tokenizer, examples.to_prompt_messages(example), add_generation_prompt=True
        )
        for example in questions
    ]
    completions = generate_in_batches(
        model, tokenizer, prompts, max_new_tokens, BATCH_SIZE, on_progress=on_progress
    )
    return _to_answers(model, tokenizer, completions)


def generate_answers(
    model: Any, tokenizer: Any, prompts: Sequence[list[int]], max_new_tokens: int
) -> list[Answer]:
    """The greedy completions of tokenized prompts, all in one batch."""
    return _to_answers(model, tokenizer, generate(model, tokenizer, prompts, max_new_tokens))


def _to_answers(model: Any, tokenizer: Any, completions: Sequence[list[int]]) -> list[Answer]:
    stop_ids = stop_token_ids(model, tokenizer)
    return [
        Answer(tokenizer.decode(ids, skip_special_tokens=True), is_cut(ids, stop_ids)) for ids in completions
    ]


def generate_in_batches(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    batch_size: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[list[int]]:
    """The greedy completions of prompts, a batch of like length at a time, in the order of the prompts."""
    completions: dict[int, list[int]] = {}
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for start in range(0, len(order), batch_size):
        on_progress(start, len(order))
        indices = order[start : start + batch_size]
        batch = [prompts[index] for index in indices]
        completions.update(zip(indices, generate(model, tokenizer, batch, max_new_tokens), strict=True))
    return [completions[index] for index in range(len(prompts))]


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
    input_ids, attention_mask = pad_left(prompts, tokenizer.pad_token_id, model.device)
    decoding = {"do_sample": True, **sampling} if sampling else GREEDY
    model.eval()
    with torch.no_grad():
        output_ids = model.generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            max_new_tokens=max_new_tokens,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=sorted(stop_ids),
            custom_generate=decode,
            **decoding,
        )
    model.train(was_training)
    prompt_width = input_ids.shape[1]
    return [_cut_after_stop(ids, stop_ids) for ids in output_ids[:, prompt_width:].tolist()]


def pad_left(rows: Sequence[list[int]], pad_token_id: int, device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, each (rows, longest row).

    Args:
        rows: Token ids of each row.
        pad_token_id: What shorter rows begin with.
        device: Where both go.
    """
    width = max(len(ids) for ids in rows)
    padded = [[pad_token_id] * (width - len(ids)) + ids for ids in rows]
    mask = [[0] * (width - len(ids)) + [1] * len(ids) for ids in rows]
    return torch.tensor(padded, device=device), torch.tensor(mask, device=device)


def is_cut(token_ids: Sequence[int], stop_ids: frozenset[int]) -> bool:
    """Whether an answer reached the limit of tokens before it ended by itself."""
    return not stop_ids.intersection(token_ids[-1:])


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


def declare_stop_tokens(model: Any, tokenizer: Any, task: str) -> None:
    """Write the tokens that end an answer into a model: TRL asks it, and whoever opens a whole result.

    A base like Qwen2.5 names none of its chat template's. Where the task has no answers, nothing is written.
    """
    if task in ("classify", "complete"):
        return
    model.generation_config.eos_token_id = sorted(stop_token_ids(model, tokenizer))
