"""The reward model: learns from pairs which of two answers people prefer, and then scores any answer."""

import contextlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from trl import RewardConfig, RewardTrainer

from studio.data import prepare
from studio.data.prepare import Example
from studio.errors import BadData, NotPossible
from studio.methods import _stage
from studio.methods.base import Halt, Job, Scores
from studio.models import load as models
from studio.words import Words

AT_ONCE = 16
# TRL's default with LoRA. The head starts where it already ranks well, so small models take no bigger steps here as they do elsewhere.
RATE = 1e-4
# What a reward model's config says of its head: transformers' own scores the last token, and would read the same numbers wrongly.
MEAN = "the mean of all tokens"
# Keeps scores around 0 by a hundredth of their square (Eisenstein et al. 2023); a difference of scores alone would leave that open.
CENTRE = 0.01


class Pair(NamedTuple):
    """Token ids of one question with its better and with its worse answer."""

    chosen: list[int]
    rejected: list[int]


# How strongly the first head is held back (times its squared length, on features of spread 1): 1 ranked best of 0.1, 1 and 10.
HELD_BACK = 1.0


def read(tokenizer: Any, question: Sequence[dict[str, str]], answer: str) -> list[int]:
    """A whole conversation as the chat template writes it: the reward model reads the same ids in training and in use."""
    return prepare.template(tokenizer, [*question, {"role": "assistant", "content": answer}], answer_follows=False)


def so_far(hidden: torch.Tensor) -> torch.Tensor:
    """At each token the mean of what stands up to it: (rows, tokens, width) to the same, 32-bit. Rows must be padded on the right."""
    return hidden.float().cumsum(1) / torch.arange(1, hidden.shape[1] + 1, device=hidden.device)[:, None]


class Features(torch.nn.Module):  # type: ignore[misc] # torch ships types that mypy is told to skip
    """In a head's place: what the head would be given."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """The running mean, as it is."""
        return so_far(hidden)


class Head(torch.nn.Linear):  # type: ignore[misc]
    """Scores the mean of all tokens where transformers' own head scores the last one; saved under the same name.

    The last token, an end of turn, knows little of the answer: a linear head ranks 55 % of held-out pairs rightly there, 66 % on the mean
    (SmolLM2 135M, 300 pairs of preferences_en.json, 20 splits: note of issue 3).
    """

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """A score of everything up to each token: (rows, tokens, 1)."""
        with torch.autocast(hidden.device.type, enabled=False):  # scores differ by little, and 16 bits would round that away
            return torch.nn.functional.linear(so_far(hidden), self.weight.float())


def load(folder: Path, seed: int, fresh: bool = False) -> Any:
    """The reward model of a folder; a `fresh` one has a language model's weights and a head that still has to learn.

    Raises NotPossible where the folder's head scores something else than the mean of all tokens.
    """
    model = models.base(folder, "classify", ("reward",), seed)
    if not fresh and getattr(model.config, "scores", None) != MEAN:
        raise NotPossible(
            Words(
                "The reward model in {folder} was made by an older version of the studio and reads texts in another way.",
                "{folder} 中的奖励模型由旧版本的工作室生成，读取文本的方式不同。",
            ),
            Words("Train it anew: start a run without “start from”.", "请重新训练：新建训练时，把“从之前的 RLHF 训练继续（迭代）”留空。"),
            folder=str(folder),
        )
    model.config.scores = MEAN
    head = Head(model.score.in_features, 1, bias=False, device=model.device)
    head.weight = model.score.weight
    model.score = head
    return model


def pairs(found: Sequence[Example], tokenizer: Any, longest: int) -> list[Pair]:
    """The pairs that can be read whole within `longest` tokens."""
    both = [Pair(*(read(tokenizer, prepare.question(example), example[side]) for side in ("chosen", "rejected"))) for example in found]
    return [pair for pair in both if max(map(len, pair)) <= longest]


def score(model: Any, tokenizer: Any, rows: Sequence[list[int]]) -> list[float]:
    """The reward model's score of each row of token ids; higher is better, and only differences mean anything."""
    return [float(value) for value in outputs(model, tokenizer, rows)[:, 0]]


