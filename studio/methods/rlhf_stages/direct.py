"""Learning from judged answers directly, without practice: from pairs (DPO, SimPO, ORPO) or thumbs (KTO)."""

import math
import os
from collections.abc import Callable, Sequence
from itertools import product
from statistics import mean
from typing import Any, NamedTuple

import torch
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

from studio.data import collate, examples, vocabulary_loss
from studio.data.examples import IGNORE_INDEX, Encoded, Example
from studio.errors import BadData
from studio.i18n import Message
from studio.methods.rlhf_stages import pair_logits, schedule
from studio.methods.rlhf_stages import stage as stage_files
from studio.methods.rlhf_stages.phases import EVAL_BATCH_SIZE
from studio.methods.rlhf_stages.reward_model import score_margins
from studio.methods.spec import Scores, TrainingContext
from studio.models import device

# SimPO's scale of a token's mean log probability, and the margin that it wants between two answers (Meng et
# al. 2024, arXiv 2405.14734: a scale of 2 to 2.5, a margin of half of it).
SIMPO_BETA, SIMPO_GAMMA = 2.0, 1.0
# The weight of the odds ratio beside the loss on the better answer (Hong et al. 2024, arXiv 2403.07691).
ORPO_LAMBDA = 0.1
# TRL announces on each import of these trainers that they may change; the version is pinned.
SILENCE_EXPERIMENTAL = "TRL_EXPERIMENTAL_SILENCE"
# Their batches have no field whose tokens transformers could count.
UNCOUNTED = {"include_num_input_tokens_seen": "no"}
NO_WHOLE_PAIR = Message("No question has a good answer and a bad one; {algorithm} learns from both together.")
NO_WHOLE_PAIR_TO_DO = Message("Choose kto, which learns from single judged answers.")
ONE_VERDICT = Message("All answers have the same verdict ({good} good, {bad} bad).")
ONE_VERDICT_TO_DO = Message("Bring good and bad answers, or learn the good ones alone (the task chat).")
NO_TRAINING_ANSWER_FITS = Message(
    "None of the {count} training examples fits whole into {length} tokens (max length)."
)
NO_HELD_OUT_ANSWER_FITS = Message(
    "None of the {count} validation examples fits whole into {length} tokens (max length)."
)
NO_ANSWER_FITS_TO_DO = Message("Raise max length, or set it to 0 so that the longest examples fit.")
PAIRS_SEEN = Message("The training saw {seen:,} of {total:,} pairs.")
ANSWERS_SEEN = Message("The training saw {seen:,} of {total:,} judged answers.")


class Judged(NamedTuple):
    """An answer with its verdict: its example, and its conversation, of which it alone is learned."""

    example: Example
    is_good: bool
    conversation: Encoded


class AnswerLogProb(NamedTuple):
    """The log probability of an answer (nats), and how many tokens it has."""

    total: float
    tokens: int

    @property
    def per_token(self) -> float:
        """The mean over its tokens."""
        return self.total / self.tokens


# One answer or two of a pair: better and worse.
LogProbs = Sequence[AnswerLogProb]


def train(context: TrainingContext, policy: Any, algorithm: str) -> tuple[Any, bool]:
    """Train the policy on judged answers; its metrics are written into `context.notes` under the algorithm.

    Args:
        context: The training.
        policy: The model it begins with; for DPO and KTO also the reference.
        algorithm: One of `schedule.DIRECT_ALGORITHMS`.

    Returns:
        The trained policy, and whether training was stopped before its end.

    Raises:
        BadData: No answer fits into the longest length, or the verdicts do not suit the algorithm.
    """
    train_rows, held_out_rows = (_encode(context, rows, algorithm) for rows in context.examples)
    _require_rows(context, algorithm, train_rows, held_out_rows)
    trainer = _build_trainer(context, policy, algorithm, train_rows)
    reference_log_probs = log_probs(trainer.model, context, held_out_rows)

    beta = float(context.settings["beta"])

    def validate() -> Scores:
        policy_log_probs = log_probs(trainer.model, context, held_out_rows)
        return score(algorithm, beta, held_out_rows, reference_log_probs, policy_log_probs)

    monitor = stage_files.run_trainer(context, algorithm, trainer, validate)
    trained_log_probs = log_probs(trainer.model, context, held_out_rows)
    n_answers = 1 if algorithm == "kto" else 2
    n_train, n_held_out = len(train_rows) // n_answers, len(held_out_rows) // n_answers
    n_seen = min(monitor.step * _batch_size(context, n_train), n_train)
    before, after = (
        {
            **score(algorithm, beta, held_out_rows, reference_log_probs, policy_log_probs),
            "preferred": _preferred_share(algorithm, held_out_rows, policy_log_probs),
        }
        for policy_log_probs in (reference_log_probs, trained_log_probs)
    )
    values = {
        "pairs": {
            "train": n_train,
            "seen": n_seen,
            "held_out": n_held_out,
            "left_out": _count(context.examples, algorithm) - n_train - n_held_out,
        },
        "before": before,
        "after": after,
        "best_step": monitor.best_step,
        "steps": monitor.step,
    }
    seen = ANSWERS_SEEN if algorithm == "kto" else PAIRS_SEEN
    context.add_note(algorithm, values, seen.format(seen=n_seen, total=n_train))
    return stage_files.merge_adapter(trainer.model), monitor.stopped


