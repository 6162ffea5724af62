"""LoRA: the model stays as it is, and two thin matrices beside each chosen one learn the change."""

import re
from typing import Any

from studio.methods import _adapter
from studio.methods.base import Footprint, Knob, Method, Settings
from studio.methods.touch import Touch, low_rank
from studio.models import shape as shapes
from studio.models.shape import ModelShape
from studio.plan import Task
from studio.words import label

KNOBS = (
    Knob(
        "rank",
        label("How far the model may change (rank)", "模型可以改变多少（秩 rank）"),
        label(
            "8 suits small changes of tone or format, 16 most tasks, 64 much new behaviour. Twice the rank trains twice as many parameters.",
            "8 适合小幅调整语气或格式，16 适合多数任务，64 适合教很多新东西。秩翻倍，训练的参数也翻倍。",
        ),
        16,
        "whole",
        1,
        256,
    ),
    Knob(
        "alpha",
        label("How strongly the change counts (alpha)", "改动的强度（alpha）"),
        label(
            "The change is multiplied by alpha ÷ rank. Twice the rank is a good start; more learns faster and less steadily.",
            "改动量会乘以 alpha ÷ 秩。取秩的两倍是不错的起点；更大学得更快，但更不稳定。",
        ),
        32,
        "number",
        1,
        1024,
    ),
    Knob(
        "dropout",
        label("Protection against learning by heart (dropout)", "防止死记硬背（dropout）"),
        label(
            "The share of the change that is left out at random in each step. With fewer than 500 examples 0.05 to 0.1 helps; it costs some speed.",
            "每步随机忽略多大比例的改动。样本少于 500 个时取 0.05–0.1 有帮助，但会稍慢。",
        ),
        0.05,
        "number",
        0,
        0.5,
    ),
    Knob(
        "targets",
        label("Which parts may change (target modules)", "哪些部分可以改变（target modules）"),
        label(
            "Attention decides what is looked at, feed-forward what is made of it. Both learn best; one of them is smaller and quicker.",
            "注意力决定“看什么”，前馈决定“怎么用”。两者都选效果最好；只选其一更小更快。",
        ),
        "all",
        "choice",
        choices=(
            ("all", label("Attention and feed-forward", "注意力和前馈")),
            ("attention", label("Attention only", "仅注意力")),
            ("feed_forward", label("Feed-forward only", "仅前馈")),
        ),
    ),
    Knob(
        "rslora",
        label("Keep the strength the same at any rank (rsLoRA)", "让强度不随秩变化（rsLoRA）"),
        label(
            "Divides alpha by the square root of the rank. Worth switching on at a rank of 32 or more (Kalajdzievski 2023); then lower alpha.",
            "用 alpha 除以秩的平方根。秩不小于 32 时值得打开（Kalajdzievski 2023），同时应减小 alpha。",
        ),
        False,
        "switch",
        first=False,
    ),
    Knob(
        "dora",
        label("Learn size and direction apart (DoRA)", "把大小和方向分开学习（DoRA）"),
        label(
            "Closer to full fine-tuning at a low rank (Liu et al. 2024), and a step takes about half as long again or more.",
            "在低秩时更接近全量微调（Liu 等 2024），但每步要慢一半以上。",
        ),
        False,
        "switch",
        first=False,
    ),
)


def of_rank(rank: int, dropout: float = 0.05) -> Settings:
    """The settings of a LoRA inside another method: every matrix, alpha twice the rank, everything else as by default."""
    return {**{knob.name: knob.default for knob in KNOBS}, "rank": rank, "alpha": 2.0 * rank, "dropout": dropout}


def footprint(shape: ModelShape, settings: Settings, labels: int) -> Footprint:
    """layers · Σ rank · (n_in + n_out) over the chosen matrices (Hu et al. 2021), and a new head where there are `labels`.

    DoRA adds a length for each of a matrix's n_out outputs (Liu et al. 2024).
    """
    chosen = [linear for linear in shape.linears if settings["targets"] in ("all", linear.part)]
    added = shape.layers * sum(
        int(settings["rank"]) * (linear.n_in + linear.n_out) + (linear.n_out if settings["dora"] else 0) for linear in chosen
    )
    head = shape.head(labels) if labels else 0
    # PEFT trains a copy of the head and keeps the untrained one beside it.
    return Footprint(added + head, shape.total(labels) + added + head)


def targets(shape: ModelShape, part: str) -> str:
    """The regular expression by which PEFT finds the chosen matrices: exactly those of the blocks, never the head's."""
    names = [re.escape(linear.name) for linear in shape.linears if part in ("all", linear.part)]
    return rf".*\.\d+\.({'|'.join(names)})"


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """The model with an untrained LoRA on the chosen matrices; it still answers as before."""
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415 - loads torch

    shape = shapes.of(model.config.to_dict())
    config = LoraConfig(
        r=int(settings["rank"]),
        lora_alpha=float(settings["alpha"]),
        lora_dropout=float(settings["dropout"]),
        target_modules=targets(shape, str(settings["targets"])),
        use_rslora=bool(settings["rslora"]),
        use_dora=bool(settings["dora"]),
        modules_to_save=_adapter.heads(shape, task),
        task_type=_adapter.kind(task),
    )
    return get_peft_model(model, config)


def touch(shape: ModelShape, settings: Settings) -> Touch:
    """A pass with small matrices beside the chosen ones."""
    chosen = [linear for linear in shape.linears if settings["targets"] in ("all", linear.part)]
    return low_rank(chosen, int(settings["rank"]), float(settings["dropout"]) > 0, bool(settings["dora"]))


METHOD = Method(
    name="lora",
    tasks=("chat", "complete", "classify"),
    knobs=KNOBS,
    exports=("adapter", "merged"),
    weights="frozen",
    learning_rate=_adapter.learning_rate,
    footprint=footprint,
    touch=touch,
    attach=attach,
    train=_adapter.train,
    save=_adapter.save,
    load=_adapter.load,
    merge=_adapter.merge,
)
