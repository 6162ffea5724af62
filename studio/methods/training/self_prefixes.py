"""A model writes the openings of its own answers: UPFT's examples, kept in the run so that anyone can read them."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from studio.data import examples
from studio.data.examples import IGNORE_INDEX, Encoded
from studio.errors import BadData
from studio.evaluate import answers
from studio.i18n import Message
from studio.methods.spec import TrainingContext
from studio.methods.training.sampling_sizes import (
    GENERATION_BATCH_SIZE,
    MAX_COMPLETION_TOKENS,
    SIMILARITY_QUESTIONS,
    SIMILARITY_SAMPLES,
    SIMILARITY_TOKENS,
)
from studio.storage import write_json

SELF_CONSISTENCY = Message(
    "Of {answers} answers the model wrote to the same question, {same} begin with the same {tokens} tokens (on average, over {questions} questions): the more do, the more this method has to learn from (prefix self-consistency)."
)
# An answer is always like itself, and two may be so by chance.
MAX_CHANCE_MATCHES = 2
LOW_SELF_CONSISTENCY = Message(
    "Hardly two begin alike, so expect little of this method here: examples that have answers get further (with LoRA, for instance)."
)
TOP_P = 0.95
FIRST_STEP_INSTRUCTION = " Write only the first step towards the answer; it need not be complete."
# Puts a text before what the user says in whatever the model's own template then writes.
INSTRUCTION_TEMPLATE = (
    "{{%- set told = namespace(list=[]) -%}}{{%- for message in messages -%}}{{%- set told.list = told.list + [{{'role': message['role'], "
    "'content': ({text} + message['content']) if message['role'] == 'user' else message['content']}}] -%}}{{%- endfor -%}}"
    "{{%- set messages = told.list -%}}"
)


def generate_rows(job: TrainingContext) -> tuple[list[Encoded], list[Encoded]]:
    """Training and validation rows: each question with the opening the model wrote itself, a share of them with the whole answer.

    Validation rows are openings as they are in use, without the template: their perplexity is the prefix perplexity of the report.
    Written once and kept in `data/openings.json`; a run that goes on reads them there.
    """
    instruction = str(job.settings["instruction"])
    if instruction:
        job.tokenizer.chat_template = (
            INSTRUCTION_TEMPLATE.format(text=json.dumps(instruction, ensure_ascii=False))
            + job.tokenizer.chat_template
        )
    path = job.folder / "data" / "openings.json"
    if path.is_file():
        saved = json.loads(path.read_text(encoding="utf-8"))
        _report_self_consistency(job, saved["notes"])
        train, validation = ([Encoded.from_json(row) for row in saved[part]] for part in ("train", "validation"))
        return train, validation
    torch.manual_seed(job.plan.training.seed)
    prefix_length, max_length = int(job.settings["prefix_length"]), job.plan.training.max_length
    max_prompt_tokens = (
        max_length
        - prefix_length
        - (len(job.tokenizer(FIRST_STEP_INSTRUCTION)["input_ids"]) + 1 if job.settings["template"] else 0)
    )
    train_examples, validation_examples = (
        [example for example in part if len(_encode_question(job, example)) < max_prompt_tokens]
        for part in job.examples
    )
    if not train_examples or not validation_examples:
        raise BadData(
            Message(
                "No question leaves room for an opening within {budget} tokens: at most {room} may be the question's, the shortest has {least}."
            ),
            Message("Allow longer texts (max_length), shorter openings, or shorten the questions."),
            budget=max_length,
            room=max(max_prompt_tokens - 1, 0),
            least=min(
                len(_encode_question(job, example))
                for example in job.examples[0 if not train_examples else 1]
            ),
        )
    _report_self_consistency(
        job,
        measure_self_consistency(
            job, [_encode_question(job, example) for example in train_examples[:SIMILARITY_QUESTIONS]]
        ),
    )
    full_indices = set(
        random.Random(job.plan.training.seed).sample(  # noqa: S311 - not for secrets
            range(len(train_examples)), round(float(job.settings["full_share"]) * len(train_examples))
        )
    )
    prefix_examples = [example for index, example in enumerate(train_examples) if index not in full_indices]
    total = len(train_examples) + len(validation_examples)
    prefixes = _sample_completions(
        job, [_encode_question(job, example) for example in prefix_examples], prefix_length, 0, total
    )
    train = [
        _build_opening_row(job, example, ids) for example, ids in zip(prefix_examples, prefixes, strict=True)
    ]
    full_prompts = [_encode_question(job, train_examples[index]) for index in sorted(full_indices)]
    full_max_tokens = max(
        prefix_length, min(MAX_COMPLETION_TOKENS, max_length - max(map(len, full_prompts), default=0))
    )
    train += [
        _build_row(prompt, ids)
        for prompt, ids in zip(
            full_prompts,
            _sample_completions(job, full_prompts, full_max_tokens, len(prefix_examples), total),
            strict=True,
        )
    ]
    validation_prompts = [_encode_question(job, example) for example in validation_examples]
    validation = [
        _build_row(prompt, ids)
        for prompt, ids in zip(
            validation_prompts,
            _sample_completions(job, validation_prompts, prefix_length, len(train_examples), total),
            strict=True,
        )
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        path,
        {
            "notes": job.notes["openings"],
            "train": [asdict(row) for row in train],
            "validation": [asdict(row) for row in validation],
        },
    )
    return train, validation


def measure_self_consistency(job: TrainingContext, prompts: Sequence[list[int]]) -> dict[str, Any]:
    """How alike a model's answers begin: the share (0 to 1) of answers to a question that open with its commonest first tokens.

    Where nearly all differ, there is little for UPFT to work with (the paper's prefix self-consistency).
    """
    shares: list[float] = []
    for prompt in prompts:
        job.report_progress("alike", len(shares), len(prompts))
        completions = answers.generate(
            job.model,
            job.tokenizer,
            [prompt] * SIMILARITY_SAMPLES,
            SIMILARITY_TOKENS,
            **_sampling_settings(job),
        )
        top_count = Counter(tuple(ids) for ids in completions).most_common(1)[0][1]
        shares.append(top_count / SIMILARITY_SAMPLES)
    return {
        "alike": sum(shares) / max(len(shares), 1),
        "questions": len(shares),
        "answers": SIMILARITY_SAMPLES,
        "tokens": SIMILARITY_TOKENS,
    }


def _report_self_consistency(job: TrainingContext, result: dict[str, Any]) -> None:
    n_same = result["alike"] * result["answers"]
    message = SELF_CONSISTENCY.format(**{**result, "same": f"{n_same:.3g}"})
    job.add_note(
        "openings", result, *((message, LOW_SELF_CONSISTENCY) if n_same <= MAX_CHANCE_MATCHES else (message,))
    )


def _encode_question(job: TrainingContext, example: dict[str, str]) -> list[int]:
    return examples.apply_chat_template(
        job.tokenizer, examples.to_prompt_messages(example), add_generation_prompt=True
    )


def _build_opening_row(job: TrainingContext, example: dict[str, str], completion_ids: list[int]) -> Encoded:
    """An opening under the template, ended there; or without either, since an end alone teaches the model to break off."""
    if not job.settings["template"]:
        return _build_row(_encode_question(job, example), completion_ids)
    messages = examples.to_prompt_messages(example)
    messages = [*messages[:-1], {**messages[-1], "content": messages[-1]["content"] + FIRST_STEP_INSTRUCTION}]
    end_tokens = answers.stop_token_ids(job.model, job.tokenizer) & {*completion_ids[-1:]}
    return _build_row(
        examples.apply_chat_template(job.tokenizer, messages, add_generation_prompt=True),
        completion_ids if end_tokens else [*completion_ids, job.tokenizer.eos_token_id],
    )


def _build_row(prompt_ids: list[int], completion_ids: list[int]) -> Encoded:
    return Encoded(prompt_ids + completion_ids, [IGNORE_INDEX] * len(prompt_ids) + completion_ids)


def _sampling_settings(job: TrainingContext) -> dict[str, Any]:
    return {"temperature": float(job.settings["temperature"]), "top_p": TOP_P, "top_k": 0}


def _sample_completions(
    job: TrainingContext, prompts: Sequence[list[int]], max_new_tokens: int, n_done: int, total: int
) -> list[list[int]]:
    """One answer of the model to each question, at most `length` tokens, questions of like length together."""
    completions_by_index: dict[int, list[int]] = {}
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for start in range(0, len(order), GENERATION_BATCH_SIZE):
        job.report_progress("openings", n_done + start, total)
        batch_indices = order[start : start + GENERATION_BATCH_SIZE]
        completions = answers.generate(
            job.model,
            job.tokenizer,
            [prompts[index] for index in batch_indices],
            max_new_tokens,
            **_sampling_settings(job),
        )
        completions_by_index.update(zip(batch_indices, completions, strict=True))
    return [completions_by_index[index] for index in range(len(prompts))]
