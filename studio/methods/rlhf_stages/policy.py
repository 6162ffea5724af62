"""The last stage of RLHF: the policy learns from its own scored answers (RLOO, GRPO) or from pairs (DPO)."""

import json
import math
from collections.abc import Callable, Sequence
from statistics import mean
from typing import Any

import torch
from transformers import TrainerCallback
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from studio.data import collate, examples
from studio.data.examples import IGNORE_INDEX, Encoded, Example
from studio.errors import BadData
from studio.evaluate import answers
from studio.i18n import Message
from studio.methods.rlhf_stages import phases, reward_model, rule_rewards
from studio.methods.rlhf_stages import stage as stage_files
from studio.methods.rlhf_stages.phases import EVAL_BATCH_SIZE, LENGTH_HEADROOM, MAX_HELD_OUT_PROMPTS
from studio.methods.spec import Scores, TrainingContext
from studio.models.shape import ModelShape

Question = list[dict[str, str]]
ScoreFunction = Callable[[Sequence[Question], Sequence[str]], list[float]]
EncodedPair = tuple[Example, Encoded, Encoded]
# How many held-out prompts are saved with their answers, and how much of a text (characters).
MAX_SAMPLES, MAX_SAMPLE_CHARS = 4, 1_000
# So often in a stage a few answers are saved as they are at that time.
SAMPLE_LOGS_PER_STAGE = 10
TRAIN, HELD_OUT = 0, 1
NO_QUESTION_FITS = Message("No question leaves room for an answer of {answer} tokens within {length} tokens.")
NO_QUESTION_FITS_TO_DO = Message("Allow longer texts (max_length), or shorter answers.")


def learning_rate(shape: ModelShape) -> float:
    """The default learning rate of the stage.

    TRL's 1e-6 is for training all parameters of large models; LoRA takes ten and more times that, and small
    models bear, and need, more.
    """
    return 1e-4 if shape.total() < 400e6 else 2e-5


