"""The reward model: learns from pairs which of two answers people prefer, and then scores any answer."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from trl import RewardConfig, RewardTrainer

from studio.data import prepare
from studio.data.prepare import Example
from studio.errors import BadData
from studio.methods import _stage
from studio.methods.base import Job, Scores
from studio.models import load
from studio.models.shape import ModelShape
from studio.words import Words

AT_ONCE = 16
# Keeps scores around 0 by a hundredth of their square (Eisenstein et al. 2023); a difference of scores alone would leave that open.
CENTRE = 0.01


class Pair(NamedTuple):
    """Token ids of one question with its better and with its worse answer."""

    chosen: list[int]
    rejected: list[int]


def learning_rate(shape: ModelShape) -> float:
    """1e-4 is TRL's default with LoRA; below 400 M numbers five times that, as elsewhere here.

    A choice, not a finding: with 146 pairs SmolLM2 135M's held-out accuracy varied more between splits than between rates.
    """
    return 5e-4 if shape.total() < 400e6 else 1e-4


def read(tokenizer: Any, question: Sequence[dict[str, str]], answer: str) -> list[int]:
    """A whole conversation as the chat template writes it: the reward model reads the same ids in training and in use."""
    return prepare.template(tokenizer, [*question, {"role": "assistant", "content": answer}], answer_follows=False)


def pairs(found: Sequence[Example], tokenizer: Any, longest: int) -> list[Pair]:
    """The pairs that can be read whole within `longest` tokens."""
    both = [Pair(*(read(tokenizer, prepare.question(example), example[side]) for side in ("chosen", "rejected"))) for example in found]
    return [pair for pair in both if max(map(len, pair)) <= longest]


def score(model: Any, tokenizer: Any, rows: Sequence[list[int]]) -> list[float]:
    """The reward model's score of each row of token ids; higher is better, and only differences mean anything."""
    order, found, was_training = sorted(range(len(rows)), key=lambda place: len(rows[place])), [0.0] * len(rows), model.training
    model.eval()
    for start in range(0, len(order), AT_ONCE):
        some = order[start : start + AT_ONCE]
        width = max(len(rows[place]) for place in some)
        ids = torch.tensor([rows[place] + [tokenizer.pad_token_id] * (width - len(rows[place])) for place in some], device=model.device)
        mask = torch.tensor([[1] * len(rows[place]) + [0] * (width - len(rows[place])) for place in some], device=model.device)
        with torch.no_grad():
            scores = model(input_ids=ids, attention_mask=mask).logits[:, 0].float().tolist()
        for place, value in zip(some, scores, strict=True):
            found[place] = value
    model.train(was_training)
    return found


def measure(model: Any, tokenizer: Any, found: Sequence[Pair]) -> Scores:
    """Loss −log σ(score of the better − of the worse) (nats a pair; Bradley and Terry 1952) and the share of pairs ranked rightly."""
    scores = score(model, tokenizer, [ids for pair in found for ids in pair])
    return judged([better - worse for better, worse in zip(scores[::2], scores[1::2], strict=True)])


def judged(margins: Sequence[float]) -> Scores:
    """The mean of −log σ(margin), the share of margins above 0, where one of 0 counts half, and their mean."""
    losses = [math.log1p(math.exp(-abs(margin))) + max(-margin, 0.0) for margin in margins]
    right = sum((margin > 0) + (margin == 0) / 2 for margin in margins)
    return {"loss": sum(losses) / len(losses), "accuracy": right / len(margins), "margin": sum(margins) / len(margins)}


def train(job: Job, start: Path, fresh: bool) -> tuple[Any, bool]:
    """A reward model that begins with the weights of a folder, and whether it was stopped before it was done.

    A `fresh` one begins with a language model's weights and no opinion; else the folder holds a reward model.
    """
    model = load.base(start, "classify", ("reward",), job.plan.training.seed)
    if fresh:  # a head drawn by lot has opinions that a few hundred pairs would first have to undo
        torch.nn.init.zeros_(model.score.weight)
    tokenizer, length = job.tokenizer, _stage.longest(job, model)
    both = [pairs(part, tokenizer, length) for part in job.examples]
    if not all(both):
        raise BadData(
            Words(
                "No pair fits into {length} tokens: the reward model must read both answers whole.",
                "没有偏好对能放进 {length} 个 token：奖励模型必须完整读取两个回答。",
            ),
            Words("Allow longer texts (max_length), or bring shorter answers.", "请提高长度上限（max_length），或使用更短的回答。"),
            length=length,
        )
    size = min(job.plan.training.batch_size or 8, len(both[0]))
    steps = math.ceil(len(both[0]) * float(job.settings["reward_epochs"]) / size)
    rate = float(job.settings["reward_rate"]) or learning_rate(_stage.shape(model))
    told = _stage.arguments(job, "reward", steps, rate, max_length=None, dataloader_drop_last=True, **_stage.portions(job, size))
    trainer = RewardTrainer(
        model=model,
        args=RewardConfig(**told, center_rewards_coefficient=CENTRE),
        train_dataset=_stage.table(chosen_ids=[pair.chosen for pair in both[0]], rejected_ids=[pair.rejected for pair in both[0]]),
        processing_class=tokenizer,
        peft_config=_stage.adapter(job, model, "SEQ_CLS"),
    )

    def check() -> Scores:
        return measure(trainer.model, tokenizer, both[1])

    before = check()
    watch = _stage.fit(job, "reward", trainer, check)
    longer = sum(len(pair.chosen) > len(pair.rejected) for pair in both[1]) / len(both[1])
    job.notes["reward_model"] = {
        "pairs": {"train": len(both[0]), "held_out": len(both[1]), "too_long": sum(map(len, job.examples)) - sum(map(len, both))},
        "before": before,
        "after": check(),
        "best_step": watch.best_step,
        "steps": watch.step,
        "the_longer_one_is_better": longer,  # what a reward model that only looks at the length would get right
    }
    return _stage.merged(trainer.model), watch.stopped
