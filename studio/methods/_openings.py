"""A model writes the openings of its own answers: UPFT's examples, kept in the run so that anyone can read them."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from studio.data import prepare
from studio.data.prepare import IGNORED, Encoded
from studio.errors import BadData
from studio.evaluate import answers
from studio.home import write_json
from studio.methods.base import Job
from studio.methods.upft import ASKED_AGAIN, AT_ONCE, COMPARED, LONGEST, LOOKED_AT
from studio.words import Words

ALIKE = Words(
    "Of {answers} answers the model wrote to the same question, {same} begin with the same {tokens} tokens (on average, over {questions} questions): the more do, the more this method has to learn from (prefix self-consistency).",
    "让模型把同一个问题回答 {answers} 遍，平均有 {same} 遍的前 {tokens} 个 token 完全相同（共看了 {questions} 个问题）：相同的越多，这种方法能学到的越多（前缀自洽性）。",
)
# An answer is always like itself, and two may be so by chance.
TOO_FEW = 2
TOO_FREE = Words(
    "Hardly two begin alike, so expect little of this method here: examples that have answers get further (with LoRA, for instance).",
    "几乎没有两遍的开头相同，这种方法在这里作用不大：改用带回答的样本训练（例如 LoRA），效果会更好。",
)
TOP_P = 0.95
FIRST_STEP = " Write only the first step towards the answer; it need not be complete."
# Puts a text before what the user says in whatever the model's own template then writes.
WITH_INSTRUCTION = (
    "{{%- set told = namespace(list=[]) -%}}{{%- for message in messages -%}}{{%- set told.list = told.list + [{{'role': message['role'], "
    "'content': ({text} + message['content']) if message['role'] == 'user' else message['content']}}] -%}}{{%- endfor -%}}"
    "{{%- set messages = told.list -%}}"
)


def rows(job: Job) -> tuple[list[Encoded], list[Encoded]]:
    """Training and validation rows: each question with the opening the model wrote itself, a share of them with the whole answer.

    Validation rows are openings as they are in use, without the template: their perplexity is the prefix perplexity of the report.
    Written once and kept in `data/openings.json`; a run that goes on reads them there.
    """
    instruction = str(job.settings["instruction"])
    if instruction:
        job.tokenizer.chat_template = (
            WITH_INSTRUCTION.format(text=json.dumps(instruction, ensure_ascii=False)) + job.tokenizer.chat_template
        )
    path = job.folder / "data" / "openings.json"
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        _tell(job, kept["notes"])
        train, validation = ([Encoded(**row) for row in kept[part]] for part in ("train", "validation"))
        return train, validation
    torch.manual_seed(job.plan.training.seed)
    length, budget = int(job.settings["opening"]), job.plan.training.max_length
    room = budget - length - (len(job.tokenizer(FIRST_STEP)["input_ids"]) + 1 if job.settings["template"] else 0)
    asked, check = ([example for example in part if len(_question(job, example)) < room] for part in job.examples)
    if not asked or not check:
        raise BadData(
            Words(
                "No question leaves room for an opening within {budget} tokens: at most {room} may be the question's, the shortest has {least}.",
                "上限是 {budget} 个 token，没有一个问题能给回答的开头留出空间：问题不能超过 {room} 个 token，而最短的也有 {least} 个。",
            ),
            Words(
                "Allow longer texts (max_length), shorter openings, or shorten the questions.",
                "请提高长度上限（max_length），缩短开头，或缩短问题。",
            ),
            budget=budget,
            room=max(room - 1, 0),
            least=min(len(_question(job, example)) for example in job.examples[0 if not asked else 1]),
        )
    _tell(job, alike(job, [_question(job, example) for example in asked[:LOOKED_AT]]))
    whole = set(random.Random(job.plan.training.seed).sample(range(len(asked)), round(float(job.settings["full_share"]) * len(asked))))  # noqa: S311
    short = [example for place, example in enumerate(asked) if place not in whole]
    total = len(asked) + len(check)
    written = _sample(job, [_question(job, example) for example in short], length, 0, total)
    train = [_opening(job, example, ids) for example, ids in zip(short, written, strict=True)]
    long = [_question(job, asked[place]) for place in sorted(whole)]
    most = max(length, min(LONGEST, budget - max(map(len, long), default=0)))
    train += [_row(ask, ids) for ask, ids in zip(long, _sample(job, long, most, len(short), total), strict=True)]
    held = [_question(job, example) for example in check]
    validation = [_row(ask, ids) for ask, ids in zip(held, _sample(job, held, length, len(asked), total), strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        path, {"notes": job.notes["openings"], "train": [asdict(row) for row in train], "validation": [asdict(row) for row in validation]}
    )
    return train, validation


def alike(job: Job, questions: Sequence[list[int]]) -> dict[str, Any]:
    """How alike a model's answers begin: the share (0 to 1) of answers to a question that open with its commonest first tokens.

    Where nearly all differ, there is little for UPFT to work with (the paper's prefix self-consistency).
    """
    shares: list[float] = []
    for ask in questions:
        job.tell("alike", len(shares), len(questions))
        found = answers.generate(job.model, job.tokenizer, [ask] * ASKED_AGAIN, COMPARED, **_freely(job))
        commonest = Counter(tuple(ids) for ids in found).most_common(1)[0][1]
        shares.append(commonest / ASKED_AGAIN)
    return {"alike": sum(shares) / max(len(shares), 1), "questions": len(shares), "answers": ASKED_AGAIN, "tokens": COMPARED}


def _tell(job: Job, found: dict[str, Any]) -> None:
    same = found["alike"] * found["answers"]
    told = ALIKE.filled(**{**found, "same": f"{same:.3g}"})
    job.note("openings", found, *((told, TOO_FREE) if same <= TOO_FEW else (told,)))


def _question(job: Job, example: dict[str, str]) -> list[int]:
    return prepare.template(job.tokenizer, prepare.question(example), answer_follows=True)


def _opening(job: Job, example: dict[str, str], ids: list[int]) -> Encoded:
    """An opening under the template, ended there; or without either, since an end alone teaches the model to break off."""
    if not job.settings["template"]:
        return _row(_question(job, example), ids)
    told = prepare.question(example)
    told = [*told[:-1], {**told[-1], "content": told[-1]["content"] + FIRST_STEP}]
    ended = answers.ends(job.model, job.tokenizer) & {*ids[-1:]}
    return _row(prepare.template(job.tokenizer, told, answer_follows=True), ids if ended else [*ids, job.tokenizer.eos_token_id])


def _row(ask: list[int], ids: list[int]) -> Encoded:
    return Encoded(ask + ids, [IGNORED] * len(ask) + ids)


def _freely(job: Job) -> dict[str, Any]:
    return {"temperature": float(job.settings["temperature"]), "top_p": TOP_P, "top_k": 0}


def _sample(job: Job, questions: Sequence[list[int]], length: int, done: int, total: int) -> list[list[int]]:
    """One answer of the model to each question, at most `length` tokens, questions of like length together."""
    found: dict[int, list[int]] = {}
    order = sorted(range(len(questions)), key=lambda place: len(questions[place]))
    for start in range(0, len(order), AT_ONCE):
        job.tell("openings", done + start, total)
        some = order[start : start + AT_ONCE]
        written = answers.generate(job.model, job.tokenizer, [questions[place] for place in some], length, **_freely(job))
        found.update(zip(some, written, strict=True))
    return [found[place] for place in range(len(questions))]
