"""What goes with what: one table of the combinations that cannot work, each with its reason and the nearest thing that does."""

import importlib.util
import platform
import sys
from dataclasses import dataclass

from studio.models.shape import ModelShape
from studio.plan import Task
from studio.words import Words

ALL = ("full", "frozen", "lora", "prefix", "rlhf", "adapter", "qlora", "upft", "qat", "peft")


@dataclass(frozen=True)
class Refusal:
    """Why something cannot work, and the nearest thing that does."""

    why: Words
    nearest: Words


@dataclass(frozen=True)
class Rule:
    """These methods do not train these tasks."""

    methods: tuple[str, ...]
    tasks: tuple[Task, ...]
    refusal: Refusal


LEARN_FROM_EXAMPLES = tuple(name for name in ALL if name not in ("rlhf", "upft"))
RULES = (
    Rule(
        ("rlhf",),
        ("classify",),
        Refusal(
            Words(
                "RLHF rewards written answers by how good people find them; a class is simply right or wrong, so there is nothing to reward.",
                "RLHF 按人的喜好给写出的回答打分；分类只有对错，没有什么可打分的。",
            ),
            Words("Full fine-tuning or LoRA learns labels directly.", "全量微调或 LoRA 可以直接学习标签。"),
        ),
    ),
    Rule(
        ("rlhf",),
        ("complete",),
        Refusal(
            Words("RLHF compares answers to a question; plain texts hold no question.", "RLHF 比较的是对问题的回答；纯文本里没有问题。"),
            Words("LoRA learns to continue text in the style of yours.", "LoRA 可以学会照你的文本风格续写。"),
        ),
    ),
    Rule(
        ("rlhf",),
        ("prompts",),
        Refusal(
            Words(
                "RLHF begins with example answers, and this data has questions alone.", "RLHF 需要先从示范回答开始，而这份数据只有问题。"
            ),
            Words("UPFT trains on questions alone.", "UPFT 只需要问题即可训练。"),
        ),
    ),
    Rule(
        ("upft",),
        ("classify",),
        Refusal(
            Words(
                "UPFT trains on how the model begins its own written answers; a classifier writes none.",
                "UPFT 用模型自己回答的开头来训练；分类器不会生成回答。",
            ),
            Words(
                "With a few labelled texts, frozen-layer fine-tuning or LoRA sorts them.", "有少量带标签的文本时，可用冻结层微调或 LoRA。"
            ),
        ),
    ),
    Rule(
        ("upft",),
        ("complete",),
        Refusal(
            Words("UPFT needs questions to answer; plain texts hold none.", "UPFT 需要可以回答的问题；纯文本里没有。"),
            Words("LoRA learns to continue text in the style of yours.", "LoRA 可以学会照你的文本风格续写。"),
        ),
    ),
    Rule(
        ("upft",),
        ("prefer",),
        Refusal(
            Words(
                "UPFT would ignore which answer is better; such pairs are wasted on it.",
                "UPFT 不看哪个回答更好，用偏好对来训练是浪费。",
            ),
            Words("RLHF learns from the comparison.", "RLHF 会从比较中学习。"),
        ),
    ),
    Rule(
        LEARN_FROM_EXAMPLES,
        ("prefer",),
        Refusal(
            Words(
                "This method learns from one good answer per question and cannot use that one is better than another.",
                "这种方法每个问题只学一个好回答，用不上“哪个更好”的信息。",
            ),
            Words(
                "RLHF (or its short cut DPO) learns from such pairs; or take the better answers alone as questions and answers.",
                "RLHF（或其捷径 DPO）可以从偏好对学习；也可以只取较好的回答，作为问答来训练。",
            ),
        ),
    ),
    Rule(
        LEARN_FROM_EXAMPLES,
        ("prompts",),
        Refusal(
            Words(
                "This method needs answers to learn from, and this data has questions alone.",
                "这种方法要有回答才能学，而这份数据只有问题。",
            ),
            Words("UPFT trains on questions alone.", "UPFT 只需要问题即可训练。"),
        ),
    ),
)
ENCODER = Refusal(
    Words(
        "This base model only reads: it sorts texts into classes and cannot write.",
        "这个基础模型只会读、不会写：能给文本分类，不能生成文字。",
    ),
    Words(
        "Choose a model that writes, such as SmolLM2 135M Instruct, or the task of sorting texts.",
        "请选择能生成文字的模型（如 SmolLM2 135M Instruct），或改为文本分类任务。",
    ),
)
# Families whose transformers classes take no keys and values from outside, which is what a prefix is.
NO_CACHE = ("modernbert",)
NO_PREFIX = Refusal(
    Words(
        "A prefix is handed to every layer as keys and values, and this kind of base model takes none.",
        "前缀要以键和值的形式交给每一层，而这类基础模型没有接收它们的入口。",
    ),
    Words("Choose MiniLM L6, or train this model with LoRA.", "请选择 MiniLM L6，或用 LoRA 训练这个模型。"),
)
NO_BITSANDBYTES = Refusal(
    Words(
        "QLoRA needs the library bitsandbytes, which has no build for this machine ({machine}).",
        "QLoRA 需要 bitsandbytes 库，而它不支持这台机器（{machine}）。",
    ),
    Words(
        "LoRA trains the same matrices on a base that is not rounded; it needs more memory.",
        "LoRA 训练同样的矩阵，只是基础模型不做量化，需要更多内存。",
    ),
)
NO_TORCHAO = Refusal(
    Words(
        "Quantisation-aware fine-tuning needs the library torchao, which is not installed here.",
        "量化感知微调需要 torchao 库，这里没有安装。",
    ),
    Words("Install it with `pip install torchao`, or choose full fine-tuning.", "请用 `pip install torchao` 安装，或选择全量微调。"),
)
# What a method's result cannot be taken home as.
FORMS: dict[tuple[str, str], Refusal] = {
    ("adapter", "merged"): Refusal(
        Words(
            "A bottleneck adapter bends (a ReLU between two layers), so it cannot be added into the base's matrices.",
            "瓶颈适配器中间有非线性（ReLU），无法合并进基础模型的矩阵。",
        ),
        Words("Take the adapter itself home, or train a LoRA, which can be merged.", "请直接下载适配器，或改用可以合并的 LoRA。"),
    ),
    ("peft", "merged"): Refusal(
        Words(
            "Prompt tuning and P-tuning learn virtual words that stand before the text; they change no matrix and cannot be added into one.",
            "提示微调和 P-tuning 学的是放在文本前的虚拟 token，不改动任何矩阵，因此无法合并。",
        ),
        Words(
            "Take the virtual words themselves home, or train DoRA or another of these methods, which can be merged.",
            "请直接下载虚拟 token，或改用 DoRA 等可以合并的方法。",
        ),
    ),
    ("prefix", "merged"): Refusal(
        Words(
            "A prefix stands before the text in every layer; it is no change of the base's matrices and cannot be added into them.",
            "前缀放在每一层的输入之前，不改变基础模型的矩阵，因此无法合并。",
        ),
        Words("Take the prefix itself home, or train a LoRA, which can be merged.", "请直接下载前缀，或改用可以合并的 LoRA。"),
    ),
}