def _encode(context: TrainingContext, rows: Sequence[Example], algorithm: str) -> list[Judged]:
    """The answers that fit whole: for KTO each, else those of whole pairs, the better before the worse."""
    judged = []
    for example in rows:
        answers = [_encode_answer(context, example, name) for name in ("chosen", "rejected")]
        fitting = [answer for answer in answers if answer]
        if algorithm == "kto" or len(fitting) == len(answers):
            judged += fitting
    return judged


def _encode_answer(context: TrainingContext, example: Example, name: str) -> Judged | None:
    """An answer of an example; None where there is none or it is too long."""
    if not example[name]:
        return None
    messages = [*examples.to_prompt_messages(example), _assistant_message(example[name])]
    length = context.plan.training.token_limit
    # Earlier answers of the conversation were not judged: TRL learns this one alone.
    encoded = examples.encode_chat(messages, context.tokenizer, length, mask_history=True)
    if not encoded or encoded.truncated:
        return None
    return Judged(example, name == "chosen", encoded)


def _count(splits: Sequence[Sequence[Example]], algorithm: str) -> int:
    """How many pairs, or for KTO answers, there are in all."""
    rows = [example for split in splits for example in split]
    if algorithm != "kto":
        return len(rows)
    return sum(bool(example[name]) for example in rows for name in ("chosen", "rejected"))


def _require_rows(
    context: TrainingContext, algorithm: str, train_rows: Sequence[Judged], held_out_rows: Sequence[Judged]
) -> None:
    """Raise BadData where there is nothing to learn from, or nothing to measure it on."""
    whole_pairs = [example for rows in context.examples for example in filter(examples.is_whole_pair, rows)]
    if algorithm != "kto" and not whole_pairs:
        raise BadData(NO_WHOLE_PAIR, NO_WHOLE_PAIR_TO_DO, algorithm=algorithm)
    for rows, examples_of_part, message in (
        (train_rows, context.examples[0], NO_TRAINING_ANSWER_FITS),
        (held_out_rows, context.examples[1], NO_HELD_OUT_ANSWER_FITS),
    ):
        if not rows:
            length = context.plan.training.token_limit
            raise BadData(message, NO_ANSWER_FITS_TO_DO, count=len(examples_of_part), length=length)
    for rows in (train_rows, held_out_rows):
        n_good = sum(row.is_good for row in rows)
        if n_good in (0, len(rows)):
            raise BadData(ONE_VERDICT, ONE_VERDICT_TO_DO, good=n_good, bad=len(rows) - n_good)


def _batch_size(context: TrainingContext, n_rows: int) -> int:
    return min(context.plan.training.batch_size or 8, n_rows)


def _build_trainer(context: TrainingContext, policy: Any, algorithm: str, rows: Sequence[Judged]) -> Any:
    """TRL's trainer of the algorithm with a new LoRA."""
    texts_per_example = 1 if algorithm == "kto" else 2
    n_rows = len(rows) // texts_per_example
    batch_size = _batch_size(context, n_rows)
    rate = float(context.settings["last_rate"]) or schedule.default_learning_rate(
        stage_files.model_shape(policy)
    )
    arguments = stage_files.trl_arguments(
        context,
        algorithm,
        schedule.direct_steps(context.settings, n_rows, batch_size),
        rate,
        max_length=context.plan.training.token_limit,
        **stage_files.micro_batches(context, batch_size, texts_per_example),
    )
    config, trainer_class, dataset = BUILDERS[algorithm](context, arguments, rows)
    return stage_files.resumable(trainer_class)(
        model=policy,
        args=config,
        train_dataset=dataset,
        processing_class=context.tokenizer,
        peft_config=stage_files.lora_config(context, policy, "CAUSAL_LM"),
    )


# A trainer's arguments, its class, and its rows.
TrainerParts = tuple[Any, Any, Any]


