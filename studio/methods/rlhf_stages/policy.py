"""Practice, the last stage of RLHF: the policy learns from its own scored answers (RLOO, GRPO)."""

import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from statistics import NormalDist, mean, stdev
from typing import Any, NamedTuple

from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from studio.data import examples
from studio.data.examples import Example
from studio.errors import BadData
from studio.evaluate import answers, known_answers
from studio.i18n import Message
from studio.methods.rlhf_stages import reward_model, rule_rewards, schedule
from studio.methods.rlhf_stages import stage as stage_files
from studio.methods.rlhf_stages.phases import EVAL_BATCH_SIZE, MAX_HELD_OUT_PROMPTS
from studio.methods.spec import Scores, TrainingContext
from studio.models.decoding import decode
from studio.storage import write_text

Turns = list[dict[str, str]]


class Question(NamedTuple):
    """A prompt, and its known answer where there is one."""

    prompt: Turns
    known_answer: str = ""


class Attempt(NamedTuple):
    """An answer of the policy to a question; `is_cut` where it had no room for its end."""

    question: Question
    text: str
    is_cut: bool = False


ScoreFunction = Callable[[Sequence[Attempt]], list[float]]
# How many held-out prompts are saved with their answers, and how much of a text (characters).
MAX_SAMPLES, MAX_SAMPLE_CHARS = 4, 1_000
# So often in a stage a few answers are saved as they are at that time.
SAMPLE_LOGS_PER_STAGE = 10
TRAIN, HELD_OUT = 0, 1
CONFIDENCE = 0.95
NO_QUESTION_FITS = Message("No question leaves room for an answer of {answer} tokens within {length} tokens.")
NO_QUESTION_FITS_TO_DO = Message("Allow longer texts (max_length), or shorter answers.")
NO_KNOWN_ANSWER = Message("None of these questions has a known answer to check against.")
NO_KNOWN_ANSWER_TO_DO = Message("Choose the column of the known answers (answer), or a rule as the reward.")
QUESTIONS_SEEN = Message(
    "Practice asked {seen:,} of {total:,} questions, {generations} answers of at most {tokens} tokens to "
    "each."
)
REWARD_CHANGE = Message(
    "On {count} kept-aside questions the score changed by {change:+.3g} on average ({low:+.3g} to "
    "{high:+.3g} with 95% confidence); answers went from {before:.0f} to {after:.0f} tokens."
)
# No interval can be told from a single question.
SINGLE_CHANGE = Message(
    "On the only kept-aside question the score changed by {change:+.3g}, which alone says little; answers "
    "went from {before:.0f} to {after:.0f} tokens."
)