def outputs(
    model: Any, tokenizer: Any, rows: Sequence[list[int]], tell: Callable[[int, int], None] = lambda done, of: None
) -> torch.Tensor:
    """What the model's head makes of each row: (rows, width of the head), 32-bit, without dropout."""
    order, was_training = sorted(range(len(rows)), key=lambda place: len(rows[place])), model.training
    model.eval()
    found: dict[int, torch.Tensor] = {}
    for start in range(0, len(order), AT_ONCE):
        some = order[start : start + AT_ONCE]
        width = max(len(rows[place]) for place in some)
        ids = torch.tensor([rows[place] + [tokenizer.pad_token_id] * (width - len(rows[place])) for place in some], device=model.device)
        mask = torch.tensor([[1] * len(rows[place]) + [0] * (width - len(rows[place])) for place in some], device=model.device)
        with torch.no_grad():
            found.update(zip(some, model(input_ids=ids, attention_mask=mask).logits.float().cpu(), strict=True))
        tell(len(found), len(rows))
    model.train(was_training)
    return torch.stack([found[place] for place in range(len(rows))])


def first_head(model: Any, tokenizer: Any, found: Sequence[Pair], tell: Callable[[str, int, int], None]) -> None:
    """Start a language model's new head where it ranks the pairs best while the model stays as it is.

    A head drawn by lot has opinions that a few hundred pairs would first have to undo, and bends the model meanwhile: a linear fit first,
    then both together (Kumar et al. 2022, "Fine-tuning can distort pretrained features"). Minimises the loss of training with its
    centring, plus HELD_BACK · |w · spread|², by L-BFGS.
    """
    head, model.score = model.score, Features()
    try:
        seen = outputs(model, tokenizer, [ids for pair in found for ids in pair], lambda done, of: tell("head", done, of))
    finally:
        model.score = head
    better, worse = seen[::2], seen[1::2]
    spread = (better - worse).std().clamp_min(1e-6)
    weight = torch.zeros(seen.shape[1], requires_grad=True)
    solver = torch.optim.LBFGS([weight], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        one, other = better @ weight / spread, worse @ weight / spread
        value = torch.nn.functional.softplus(other - one).mean() + CENTRE * ((one + other) ** 2).mean() + HELD_BACK * weight.square().sum()
        value.backward()
        return value

    solver.step(loss)
    with torch.no_grad():
        head.weight.copy_((weight / spread)[None])


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
    model = load(start, job.plan.training.seed, fresh)
    tokenizer, length = job.tokenizer, job.plan.training.max_length
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
    if fresh:
        with contextlib.suppress(Halt):  # the stage then ends after its first step
            first_head(model, tokenizer, both[0], job.tell)
    size = min(job.plan.training.batch_size or 8, len(both[0]))
    steps = math.ceil(len(both[0]) * float(job.settings["reward_epochs"]) / size)
    rate = float(job.settings["reward_rate"]) or RATE
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

    watch = _stage.fit(job, "reward", trainer, check, start_counts=True)
    made = _stage.merged(trainer.model)
    made.score.weight.data = made.score.weight.data.to(made.dtype)  # as it will be read again
    longer = sum(len(pair.chosen) > len(pair.rejected) for pair in both[1]) / len(both[1])
    job.notes["reward_model"] = {
        "pairs": {"train": len(both[0]), "held_out": len(both[1]), "too_long": sum(map(len, job.examples)) - sum(map(len, both))},
        "before": watch.first,
        "after": measure(made, tokenizer, both[1]),
        "best_step": watch.best_step,
        "steps": watch.step,
        "the_longer_one_is_better": longer,  # what a reward model that only looks at the length would get right
    }
    return made, watch.stopped
