"""The reward model: learns from pairs which of two answers people prefer, and then scores any answer."""

import math
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers.modeling_outputs import SequenceClassifierOutput
from trl import RewardConfig, RewardTrainer

from studio.data import examples
from studio.data.examples import Example
from studio.data.quality import surface_rules
from studio.errors import BadData, NotPossible
from studio.i18n import Message
from studio.methods.rlhf_stages import schedule
from studio.methods.rlhf_stages import stage as stage_files
from studio.methods.spec import Scores, StopRequested, TrainingContext
from studio.models import device, layers
from studio.models import load as models

BATCH_SIZE = 16
# TRL's default with LoRA. The head starts where it already ranks well, so small models need no larger rate
# here, as they do elsewhere.
DEFAULT_LEARNING_RATE = 1e-4
# What a reward model's config says of its head: transformers' own classifier scores the last token, and would
# read the same weights wrongly.
MEAN_POOLING = "the mean of the answer's tokens"
# Keeps scores around 0 by a hundredth of their square (Eisenstein et al. 2023); a difference of scores
# alone would leave that open.
CENTER_REWARDS_COEFFICIENT = 0.01
# The L2 penalty of the initial head, times its squared length on features of spread 1: of 0.1, 1 and 10, 1
# ranked best.
HEAD_L2_PENALTY = 1.0


class Conversation(NamedTuple):
    """Token ids of a prompt and its answer, and the index of the answer's first token."""

    ids: list[int]
    answer_start: int


class Pair(NamedTuple):
    """One prompt with its better and with its worse answer."""

    chosen: Conversation
    rejected: Conversation


class ReadPairs(NamedTuple):
    """The pairs that a reward model reads, as examples and as tokens."""

    examples: list[Example]
    pairs: list[Pair]


def encode_conversation(
    tokenizer: Any, question: Sequence[dict[str, str]], answer: str, is_cut: bool = False
) -> Conversation:
    """A conversation under the chat template: the same in training and in use.

    An answer that was cut off has no end of its turn.
    """
    prompt_ids = examples.apply_chat_template(tokenizer, question, add_generation_prompt=True)
    if is_cut:
        answer_ids = list(tokenizer(answer, add_special_tokens=False)["input_ids"])
    else:
        messages = [*question, {"role": "assistant", "content": answer}]
        answer_ids = examples.encode_last_answer(messages, prompt_ids, tokenizer)
    return Conversation(prompt_ids + answer_ids, len(prompt_ids))


def encode_answer(
    tokenizer: Any, question: Sequence[dict[str, str]], answer: str, max_tokens: int
) -> Conversation:
    """A conversation whose answer is cut off where practice would cut it (tokens)."""
    answer_ids = list(tokenizer(answer, add_special_tokens=False)["input_ids"])
    if len(answer_ids) <= max_tokens:
        return encode_conversation(tokenizer, question, answer)
    return encode_conversation(tokenizer, question, tokenizer.decode(answer_ids[:max_tokens]), is_cut=True)


class AnswerMeanClassifier:
    """Comes before a decoder's classifier class, and gives the head the mean of the answer's tokens.

    transformers' own forward gives it the last token, an end of turn, which knows little of the answer
    (docs/methods.md#the-reward-model).
    """

    base_model: Any
    score: Any

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, answer_mask: torch.Tensor, **_: Any
    ) -> SequenceClassifierOutput:
        """The scores as logits: (rows, 1); of an answer without tokens 0.

        Args:
            input_ids: (rows, tokens).
            attention_mask: 1 at the tokens, 0 at the padding: (rows, tokens).
            answer_mask: 1 at the answer's tokens, 0 elsewhere: (rows, tokens).
        """
        outputs = self.base_model(input_ids, attention_mask=attention_mask, use_cache=False)
        answer_sum = (outputs.last_hidden_state.float() * answer_mask[:, :, None]).sum(1)
        n_answer_tokens = answer_mask.sum(1, keepdim=True).clamp_min(1)
        return SequenceClassifierOutput(logits=self.score(answer_sum / n_answer_tokens))


class FullPrecisionHead(torch.nn.Linear):  # type: ignore[misc] # torch ships types that mypy is told to skip
    """Computes in 32 bits: scores differ by little, and 16 bits would round that away."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(rows, width) to (rows, 1)."""
        with torch.autocast(features.device.type, enabled=False):
            return torch.nn.functional.linear(features, self.weight.float())


