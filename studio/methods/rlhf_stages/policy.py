"""The last stage of RLHF: the model practises and is scored (RLOO, GRPO), or learns from the pairs directly (DPO)."""

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
# How many held-out questions are kept in words, and how much of a text is (characters).
MAX_SAMPLES, MAX_SAMPLE_CHARS = 4, 1_000
# So often in a stage a few answers are written down as they are at that time.
SAMPLE_LOGS_PER_STAGE = 10
NO_QUESTION_FITS = Message("No question leaves room for an answer of {answer} tokens within {length} tokens.")
NO_QUESTION_FITS_TO_DO = Message("Allow longer texts (max_length), or shorter answers.")


def learning_rate(shape: ModelShape) -> float:
    """TRL's 1e-6 is for all numbers of large models; with LoRA ten and more times that, and small models bear, and need, more."""
    return 1e-4 if shape.total() < 400e6 else 2e-5


class SampleLogger(TrainerCallback):  # type: ignore[misc] # transformers ships no types
    """Keeps what practice looks like: a few answers with their rewards, as lines of a file, and the last distances (KL)."""

    def __init__(self, job: TrainingContext, score: ScoreFunction, steps: int) -> None:
        self.path, self.score, self.interval = (
            stage_files.folder(job, "samples.jsonl"),
            score,
            max(1, steps // SAMPLE_LOGS_PER_STAGE),
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("", encoding="utf-8")
        self.kl: list[float] = []
        self._last_logged_step = -1

    def reward(
        self, prompts: list[Question], completions: list[list[dict[str, str]]], trainer_state: Any, **_: Any
    ) -> list[float]:
        """The scores of a step's answers, in the form TRL asks for them."""
        texts = [completion[0]["content"] for completion in completions]
        rewards = self.score(prompts, texts)
        step = int(trainer_state.global_step)
        if step % self.interval == 0 and step != self._last_logged_step:
            self._last_logged_step = step
            stride = max(1, len(texts) // MAX_SAMPLES)
            rows = [
                build_sample(prompts[index], answer=texts[index], reward=rewards[index])
                for index in range(0, len(texts), stride)
            ][:MAX_SAMPLES]
            with self.path.open("a", encoding="utf-8") as file:
                file.writelines(
                    json.dumps({"step": step + 1, **row}, ensure_ascii=False) + "\n" for row in rows
                )
        return rewards

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Remember the distance from the starting point."""
        if logs and logs.get("kl") is not None:
            self.kl.append(float(logs["kl"]))


def build_sample(question: Question, **fields: str | float) -> dict[str, Any]:
    """A question with what was said to it, short enough to keep."""
    shortened = {
        name: value[:MAX_SAMPLE_CHARS] if isinstance(value, str) else round(value, 4)
        for name, value in fields.items()
    }
    return {"question": question[-1]["content"][:MAX_SAMPLE_CHARS], **shortened}


def resolve_max_completion_length(job: TrainingContext, reward_name: str) -> int:
    """How long an answer may be in practice (tokens)."""
    return phases.max_completion_length(
        job.settings, reward_name, list(map(len, _example_completion_ids(job)))
    )


def _example_completion_ids(job: TrainingContext) -> list[list[int]]:
    """The token ids of the example answers."""
    return [
        list(job.tokenizer(examples.to_messages(row)[-1]["content"], add_special_tokens=False)["input_ids"])
        for row in job.examples[0]
    ]


def build_scorer(
    job: TrainingContext, reward_name: str, scoring_model: Any, max_completion_length: int
) -> ScoreFunction:
    """The reward: a reward model's score, or a rule on the answer alone. The usual length is that of what of the examples has room."""
    if reward_name == "model":
        return lambda prompts, texts: reward_model.score(
            scoring_model,
            job.tokenizer,
            [
                reward_model.encode_conversation(job.tokenizer, *pair)
                for pair in zip(prompts, texts, strict=True)
            ],
        )
    usual_words = rule_rewards.usual_length(
        [
            job.tokenizer.decode(ids[: int(max_completion_length / LENGTH_HEADROOM)])
            for ids in _example_completion_ids(job)
        ]
    )
    rule = rule_rewards.build_rule(
        reward_name, str(job.settings["reward_text"]), int(job.settings["reward_length"]) or usual_words
    )
    return lambda prompts, texts: [rule(text) for text in texts]


def select_prompts(job: TrainingContext, part: int, max_prompt_tokens: int) -> list[Question]:
    """The different questions of the training (0) or the held-out part (1) that have at most `room` tokens, in their order."""
    unique_prompts = {
        json.dumps(prompt): prompt
        for prompt in (examples.to_prompt_messages(example) for example in job.examples[part])
    }
    return [
        prompt
        for prompt in unique_prompts.values()
        if len(examples.apply_chat_template(job.tokenizer, prompt, add_generation_prompt=True))
        <= max_prompt_tokens
    ]


def generate_and_score(
    job: TrainingContext,
    model: Any,
    prompts: Sequence[Question],
    score: ScoreFunction,
    max_completion_length: int,
) -> tuple[dict[str, float], list[str], list[float]]:
    """The likeliest answers: their mean reward, length (tokens) and share cut off, the answers themselves and their rewards."""
    completion_ids: list[list[int]] = []
    for start in range(0, len(prompts), EVAL_BATCH_SIZE):
        batch_ids = [
            examples.apply_chat_template(job.tokenizer, prompt, add_generation_prompt=True)
            for prompt in prompts[start : start + EVAL_BATCH_SIZE]
        ]
        completion_ids += answers.generate(model, job.tokenizer, batch_ids, max_completion_length)
    texts = [job.tokenizer.decode(row, skip_special_tokens=True) for row in completion_ids]
    rewards = score(prompts, texts)
    stop_ids = answers.stop_token_ids(model, job.tokenizer)
    clipped_ratio = sum(not stop_ids & {*row[-1:]} for row in completion_ids) / len(completion_ids)
    return (
        {
            "reward": mean(rewards),
            "completion_length": mean(map(len, completion_ids)),
            "clipped_ratio": clipped_ratio,
        },
        texts,
        rewards,
    )


def train_policy(job: TrainingContext, policy: Any, reward_name: str, scoring_model: Any) -> tuple[Any, bool]:
    """The policy after practice, and whether it was stopped; the reference of its leash is the policy as it comes in."""
    algorithm, steps, max_completion_length = (
        str(job.settings["algorithm"]),
        int(job.settings["steps"]),
        resolve_max_completion_length(job, reward_name),
    )
    max_prompt_tokens = job.plan.training.max_length - max_completion_length
    train_prompts, held_out_prompts = (
        select_prompts(job, 0, max_prompt_tokens),
        select_prompts(job, 1, max_prompt_tokens)[:MAX_HELD_OUT_PROMPTS],
    )
    if not train_prompts or not held_out_prompts:
        raise BadData(
            NO_QUESTION_FITS,
            NO_QUESTION_FITS_TO_DO,
            answer=max_completion_length,
            length=max_prompt_tokens + max_completion_length,
        )
    sample_logger = SampleLogger(
        job, build_scorer(job, reward_name, scoring_model, max_completion_length), steps
    )
    before, texts_before, _ = generate_and_score(
        job, policy, held_out_prompts, sample_logger.score, max_completion_length
    )
    trainer_arguments = stage_files.trl_arguments(
        job,
        "rl",
        steps,
        float(job.settings["last_rate"]) or learning_rate(stage_files.model_shape(policy)),
        per_device_train_batch_size=int(job.settings["num_generations"]),
        gradient_accumulation_steps=min(int(job.settings["prompts_per_step"]), len(train_prompts)),
        include_num_input_tokens_seen="no",  # TRL counts them itself
        disable_dropout=True,  # an answer must be as likely when it is learned from as when it was written
    )
    config_class, trainer_class = (
        (GRPOConfig, GRPOTrainer) if algorithm == "grpo" else (RLOOConfig, RLOOTrainer)
    )
    trainer = trainer_class(
        model=policy,
        reward_funcs=sample_logger.reward,
        args=config_class(
            **trainer_arguments,
            num_generations=int(job.settings["num_generations"]),
            max_completion_length=max_completion_length,
            beta=float(job.settings["beta"]),
        ),
        train_dataset=stage_files.build_dataset(prompt=train_prompts),
        processing_class=job.tokenizer,
        peft_config=stage_files.lora_config(job, policy, "CAUSAL_LM"),
    )
    monitor = stage_files.run_trainer(job, "rl", trainer, None, [sample_logger])
    trained_policy = stage_files.merge_adapter(trainer.model)
    after, texts_after, rewards = generate_and_score(
        job, trained_policy, held_out_prompts, sample_logger.score, max_completion_length
    )
    compared = zip(held_out_prompts, texts_before, texts_after, rewards, strict=True)
    job.notes["rl"] = {
        "reward": reward_name,
        "questions": {"train": len(train_prompts), "held_out": len(held_out_prompts)},
        "answer_tokens": max_completion_length,
        "before": before,
        "after": after,
        "kl": mean(sample_logger.kl[-5:]) if sample_logger.kl else None,
        "steps": monitor.step,
        "samples": [
            build_sample(prompt, before=old_text, after=new_text, reward=reward)
            for prompt, old_text, new_text, reward in list(compared)[:MAX_SAMPLES]
        ],
    }
    return trained_policy, monitor.stopped


def train_dpo(job: TrainingContext, policy: Any) -> tuple[Any, bool]:
    """The policy after it has learned from the pairs directly (DPO), and whether it was stopped."""
    max_length = job.plan.training.max_length
    encoded_pairs = [_encode_pairs(job, part, max_length) for part in (0, 1)]
    if not all(encoded_pairs):
        raise BadData(NO_QUESTION_FITS, NO_QUESTION_FITS_TO_DO, answer=1, length=max_length)
    batch_size = min(job.plan.training.batch_size or 8, len(encoded_pairs[0]))
    steps, beta = int(job.settings["steps"]), float(job.settings["beta"])
    rate = float(job.settings["last_rate"]) or learning_rate(stage_files.model_shape(policy))
    trainer = DPOTrainer(
        model=policy,
        args=DPOConfig(
            **stage_files.trl_arguments(
                job, "dpo", steps, rate, max_length=None, **stage_files.pair_batch_sizes(job, batch_size)
            ),
            beta=beta,
        ),
        train_dataset=stage_files.build_dataset(
            prompt=[examples.to_prompt_messages(example) for example, _, _ in encoded_pairs[0]],
            chosen=[[_assistant_message(example["chosen"])] for example, _, _ in encoded_pairs[0]],
            rejected=[[_assistant_message(example["rejected"])] for example, _, _ in encoded_pairs[0]],
        ),
        processing_class=job.tokenizer,
        peft_config=stage_files.lora_config(job, policy, "CAUSAL_LM"),
    )
    start_margins = _log_prob_margins(
        trainer.model, job, encoded_pairs[1]
    )  # nothing is learned yet: the reference

    def validate() -> Scores:
        margins = _log_prob_margins(trainer.model, job, encoded_pairs[1])
        return reward_model.score_margins(
            [beta * (new - old) for new, old in zip(margins, start_margins, strict=True)]
        )

    monitor = stage_files.run_trainer(job, "dpo", trainer, validate)
    job.notes["dpo"] = {
        "pairs": {
            "train": len(encoded_pairs[0]),
            "held_out": len(encoded_pairs[1]),
            "too_long": sum(map(len, job.examples)) - sum(map(len, encoded_pairs)),
        },
        "before": {
            "loss": math.log(2),
            "preferred": sum(margin > 0 for margin in start_margins) / len(start_margins),
        },
        "after": {
            **validate(),
            "preferred": sum(margin > 0 for margin in _log_prob_margins(trainer.model, job, encoded_pairs[1]))
            / len(start_margins),
        },
        "best_step": monitor.best_step,
        "steps": monitor.step,
    }
    return stage_files.merge_adapter(trainer.model), monitor.stopped


def _encode_pairs(job: TrainingContext, part: int, max_length: int) -> list[tuple[Example, Encoded, Encoded]]:
    """Each pair with its two conversations, whose answers are learned; those that do not fit whole are left out."""
    encoded_pairs = []
    for example in job.examples[part]:
        better, worse = (
            examples.encode_chat(
                [*examples.to_prompt_messages(example), _assistant_message(example[side])],
                job.tokenizer,
                max_length,
            )
            for side in ("chosen", "rejected")
        )
        if better and worse and not better.cut and not worse.cut:
            encoded_pairs.append((example, better, worse))
    return encoded_pairs


def _assistant_message(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _log_prob_margins(
    model: Any, job: TrainingContext, encoded_pairs: Sequence[tuple[Example, Encoded, Encoded]]
) -> list[float]:
    """log P(better answer) − log P(worse answer) of each pair (nats), under the model as it is."""
    rows = [row for _, *pair in encoded_pairs for row in pair]
    collator, was_training, log_probs = collate.build_collator("chat", job.tokenizer), model.training, []
    model.eval()
    for start in range(0, len(rows), EVAL_BATCH_SIZE):
        tensors = {
            name: value.to(model.device)
            for name, value in collator([vars(row) for row in rows[start : start + EVAL_BATCH_SIZE]]).items()
        }
        labels = tensors.pop("labels")[:, 1:]
        with torch.no_grad():
            logits = model(**tensors).logits.float()
        losses = torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), labels, ignore_index=IGNORE_INDEX, reduction="none"
        )
        log_probs += (-losses.sum(1)).tolist()
    model.train(was_training)
    return [better - worse for better, worse in zip(log_probs[::2], log_probs[1::2], strict=True)]