def _dpo_parts(context: TrainingContext, arguments: dict[str, Any], rows: Sequence[Judged]) -> TrainerParts:
    return DPOConfig(**arguments, beta=float(context.settings["beta"])), DPOTrainer, _pair_dataset(rows)


def _simpo_parts(context: TrainingContext, arguments: dict[str, Any], rows: Sequence[Judged]) -> TrainerParts:
    os.environ[SILENCE_EXPERIMENTAL] = "1"
    from trl.experimental.cpo import CPOConfig, CPOTrainer  # noqa: PLC0415 - announces itself when imported

    # With a weight of 0 for imitation CPO's loss is SimPO's.
    config = CPOConfig(
        **arguments | UNCOUNTED, loss_type="simpo", cpo_alpha=0.0, beta=SIMPO_BETA, simpo_gamma=SIMPO_GAMMA
    )
    trainer_class = type("CPOTrainer", (pair_logits.ChunkedPairs, CPOTrainer), {})
    return config, trainer_class, _pair_dataset(rows)


def _orpo_parts(context: TrainingContext, arguments: dict[str, Any], rows: Sequence[Judged]) -> TrainerParts:
    os.environ[SILENCE_EXPERIMENTAL] = "1"
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer  # noqa: PLC0415 - announces itself when imported

    config = ORPOConfig(**arguments | UNCOUNTED, beta=ORPO_LAMBDA)
    trainer_class = type("ORPOTrainer", (pair_logits.ChunkedTexts, ORPOTrainer), {})
    return config, trainer_class, _pair_dataset(rows)


def _kto_parts(context: TrainingContext, arguments: dict[str, Any], rows: Sequence[Judged]) -> TrainerParts:
    good_weight, bad_weight = verdict_weights(rows)
    config = KTOConfig(
        **arguments,
        beta=float(context.settings["beta"]),
        desirable_weight=good_weight,
        undesirable_weight=bad_weight,
    )
    # TRL reads the rows in their order, and both verdicts should be in each batch.
    generator = torch.Generator().manual_seed(context.plan.training.seed)
    order = torch.randperm(len(rows), generator=generator).tolist()
    return config, KTOTrainer, _verdict_dataset([rows[index] for index in order])


BUILDERS: dict[str, Callable[[TrainingContext, dict[str, Any], Sequence[Judged]], TrainerParts]] = {
    "dpo": _dpo_parts,
    "simpo": _simpo_parts,
    "orpo": _orpo_parts,
    "kto": _kto_parts,
}


def verdict_weights(rows: Sequence[Judged]) -> tuple[float, float]:
    """The weights of good and of bad answers that make the rarer ones count as much as the others.

    Good weight × good answers ÷ (bad weight × bad answers) is then 1; 1 to 4/3 is advised (Ethayarajh et al.
    2024, arXiv 2402.01306, equation 8).
    """
    n_good = sum(row.is_good for row in rows)
    n_bad = len(rows) - n_good
    return max(1.0, n_bad / n_good), max(1.0, n_good / n_bad)


def _pair_dataset(rows: Sequence[Judged]) -> Any:
    pairs = [row.example for row in rows[::2]]
    return stage_files.build_dataset(
        prompt=[examples.to_prompt_messages(example) for example in pairs],
        chosen=[[_assistant_message(example["chosen"])] for example in pairs],
        rejected=[[_assistant_message(example["rejected"])] for example in pairs],
    )


def _verdict_dataset(rows: Sequence[Judged]) -> Any:
    return stage_files.build_dataset(
        prompt=[examples.to_prompt_messages(row.example) for row in rows],
        completion=[[_assistant_message(row.example[_role(row)])] for row in rows],
        label=[row.is_good for row in rows],
    )


def _role(row: Judged) -> str:
    return "chosen" if row.is_good else "rejected"


