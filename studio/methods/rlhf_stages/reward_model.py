"""The reward model: learns from pairs which of two answers people prefer, and then scores any answer."""

import contextlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from trl import RewardConfig, RewardTrainer

from studio.data import examples
from studio.data.examples import Example
from studio.errors import BadData, NotPossible
from studio.i18n import Message
from studio.methods.rlhf_stages import stage as stage_files
from studio.methods.spec import Scores, StopRequested, TrainingContext
from studio.models import load as models

BATCH_SIZE = 16
# TRL's default with LoRA. The head starts where it already ranks well, so small models take no bigger steps here as they do elsewhere.
DEFAULT_LEARNING_RATE = 1e-4
# What a reward model's config says of its head: transformers' own scores the last token, and would read the same numbers wrongly.
MEAN_POOLING = "the mean of all tokens"
# Keeps scores around 0 by a hundredth of their square (Eisenstein et al. 2023); a difference of scores alone would leave that open.
CENTER_REWARDS_COEFFICIENT = 0.01


class Pair(NamedTuple):
    """Token ids of one question with its better and with its worse answer."""

    chosen: list[int]
    rejected: list[int]


# How strongly the first head is held back (times its squared length, on features of spread 1): 1 ranked best of 0.1, 1 and 10.
HEAD_L2_PENALTY = 1.0


def encode_conversation(tokenizer: Any, question: Sequence[dict[str, str]], answer: str) -> list[int]:
    """A whole conversation as the chat template writes it: the reward model reads the same ids in training and in use."""
    return examples.apply_chat_template(
        tokenizer, [*question, {"role": "assistant", "content": answer}], add_generation_prompt=False
    )


def running_mean(hidden: torch.Tensor) -> torch.Tensor:
    """At each token the mean of what stands up to it: (rows, tokens, width) to the same, 32-bit. Rows must be padded on the right."""
    return hidden.float().cumsum(1) / torch.arange(1, hidden.shape[1] + 1, device=hidden.device)[:, None]


class PooledFeatures(torch.nn.Module):  # type: ignore[misc] # torch ships types that mypy is told to skip
    """In a head's place: what the head would be given."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """The running mean, as it is."""
        return running_mean(hidden)


class MeanPoolingHead(torch.nn.Linear):  # type: ignore[misc]
    """Scores the mean of all tokens where transformers' own head scores the last one; saved under the same name.

    The last token, an end of turn, knows little of the answer: a linear head ranks 55 % of held-out pairs rightly there, 66 % on the mean
    (SmolLM2 135M, 300 pairs of preferences_en.json, 20 splits: note of issue 3).
    """

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """A score of everything up to each token: (rows, tokens, 1)."""
        with torch.autocast(
            hidden.device.type, enabled=False
        ):  # scores differ by little, and 16 bits would round that away
            return torch.nn.functional.linear(running_mean(hidden), self.weight.float())


def load(folder: Path, seed: int, is_fresh: bool = False) -> Any:
    """The reward model of a folder; a `fresh` one has a language model's weights and a head that still has to learn.

    Raises NotPossible where the folder's head scores something else than the mean of all tokens.
    """
    model = models.base_model(folder, "classify", ("reward",), seed)
    if not is_fresh and getattr(model.config, "scores", None) != MEAN_POOLING:
        raise NotPossible(
            Message(
                "The reward model in {folder} was made by an older version of the studio and reads texts in another way."
            ),
            Message("Train it anew: start a run without “start from”."),
            folder=str(folder),
        )
    model.config.scores = MEAN_POOLING
    head = MeanPoolingHead(model.score.in_features, 1, bias=False, device=model.device)
    head.weight = model.score.weight
    model.score = head
    return model


def encode_pairs(rows: Sequence[Example], tokenizer: Any, max_length: int) -> list[Pair]:
    """The pairs that can be read whole within `longest` tokens."""
    encoded_pairs = [
        Pair(
            *(
                encode_conversation(tokenizer, examples.to_prompt_messages(example), example[side])
                for side in ("chosen", "rejected")
            )
        )
        for example in rows
    ]
    return [pair for pair in encoded_pairs if max(map(len, pair)) <= max_length]


def score(model: Any, tokenizer: Any, rows: Sequence[list[int]]) -> list[float]:
    """The reward model's score of each row of token ids; higher is better, and only differences mean anything."""
    return [float(value) for value in head_outputs(model, tokenizer, rows)[:, 0]]


