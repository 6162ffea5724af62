"""The reward model: learns from pairs which of two answers people prefer, and then scores any answer."""

import math
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import torch
from trl import RewardConfig, RewardTrainer

from studio.data import examples
from studio.data.examples import Example
from studio.data.quality import surface_rules
from studio.errors import BadData, NotPossible
from studio.i18n import Message
from studio.methods.rlhf_stages import schedule
from studio.methods.rlhf_stages import stage as stage_files
from studio.methods.spec import Scores, StopRequested, TrainingContext
from studio.models import layers
from studio.models import load as models

BATCH_SIZE = 16
# TRL's default with LoRA. The head starts where it already ranks well, so small models need no larger rate
# here, as they do elsewhere.
DEFAULT_LEARNING_RATE = 1e-4
# What a reward model's config says of its head: transformers' own head scores the last token, and would
# read the same weights wrongly.
MEAN_POOLING = "the mean of all tokens"
# Keeps scores around 0 by a hundredth of their square (Eisenstein et al. 2023); a difference of scores
# alone would leave that open.
CENTER_REWARDS_COEFFICIENT = 0.01
# The L2 penalty of the initial head, times its squared length on features of spread 1: of 0.1, 1 and 10, 1
# ranked best.
HEAD_L2_PENALTY = 1.0


class Pair(NamedTuple):
    """Token ids of one prompt with its better and with its worse answer."""

    chosen: list[int]
    rejected: list[int]


def encode_conversation(
    tokenizer: Any, question: Sequence[dict[str, str]], answer: str, is_cut: bool = False
) -> list[int]:
    """The token ids of a conversation under the chat template: the same in training and in use.

    An answer that was cut off has no end of its turn.
    """
    if not is_cut:
        return examples.apply_chat_template(
            tokenizer, [*question, {"role": "assistant", "content": answer}], add_generation_prompt=False
        )
    prompt_ids = examples.apply_chat_template(tokenizer, question, add_generation_prompt=True)
    return prompt_ids + list(tokenizer(answer, add_special_tokens=False)["input_ids"])


def encode_answer(
    tokenizer: Any, question: Sequence[dict[str, str]], answer: str, max_tokens: int
) -> list[int]:
    """The token ids of a conversation whose answer is cut off where practice would cut it (tokens)."""
    answer_ids = list(tokenizer(answer, add_special_tokens=False)["input_ids"])
    if len(answer_ids) <= max_tokens:
        return encode_conversation(tokenizer, question, answer)
    return encode_conversation(tokenizer, question, tokenizer.decode(answer_ids[:max_tokens]), is_cut=True)


def running_mean(hidden: torch.Tensor) -> torch.Tensor:
    """At each token the mean up to and including it, in 32 bits: (rows, tokens, width) to the same shape.

    Rows must be padded on the right.
    """
    positions = torch.arange(1, hidden.shape[1] + 1, device=hidden.device)
    return hidden.float().cumsum(1) / positions[:, None]


