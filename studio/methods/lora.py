"""LoRA: the model stays as it is, and two thin matrices next to each chosen one learn the change."""

import re
from typing import Any

from studio.errors import Problem
from studio.i18n import Message, label
from studio.methods.cost_profile import CostProfile, low_rank, plain_low_rank
from studio.methods.spec import Method, ParameterCount, Setting, Settings, TrainingContext
from studio.methods.training import peft_adapter
from studio.models import shape as shapes
from studio.models.shape import Linear, ModelShape
from studio.plan import Task

SETTINGS = (
    Setting(
        "rank",
        label("LoRA rank (r)"),
        label(
            "How much the model can change. 8 for tone or format, 16 for most tasks, 64 for "
            "much new behaviour."
        ),
        default=16,
        kind="int",
        low=1,
        high=256,
        aliases=("r",),
    ),
    Setting(
        "alpha",
        label("LoRA alpha"),
        label(
            "How strongly the change counts: alpha ÷ rank. Start with twice the rank. Higher "
            "values learn faster but less stably."
        ),
        default=32,
        kind="float",
        low=1,
        high=1024,
        aliases=("lora_alpha",),
    ),
    Setting(
        "dropout",
        label("LoRA dropout"),
        label(
            "Share of the change dropped at random in each step, against memorizing. 0 is fastest; try "
            "0.05–0.1 if the validation loss rises early."
        ),
        default=0.0,
        kind="float",
        low=0,
        high=0.5,
        aliases=("lora_dropout",),
    ),
    Setting(
        "targets",
        label("Target modules"),
        label("Which layers are changed. Both learn best; one of them is smaller and faster."),
        default="all",
        kind="choice",
        choices=(
            ("all", label("Attention and feed-forward")),
            ("attention", label("Attention only")),
            ("feed_forward", label("Feed-forward only")),
        ),
        aliases=("target_modules",),
    ),
    Setting(
        "rslora",
        label("rsLoRA (rank-stabilised)"),
        label(
            "Keeps the strength the same at any rank. Worth it from rank 32 on (Kalajdzievski "
            "2023), with a lower alpha."
        ),
        default=False,
        kind="bool",
        advanced=True,
        aliases=("use_rslora",),
    ),
    Setting(
        "dora",
        label("DoRA"),
        label(
            "Learns size and direction separately: closer to full fine-tuning at low rank "
            "(Liu et al. 2024), but at least half as slow again."
        ),
        default=False,
        kind="bool",
        advanced=True,
        aliases=("use_dora",),
    ),
)

LORA_PLUS = Setting(
    "loraplus_lr_ratio",
    label("LoRA+ ratio"),
    label(
        "How many times faster the second matrix learns. 1 is plain LoRA; 4–16 can be "
        "faster (Hayou et al. 2024) with half the learning rate."
    ),
    default=1.0,
    kind="float",
    low=1,
    high=64,
    advanced=True,
)


def settings_for_rank(rank: int) -> Settings:
    """A LoRA inside another method: every matrix, alpha twice the rank, and the other defaults."""
    defaults = {setting.name: setting.default for setting in SETTINGS}
    return {**defaults, "rank": rank, "alpha": 2.0 * rank}


def target_linears(shape: ModelShape, part: str) -> list[Linear]:
    """The matrices of a block that get a LoRA: those of one part, or of "all", experts never among them."""
    return [linear for linear in shape.linears if part in ("all", linear.part)]


def count_parameters(shape: ModelShape, settings: Settings, num_labels: int) -> ParameterCount:
    """layers · Σ rank · (n_in + n_out) over the chosen matrices (Hu et al. 2021), and a new head with labels.

    DoRA adds a length for each of a matrix's n_out outputs (Liu et al. 2024).
    """
    rank = int(settings["rank"])
    part, n_lengths = str(settings["targets"]), int(bool(settings["dora"]))
    added = shape.over_blocks(
        lambda linear: (
            (rank * (linear.n_in + linear.n_out) + n_lengths * linear.n_out) * (part in ("all", linear.part))
        )
    )
    return peft_adapter.count_with_head(shape, num_labels, added)


NO_MATRICES = Message(
    "{got} finds no matrices: the feed-forward part of this model is a mixture of experts, which stay as they"
    " are; choose what changes the attention"
)


def check(settings: Settings, shape: ModelShape | None, task: Task) -> list[Problem]:
    """Whether the model has any of the matrices that are to get a LoRA."""
    part = str(settings["targets"])
    if shape is None or target_linears(shape, part):
        return []
    return [Problem("targets", NO_MATRICES.format(got=part))]


def target_pattern(shape: ModelShape, part: str) -> str:
    """The regular expression by which PEFT finds the chosen matrices of the blocks, never the head's."""
    names = "|".join(dict.fromkeys(re.escape(linear.name) for linear in target_linears(shape, part)))
    return rf".*\.\d+\.({names})"


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """The model with an untrained LoRA on the chosen matrices; it still answers as before."""
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415 - loads torch

    from studio.methods.training import lora_layers  # noqa: PLC0415

    shape = shapes.from_config(model.config.to_dict())
    config = LoraConfig(
        r=int(settings["rank"]),
        lora_alpha=float(settings["alpha"]),
        lora_dropout=float(settings["dropout"]),
        target_modules=target_pattern(shape, str(settings["targets"])),
        use_rslora=bool(settings["rslora"]),
        use_dora=bool(settings["dora"]),
        fan_in_fan_out=shape.family == "gpt2",  # whose matrices stand the other way round
        modules_to_save=peft_adapter.head_modules(shape, task),
        task_type=peft_adapter.peft_task_type(task),
    )
    lora_layers.register(config, model)
    return get_peft_model(model, config)


def train(context: TrainingContext) -> Any:
    """Supervised training of what was attached, with a learning rate for B of its own under LoRA+."""
    ratio = float(context.settings["loraplus_lr_ratio"])
    if ratio == 1:
        return peft_adapter.train(context)
    return peft_adapter.train_lora_plus(context, ratio)


def supports_disk_offload(settings: Settings, shape: ModelShape | None) -> bool:
    """All but DoRA, which needs the length of every weight before the first step.

    Files hold experts in another form than the model does, so blocks with experts are not read from them; of
    a family without formulas nobody knows which form they have.
    """
    return not settings["dora"] and not (shape and (shape.experts.count or shape.is_counted))


def is_plain(settings: Settings) -> bool:
    """Whether it runs in the studio's own layers: it has neither dropout nor magnitudes (lora_layers)."""
    return not (settings["dropout"] or settings["dora"])


def cost_profile(shape: ModelShape, settings: Settings) -> CostProfile:
    """A pass with small matrices next to the chosen ones."""
    linears, rank = target_linears(shape, str(settings["targets"])), int(settings["rank"])
    if is_plain(settings):
        return plain_low_rank(linears, rank)
    has_dropout = float(settings["dropout"]) > 0
    return low_rank(linears, rank, has_dropout, with_magnitudes=bool(settings["dora"]))


METHOD = Method(
    name="lora",
    tasks=("chat", "complete", "classify"),
    settings=(*SETTINGS, LORA_PLUS),
    exports=("adapter", "merged"),
    weights="frozen",
    learning_rate=peft_adapter.learning_rate,
    count_parameters=count_parameters,
    cost_profile=cost_profile,
    attach=attach,
    train=train,
    save=peft_adapter.save,
    load=peft_adapter.load,
    merge=peft_adapter.merge,
    check=check,
    supports_disk_offload=supports_disk_offload,
)