def load(folder: Path, seed: int, is_fresh: bool = False) -> Any:
    """The reward model of a folder.

    Args:
        folder: A saved reward model, or where `is_fresh` a language model, which gets a new head that has
            yet to learn, on the lower part of its blocks.
        seed: The new head is the same for the same seed.
        is_fresh: Whether the head is new.

    Raises:
        NotPossible: The saved head scores something else than the mean of the answer's tokens.
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
    head = FullPrecisionHead(model.score.in_features, 1, bias=False, device=model.device)
    head.weight = model.score.weight
    model.score = head
    model.__class__ = type(type(model).__name__, (AnswerMeanClassifier, type(model)), {})
    return model


def encode_pairs(
    rows: Sequence[Example], tokenizer: Any, max_length: int, max_completion_length: int
) -> ReadPairs:
    """The pairs, their answers cut where practice would cut them, of which neither is longer than allowed.

    Args:
        rows: The examples; those without a better or without a worse answer make no pair.
        tokenizer: The model's tokenizer.
        max_length: The most tokens of a conversation.
        max_completion_length: The most tokens of an answer.
    """
    read = ReadPairs([], [])
    for example in filter(examples.is_whole_pair, rows):
        prompt = examples.to_prompt_messages(example)
        pair = Pair(
            chosen=encode_answer(tokenizer, prompt, example["chosen"], max_completion_length),
            rejected=encode_answer(tokenizer, prompt, example["rejected"], max_completion_length),
        )
        if max(len(conversation.ids) for conversation in pair) <= max_length:
            read.examples.append(example)
            read.pairs.append(pair)
    return read


def score(model: Any, tokenizer: Any, rows: Sequence[Conversation]) -> list[float]:
    """The score of each conversation; higher is better, and only differences mean anything."""
    return [float(value) for value in head_outputs(model, tokenizer, rows)[:, 0]]


def head_outputs(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Conversation],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> torch.Tensor:
    """The output of the model's head for each conversation: (rows, head width), 32-bit, no dropout.

    Rows of like length share a batch. The model is left in the mode it came in.
    """
    was_training = model.training
    model.eval()
    by_length = sorted(range(len(rows)), key=lambda index: len(rows[index].ids))
    outputs_by_index: dict[int, torch.Tensor] = {}
    for start in range(0, len(by_length), BATCH_SIZE):
        indices = by_length[start : start + BATCH_SIZE]
        batch = build_batch([rows[index] for index in indices], tokenizer.pad_token_id)
        with torch.no_grad(), device.autocast():
            outputs = model(**{name: values.to(model.device) for name, values in batch.items()})
        outputs_by_index.update(zip(indices, outputs.logits.cpu(), strict=True))
        on_progress(len(outputs_by_index), len(rows))
    model.train(was_training)
    return torch.stack([outputs_by_index[index] for index in range(len(rows))])


def build_batch(rows: Sequence[Conversation], pad_token_id: int) -> dict[str, torch.Tensor]:
    """The model's inputs, see `AnswerMeanClassifier.forward`; padded on the right."""
    width = max(len(row.ids) for row in rows)
    batch: dict[str, list[list[int]]] = {"input_ids": [], "attention_mask": [], "answer_mask": []}
    for ids, answer_start in rows:
        n_padding = width - len(ids)
        batch["input_ids"].append(ids + [pad_token_id] * n_padding)
        batch["attention_mask"].append([1] * len(ids) + [0] * n_padding)
        batch["answer_mask"].append([0] * answer_start + [1] * (len(ids) - answer_start) + [0] * n_padding)
    return {name: torch.tensor(values) for name, values in batch.items()}


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
    texts = list(chain.from_iterable(encoded_pairs))
    head, model.score = model.score, torch.nn.Identity()
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
    scores = score(model, tokenizer, list(chain.from_iterable(encoded_pairs)))
    return score_margins([better - worse for better, worse in zip(scores[::2], scores[1::2], strict=True)])


def score_margins(margins: Sequence[float]) -> Scores:
    """Scores of margins, one a pair, above 0 where the better answer is ranked higher.

    Returns:
        `loss`, the mean of −log σ(margin) (nats a pair; Bradley and Terry 1952), `accuracy`, the share of
        margins above 0, where one of 0 counts half, `n_examples`, how many there are, and `margin`, their
        mean.
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
    train_read, held_out_read = (
        encode_pairs(split_rows, tokenizer, max_length, max_completion_length) for split_rows in rows
    )
    train_pairs, held_out_pairs = train_read.pairs, held_out_read.pairs
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
        test_read = encode_pairs(context.test_examples, tokenizer, max_length, max_completion_length)
        held_out_read.examples.extend(test_read.examples)
        held_out_pairs += test_read.pairs
        scores = evaluate_pairs(model, tokenizer, held_out_pairs)
        training = {"before": scores, "after": scores, "steps": 0}
        _note(context, rows, (train_read, held_out_read), training)
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
    _note(context, rows, (train_read, held_out_read), training)
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
    read: tuple[ReadPairs, ReadPairs],
    training: dict[str, Any],
) -> None:
    """Note for the report what the reward model has read of the rows, and how it ranks those kept aside."""
    trained, held_out = read
    n_whole = sum(map(examples.is_whole_pair, chain.from_iterable(rows)))
    n_longer = sum(len(pair.chosen.ids) > len(pair.rejected.ids) for pair in held_out.pairs)
    context.notes["reward_model"] = {
        "pairs": {
            "train": len(trained.pairs),
            "held_out": len(held_out.pairs),
            "too_long": n_whole - len(trained.pairs) - len(held_out.pairs),
        },
        # The accuracy of a reward model that only looks at the length.
        "the_longer_one_is_better": n_longer / len(held_out.pairs),
        # The accuracy of the best rule on the surface of the training pairs.
        "surface": surface_rules.measure_held_out(trained.examples, held_out.examples),
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
        **stage_files.micro_batches(context, batch_size, texts_per_example=2),
    )

    def collate(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        # TRL splits a batch in half, into the better and the worse answers.
        conversations = [
            Conversation(row[name], row["answer_start"])
            for name in ("chosen_ids", "rejected_ids")
            for row in rows
        ]
        return build_batch(conversations, context.tokenizer.pad_token_id)

    return stage_files.resumable(RewardTrainer)(
        model=model,
        args=RewardConfig(**trainer_arguments, center_rewards_coefficient=CENTER_REWARDS_COEFFICIENT),
        train_dataset=stage_files.build_dataset(
            chosen_ids=[pair.chosen.ids for pair in train_pairs],
            rejected_ids=[pair.rejected.ids for pair in train_pairs],
            answer_start=[pair.chosen.answer_start for pair in train_pairs],
        ),
        data_collator=collate,
        processing_class=context.tokenizer,
        peft_config=stage_files.lora_config(context, model, "SEQ_CLS"),
    )