class PooledFeatures(torch.nn.Module):  # type: ignore[misc] # torch ships types that mypy is told to skip
    """Takes the place of a head and returns the head's input."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """The running mean."""
        return running_mean(hidden)


class MeanPoolingHead(torch.nn.Linear):  # type: ignore[misc] # torch ships types that mypy is told to skip
    """Scores the mean of all tokens; transformers' own head, of the same name, scores the last one.

    The last token, an end of turn, knows little of the answer: a linear head ranks 55 % of held-out pairs
    correctly there, 66 % on the mean (SmolLM2 135M, 300 pairs of preferences_en.json, 20 splits: note of
    issue 3).
    """

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """A score of the text up to each token: (rows, tokens, 1)."""
        # Scores differ by little, and 16 bits would round that away.
        with torch.autocast(hidden.device.type, enabled=False):
            return torch.nn.functional.linear(running_mean(hidden), self.weight.float())


def load(folder: Path, seed: int, is_fresh: bool = False) -> Any:
    """The reward model of a folder.

    Args:
        folder: A saved reward model, or where `is_fresh` a language model, which gets a new head that has
            yet to learn, on the lower part of its blocks.
        seed: The new head is the same for the same seed.
        is_fresh: Whether the head is new.

    Raises:
        NotPossible: The saved head scores something else than the mean of all tokens.
    """
    model = models.base_model(folder, "classify", ("reward",), seed)
    if not is_fresh and getattr(model.config, "scores", None) != MEAN_POOLING:
        raise NotPossible(
            Message(
                "The reward model in {folder} was made by an older version of the studio"
                " and reads texts in another way."
            ),
            Message("Train it anew: start a run without “start from”."),
            folder=str(folder),
        )
    if is_fresh:
        layers.keep_lower_blocks(model, schedule.reward_blocks(model.config.num_hidden_layers))
    model.config.scores = MEAN_POOLING
    head = MeanPoolingHead(model.score.in_features, 1, bias=False, device=model.device)
    head.weight = model.score.weight
    model.score = head
    return model


def encode_pairs(
    rows: Sequence[Example], tokenizer: Any, max_length: int, max_completion_length: int
) -> list[Pair]:
    """The pairs, their answers cut where practice would cut them, of which neither is longer than allowed.

    Args:
        rows: The examples; those without a better or without a worse answer make no pair.
        tokenizer: The model's tokenizer.
        max_length: The most tokens of a conversation.
        max_completion_length: The most tokens of an answer.
    """
    encoded_pairs = []
    for example in filter(examples.is_whole_pair, rows):
        prompt = examples.to_prompt_messages(example)
        pair = Pair(
            chosen=encode_answer(tokenizer, prompt, example["chosen"], max_completion_length),
            rejected=encode_answer(tokenizer, prompt, example["rejected"], max_completion_length),
        )
        if max(map(len, pair)) <= max_length:
            encoded_pairs.append(pair)
    return encoded_pairs


def score(model: Any, tokenizer: Any, rows: Sequence[list[int]]) -> list[float]:
    """The score of each row of token ids; higher is better, and only differences mean anything."""
    return [float(value) for value in head_outputs(model, tokenizer, rows)[:, 0]]


def head_outputs(
    model: Any,
    tokenizer: Any,
    rows: Sequence[list[int]],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> torch.Tensor:
    """The output of the model's head for each row of token ids: (rows, head width), 32-bit, no dropout.

    Rows of like length share a batch. The model is left in the mode it came in.
    """
    was_training = model.training
    model.eval()
    by_length = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    outputs_by_index: dict[int, torch.Tensor] = {}
    for start in range(0, len(by_length), BATCH_SIZE):
        indices = by_length[start : start + BATCH_SIZE]
        input_ids, attention_mask = _pad_right(
            [rows[index] for index in indices], tokenizer.pad_token_id, model.device
        )
        with torch.no_grad():
            outputs = model(input_ids=input_ids, attention_mask=attention_mask).logits.float().cpu()
        outputs_by_index.update(zip(indices, outputs, strict=True))
        on_progress(len(outputs_by_index), len(rows))
    model.train(was_training)
    return torch.stack([outputs_by_index[index] for index in range(len(rows))])


def _pad_right(
    rows: Sequence[list[int]], pad_token_id: int, device: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, each (rows, longest row)."""
    width = max(len(ids) for ids in rows)
    padded = [ids + [pad_token_id] * (width - len(ids)) for ids in rows]
    mask = [[1] * len(ids) + [0] * (width - len(ids)) for ids in rows]
    return torch.tensor(padded, device=device), torch.tensor(mask, device=device)