class SampleLogger(TrainerCallback):  # type: ignore[misc] # transformers ships no types
    """Saves a few of the answers that the policy writes during training, and records the KL divergence.

    Args:
        context: The training, in whose folder `stages/samples.jsonl` is written.
        score: The reward.
        steps: Steps of the stage.
    """

    def __init__(self, context: TrainingContext, score: ScoreFunction, steps: int) -> None:
        self.path = stage_files.folder(context, "samples.jsonl")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("", encoding="utf-8")
        self.score = score
        self.interval = max(1, steps // SAMPLE_LOGS_PER_STAGE)
        self.kl: list[float] = []
        self._last_logged_step = -1

    def reward(
        self, prompts: list[Question], completions: list[list[dict[str, str]]], trainer_state: Any, **_: Any
    ) -> list[float]:
        """The rewards of a step's answers, as a TRL reward function."""
        texts = [completion[0]["content"] for completion in completions]
        rewards = self.score(prompts, texts)
        step = int(trainer_state.global_step)
        if step % self.interval == 0 and step != self._last_logged_step:
            self._last_logged_step = step
            self._write_samples(step + 1, prompts, texts, rewards)
        return rewards

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Record the KL divergence from the starting point."""
        if logs and logs.get("kl") is not None:
            self.kl.append(float(logs["kl"]))

    def _write_samples(
        self, step: int, prompts: Sequence[Question], texts: Sequence[str], rewards: Sequence[float]
    ) -> None:
        stride = max(1, len(texts) // MAX_SAMPLES)
        with self.path.open("a", encoding="utf-8") as file:
            for index in list(range(0, len(texts), stride))[:MAX_SAMPLES]:
                sample = build_sample(prompts[index], answer=texts[index], reward=rewards[index])
                file.write(json.dumps({"step": step, **sample}, ensure_ascii=False) + "\n")


def build_sample(question: Question, **values: str | float) -> dict[str, Any]:
    """A prompt with answers and rewards, its texts short enough to save."""
    sample: dict[str, Any] = {"question": question[-1]["content"][:MAX_SAMPLE_CHARS]}
    for name, value in values.items():
        sample[name] = value[:MAX_SAMPLE_CHARS] if isinstance(value, str) else round(value, 4)
    return sample


def resolve_max_completion_length(context: TrainingContext, reward_name: str) -> int:
    """How long an answer may be while the policy trains (tokens)."""
    example_lengths = [len(ids) for ids in _example_completion_ids(context)]
    return phases.max_completion_length(context.settings, reward_name, example_lengths)


def _example_completion_ids(context: TrainingContext) -> list[list[int]]:
    """The token ids of the example answers."""
    texts = [examples.to_messages(example)[-1]["content"] for example in context.examples[TRAIN]]
    return [list(context.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]


def build_scorer(
    context: TrainingContext, reward_name: str, scoring_model: Any, max_completion_length: int
) -> ScoreFunction:
    """The reward as a function of prompts and answers: a reward model's score, or a rule on the answer alone.

    A rule on the length aims, where no length is set, at the usual length of the examples as far as an
    answer has room.
    """
    if reward_name == "model":
        return lambda prompts, texts: _score_with_model(context, scoring_model, prompts, texts)
    max_example_tokens = int(max_completion_length / LENGTH_HEADROOM)
    example_texts = [
        context.tokenizer.decode(ids[:max_example_tokens]) for ids in _example_completion_ids(context)
    ]
    length = int(context.settings["reward_length"]) or rule_rewards.usual_length(example_texts)
    rule = rule_rewards.build_rule(reward_name, str(context.settings["reward_text"]), length)
    return lambda prompts, texts: [rule(text) for text in texts]


def _score_with_model(
    context: TrainingContext, scoring_model: Any, prompts: Sequence[Question], texts: Sequence[str]
) -> list[float]:
    conversations = [
        reward_model.encode_conversation(context.tokenizer, prompt, text)
        for prompt, text in zip(prompts, texts, strict=True)
    ]
    return reward_model.score(scoring_model, context.tokenizer, conversations)


def select_prompts(context: TrainingContext, split: int, max_prompt_tokens: int) -> list[Question]:
    """The distinct prompts of a split (TRAIN or HELD_OUT) with at most so many tokens, in their order."""
    prompts = [examples.to_prompt_messages(example) for example in context.examples[split]]
    unique_prompts = {json.dumps(prompt): prompt for prompt in prompts}
    return [
        prompt
        for prompt in unique_prompts.values()
        if len(_encode_prompt(context, prompt)) <= max_prompt_tokens
    ]


def _encode_prompt(context: TrainingContext, prompt: Question) -> list[int]:
    return examples.apply_chat_template(context.tokenizer, prompt, add_generation_prompt=True)


def generate_and_score(
    context: TrainingContext,
    model: Any,
    prompts: Sequence[Question],
    score: ScoreFunction,
    max_completion_length: int,
) -> tuple[Scores, list[str], list[float]]:
    """Answer prompts with greedy decoding and score the answers.

    Returns:
        Their mean `reward`, mean `completion_length` (tokens) and `clipped_ratio` (share without an end);
        the answers; their rewards.
    """
    completion_ids: list[list[int]] = []
    for start in range(0, len(prompts), EVAL_BATCH_SIZE):
        batch = [_encode_prompt(context, prompt) for prompt in prompts[start : start + EVAL_BATCH_SIZE]]
        completion_ids += answers.generate(model, context.tokenizer, batch, max_completion_length)
    texts = [context.tokenizer.decode(ids, skip_special_tokens=True) for ids in completion_ids]
    rewards = score(prompts, texts)
    stop_ids = answers.stop_token_ids(model, context.tokenizer)
    n_clipped = sum(not ids or ids[-1] not in stop_ids for ids in completion_ids)
    scores = {
        "reward": mean(rewards),
        "completion_length": mean(map(len, completion_ids)),
        "clipped_ratio": n_clipped / len(completion_ids),
    }
    return scores, texts, rewards


def train_policy(
    context: TrainingContext, policy: Any, reward_name: str, scoring_model: Any
) -> tuple[Any, bool]:
    """Train the policy on its own scored answers (RLOO or GRPO); its metrics go into `context.notes["rl"]`.

    Args:
        context: The training.
        policy: The model it begins with, which is also the reference of its KL divergence.
        reward_name: The reward, as `rule_rewards.resolve_reward` names it.
        scoring_model: The reward model where the reward is one.

    Returns:
        The trained policy, and whether training was stopped before its end.

    Raises:
        BadData: No prompt leaves room for an answer.
    """
    max_completion_length = resolve_max_completion_length(context, reward_name)
    max_length = context.plan.training.token_limit
    max_prompt_tokens = max_length - max_completion_length
    train_prompts = select_prompts(context, TRAIN, max_prompt_tokens)
    held_out_prompts = select_prompts(context, HELD_OUT, max_prompt_tokens)[:MAX_HELD_OUT_PROMPTS]
    if not train_prompts or not held_out_prompts:
        raise BadData(
            NO_QUESTION_FITS, NO_QUESTION_FITS_TO_DO, answer=max_completion_length, length=max_length
        )
    score = build_scorer(context, reward_name, scoring_model, max_completion_length)
    sample_logger = SampleLogger(context, score, int(context.settings["steps"]))
    before, texts_before, _ = generate_and_score(
        context, policy, held_out_prompts, score, max_completion_length
    )
    trainer = _build_policy_trainer(context, policy, train_prompts, sample_logger, max_completion_length)
    monitor = stage_files.run_trainer(context, "rl", trainer, None, [sample_logger])
    trained_policy = stage_files.merge_adapter(trainer.model)
    after, texts_after, rewards = generate_and_score(
        context, trained_policy, held_out_prompts, score, max_completion_length
    )
    compared = list(zip(held_out_prompts, texts_before, texts_after, rewards, strict=True))
    context.notes["rl"] = {
        "reward": reward_name,
        "questions": {"train": len(train_prompts), "held_out": len(held_out_prompts)},
        "answer_tokens": max_completion_length,
        "before": before,
        "after": after,
        "kl": mean(sample_logger.kl[-5:]) if sample_logger.kl else None,
        "steps": monitor.step,
        "samples": [
            build_sample(prompt, before=text_before, after=text_after, reward=reward)
            for prompt, text_before, text_after, reward in compared[:MAX_SAMPLES]
        ],
    }
    return trained_policy, monitor.stopped


def _build_policy_trainer(
    context: TrainingContext,
    policy: Any,
    train_prompts: Sequence[Question],
    sample_logger: SampleLogger,
    max_completion_length: int,
) -> Any:
    settings = context.settings
    num_generations = int(settings["num_generations"])
    prompts_per_step = min(int(settings["prompts_per_step"]), len(train_prompts))
    rate = float(settings["last_rate"]) or learning_rate(stage_files.model_shape(policy))
    trainer_arguments = stage_files.trl_arguments(
        context,
        "rl",
        int(settings["steps"]),
        rate,
        per_device_train_batch_size=num_generations,
        gradient_accumulation_steps=prompts_per_step,
        include_num_input_tokens_seen="no",  # TRL counts them itself
        disable_dropout=True,  # an answer must be as likely when it is learned from as when it was written
        num_generations=num_generations,
        max_completion_length=max_completion_length,
        beta=float(settings["beta"]),
    )
    uses_grpo = settings["algorithm"] == "grpo"
    config_class, trainer_class = (GRPOConfig, GRPOTrainer) if uses_grpo else (RLOOConfig, RLOOTrainer)
    return trainer_class(
        model=policy,
        reward_funcs=sample_logger.reward,
        args=config_class(**trainer_arguments),
        train_dataset=stage_files.build_dataset(prompt=train_prompts),
        processing_class=context.tokenizer,
        peft_config=stage_files.lora_config(context, policy, "CAUSAL_LM"),
    )


def train_dpo(context: TrainingContext, policy: Any) -> tuple[Any, bool]:
    """Train the policy on the pairs directly (DPO); its metrics are written into `context.notes["dpo"]`.

    Returns:
        The trained policy, and whether training was stopped before its end.

    Raises:
        BadData: No pair fits into the longest length.
    """
    max_length, beta = context.plan.training.token_limit, float(context.settings["beta"])
    train_pairs, held_out_pairs = (_encode_pairs(context, split, max_length) for split in (TRAIN, HELD_OUT))
    if not train_pairs or not held_out_pairs:
        raise BadData(NO_QUESTION_FITS, NO_QUESTION_FITS_TO_DO, answer=1, length=max_length)
    trainer = _build_dpo_trainer(context, policy, [example for example, _, _ in train_pairs])
    # Nothing has been trained yet: these are the margins of the reference.
    start_margins = _log_prob_margins(trainer.model, context, held_out_pairs)

    def score_against_start(margins: Sequence[float]) -> Scores:
        changes = [beta * (new - old) for new, old in zip(margins, start_margins, strict=True)]
        return reward_model.score_margins(changes)

    def validate() -> Scores:
        return score_against_start(_log_prob_margins(trainer.model, context, held_out_pairs))

    monitor = stage_files.run_trainer(context, "dpo", trainer, validate)
    end_margins = _log_prob_margins(trainer.model, context, held_out_pairs)
    context.notes["dpo"] = {
        "pairs": {
            "train": len(train_pairs),
            "held_out": len(held_out_pairs),
            "too_long": sum(map(len, context.examples)) - len(train_pairs) - len(held_out_pairs),
        },
        "before": {"loss": math.log(2), "preferred": _positive_share(start_margins)},
        "after": {**score_against_start(end_margins), "preferred": _positive_share(end_margins)},
        "best_step": monitor.best_step,
        "steps": monitor.step,
    }
    return stage_files.merge_adapter(trainer.model), monitor.stopped


def _build_dpo_trainer(context: TrainingContext, policy: Any, rows: Sequence[Example]) -> Any:
    batch_size = min(context.plan.training.batch_size or 8, len(rows))
    rate = float(context.settings["last_rate"]) or learning_rate(stage_files.model_shape(policy))
    trainer_arguments = stage_files.trl_arguments(
        context,
        "dpo",
        int(context.settings["steps"]),
        rate,
        max_length=None,
        beta=float(context.settings["beta"]),
        **stage_files.pair_batch_sizes(context, batch_size),
    )
    return DPOTrainer(
        model=policy,
        args=DPOConfig(**trainer_arguments),
        train_dataset=stage_files.build_dataset(
            prompt=[examples.to_prompt_messages(example) for example in rows],
            chosen=[[_assistant_message(example["chosen"])] for example in rows],
            rejected=[[_assistant_message(example["rejected"])] for example in rows],
        ),
        processing_class=context.tokenizer,
        peft_config=stage_files.lora_config(context, policy, "CAUSAL_LM"),
    )


def _encode_pairs(context: TrainingContext, split: int, max_length: int) -> list[EncodedPair]:
    """Each pair with its two conversations, of which the answers are trained; pairs too long are left out."""
    encoded_pairs = []
    for example in context.examples[split]:
        prompt = examples.to_prompt_messages(example)
        better, worse = (
            examples.encode_chat([*prompt, _assistant_message(example[name])], context.tokenizer, max_length)
            for name in ("chosen", "rejected")
        )
        if better and worse and not better.truncated and not worse.truncated:
            encoded_pairs.append((example, better, worse))
    return encoded_pairs


def _assistant_message(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _positive_share(margins: Sequence[float]) -> float:
    return sum(margin > 0 for margin in margins) / len(margins)


def _log_prob_margins(
    model: Any, context: TrainingContext, encoded_pairs: Sequence[EncodedPair]
) -> list[float]:
    """log P(better answer) − log P(worse answer) of each pair (nats). The model keeps its mode."""
    rows = [encoded for _, *conversations in encoded_pairs for encoded in conversations]
    collator = collate.build_collator("chat", context.tokenizer)
    was_training = model.training
    model.eval()
    log_probs: list[float] = []
    for start in range(0, len(rows), EVAL_BATCH_SIZE):
        batch = collator([vars(encoded) for encoded in rows[start : start + EVAL_BATCH_SIZE]])
        tensors = {name: tensor.to(model.device) for name, tensor in batch.items()}
        labels = tensors.pop("labels")[:, 1:]
        with torch.no_grad():
            logits = model(**tensors).logits.float()
        losses = torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), labels, ignore_index=IGNORE_INDEX, reduction="none"
        )
        log_probs += (-losses.sum(1)).tolist()
    model.train(was_training)
    return [better - worse for better, worse in zip(log_probs[::2], log_probs[1::2], strict=True)]