def head_outputs(
    model: Any,
    tokenizer: Any,
    rows: Sequence[list[int]],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> torch.Tensor:
    """What the model's head makes of each row: (rows, width of the head), 32-bit, without dropout."""
    order, was_training = sorted(range(len(rows)), key=lambda index: len(rows[index])), model.training
    model.eval()
    outputs_by_index: dict[int, torch.Tensor] = {}
    for start in range(0, len(order), BATCH_SIZE):
        batch_indices = order[start : start + BATCH_SIZE]
        width = max(len(rows[index]) for index in batch_indices)
        input_ids = torch.tensor(
            [rows[index] + [tokenizer.pad_token_id] * (width - len(rows[index])) for index in batch_indices],
            device=model.device,
        )
        mask = torch.tensor(
            [[1] * len(rows[index]) + [0] * (width - len(rows[index])) for index in batch_indices],
            device=model.device,
        )
        with torch.no_grad():
            outputs_by_index.update(
                zip(
                    batch_indices,
                    model(input_ids=input_ids, attention_mask=mask).logits.float().cpu(),
                    strict=True,
                )
            )
        on_progress(len(outputs_by_index), len(rows))
    model.train(was_training)
    return torch.stack([outputs_by_index[index] for index in range(len(rows))])


def fit_initial_head(
    model: Any, tokenizer: Any, encoded_pairs: Sequence[Pair], on_progress: Callable[[str, int, int], None]
) -> None:
    """Start a language model's new head where it ranks the pairs best while the model stays as it is.

    A head drawn by lot has opinions that a few hundred pairs would first have to undo, and bends the model meanwhile: a linear fit first,
    then both together (Kumar et al. 2022, "Fine-tuning can distort pretrained features"). Minimises the loss of training with its
    centring, plus HELD_BACK · |w · spread|², by L-BFGS.
    """
    head, model.score = model.score, PooledFeatures()
    try:
        features = head_outputs(
            model,
            tokenizer,
            [ids for pair in encoded_pairs for ids in pair],
            lambda done, total: on_progress("head", done, total),
        )
    finally:
        model.score = head
    better, worse = features[::2], features[1::2]
    spread = (better - worse).std().clamp_min(1e-6)
    weight = torch.zeros(features.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        better_scores, worse_scores = better @ weight / spread, worse @ weight / spread
        loss_value = (
            torch.nn.functional.softplus(worse_scores - better_scores).mean()
            + CENTER_REWARDS_COEFFICIENT * ((better_scores + worse_scores) ** 2).mean()
            + HEAD_L2_PENALTY * weight.square().sum()
        )
        loss_value.backward()
        return loss_value

    optimizer.step(loss)
    with torch.no_grad():
        head.weight.copy_((weight / spread)[None])


def evaluate_pairs(model: Any, tokenizer: Any, encoded_pairs: Sequence[Pair]) -> Scores:
    """Loss −log σ(score of the better − of the worse) (nats a pair; Bradley and Terry 1952) and the share of pairs ranked rightly."""
    scores = score(model, tokenizer, [ids for pair in encoded_pairs for ids in pair])
    return score_margins([better - worse for better, worse in zip(scores[::2], scores[1::2], strict=True)])


def score_margins(margins: Sequence[float]) -> Scores:
    """The mean of −log σ(margin), the share of margins above 0, where one of 0 counts half, and their mean."""
    losses = [math.log1p(math.exp(-abs(margin))) + max(-margin, 0.0) for margin in margins]
    n_correct = sum((margin > 0) + (margin == 0) / 2 for margin in margins)
    return {
        "loss": sum(losses) / len(losses),
        "accuracy": n_correct / len(margins),
        "margin": sum(margins) / len(margins),
    }


def train(job: TrainingContext, start_folder: Path, is_fresh: bool) -> tuple[Any, bool]:
    """A reward model that begins with the weights of a folder, and whether it was stopped before it was done.

    A `fresh` one begins with a language model's weights and no opinion; else the folder holds a reward model.
    """
    model = load(start_folder, job.plan.training.seed, is_fresh)
    tokenizer, max_length = job.tokenizer, job.plan.training.max_length
    encoded_pairs = [encode_pairs(split_rows, tokenizer, max_length) for split_rows in job.examples]
    if not all(encoded_pairs):
        raise BadData(
            Message("No pair fits into {length} tokens: the reward model must read both answers whole."),
            Message("Allow longer texts (max_length), or bring shorter answers."),
            length=max_length,
        )
    if is_fresh:
        with contextlib.suppress(StopRequested):  # the stage then ends after its first step
            fit_initial_head(model, tokenizer, encoded_pairs[0], job.report_progress)
    batch_size = min(job.plan.training.batch_size or 8, len(encoded_pairs[0]))
    steps = math.ceil(len(encoded_pairs[0]) * float(job.settings["reward_epochs"]) / batch_size)
    rate = float(job.settings["reward_rate"]) or DEFAULT_LEARNING_RATE
    trainer_arguments = stage_files.trl_arguments(
        job,
        "reward",
        steps,
        rate,
        max_length=None,
        dataloader_drop_last=True,
        **stage_files.pair_batch_sizes(job, batch_size),
    )
    trainer = RewardTrainer(
        model=model,
        args=RewardConfig(**trainer_arguments, center_rewards_coefficient=CENTER_REWARDS_COEFFICIENT),
        train_dataset=stage_files.build_dataset(
            chosen_ids=[pair.chosen for pair in encoded_pairs[0]],
            rejected_ids=[pair.rejected for pair in encoded_pairs[0]],
        ),
        processing_class=tokenizer,
        peft_config=stage_files.lora_config(job, model, "SEQ_CLS"),
    )

    def validate() -> Scores:
        return evaluate_pairs(trainer.model, tokenizer, encoded_pairs[1])

    monitor = stage_files.run_trainer(job, "reward", trainer, validate, measure_start=True)
    merged_model = stage_files.merge_adapter(trainer.model)
    merged_model.score.weight.data = merged_model.score.weight.data.to(
        merged_model.dtype
    )  # as it will be read again
    longer_is_better = sum(len(pair.chosen) > len(pair.rejected) for pair in encoded_pairs[1]) / len(
        encoded_pairs[1]
    )
    job.notes["reward_model"] = {
        "pairs": {
            "train": len(encoded_pairs[0]),
            "held_out": len(encoded_pairs[1]),
            "too_long": sum(map(len, job.examples)) - sum(map(len, encoded_pairs)),
        },
        "before": monitor.first,
        "after": evaluate_pairs(merged_model, tokenizer, encoded_pairs[1]),
        "best_step": monitor.best_step,
        "steps": monitor.step,
        "the_longer_one_is_better": longer_is_better,  # what a reward model that only looks at the length would get right
    }
    return merged_model, monitor.stopped
