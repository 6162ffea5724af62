"""RLHF: supervised fine-tuning, a reward model that learns from pairs, and a policy trained on its scores.

The three stages of Ouyang et al. (2022), with a policy gradient that needs no critic: RLOO (Ahmadian et al.
2024) or GRPO (Shao et al. 2024), which also take a rule or a known answer as the score. Short cuts learn from
judged answers directly: DPO (Rafailov et al. 2023), SimPO (Meng et al. 2024), ORPO (Hong et al. 2024) and KTO
(Ethayarajh et al. 2024).
"""

from typing import Any

from studio.errors import Problem
from studio.i18n import Message, label
from studio.methods import lora
from studio.methods.rlhf_stages import iterate, phases, rule_rewards, schedule
from studio.methods.spec import Method, ParameterCount, Setting, Settings, TrainingContext
from studio.methods.training import full_model_io, peft_adapter
from studio.models.shape import ModelShape
from studio.plan import Task
from studio.storage import home

SETTINGS = (
    Setting(
        "algorithm",
        label("How the model learns from the scores"),
        label(
            "Practice by scores compares several of the model's own answers to a question (RLOO, or GRPO, "
            "which also evens out the scores). The short cuts learn from your judged answers directly, "
            "without practice: quicker and steadier, and a good first try. DPO compares with the starting "
            "point, SimPO and ORPO do without it, ORPO also without fine-tuning first; KTO needs no pairs, "
            "only a thumb up or down for each answer. From your data: GRPO for questions with known answers, "
            "else RLOO."
        ),
        default="data",
        kind="choice",
        choices=(
            ("data", label("What suits your data")),
            ("rloo", label("Practise by scores (RLOO)")),
            ("grpo", label("Practise by evened-out scores (GRPO)")),
            ("dpo", label("The short cut: straight from pairs (DPO)")),
            ("kto", label("Straight from thumbs up and down (KTO)")),
            ("simpo", label("From pairs, without a starting point to compare with (SimPO)")),
            ("orpo", label("From pairs, in one stage (ORPO)")),
        ),
        aliases=("way",),
    ),
    Setting(
        "reward",
        label("What a good answer is (reward)"),
        label(
            "From your data: a scoring model learned from your pairs (reward model); the known answers to "
            "your questions; with examples alone, answers about as long as yours. Or a rule that is checked "
            "in each answer."
        ),
        default="data",
        kind="choice",
        choices=(
            ("data", label("From your data")),
            ("model", label("Learned from your pairs (reward model)")),
            ("answer", label("Gives the known answer")),
            ("contains", label("Contains words")),
            ("matches", label("Matches a pattern (regular expression)")),
            ("length", label("Has a length")),
            ("json", label("Is valid JSON")),
        ),
    ),
    Setting(
        "answer_check",
        label("How an answer is compared with the known one"),
        label(
            "By the number: the last number of each must be the same. From your data: by the number where "
            "the known answer has one, else its words must be in the answer. An answer that was cut off "
            "counts as wrong."
        ),
        default="data",
        kind="choice",
        choices=(
            ("data", label("From your data")),
            ("number", label("The last number is the same")),
            ("exact", label("All of it is the same")),
            ("contains", label("It contains the known answer")),
        ),
        advanced=True,
    ),
    Setting(
        "reward_text",
        label("The words or the pattern"),
        label(
            "Words separated by commas; each one found earns its share. Or a pattern that must be found in "
            "the answer; ^ and $ stand for its ends."
        ),
        default="",
        kind="str",
        high=200,
    ),
    Setting(
        "reward_length",
        label("The length to aim at, in words"),
        label("0 takes the usual length of your example answers. A Chinese character counts as a word."),
        default=0,
        kind="int",
        low=0,
        high=1000,
        advanced=True,
    ),
    Setting(
        "beta",
        label("How closely it must stay to its starting point (KL)"),
        label(
            "What a step away from the fine-tuned model costs. Too little, and the model finds answers that "
            "score high and read badly (reward hacking); too much, and nothing changes."
        ),
        default=0.05,
        kind="float",
        low=0,
        high=1,
        aliases=("kl",),
    ),
    Setting(
        "steps",
        label("How many steps the last stage takes"),
        label(
            "0 goes by your data: practice asks each question about once, or as many as it can write answers "
            "to in 50,000 tokens, in at least 20 steps; the short cuts see each pair once, up to three times "
            "where they are few. Writing answers takes most of the time."
        ),
        default=0,
        kind="int",
        low=0,
        high=10_000,
    ),
    Setting(
        "rank",
        label("How far the model may change in each stage (rank)"),
        label(
            "Each stage learns two thin matrices beside each of the model's (LoRA) and adds them in at its "
            "end."
        ),
        default=16,
        kind="int",
        low=1,
        high=256,
        advanced=True,
        aliases=("r",),
    ),
    Setting(
        "start_from",
        label("Go on from an earlier RLHF run (iterate)"),
        label(
            "The id of that run. Its model is taken instead of fine-tuning anew, and its reward model "
            "learns on with your new pairs. Empty: from the base."
        ),
        default="",
        kind="str",
        high=32,
        advanced=True,
    ),
    Setting(
        "sft",
        label("Fine-tune on the good answers first (SFT)"),
        label(
            "Worth it unless the model already answers in the right manner. Switched off, the base itself "
            "is where practice starts."
        ),
        default=True,
        kind="bool",
        advanced=True,
    ),
    Setting(
        "num_generations",
        label("Answers compared per question"),
        label(
            "An answer is good when it scores above the others to its question. More are steadier and take "
            "longer."
        ),
        default=4,
        kind="int",
        low=2,
        high=64,
        advanced=True,
        aliases=("answers",),
    ),
    Setting(
        "prompts_per_step",
        label("Questions per step"),
        label("More make a step steadier and longer."),
        default=4,
        kind="int",
        low=1,
        high=256,
        advanced=True,
        aliases=("questions",),
    ),
    Setting(
        "max_completion_length",
        label("Longest answer in practice, in tokens"),
        label(
            "Longer answers are cut off here and scored as cut: the reward model learns from answers cut at "
            "the same place, a known answer that was not reached is wrong. The time grows with it. 0 goes by "
            "your example answers: nine of ten fit, at most 128, or 256 where the reward is a length; 160 "
            "where there are none."
        ),
        default=0,
        kind="int",
        low=0,
        high=4096,
        advanced=True,
        aliases=("answer_tokens",),
    ),
    Setting(
        "reward_epochs",
        label("How often the reward model sees each pair (epochs)"),
        label(
            "0: with fewer than 1,000 pairs only its scoring of what the model already tells apart is fitted "
            "(a linear fit), else 1. The state that ranks the kept-aside pairs best is kept. If a run is "
            "stopped, it goes on at the beginning of the unfinished stage."
        ),
        default=0,
        kind="float",
        low=0,
        high=50,
        advanced=True,
    ),
    Setting(
        "reward_rate",
        label("How big the reward model's steps are (learning rate)"),
        label("0 takes 1e-4; the reward model starts close to its goal."),
        default=0,
        kind="float",
        low=0,
        high=0.1,
        advanced=True,
    ),
    Setting(
        "last_rate",
        label("How big the last stage's steps are (learning rate)"),
        label("0 takes the value that suits the model's size."),
        default=0,
        kind="float",
        low=0,
        high=0.1,
        advanced=True,
    ),
)