class SampleLogger(TrainerCallback):  # type: ignore[misc] # transformers ships no types
    """Saves a few of the answers that the policy writes during training.

    Args:
        context: The training, in whose folder `stages/samples.jsonl` is written.
        score: The reward.
        steps: Steps of the stage.
        stop_ids: The tokens that end an answer.
    """

    def __init__(
        self, context: TrainingContext, score: ScoreFunction, steps: int, stop_ids: frozenset[int]
    ) -> None:
        self.path = stage_files.folder(context, "samples.jsonl")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.score, self.stop_ids = score, stop_ids
        self.interval = max(1, steps // SAMPLE_LOGS_PER_STAGE)
        self._last_logged_step = -1
        self._n_generations = int(context.settings["num_generations"])
        self._zero_std_shares: list[float] = []

    def reward(
        self,
        prompts: list[Turns],
        completions: list[list[dict[str, str]]],
        completion_ids: list[list[int]],
        known_answer: list[str],
        trainer_state: Any,
        **_: Any,
    ) -> list[float]:
        """The rewards of a step's answers, as a TRL reward function."""
        attempts = [
            Attempt(Question(prompt, known), completion[0]["content"], answers.is_cut(ids, self.stop_ids))
            for prompt, known, completion, ids in zip(
                prompts, known_answer, completions, completion_ids, strict=True
            )
        ]
        rewards = self.score(attempts)
        self._zero_std_shares.append(share_without_spread(rewards, self._n_generations))
        step = int(trainer_state.global_step)
        if step % self.interval == 0 and step != self._last_logged_step:
            self._last_logged_step = step
            self._write_samples(step + 1, attempts, rewards)
        return rewards

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Tell the share of questions whose answers score alike by the rewards themselves.

        RLOO takes the divergence off the rewards first, and then no two are alike.
        """
        if logs and "frac_reward_zero_std" in logs and self._zero_std_shares:
            logs["frac_reward_zero_std"] = mean(self._zero_std_shares)
            self._zero_std_shares.clear()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take back the answers that were written after the step that the training goes on from."""
        text = self.path.read_text(encoding="utf-8") if self.path.is_file() else ""
        lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        kept_lines = [line for line in lines if json.loads(line)["step"] <= state.global_step]
        write_text(self.path, "".join(kept_lines))

    def _write_samples(self, step: int, attempts: Sequence[Attempt], rewards: Sequence[float]) -> None:
        stride = max(1, len(attempts) // MAX_SAMPLES)
        with self.path.open("a", encoding="utf-8") as file:
            for attempt, reward in list(zip(attempts, rewards, strict=True))[::stride][:MAX_SAMPLES]:
                sample = build_sample(attempt.question, answer=attempt.text, reward=reward)
                file.write(json.dumps({"step": step, **sample}, ensure_ascii=False) + "\n")


def share_without_spread(rewards: Sequence[float], n_generations: int) -> float:
    """The share of questions whose answers, `n_generations` behind each other, all have the same reward."""
    groups = [rewards[start : start + n_generations] for start in range(0, len(rewards), n_generations)]
    return mean(math.isclose(min(group), max(group), abs_tol=1e-8) for group in groups)


def build_sample(question: Question, **values: str | float) -> dict[str, Any]:
    """A prompt with answers and rewards, its texts short enough to save."""
    sample: dict[str, Any] = {"question": question.prompt[-1]["content"][:MAX_SAMPLE_CHARS]}
    for name, value in values.items():
        sample[name] = value[:MAX_SAMPLE_CHARS] if isinstance(value, str) else round(value, 4)
    return sample


def resolve_max_completion_length(context: TrainingContext, reward_name: str) -> int:
    """How long an answer may be while the policy trains (tokens)."""
    example_lengths = [len(ids) for ids in _example_completion_ids(context)]
    return schedule.max_completion_length(context.settings, reward_name, example_lengths)


def _example_completion_ids(context: TrainingContext) -> list[list[int]]:
    """The token ids of the example answers; none where there are questions alone."""
    texts = [text for example in context.examples[TRAIN] if (text := examples.answer_text(example))]
    return [list(context.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]


def build_scorer(
    context: TrainingContext, reward_name: str, scoring_model: Any, max_completion_length: int
) -> ScoreFunction:
    """The reward of answers: a reward model's score, whether it is the known answer, or a rule on it alone.

    A rule on the length aims, where no length is set, at the usual length of the examples as far as an
    answer has room.
    """
    if reward_name == "model":
        return lambda attempts: _score_with_model(context, scoring_model, attempts)
    if reward_name == "answer":
        check = str(context.settings["answer_check"])
        return lambda attempts: [score_known_answer(attempt, check) for attempt in attempts]
    max_example_tokens = max_completion_length
    example_texts = [
        context.tokenizer.decode(ids[:max_example_tokens]) for ids in _example_completion_ids(context)
    ]
    length = int(context.settings["reward_length"]) or rule_rewards.usual_length(example_texts or [""])
    rule = rule_rewards.build_rule(reward_name, str(context.settings["reward_text"]), length)
    return lambda attempts: [rule(attempt.text) for attempt in attempts]


def score_known_answer(attempt: Attempt, check: str) -> float:
    """1 where an answer is the known one, else 0; one that was cut off has not been given yet."""
    is_right = known_answers.is_correct(attempt.text, attempt.question.known_answer, check)
    return float(is_right and not attempt.is_cut)


def _score_with_model(
    context: TrainingContext, scoring_model: Any, attempts: Sequence[Attempt]
) -> list[float]:
    conversations = [
        reward_model.encode_conversation(
            context.tokenizer, attempt.question.prompt, attempt.text, attempt.is_cut
        )
        for attempt in attempts
    ]
    return reward_model.score(scoring_model, context.tokenizer, conversations)


def select_questions(
    context: TrainingContext, rows: Sequence[Example], max_prompt_tokens: int, needs_answer: bool
) -> list[Question]:
    """The distinct questions of examples with at most so many tokens, in their order.

    Args:
        context: The training.
        rows: The examples.
        max_prompt_tokens: The most tokens of a prompt.
        needs_answer: Whether a question without a known answer that can be checked is left out.
    """
    questions = {}
    for example in rows:
        prompt = examples.to_prompt_messages(example)
        known_answer = example.get("answer") or examples.answer_text(example)
        is_known = bool(known_answer) and _can_be_checked(known_answer, str(context.settings["answer_check"]))
        if is_known or not needs_answer:
            questions[json.dumps(prompt)] = Question(prompt, known_answer)
    return [
        question
        for question in questions.values()
        if len(encode_prompt(context, question.prompt)) <= max_prompt_tokens
    ]


def _can_be_checked(known_answer: str, check: str) -> bool:
    """Whether there is a number where numbers are compared."""
    return check != "number" or known_answers.has_number(known_answer)


def encode_prompt(context: TrainingContext, prompt: Turns) -> list[int]:
    """The token ids that the policy continues."""
    return examples.apply_chat_template(context.tokenizer, prompt, add_generation_prompt=True)


def generate_and_score(
    context: TrainingContext,
    model: Any,
    questions: Sequence[Question],
    score: ScoreFunction,
    max_completion_length: int,
) -> tuple[Scores, list[str], list[float]]:
    """Answer questions with greedy decoding and score the answers.

    Returns:
        Their mean `reward`, mean `completion_length` (tokens) and `clipped_ratio` (share without an end);
        the answers; their rewards.
    """
    prompts = [encode_prompt(context, question.prompt) for question in questions]
    completion_ids = answers.generate_in_batches(
        model, context.tokenizer, prompts, max_completion_length, EVAL_BATCH_SIZE
    )
    texts = [context.tokenizer.decode(ids, skip_special_tokens=True) for ids in completion_ids]
    stop_ids = answers.stop_token_ids(model, context.tokenizer)
    is_cut = [answers.is_cut(ids, stop_ids) for ids in completion_ids]
    rewards = score([Attempt(*attempt) for attempt in zip(questions, texts, is_cut, strict=True)])
    scores = {
        "reward": mean(rewards),
        "completion_length": mean(map(len, completion_ids)),
        "clipped_ratio": mean(is_cut),
    }
    return scores, texts, rewards


def _name_experts(config: Any) -> None:
    """Give the experts of a mixture the name by which TRL asks for them; Phi-MoE calls them otherwise."""
    if hasattr(config, "num_local_experts") and not hasattr(config, "num_experts"):
        config.num_experts = config.num_local_experts


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
        BadData: No prompt leaves room for an answer, or no answer is known.
    """
    max_completion_length = resolve_max_completion_length(context, reward_name)
    questions, held_out = _split_questions(context, reward_name, max_completion_length)
    steps = schedule.practice_steps(context.settings, len(questions), max_completion_length)
    score = build_scorer(context, reward_name, scoring_model, max_completion_length)
    stop_ids = answers.stop_token_ids(policy, context.tokenizer)
    sample_logger = SampleLogger(context, score, steps, stop_ids)
    before, texts_before, rewards_before = generate_and_score(
        context, policy, held_out, score, max_completion_length
    )
    _name_experts(policy.config.get_text_config())
    trainer = _build_policy_trainer(context, policy, questions, sample_logger, max_completion_length)
    monitor = stage_files.run_trainer(context, "rl", trainer, None, [sample_logger])
    kl = [float(logs["kl"]) for logs in trainer.state.log_history if logs.get("kl") is not None]
    trained_policy = stage_files.merge_adapter(trainer.model)
    after, texts_after, rewards = generate_and_score(
        context, trained_policy, held_out, score, max_completion_length
    )
    compared = list(zip(held_out, texts_before, texts_after, rewards, strict=True))
    n_seen = min(monitor.step * int(context.settings["prompts_per_step"]), len(questions))
    values = {
        "reward": reward_name,
        "questions": {"train": len(questions), "seen": n_seen, "held_out": len(held_out)},
        "answer_tokens": max_completion_length,
        "before": before,
        "after": after,
        "change": paired_change(rewards_before, rewards),
        "kl": mean(kl[-5:]) if kl else None,
        "steps": monitor.step,
        "samples": [
            build_sample(question, before=text_before, after=text_after, reward=reward)
            for question, text_before, text_after, reward in compared[:MAX_SAMPLES]
        ],
    }
    context.add_note("rl", values, *_describe(context, values))
    return trained_policy, monitor.stopped


def _split_questions(
    context: TrainingContext, reward_name: str, max_completion_length: int
) -> tuple[list[Question], list[Question]]:
    """The questions to practise on, and those kept aside: of validation and test, as no state is chosen."""
    max_length = context.plan.training.token_limit
    max_prompt_tokens, needs_answer = max_length - max_completion_length, reward_name == "answer"
    kept_aside = [*context.examples[HELD_OUT], *context.test_examples]
    if needs_answer and not any(
        example.get("answer") or examples.answer_text(example) for example in kept_aside
    ):
        raise BadData(NO_KNOWN_ANSWER, NO_KNOWN_ANSWER_TO_DO)
    questions, held_out = (
        select_questions(context, rows, max_prompt_tokens, needs_answer)
        for rows in (context.examples[TRAIN], kept_aside)
    )
    if not questions or not held_out:
        raise BadData(
            NO_QUESTION_FITS, NO_QUESTION_FITS_TO_DO, answer=max_completion_length, length=max_length
        )
    return questions, held_out[:MAX_HELD_OUT_PROMPTS]


def paired_change(before: Sequence[float], after: Sequence[float]) -> dict[str, float]:
    """The mean change of the same questions' scores, and its 95 % confidence interval, `low` to `high`.

    Mean ± 1.96 standard errors of the differences; empty for a single question, of which neither is known.
    """
    changes = [new - old for old, new in zip(before, after, strict=True)]
    if len(changes) == 1:
        return {}
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    margin = z * stdev(changes) / math.sqrt(len(changes))
    return {"mean": mean(changes), "low": mean(changes) - margin, "high": mean(changes) + margin}


def _describe(context: TrainingContext, values: dict[str, Any]) -> tuple[Message, Message]:
    """What practice saw, and what came of it."""
    seen = QUESTIONS_SEEN.format(
        seen=values["questions"]["seen"],
        total=values["questions"]["train"],
        generations=int(context.settings["num_generations"]),
        tokens=values["answer_tokens"],
    )
    lengths = {name: values[name]["completion_length"] for name in ("before", "after")}
    if not values["change"]:
        single_change = values["after"]["reward"] - values["before"]["reward"]
        return seen, SINGLE_CHANGE.format(change=single_change, **lengths)
    change = REWARD_CHANGE.format(
        count=values["questions"]["held_out"],
        change=values["change"]["mean"],
        low=values["change"]["low"],
        high=values["change"]["high"],
        **lengths,
    )
    return seen, change


def _build_policy_trainer(
    context: TrainingContext,
    policy: Any,
    questions: Sequence[Question],
    sample_logger: SampleLogger,
    max_completion_length: int,
) -> Any:
    settings = context.settings
    num_generations = int(settings["num_generations"])
    prompts_per_step = min(int(settings["prompts_per_step"]), len(questions))
    rate = float(settings["last_rate"]) or schedule.default_learning_rate(stage_files.model_shape(policy))
    trainer_arguments = stage_files.trl_arguments(
        context,
        "rl",
        schedule.practice_steps(settings, len(questions), max_completion_length),
        rate,
        per_device_train_batch_size=num_generations,
        gradient_accumulation_steps=prompts_per_step,
        include_num_input_tokens_seen="no",  # TRL counts them itself
        disable_dropout=True,  # an answer must be as likely when it is learned from as when it was written
        num_generations=num_generations,
        max_completion_length=max_completion_length,
        beta=float(settings["beta"]),
    )
    uses_grpo = schedule.resolve_algorithm(settings, context.plan.task) == "grpo"
    config_class, trainer_class = (GRPOConfig, GRPOTrainer) if uses_grpo else (RLOOConfig, RLOOTrainer)
    trainer = stage_files.resumable(trainer_class)(
        model=policy,
        reward_funcs=sample_logger.reward,
        args=config_class(**trainer_arguments),
        train_dataset=stage_files.build_dataset(
            prompt=[question.prompt for question in questions],
            known_answer=[question.known_answer for question in questions],
        ),
        processing_class=context.tokenizer,
        peft_config=stage_files.lora_config(context, policy, "CAUSAL_LM"),
    )
    trainer.model.generate = partial(trainer.model.generate, custom_generate=decode)
    return trainer
