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

# What the settings below work with. "data" stands for practice: RLOO or GRPO.
PRACTICE = ("data", "rloo", "grpo")
WITH_KL = (*PRACTICE, "dpo", "kto")
WITH_SFT = (*PRACTICE, "dpo", "kto", "simpo")
WITH_REWARD_MODEL = {"algorithm": PRACTICE, "reward": ("data", "model"), "task": ("prefer",)}

SETTINGS = (
    Setting(
        "algorithm",
        label("Algorithm"),
        label(
            "DPO learns from your pairs directly: faster, steadier, a good first try. KTO "
            "needs only thumbs up or down. RLOO and GRPO let the model write answers and "
            "score them. Automatic: GRPO for questions with known answers, else RLOO."
        ),
        default="data",
        kind="choice",
        choices=(
            ("data", label("Automatic: by your data")),
            ("rloo", label("RLOO: practise with scores")),
            ("grpo", label("GRPO: practise with normalised scores")),
            ("dpo", label("DPO: straight from pairs")),
            ("kto", label("KTO: straight from thumbs up and down")),
            ("simpo", label("SimPO: from pairs, without a reference model")),
            ("orpo", label("ORPO: from pairs, in one stage")),
        ),
        aliases=("way",),
    ),
    Setting(
        "reward",
        label("Reward"),
        label(
            "What counts as a good answer. Automatic: a reward model for pairs, the known "
            "answer for questions, else a length like yours. Or a rule."
        ),
        default="data",
        kind="choice",
        choices=(
            ("data", label("Automatic: by your data")),
            ("model", label("Reward model learned from your pairs")),
            ("answer", label("Known answer")),
            ("contains", label("Contains words")),
            ("matches", label("Matches a pattern (regular expression)")),
            ("length", label("Has a set length")),
            ("json", label("Is valid JSON")),
        ),
        used_with={"algorithm": PRACTICE},
    ),
    Setting(
        "answer_check",
        label("Answer check"),
        label(
            "How an answer is compared with the known one. Automatic: by the last number if "
            "there is one, else by its words. Answers cut off count as wrong."
        ),
        default="data",
        kind="choice",
        choices=(
            ("data", label("Automatic: by your data")),
            ("number", label("Same last number")),
            ("exact", label("Identical")),
            ("contains", label("Contains the known answer")),
        ),
        advanced=True,
        used_with={"algorithm": PRACTICE, "reward": ("data", "answer"), "task": ("prompts", "chat")},
    ),
    Setting(
        "reward_text",
        label("Words or pattern"),
        label(
            "Words separated by commas, each earns its share. Or a pattern the answer must "
            "match; ^ and $ mark its ends."
        ),
        default="",
        kind="str",
        high=200,
        used_with={"algorithm": PRACTICE, "reward": ("contains", "matches")},
    ),
    Setting(
        "reward_length",
        label("Target length"),
        label("In words; a Chinese character counts as one. 0: as long as your example answers."),
        default=0,
        kind="int",
        low=0,
        high=1000,
        advanced=True,
        used_with={"algorithm": PRACTICE, "reward": ("data", "length")},
    ),
    Setting(
        "beta",
        label("Beta (KL penalty)"),
        label(
            "How close the model stays to its start. Too low, and it finds answers that score "
            "well but read badly (reward hacking); too high, and nothing changes."
        ),
        default=0.05,
        kind="float",
        low=0,
        high=1,
        aliases=("kl",),
        used_with={"algorithm": WITH_KL},
    ),
    Setting(
        "steps",
        label("Steps of the last stage"),
        label(
            "0: automatic. Practice asks each question about once, within 50,000 tokens and "
            "at least 20 steps; learning from pairs sees each pair one to three times."
        ),
        default=0,
        kind="int",
        low=0,
        high=10_000,
    ),
    Setting(
        "rank",
        label("LoRA rank (r)"),
        label(
            "How much the model can change in each stage. Each stage trains a LoRA and merges it at the end."
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
        label("Continue an earlier RLHF run"),
        label(
            "The id of that run. Its model is the start, and its reward model learns on from "
            "your new pairs. Empty: start from the base model."
        ),
        default="",
        kind="str",
        high=32,
        advanced=True,
    ),
    Setting(
        "sft",
        label("Fine-tune on good answers first (SFT)"),
        label("Recommended unless the model already answers the right way. Off: start from the base model."),
        default=True,
        kind="bool",
        advanced=True,
        used_with={"algorithm": WITH_SFT, "task": ("chat", "prefer")},
    ),
    Setting(
        "num_generations",
        label("Answers per question"),
        label("How many answers are compared for each question. More is steadier but slower."),
        default=4,
        kind="int",
        low=2,
        high=64,
        advanced=True,
        aliases=("answers",),
        used_with={"algorithm": PRACTICE},
    ),
    Setting(
        "prompts_per_step",
        label("Questions per step"),
        label("More is steadier but slower."),
        default=4,
        kind="int",
        low=1,
        high=256,
        advanced=True,
        aliases=("questions",),
        used_with={"algorithm": PRACTICE},
    ),
    Setting(
        "max_completion_length",
        label("Max answer length"),
        label(
            "Tokens the model may write in practice; longer answers are cut. A known answer or "
            "a reward model counts that, a rule does not. 0: automatic, nine of ten examples "
            "fit (up to 128)."
        ),
        default=0,
        kind="int",
        low=0,
        high=4096,
        advanced=True,
        aliases=("answer_tokens",),
        used_with={"algorithm": PRACTICE},
    ),
    Setting(
        "reward_epochs",
        label("Reward model epochs"),
        label(
            "How often the reward model sees each pair. 0: automatic, a linear fit below "
            "1,000 pairs, else 1. The version that ranks validation pairs best is kept."
        ),
        default=0,
        kind="float",
        low=0,
        high=50,
        advanced=True,
        used_with=WITH_REWARD_MODEL,
    ),
    Setting(
        "reward_rate",
        label("Reward model learning rate"),
        label("0: automatic (1e-4)."),
        default=0,
        kind="float",
        low=0,
        high=0.1,
        advanced=True,
        used_with=WITH_REWARD_MODEL,
    ),
    Setting(
        "last_rate",
        label("Last stage learning rate"),
        label("0: automatic, by the model’s size."),
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
NO_REWARD_MODEL = Message(
    "transformers has no model of the kind “{family}” that gives scores, so none can become a reward model;"
    " choose dpo, which needs none"
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
        problems = [*_check_reward(settings, shape, task), *_check_completion_length(settings, shape, task)]
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


def _check_reward(settings: Settings, shape: ModelShape | None, task: Task) -> list[Problem]:
    reward = rule_rewards.resolve_reward(settings, task)
    if reward == "model" and shape and not shape.has_classifier:
        return [Problem("reward", NO_REWARD_MODEL.format(family=shape.family))]
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

    A run that goes on does so where it was, in whichever stage.
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
    automatic_values=phases.automatic_values,
    fits=phases.fits,
    has_stage_settings=True,
    stages=("sft", "reward", "rl"),
    active_stages=active_stages,
)