LATER_STAGES = Message("These are the steps of the first stage; after it: {stages}.")
ONE_STAGE = Message("All of the training is: {stages}.")
REWARD_MODEL_STAGE = Message("a reward model that learns from the pairs")
POLICY_STAGE = Message("{steps} steps of practice")
POLICY_STAGE_BY_DATA = Message("practice that asks each question about once")
DIRECT_STAGE = Message("the training on the pairs")
VERDICT_STAGE = Message("the training on the judged answers")
TWO_STAGES = Message("{one}, then {other}")
NEEDS_JUDGED_ANSWERS = Message(
    "{algorithm} learns from better and worse answers, which the task {task} does not have; choose rloo"
)
NEEDS_KL = Message(
    "{algorithm} measures what it learns by its distance from the starting point; expected above 0, but got 0"
)
COMPLETION_TOO_LONG = Message(
    "the model reads and writes {context} tokens in all; expected less, but got {got}"
)


def count_parameters(shape: ModelShape, settings: Settings, num_labels: int) -> ParameterCount:
    """As LoRA on all matrices: each stage trains as many parameters.

    The reward model has one more for each hidden dimension, its score.
    """
    return lora.count_parameters(shape, lora.settings_for_rank(int(settings["rank"])), num_labels)


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """The model with an untrained LoRA, ready for the supervised stage."""
    return lora.attach(model, lora.settings_for_rank(int(settings["rank"])), task)


def check(settings: Settings, shape: ModelShape | None, task: Task) -> list[Problem]:
    """Settings that do not go together, at most one problem for each."""
    algorithm = schedule.resolve_algorithm(settings, task)
    if algorithm in schedule.DIRECT_ALGORITHMS:
        problems = _check_direct(algorithm, settings, task)
    else:
        problems = [*_check_reward(settings, task), *_check_completion_length(settings, shape, task)]
    earlier_run = str(settings["start_from"])
    if earlier_run:
        reason = iterate.unusable_reason(home() / "runs", earlier_run, shape)
        if reason:
            problems.append(Problem("start_from", reason))
    return problems