def _assistant_message(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def score(
    algorithm: str,
    beta: float,
    rows: Sequence[Judged],
    reference_log_probs: LogProbs,
    policy_log_probs: LogProbs,
) -> Scores:
    """Held-out scores of an algorithm.

    Args:
        algorithm: One of `schedule.DIRECT_ALGORITHMS`.
        beta: DPO's and KTO's scale of what changed.
        rows: The judged answers; but for KTO in pairs, the better before the worse.
        reference_log_probs: Theirs before training.
        policy_log_probs: Theirs in the model that is scored.

    Returns:
        `loss`, `accuracy` and `margin` as `reward_model.score_margins` gives them; for KTO see
        `score_verdicts`.
    """
    if algorithm in ("dpo", "kto"):
        log_ratios = [
            policy.total - reference.total
            for policy, reference in zip(policy_log_probs, reference_log_probs, strict=True)
        ]
        rewards = [beta * log_ratio for log_ratio in log_ratios]
        if algorithm == "kto":
            return score_verdicts(rows, rewards)
        return score_margins(_differences(rewards))
    if algorithm == "simpo":
        margins = _differences([SIMPO_BETA * answer.per_token for answer in policy_log_probs])
        loss = score_margins([margin - SIMPO_GAMMA for margin in margins])["loss"]
        return {**score_margins(margins), "loss": loss}
    scores = score_margins(_differences([log_odds(answer.per_token) for answer in policy_log_probs]))
    imitation_loss = -mean(answer.per_token for answer in policy_log_probs[::2])
    return {**scores, "loss": imitation_loss + ORPO_LAMBDA * scores["loss"]}


def _differences(values: Sequence[float]) -> list[float]:
    """Better minus worse of each pair."""
    return [better - worse for better, worse in zip(values[::2], values[1::2], strict=True)]


def log_odds(log_prob: float) -> float:
    """log(p / (1 − p)) of a log probability below 0."""
    return log_prob - math.log(-math.expm1(min(log_prob, -1e-9)))


def score_verdicts(rows: Sequence[Judged], rewards: Sequence[float]) -> Scores:
    """Scores of single judged answers.

    Args:
        rows: The answers.
        rewards: β times the change of each one's log probability.

    Returns:
        `loss`, the weighted mean of 1 − σ(reward) of good and 1 − σ(−reward) of bad answers (KTO's, with the
        reference point at 0); `accuracy`, the share of a good and a bad answer each of which the good one has
        the higher reward, where even counts half; `margin`, the difference of the means.
    """
    good = [reward for row, reward in zip(rows, rewards, strict=True) if row.is_good]
    bad = [reward for row, reward in zip(rows, rewards, strict=True) if not row.is_good]
    good_weight, bad_weight = verdict_weights(rows)
    good_loss = good_weight * sum(_sigmoid(-reward) for reward in good)
    bad_loss = bad_weight * sum(_sigmoid(reward) for reward in bad)
    margins = [better - worse for better, worse in product(good, bad)]
    return {
        "loss": (good_loss + bad_loss) / len(rows),
        "accuracy": score_margins(margins)["accuracy"],
        "margin": mean(good) - mean(bad),
    }


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def _preferred_share(algorithm: str, rows: Sequence[Judged], policy_log_probs: LogProbs) -> float:
    """The share of pairs (for KTO of a good and a bad answer each) whose better answer is likelier.

    DPO compares whole answers, the others a token's mean, as each of them does in training.
    """
    if algorithm == "dpo":
        return score_margins(_differences([answer.total for answer in policy_log_probs]))["accuracy"]
    if algorithm == "kto":
        return score_verdicts(rows, [answer.per_token for answer in policy_log_probs])["accuracy"]
    return score_margins(_differences([answer.per_token for answer in policy_log_probs]))["accuracy"]


def pair_margins(
    context: TrainingContext, model: Any, rows: Sequence[Example], algorithm: str
) -> dict[int, float]:
    """How much likelier a model finds the better answer of each whole pair (nats), by the row's index.

    DPO compares whole answers, the others a token's mean, as each of them does in training. Pairs that do not
    fit are left out.
    """
    judged = {
        index: _encode(context, [row], "dpo") for index, row in enumerate(rows) if examples.is_whole_pair(row)
    }
    fitting = {index: pair for index, pair in judged.items() if pair}
    answers = log_probs(model, context, [answer for pair in fitting.values() for answer in pair])
    values = [answer.total if algorithm == "dpo" else answer.per_token for answer in answers]
    return dict(zip(fitting, _differences(values), strict=True))


def log_probs(model: Any, context: TrainingContext, rows: Sequence[Judged]) -> list[AnswerLogProb]:
    """The log probability of each answer. The model keeps its mode."""
    collator = collate.build_collator("chat", context.tokenizer)
    was_training = model.training
    model.eval()
    answers: list[AnswerLogProb] = []
    for start in range(0, len(rows), EVAL_BATCH_SIZE):
        batch = collator([vars(row.conversation) for row in rows[start : start + EVAL_BATCH_SIZE]])
        losses, labels = vocabulary_loss.measure_tokens(model, batch, device.autocast)
        n_tokens = (labels != IGNORE_INDEX).sum(1)
        answers += map(AnswerLogProb, (-losses.sum(1)).tolist(), n_tokens.tolist())
    model.train(was_training)
    return answers
