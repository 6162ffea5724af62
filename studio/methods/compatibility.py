"""What goes with what: one table of the combinations that cannot work, each with its reason and the nearest thing that does."""

import importlib.util
import platform
import sys
from dataclasses import dataclass

from studio.i18n import Message
from studio.models.shape import ModelShape
from studio.plan import Task

ALL_METHODS = ("full", "frozen", "lora", "prefix", "rlhf", "adapter", "qlora", "upft", "qat", "peft")


@dataclass(frozen=True)
class Incompatibility:
    """Why something cannot work, and the nearest thing that does."""

    reason: Message
    alternative: Message


@dataclass(frozen=True)
class Rule:
    """These methods do not train these tasks."""

    methods: tuple[str, ...]
    tasks: tuple[Task, ...]
    incompatibility: Incompatibility


SUPERVISED_METHODS = tuple(name for name in ALL_METHODS if name not in ("rlhf", "upft"))
RULES = (
    Rule(
        ("rlhf",),
        ("classify",),
        Incompatibility(
            Message(
                "RLHF rewards written answers by how good people find them; a class is simply right or wrong, so there is nothing to reward."
            ),
            Message("Full fine-tuning or LoRA learns labels directly."),
        ),
    ),
    Rule(
        ("rlhf",),
        ("complete",),
        Incompatibility(
            Message("RLHF compares answers to a question; plain texts hold no question."),
            Message("LoRA learns to continue text in the style of yours."),
        ),
    ),
    Rule(
        ("rlhf",),
        ("prompts",),
        Incompatibility(
            Message("RLHF begins with example answers, and this data has questions alone."),
            Message("UPFT trains on questions alone."),
        ),
    ),
    Rule(
        ("upft",),
        ("classify",),
        Incompatibility(
            Message("UPFT trains on how the model begins its own written answers; a classifier writes none."),
            Message("With a few labelled texts, frozen-layer fine-tuning or LoRA sorts them."),
        ),
    ),
    Rule(
        ("upft",),
        ("complete",),
        Incompatibility(
            Message("UPFT needs questions to answer; plain texts hold none."),
            Message("LoRA learns to continue text in the style of yours."),
        ),
    ),
    Rule(
        ("upft",),
        ("prefer",),
        Incompatibility(
            Message("UPFT would ignore which answer is better; such pairs are wasted on it."),
            Message("RLHF learns from the comparison."),
        ),
    ),
    Rule(
        SUPERVISED_METHODS,
        ("prefer",),
        Incompatibility(
            Message(
                "This method learns from one good answer per question and cannot use that one is better than another."
            ),
            Message(
                "RLHF (or its short cut DPO) learns from such pairs; or take the better answers alone as questions and answers."
            ),
        ),
    ),
    Rule(
        SUPERVISED_METHODS,
        ("prompts",),
        Incompatibility(
            Message("This method needs answers to learn from, and this data has questions alone."),
            Message("UPFT trains on questions alone."),
        ),
    ),
)
ENCODER_CANNOT_GENERATE = Incompatibility(
    Message("This base model only reads: it sorts texts into classes and cannot write."),
    Message("Choose a model that writes, such as SmolLM2 135M Instruct, or the task of sorting texts."),
)
# Families whose transformers classes take no keys and values from outside, which is what a prefix is.
FAMILIES_WITHOUT_KV_INPUT = ("modernbert",)
PREFIX_NOT_SUPPORTED = Incompatibility(
    Message("A prefix is handed to every layer as keys and values, and this kind of base model takes none."),
    Message("Choose MiniLM L6, or train this model with LoRA."),
)
NO_BITSANDBYTES = Incompatibility(
    Message("QLoRA needs the library bitsandbytes, which has no build for this machine ({machine})."),
    Message("LoRA trains the same matrices on a base that is not rounded; it needs more memory."),
)
NO_TORCHAO = Incompatibility(
    Message("Quantisation-aware fine-tuning needs the library torchao, which is not installed here."),
    Message("Install it with `pip install torchao`, or choose full fine-tuning."),
)
# What a method's result cannot be taken home as.
INCOMPATIBLE_EXPORTS: dict[tuple[str, str], Incompatibility] = {
    ("adapter", "merged"): Incompatibility(
        Message(
            "A bottleneck adapter bends (a ReLU between two layers), so it cannot be added into the base's matrices."
        ),
        Message("Take the adapter itself home, or train a LoRA, which can be merged."),
    ),
    ("peft", "merged"): Incompatibility(
        Message(
            "Prompt tuning and P-tuning learn virtual words that stand before the text; they change no matrix and cannot be added into one."
        ),
        Message(
            "Take the virtual words themselves home, or train DoRA or another of these methods, which can be merged."
        ),
    ),
    ("prefix", "merged"): Incompatibility(
        Message(
            "A prefix stands before the text in every layer; it is no change of the base's matrices and cannot be added into them."
        ),
        Message("Take the prefix itself home, or train a LoRA, which can be merged."),
    ),
}


def find_incompatibility(name: str, task: str, shape: ModelShape | None = None) -> Incompatibility | None:
    """Why a method cannot train a task, or a kind of model, or not on this machine; None where it can.

    `shape` is that of the base model; None where nobody knows it yet.
    """
    for rule in RULES:
        if name in rule.methods and task in rule.tasks:
            return rule.incompatibility
    if shape and shape.encoder and task != "classify":
        return ENCODER_CANNOT_GENERATE
    if shape and name == "prefix" and shape.family in FAMILIES_WITHOUT_KV_INPUT:
        return PREFIX_NOT_SUPPORTED
    if name == "qlora" and not is_installed("bitsandbytes"):
        return Incompatibility(_name_machine(NO_BITSANDBYTES.reason), NO_BITSANDBYTES.alternative)
    if name == "qat" and not is_installed("torchao"):
        return NO_TORCHAO
    return None


def supported_tasks(name: str) -> tuple[Task, ...]:
    """The tasks a method trains, by the table alone."""
    all_tasks: tuple[Task, ...] = ("chat", "complete", "classify", "prefer", "prompts")
    return tuple(
        task for task in all_tasks if not any(name in rule.methods and task in rule.tasks for rule in RULES)
    )


def is_installed(library: str) -> bool:
    """Whether a library is installed in a build for this machine."""
    return importlib.util.find_spec(library) is not None


def _name_machine(message: Message) -> Message:
    return message.format(machine=f"{sys.platform} {platform.machine()}")