def _check_direct(algorithm: str, settings: Settings, task: Task) -> list[Problem]:
    problems = []
    if task != "prefer":
        problems.append(Problem("algorithm", NEEDS_JUDGED_ANSWERS.format(algorithm=algorithm, task=task)))
    if algorithm in ("dpo", "kto") and not settings["beta"]:
        problems.append(Problem("beta", NEEDS_KL.format(algorithm=algorithm)))
    return problems


def _check_reward(settings: Settings, task: Task) -> list[Problem]:
    reward = rule_rewards.resolve_reward(settings, task)
    if reward == "model":
        if task == "prefer" or settings["start_from"]:
            return []
        return [Problem("reward", rule_rewards.NO_PAIRS_FOR_REWARD_MODEL.format(task=task))]
    if reward == "answer" and task == "prefer":
        return [Problem("reward", rule_rewards.NO_KNOWN_ANSWER_FOR_PAIRS.format(task=task))]
    if reward == "length" and task == "prompts" and not settings["reward_length"]:
        return [Problem("reward_length", rule_rewards.NO_LENGTH_TO_AIM_AT)]
    message = rule_rewards.rule_problem(reward, str(settings["reward_text"]))
    return [Problem("reward_text", message)] if message else []


def _check_completion_length(settings: Settings, shape: ModelShape | None, task: Task) -> list[Problem]:
    problems = []
    reward_length = int(settings["reward_length"])
    max_tokens = int(settings["max_completion_length"])
    if rule_rewards.resolve_reward(settings, task) == "length" and reward_length > max_tokens > 0:
        message = rule_rewards.LENGTH_EXCEEDS_LIMIT.format(words=reward_length, tokens=max_tokens)
        problems.append(Problem("reward_length", message))
    if shape and max_tokens >= shape.context:
        message = COMPLETION_TOO_LONG.format(context=shape.context, got=max_tokens)
        problems.append(Problem("max_completion_length", message))
    return problems


def active_stages(settings: Settings, task: Task) -> tuple[str, ...]:
    """The stages of a run: supervised where wanted, then learning from pairs, or a reward and practice."""
    first = ("sft",) if schedule.has_sft(settings, task) else ()
    algorithm = schedule.resolve_algorithm(settings, task)
    if algorithm in schedule.DIRECT_ALGORITHMS:
        return (*first, algorithm)
    if task == "prefer" and rule_rewards.resolve_reward(settings, task) == "model":
        return (*first, "reward", "rl")
    return (*first, "rl")


def extra_stages_message(settings: Settings, task: Task) -> Message | None:
    """The stages after the supervised one, whose steps the plan counts."""
    frame = LATER_STAGES if schedule.has_sft(settings, task) else ONE_STAGE
    return frame.format(stages=_later_stages(settings, task))


def _later_stages(settings: Settings, task: Task) -> Message:
    algorithm = schedule.resolve_algorithm(settings, task)
    if algorithm in schedule.DIRECT_ALGORITHMS:
        return VERDICT_STAGE if algorithm == "kto" else DIRECT_STAGE
    policy_stage = POLICY_STAGE.format(steps=settings["steps"]) if settings["steps"] else POLICY_STAGE_BY_DATA
    if task != "prefer" or rule_rewards.resolve_reward(settings, task) != "model":
        return policy_stage
    return TWO_STAGES.format(one=REWARD_MODEL_STAGE, other=policy_stage)


def train(context: TrainingContext) -> Any:
    """Train all stages in order; returns a plain model with everything learned in its own matrices.

    A stopped run goes on at the start of the unfinished stage; only the supervised stage goes on where it
    was.
    """
    from studio.methods.rlhf_stages import pipeline  # noqa: PLC0415 - loads torch

    return pipeline.train(context)


METHOD = Method(
    name="rlhf",
    tasks=("chat", "prompts", "prefer"),
    settings=SETTINGS,
    exports=("merged",),
    weights="frozen",
    learning_rate=peft_adapter.learning_rate,
    count_parameters=count_parameters,
    cost_profile=phases.cost_profile,
    phases=phases.phases,
    attach=attach,
    train=train,
    save=full_model_io.save,
    load=full_model_io.load,
    merge=full_model_io.load,
    check=check,
    extra_stages_message=extra_stages_message,
    has_stage_settings=True,
    supports_resume=False,
    stages=("sft", "reward", "rl"),
    active_stages=active_stages,
)