def refusal(name: str, task: str, shape: ModelShape | None = None) -> Refusal | None:
    """Why a method cannot train a task, or a kind of model, or not on this machine; None where it can.

    `shape` is that of the base model; None where nobody knows it yet.
    """
    for rule in RULES:
        if name in rule.methods and task in rule.tasks:
            return rule.refusal
    if shape and shape.encoder and task != "classify":
        return ENCODER
    if shape and name == "prefix" and shape.family in NO_CACHE:
        return NO_PREFIX
    if name == "qlora" and not has("bitsandbytes"):
        return Refusal(_with_machine(NO_BITSANDBYTES.why), NO_BITSANDBYTES.nearest)
    if name == "qat" and not has("torchao"):
        return NO_TORCHAO
    return None


def tasks(name: str) -> tuple[Task, ...]:
    """The tasks a method trains, by the table alone."""
    every: tuple[Task, ...] = ("chat", "complete", "classify", "prefer", "prompts")
    return tuple(task for task in every if not any(name in rule.methods and task in rule.tasks for rule in RULES))


def has(library: str) -> bool:
    """Whether a library is installed in a build for this machine."""
    return importlib.util.find_spec(library) is not None


def _with_machine(said: Words) -> Words:
    return said.filled(machine=f"{sys.platform} {platform.machine()}")
