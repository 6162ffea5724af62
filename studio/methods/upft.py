"""UPFT: the model learns from the openings of its own answers, so questions alone are enough (Ji et al. 2025, arXiv 2503.02875)."""

from dataclasses import replace
from typing import Any

from studio.data.prepare import Encoded
from studio.methods import _adapter, lora, work
from studio.methods.base import Footprint, Job, Knob, Method, Settings
from studio.methods.touch import Touch, low_rank
from studio.methods.work import Load, Phase, Row
from studio.models.shape import ModelShape
from studio.plan import Task
from studio.words import label

AT_ONCE = 16
# A whole answer is cut here; a cut one gets no end, so that no false one is learned (tokens).
LONGEST = 256
# The look at how alike openings are: so many questions, so many answers each, compared over so many tokens.
LOOKED_AT, ASKED_AGAIN, COMPARED = 8, 16, 4
# What the task template adds to a question, about (tokens).
FIRST_STEP_TOKENS = 14
KNOBS = (
    Knob(
        "opening",
        label("How much of each answer's beginning is learned, in tokens (prefix length)", "学习每个回答开头的多少个 token（前缀长度）"),
        label(
            "Up to here right and wrong answers still begin alike. The paper takes 8 for general models, 32 for maths models, 128 for models that reason at length.",
            "在这之前，对的和错的回答开头还很相似。论文中通用模型取 8，数学模型取 32，长推理模型取 128。",
        ),
        16,
        "whole",
        2,
        256,
    ),
    Knob(
        "full_share",
        label("Share of questions learned with the whole answer (structure tuning)", "用完整回答学习的问题比例（结构微调）"),
        label(
            "Keeps the model from forgetting how an answer ends. The paper takes 0.1, and 0.3 with fewer than 1,000 questions; more hurts.",
            "避免模型忘记如何结束回答。论文取 0.1，问题少于 1,000 个时取 0.3；更多反而有害。",
        ),
        0.1,
        "number",
        0,
        1,
    ),
    Knob(
        "instruction",
        label("A text put before every question (task prefix)", "放在每个问题之前的文字（任务前缀）"),
        label(
            "Used alike in sampling, training, checking and afterwards. Leave it empty unless the model already answers better with it.",
            "采样、训练、验证和以后使用时都会加上。除非加上后模型马上答得更好，否则请留空。",
        ),
        "",
        "text",
        high=500,
    ),
    Knob(
        "temperature",
        label("How freely the model writes its own answers (temperature)", "模型自己作答时的随机程度（temperature）"),
        label("0.6 as in the paper; higher is more varied.", "论文取 0.6；越高越多样。"),
        0.6,
        "number",
        0.1,
        2,
        first=False,
    ),
    Knob(
        "template",
        label("Ask for the first step where only an opening is learned (task template)", "只学开头时，请模型只写第一步（任务模板）"),
        label(
            "Lets an opening end there without teaching the model to break off its answers: without the template no end is learned.",
            "这样开头可以在那里结束，而不会教模型把回答截断；不用模板时就不学结束符。",
        ),
        True,
        "switch",
        first=False,
    ),
    Knob(
        "rank",
        label("How far the model may change (rank)", "模型可以改变多少（秩 rank）"),
        label(
            "The paper trains every parameter; a LoRA of this rank stands in for that here.", "论文训练全部参数；这里用这个秩的 LoRA 代替。"
        ),
        16,
        "whole",
        1,
        256,
        first=False,
    ),
)


def learning_rate(shape: ModelShape, settings: Settings, task: Task) -> float:
    """The paper trains everything at 1e-6; a LoRA wants ten times that and more (design/methods.md), a small model more again."""
    return 1e-4 if shape.total() < 400e6 else 2e-5


def footprint(shape: ModelShape, settings: Settings, labels: int) -> Footprint:
    """That of a LoRA of this rank on all matrices."""
    return lora.footprint(shape, lora.of_rank(int(settings["rank"]), dropout=0.0), labels)


def touch(shape: ModelShape, settings: Settings) -> Touch:
    """That of a LoRA without dropout."""
    return low_rank(shape.linears, int(settings["rank"]), dropout=False)


def phases(settings: Settings, load: Load) -> tuple[Phase, ...]:
    """Openings are looked at and written, a share of them as whole answers, and then learned."""
    opening, share, ask = int(settings["opening"]), float(settings["full_share"]), FIRST_STEP_TOKENS if settings["template"] else 0
    asked = [(row.asked, 0) for row in load.rows]
    whole = max(opening, min(LONGEST, load.training.max_length - sorted(tokens for tokens, _ in asked)[len(asked) // 2]))
    rows = tuple(Row(row.asked + ask, opening + (1 if ask else 0)) for row in load.rows)
    if share:  # of those with a whole answer one in so many
        rows += tuple(
            Row(row.asked, max(opening, min(LONGEST, load.training.max_length - row.asked))) for row in load.rows[:: round(1 / share)]
        )
    return (
        Phase("openings", work.portions(asked, ASKED_AGAIN, LOOKED_AT * ASKED_AGAIN), new=COMPARED),
        Phase("openings", work.portions(asked, AT_ONCE, load.count * (1 - share)), new=opening),
        Phase("openings", work.portions(asked, AT_ONCE, load.learned * share), new=whole),
        *work.supervised(replace(load, task="chat", rows=rows), "upft"),
    )


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """The model with an untrained LoRA; it still answers as before, and writes its own examples so."""
    return lora.attach(model, lora.of_rank(int(settings["rank"]), dropout=0.0), task)


def rows(job: Job) -> tuple[list[Encoded], list[Encoded]]:
    """The model's own openings, one for each question."""
    from studio.methods import _openings  # noqa: PLC0415 - loads torch

    return _openings.rows(job)


METHOD = Method(
    name="upft",
    tasks=("chat", "prompts"),
    knobs=KNOBS,
    exports=("adapter", "merged"),
    weights="frozen",
    learning_rate=learning_rate,
    footprint=footprint,
    touch=touch,
    phases=phases,
    attach=attach,
    train=_adapter.train,
    save=_adapter.save,
    load=_adapter.load,
    merge=_adapter.merge,
    rows=rows,
)