def fit_initial_head(
    model: Any, tokenizer: Any, encoded_pairs: Sequence[Pair], on_progress: Callable[[str, int, int], None]
) -> None:
    """Start a language model's new head where it ranks the pairs best while the model stays as it is.

    A random head has opinions that a few hundred pairs would first have to undo, and bends the model
    meanwhile: a linear fit first, then both together (Kumar et al. 2022, "Fine-tuning can distort
    pretrained features"). Minimizes the loss of training with its centring, plus HEAD_L2_PENALTY · |w ·
    spread|², by L-BFGS.

    Args:
        model: The reward model, whose head is set.
        tokenizer: Its tokenizer.
        encoded_pairs: The training pairs.
        on_progress: Called with "head", the texts read so far, and of how many.
    """
    texts = [ids for pair in encoded_pairs for ids in pair]
    head, model.score = model.score, PooledFeatures()
    try:
        features = head_outputs(model, tokenizer, texts, lambda done, total: on_progress("head", done, total))
    finally:
        model.score = head
    better, worse = features[::2], features[1::2]
    spread = (better - worse).std().clamp_min(1e-6)
    weight = torch.zeros(features.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        better_scores, worse_scores = better @ weight / spread, worse @ weight / spread
        ranking_loss = torch.nn.functional.softplus(worse_scores - better_scores).mean()
        centring_loss = CENTER_REWARDS_COEFFICIENT * ((better_scores + worse_scores) ** 2).mean()
        loss = ranking_loss + centring_loss + HEAD_L2_PENALTY * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        head.weight.copy_((weight / spread)[None])


def evaluate_pairs(model: Any, tokenizer: Any, encoded_pairs: Sequence[Pair]) -> Scores:
    """The scores of `score_margins`, with the difference of the two answers' scores as a pair's margin."""
    scores = score(model, tokenizer, [ids for pair in encoded_pairs for ids in pair])
    return score_margins([better - worse for better, worse in zip(scores[::2], scores[1::2], strict=True)])


def score_margins(margins: Sequence[float]) -> Scores:
    """Scores of margins, one a pair, above 0 where the better answer is ranked higher.

    Returns:
        `loss`, the mean of −log σ(margin) (nats a pair; Bradley and Terry 1952), `accuracy`, the share of
        margins above 0, where one of 0 counts half, and `margin`, their mean.
    """
    losses = [math.log1p(math.exp(-abs(margin))) + max(-margin, 0.0) for margin in margins]
    n_correct = sum((margin > 0) + (margin == 0) / 2 for margin in margins)
    return {
        "loss": sum(losses) / len(losses),
        "accuracy": n_correct / len(margins),
        "n_examples": float(len(margins)),
        "margin": sum(margins) / len(margins),
    }


def train(
    context: TrainingContext, start_folder: Path, is_fresh: bool, max_completion_length: int
) -> tuple[Any, bool]:
    """Train a reward model on the context's pairs.

    Its metrics are written into `context.notes["reward_model"]`.

    Args:
        context: The training.
        start_folder: The weights it begins with: a reward model's, or where `is_fresh` a language model's.
        is_fresh: Whether the head is new.
        max_completion_length: Where practice cuts an answer off (tokens): so much of one is read.

    Returns:
        The reward model, and whether training was stopped before its end.

    Raises:
        BadData: No pair fits into the longest length.
    """
    model = load(start_folder, context.plan.training.seed, is_fresh)
    tokenizer, max_length = context.tokenizer, context.plan.training.token_limit
    rows = list(context.examples)
    train_pairs, held_out_pairs = (
        encode_pairs(split_rows, tokenizer, max_length, max_completion_length) for split_rows in rows
    )
    if not train_pairs or not held_out_pairs:
        raise BadData(
            Message("No pair fits into {length} tokens: the reward model must read both answers whole."),
            Message("Allow longer texts (max_length), or bring shorter answers."),
            length=max_length,
        )
    stopped = is_fresh and _fit_head_unless_stopped(context, model, train_pairs)
    batch_size = min(context.plan.training.batch_size or 8, len(train_pairs))
    steps = schedule.reward_steps(context.settings, len(train_pairs), batch_size, is_fresh)
    if not steps and not stopped:
        # No state was chosen by the validation pairs, so they tell as much as the test's.
        rows = [*rows, context.test_examples]
        held_out_pairs += encode_pairs(context.test_examples, tokenizer, max_length, max_completion_length)
        scores = evaluate_pairs(model, tokenizer, held_out_pairs)
        _note(context, rows, (train_pairs, held_out_pairs), {"before": scores, "after": scores, "steps": 0})
        return model, False
    # One that was asked to stop ends after its first step.
    trainer = _build_trainer(context, model, train_pairs, max(steps, 1))

    def validate() -> Scores:
        return evaluate_pairs(trainer.model, tokenizer, held_out_pairs)

    monitor = stage_files.run_trainer(context, "reward", trainer, validate)
    merged_model = stage_files.merge_adapter(trainer.model)
    # In the format in which it will be loaded again.
    merged_model.score.weight.data = merged_model.score.weight.data.to(merged_model.dtype)
    training = {
        "before": monitor.initial_scores,
        "after": evaluate_pairs(merged_model, tokenizer, held_out_pairs),
        "best_step": monitor.best_step,
        "steps": monitor.step,
    }
    _note(context, rows, (train_pairs, held_out_pairs), training)
    return merged_model, monitor.stopped


def _fit_head_unless_stopped(context: TrainingContext, model: Any, train_pairs: Sequence[Pair]) -> bool:
    """Fit the head; returns whether the run was asked to stop meanwhile, which leaves the head as it was."""
    try:
        fit_initial_head(model, context.tokenizer, train_pairs, context.report_progress)
    except StopRequested:
        return True
    return False


def _note(
    context: TrainingContext,
    rows: Sequence[Sequence[Example]],
    pairs: tuple[Sequence[Pair], Sequence[Pair]],
    training: dict[str, Any],
) -> None:
    """Note for the report what the reward model has read of the rows, and how it ranks those kept aside."""
    train_pairs, held_out_pairs = pairs
    n_whole = sum(map(examples.is_whole_pair, chain.from_iterable(rows)))
    n_longer = sum(len(pair.chosen) > len(pair.rejected) for pair in held_out_pairs)
    context.notes["reward_model"] = {
        "pairs": {
            "train": len(train_pairs),
            "held_out": len(held_out_pairs),
            "too_long": n_whole - len(train_pairs) - len(held_out_pairs),
        },
        # The accuracy of a reward model that only looks at the length.
        "the_longer_one_is_better": n_longer / len(held_out_pairs),
        # The accuracy of the best rule on the surface of the training pairs.
        "surface": surface_rules.measure_held_out(*context.examples),
        **training,
    }


def _build_trainer(context: TrainingContext, model: Any, train_pairs: Sequence[Pair], steps: int) -> Any:
    batch_size = min(context.plan.training.batch_size or 8, len(train_pairs))
    rate = float(context.settings["reward_rate"]) or DEFAULT_LEARNING_RATE
    trainer_arguments = stage_files.trl_arguments(
        context,
        "reward",
        steps,
        rate,
        max_length=None,
        dataloader_drop_last=True,
        **stage_files.pair_batch_sizes(context, batch_size),
    )
    return RewardTrainer(
        model=model,
        args=RewardConfig(**trainer_arguments, center_rewards_coefficient=CENTER_REWARDS_COEFFICIENT),
        train_dataset=stage_files.build_dataset(
            chosen_ids=[pair.chosen for pair in train_pairs],
            rejected_ids=[pair.rejected for pair in train_pairs],
        ),
        processing_class=context.tokenizer,
        peft_config=stage_files.lora_config(context, model, "SEQ_CLS"),
    )
