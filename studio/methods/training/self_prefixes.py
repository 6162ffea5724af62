"""UPFT's examples: openings of answers the model generates itself, stored in the run for people to read."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from studio.data import examples
from studio.data.examples import IGNORE_INDEX, Encoded, Example
from studio.errors import BadData
from studio.evaluate import answers
from studio.i18n import Message
from studio.methods.spec import TrainingContext
from studio.methods.training import first_step
from studio.methods.training.sampling_sizes import (
    GENERATION_BATCH_SIZE,
    MAX_COMPLETION_TOKENS,
    SIMILARITY_QUESTIONS,
    SIMILARITY_SAMPLES,
    SIMILARITY_TOKENS,
    full_answer_share,
)
from studio.models import trainable
from studio.storage import write_json, write_text

SELF_CONSISTENCY = Message(
    "Of {answers} answers the model wrote to the same question, {same} begin with the same {tokens} tokens "
    "(on average, over {questions} questions): the more do, the more this method has to learn from (prefix "
    "self-consistency)."
)
# An answer always matches itself, and two may match by chance.
MAX_CHANCE_MATCHES = 2
LOW_SELF_CONSISTENCY = Message(
    "Hardly two begin alike, so expect little of this method here: examples that have answers get further "
    "(with LoRA, for instance)."
)
FULL_ANSWERS = Message(
    "Of {n_train:,} questions {n_full:,} ({share:.0%}) are learned with the whole answer, the others with "
    "its first {prefix} tokens."
)
TOP_P = 0.95
# Openings that are written already, a batch a line, while others are still to come.
BATCHES_FILE = "openings.jsonl"
# Goes before the model's own chat template: puts a text before the user's messages.
INSTRUCTION_TEMPLATE = (
    "{{%- set prefixed = namespace(messages=[]) -%}}"
    "{{%- for message in messages -%}}"
    "{{%- set prefixed.messages = prefixed.messages + [{{'role': message['role'], "
    "'content': ({text} + message['content']) if message['role'] == 'user' else message['content']}}] -%}}"
    "{{%- endfor -%}}"
    "{{%- set messages = prefixed.messages -%}}"
)
NO_SPACE_FOR_OPENING = Message(
    "No question leaves room for an opening within {budget} tokens: at most {room} may be the question's, "
    "the shortest has {least}."
)
ALLOW_LONGER_TEXTS = Message("Allow longer texts (max_length), shorter openings, or shorten the questions.")


def generate_rows(context: TrainingContext) -> tuple[list[Encoded], list[Encoded]]:
    """Training and validation rows: questions with openings the model generates, a share with full answers.

    Validation rows are openings as they are in use, without the template: their perplexity is the prefix
    perplexity of the report. The rows are stored in `data/openings.json`, from which a run that goes on reads
    them.

    Raises:
        BadData: where no question leaves space for an opening.
    """
    _prepend_instruction(context)
    path = context.folder / "data" / "openings.json"
    if path.is_file():
        saved = json.loads(path.read_text(encoding="utf-8"))
        _report_openings(context, saved["notes"])
        saved_train, saved_validation = (
            [Encoded.from_json(row) for row in saved[split]] for split in ("train", "validation")
        )
        return saved_train, saved_validation
    torch.manual_seed(context.plan.training.seed)
    request = first_step.choose_request([example for rows in context.examples for example in rows])
    train_examples, validation_examples = _select_short_questions(context, request)
    full_examples, opening_examples = _choose_full_answers(context, train_examples)
    sample_prompts = [_encode_question(context, example) for example in train_examples[:SIMILARITY_QUESTIONS]]
    consistency = measure_self_consistency(context, sample_prompts)
    _report_openings(context, {**consistency, "n_train": len(train_examples), "n_full": len(full_examples)})

    sampler = _Sampler(context, total=len(train_examples) + len(validation_examples))
    prefix_length = int(context.settings["prefix_length"])
    train = []
    opening_prompts = [_encode_question(context, example) for example in opening_examples]
    openings = sampler.sample(opening_prompts, prefix_length)
    for example, completion_ids in zip(opening_examples, openings, strict=True):
        train.append(_build_opening_row(context, example, request, completion_ids))
    full_prompts = [_encode_question(context, example) for example in full_examples]
    free_tokens = context.plan.training.token_limit - max(map(len, full_prompts), default=0)
    full_tokens = max(prefix_length, min(MAX_COMPLETION_TOKENS, free_tokens))
    train += _build_rows(full_prompts, sampler.sample(full_prompts, full_tokens))
    validation_prompts = [_encode_question(context, example) for example in validation_examples]
    validation = _build_rows(validation_prompts, sampler.sample(validation_prompts, prefix_length))

    path.parent.mkdir(parents=True, exist_ok=True)
    stored = {
        "notes": context.notes["openings"],
        "train": [asdict(row) for row in train],
        "validation": [asdict(row) for row in validation],
    }
    write_json(path, stored)
    path.with_name(BATCHES_FILE).unlink(missing_ok=True)
    return train, validation


def _prepend_instruction(context: TrainingContext) -> None:
    """Let the chat template put the chosen instruction before each question."""
    instruction = str(context.settings["instruction"])
    if instruction:
        prefix = INSTRUCTION_TEMPLATE.format(text=json.dumps(instruction, ensure_ascii=False))
        context.tokenizer.chat_template = prefix + context.tokenizer.chat_template


def _select_short_questions(context: TrainingContext, request: str) -> tuple[list[Example], list[Example]]:
    """Training and validation examples whose question leaves space for an opening; else BadData."""
    max_length = context.plan.training.token_limit
    max_prompt_tokens = max_length - int(context.settings["prefix_length"])
    if context.settings["template"]:
        max_prompt_tokens -= len(context.tokenizer(request)["input_ids"]) + 1
    selected = []
    for examples_of_split in context.examples:
        lengths = [len(_encode_question(context, example)) for example in examples_of_split]
        short = [
            example
            for example, length in zip(examples_of_split, lengths, strict=True)
            if length < max_prompt_tokens
        ]
        if not short:
            raise BadData(
                NO_SPACE_FOR_OPENING,
                ALLOW_LONGER_TEXTS,
                budget=max_length,
                room=max(max_prompt_tokens - 1, 0),
                least=min(lengths),
            )
        selected.append(short)
    train_examples, validation_examples = selected
    return train_examples, validation_examples


def _choose_full_answers(
    context: TrainingContext, train_examples: list[Example]
) -> tuple[list[Example], list[Example]]:
    """A random share of the examples, to be answered in full, and the others."""
    share = full_answer_share(float(context.settings["full_share"]), len(train_examples))
    n_full = round(share * len(train_examples))
    generator = random.Random(context.plan.training.seed)  # noqa: S311 - not for secrets
    full_indices = set(generator.sample(range(len(train_examples)), n_full))
    full_examples, opening_examples = [], []
    for index, example in enumerate(train_examples):
        if index in full_indices:
            full_examples.append(example)
        else:
            opening_examples.append(example)
    return full_examples, opening_examples


def measure_self_consistency(context: TrainingContext, prompts: Sequence[list[int]]) -> dict[str, Any]:
    """How alike a model's answers begin: the share (0 to 1) with a question's commonest first tokens.

    Where nearly all differ, there is little for UPFT to work with (the paper's prefix self-consistency).

    Args:
        context: the training whose model is asked.
        prompts: questions as token ids.

    Returns:
        The mean share as "alike", and how it was measured: "questions", "answers" to each, first "tokens"
        compared.
    """
    shares: list[float] = []
    for prompt in prompts:
        context.report_progress("alike", len(shares), len(prompts))
        completions = _sample(context, [prompt] * SIMILARITY_SAMPLES, SIMILARITY_TOKENS)
        _, top_count = Counter(tuple(ids) for ids in completions).most_common(1)[0]
        shares.append(top_count / SIMILARITY_SAMPLES)
    return {
        "alike": sum(shares) / max(len(shares), 1),
        "questions": len(shares),
        "answers": SIMILARITY_SAMPLES,
        "tokens": SIMILARITY_TOKENS,
    }


def _report_openings(context: TrainingContext, result: dict[str, Any]) -> None:
    """Note how alike openings are, and how many questions are learned with the whole answer."""
    n_same = result["alike"] * result["answers"]
    messages = [SELF_CONSISTENCY.format(**result, same=f"{n_same:.3g}")]
    if n_same <= MAX_CHANCE_MATCHES:
        messages.append(LOW_SELF_CONSISTENCY)
    if "n_full" in result:  # runs of earlier studios did not note it
        share = result["n_full"] / result["n_train"]
        messages.append(FULL_ANSWERS.format(**result, share=share, prefix=context.settings["prefix_length"]))
    context.add_note("openings", result, *messages)


def _encode_question(context: TrainingContext, example: Example) -> list[int]:
    return examples.apply_chat_template(
        context.tokenizer, examples.to_prompt_messages(example), add_generation_prompt=True
    )


def _build_opening_row(
    context: TrainingContext, example: Example, request: str, completion_ids: list[int]
) -> Encoded:
    """An opening under the template, ended there.

    Without the template it gets no end either: an end alone would teach the model to break off.
    """
    if not context.settings["template"]:
        return _build_row(_encode_question(context, example), completion_ids)
    *earlier, question = examples.to_prompt_messages(example)
    question = {**question, "content": question["content"] + request}
    prompt_ids = examples.apply_chat_template(
        context.tokenizer, [*earlier, question], add_generation_prompt=True
    )
    stop_ids = answers.stop_token_ids(context.model, context.tokenizer)
    if answers.is_cut(completion_ids, stop_ids):
        completion_ids = [*completion_ids, examples.end_of_turn_id(context.tokenizer)]
    return _build_row(prompt_ids, completion_ids)


def _build_rows(prompts: Sequence[list[int]], completions: Sequence[list[int]]) -> list[Encoded]:
    return [_build_row(prompt, ids) for prompt, ids in zip(prompts, completions, strict=True)]


def _build_row(prompt_ids: list[int], completion_ids: list[int]) -> Encoded:
    return Encoded(prompt_ids + completion_ids, [IGNORE_INDEX] * len(prompt_ids) + completion_ids)


def _sample(context: TrainingContext, prompts: Sequence[list[int]], max_new_tokens: int) -> list[list[int]]:
    """Completions by the base: the LoRA, which changes nothing yet, is left out, as it takes its time."""
    temperature = float(context.settings["temperature"])
    sampling = {"temperature": temperature, "top_p": TOP_P, "top_k": 0}
    with trainable.without_adapter(context.model):
        return answers.generate(context.model, context.tokenizer, prompts, max_new_tokens, **sampling)


def _read_batches(path: Path) -> list[list[list[int]]]:
    """The batches that were saved; a last line that was cut off is removed."""
    if not path.is_file():
        return []
    lines = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line[-1] == "\n"]
    write_text(path, "".join(lines))
    return [json.loads(line) for line in lines]


class _Sampler:
    """Generates completions, reports how many of all there are, and saves them batch by batch.

    Args:
        context: the training whose model generates.
        total: completions in all.
    """

    def __init__(self, context: TrainingContext, total: int) -> None:
        self.context, self.total = context, total
        self.n_done = 0
        self._path = context.folder / "data" / BATCHES_FILE
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._saved = _read_batches(self._path)

    def sample(self, prompts: Sequence[list[int]], max_new_tokens: int) -> list[list[int]]:
        """One completion for each prompt; prompts of like length share a batch."""
        completions_by_index: dict[int, list[int]] = {}
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        for start in range(0, len(order), GENERATION_BATCH_SIZE):
            self.context.report_progress("openings", self.n_done, self.total)
            batch_indices = order[start : start + GENERATION_BATCH_SIZE]
            batch = [prompts[index] for index in batch_indices]
            completions = self._saved.pop(0) if self._saved else self._generate(batch, max_new_tokens)
            completions_by_index.update(zip(batch_indices, completions, strict=True))
            self.n_done += len(batch_indices)
        return [completions_by_index[index] for index in range(len(prompts))]

    def _generate(self, prompts: Sequence[list[int]], max_new_tokens: int) -> list[list[int]]:
        """A batch of completions, which is saved: a run that goes on does not write it again.

        Each batch is drawn from a seed of its own, so it is the same whether or not those before it were.
        """
        torch.manual_seed(self.context.plan.training.seed * 100_003 + self.n_done)
        completions = _sample(self.context, prompts, max_new_tokens)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(completions) + "\n")
        return completions
