"""Quantisation-aware fine-tuning: the model learns while its weights are rounded.

So the small file is the model that was trained.
"""

import dataclasses
import gc
import json
import math
import shutil
from pathlib import Path
from typing import Any

from studio.errors import NotPossible, Problem
from studio.i18n import Message, join_messages, label
from studio.methods import full
from studio.methods.cost_profile import CostProfile
from studio.methods.spec import Method, Scores, Setting, Settings, StageMonitor, TrainingContext
from studio.methods.training import full_model_io
from studio.methods.workload import Phase, Workload, build_supervised_phases
from studio.models import device
from studio.models import shape as shapes
from studio.models.shape import ModelShape
from studio.plan import Task
from studio.storage import write_json

SETTINGS = (
    Setting(
        "bits",
        label("Bits"),
        label(
            "Bits per weight. 4 makes the layers about a sixth of their size and loses "
            "little. This method pays off most at 3 and 2. Files get smaller; answers on a "
            "CPU do not get faster."
        ),
        default="4",
        kind="choice",
        choices=(
            ("8", label("8 bits: as good as full precision")),
            ("4", label("4 bits: the usual choice")),
            ("3", label("3 bits: smaller, some loss")),
            ("2", label("2 bits: smallest, clear loss")),
        ),
    ),
    Setting(
        "compare",
        label("Full-precision comparison"),
        label(
            "Also trains once at full precision and shows both results side by side. Takes "
            "about twice as long."
        ),
        default=True,
        kind="bool",
    ),
    Setting(
        "group",
        label("Group size"),
        label(
            "Weights that share a scale. Smaller is more exact and a little bigger. The "
            "model’s widths must be multiples of it."
        ),
        default="32",
        kind="choice",
        choices=(
            ("32", label("32: most exact")),
            ("64", label("64")),
            ("128", label("128: smallest")),
        ),
        advanced=True,
    ),
)
GROUP_SIZES = tuple(
    int(name) for setting in SETTINGS if setting.name == "group" for name, _ in setting.choices
)
# The columns of the comparison in the report's notes; one that was not measured is None.
FULL_PRECISION = "full_precision"
QUANTIZED_AFTERWARDS = "quantised_afterwards"
QUANTIZED_WHILE_TRAINING = "quantised_while_training"

TRAINS_TWICE = Message("It trains twice: once at full precision to compare with, which takes as long again.")

GROUP_DOES_NOT_DIVIDE = Message("{group} does not divide {width}, the width of {part}; {do}")
CHOOSE_GROUP_SIZE = Message("choose {sizes}")
NO_GROUP_SIZE_FITS = Message("no size on offer does, so choose another model")
GROUP_SIZE_REFUSED = Message("The group size does not go with this model: {said}.")
CHOOSE_ANOTHER_GROUP_SIZE = Message("Choose another group size under “more settings”.")


def check(settings: Settings, shape: ModelShape | None, task: Task) -> list[Problem]:
    """Whether the group size divides the width of every matrix of the blocks."""
    if shape is None:
        return []
    group_size = int(settings["group"])
    misfit = next((linear for linear in shape.linears if linear.n_in % group_size), None)
    if misfit is None:
        return []
    fitting_sizes = [
        str(size) for size in GROUP_SIZES if all(linear.n_in % size == 0 for linear in shape.linears)
    ]
    advice = NO_GROUP_SIZE_FITS
    if fitting_sizes:
        advice = CHOOSE_GROUP_SIZE.format(sizes=join_messages(fitting_sizes, Message(" or ")))
    message = GROUP_DOES_NOT_DIVIDE.format(group=group_size, width=misfit.n_in, part=misfit.name, do=advice)
    return [Problem("group", message)]


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """Prepare the blocks' matrices to be rounded; until training begins the model answers as before.

    Embeddings, norms and heads are never rounded, as is usual: readers of such files expect them in full
    precision, and a tied embedding is a head.

    Raises:
        NotPossible: where the group size does not divide a width.
    """
    shape = shapes.from_config(model.config.to_dict())
    for problem in check(settings, shape, task):
        raise NotPossible(GROUP_SIZE_REFUSED, CHOOSE_ANOTHER_GROUP_SIZE, said=problem.message)
    names = tuple(linear.name for linear in shape.linears)
    quantization = _load_quantization()
    quantization.prepare(model, names, int(settings["bits"]), int(settings["group"]))
    return model.requires_grad_(True)


def train(context: TrainingContext) -> Any:
    """Train with rounded weights, where wanted once without before, and leave a model of low-bit weights.

    A run that is stopped in its first training leaves that model in low bits: it is the second column of the
    comparison, and the third stays empty.
    """
    from studio.methods.training import linear_head, supervised  # noqa: PLC0415 - loads torch
    from studio.models import load  # noqa: PLC0415 - as above

    quantization = _load_quantization()
    scores: dict[str, Scores] = {}
    stopped = False
    if context.settings["compare"]:
        scores, stopped = _train_full_precision(context)
    if not stopped:
        quantization.set_rounding(context.model, enabled=True)
        # A new head of the rounded model starts from its own linear fit.
        if context.plan.task == "classify" and not context.notes.get("own_head"):
            linear_head.fit(context, context.model)
        supervised.fit(context)
    # As it is saved, with what is not rounded in the format of a base.
    load.convert_parameters(quantization.convert(context.model), device.weights_dtype())
    if not stopped:
        scores[QUANTIZED_WHILE_TRAINING] = context.measure(context.model, context.validation)
    full_bytes, packed_bytes = quantization.disk_sizes(context.model)
    bytes_by_variant = {
        FULL_PRECISION: full_bytes,
        QUANTIZED_AFTERWARDS: packed_bytes,
        QUANTIZED_WHILE_TRAINING: packed_bytes,
    }
    context.notes["quantisation"] = {
        name: {**scores[name], "bytes": n_bytes} if name in scores else None
        for name, n_bytes in bytes_by_variant.items()
    }
    return context.model


def _train_full_precision(context: TrainingContext) -> tuple[dict[str, Scores], bool]:
    """Train at full precision, then round: the scores of both, and whether the run was stopped on the way.

    Unless it was, the model has the base's parameters again afterwards. The scores are stored for a run that
    goes on after a stop.
    """
    from studio.methods.training import supervised  # noqa: PLC0415 - loads torch

    scores_path = context.folder / "checkpoints" / f"{FULL_PRECISION}.json"
    if scores_path.is_file():
        return dict(json.loads(scores_path.read_text(encoding="utf-8"))), False
    quantization = _load_quantization()
    monitors: list[StageMonitor] = []

    def create_monitor(stage: str, model: Any, measure: Any) -> StageMonitor:
        monitors.append(context.create_monitor(stage, model, measure))
        return monitors[-1]

    supervised.fit(dataclasses.replace(context, create_monitor=create_monitor), stage=FULL_PRECISION)
    scores = {FULL_PRECISION: context.measure(context.model, context.validation)}
    quantization.set_rounding(context.model, enabled=True)
    scores[QUANTIZED_AFTERWARDS] = context.measure(context.model, context.validation)
    if monitors[-1].stopped:
        return scores, True
    quantization.set_rounding(context.model, enabled=False)
    gc.collect()  # free the optimizer's state before the base is read once more
    _reset_to_base(context)
    scores_path.parent.mkdir(parents=True, exist_ok=True)
    write_json(scores_path, scores)
    shutil.rmtree(scores_path.with_suffix(""), ignore_errors=True)  # the stage's checkpoints
    return scores, False


def _reset_to_base(context: TrainingContext) -> None:
    """Give the context's model the base's parameters again."""
    from studio.models import load  # noqa: PLC0415 - loads torch

    task, seed = context.plan.task, context.plan.training.seed
    labels = list(context.model.config.id2label.values()) if task == "classify" else []
    base = load.base_model(context.base_folder, task, labels, seed)
    base = load.in_32_bits(base, context.base_folder, task, labels, seed)
    _load_quantization().copy_parameters(context.model, base)


def active_stages(settings: Settings, task: Task) -> tuple[str, ...]:
    """The training at full precision comes first, where one is wanted to compare with."""
    return (FULL_PRECISION, "train") if settings["compare"] else ("train",)


def extra_stages_message(settings: Settings, task: Task) -> Message | None:
    """The training to compare with."""
    return TRAINS_TWICE if settings["compare"] else None


def _load_quantization() -> Any:
    """The module that rounds, imported only here: it loads torch and torchao."""
    from studio.methods.training import fake_quantization  # noqa: PLC0415 - loads torch

    return fake_quantization


def save(model: Any, folder: Path, hub: str) -> None:
    """Write the packed weights."""
    _load_quantization().save(model, folder)


def result_bytes(shape: ModelShape, settings: Settings, num_labels: int, bytes_per_parameter: int) -> float:
    """Integers packed into 32-bit words, row by row, a scale for each group, and all else as it is."""
    bits, group_size = int(settings["bits"]), int(settings["group"])
    packed_bytes = shape.over_blocks(lambda linear: linear.n_out * 4 * math.ceil(linear.n_in * bits / 32))
    n_weights = shape.over_blocks(lambda linear: linear.n_in * linear.n_out)
    scale_bytes = bytes_per_parameter * n_weights / group_size
    return packed_bytes + scale_bytes + bytes_per_parameter * (shape.total(num_labels) - n_weights)


def cost_profile(shape: ModelShape, settings: Settings) -> CostProfile:
    """Every matrix is trained, and rounded on each pass: the rounded copy is kept for the way back."""
    n_weights = shape.per_block(lambda linear: linear.n_in * linear.n_out)
    n_linears = shape.per_block(lambda linear: 1)
    return CostProfile(
        trainable_blocks=shape.layers,
        weight_copies=1.04 * n_weights,
        weight_traffic=10.5 * n_weights,
        weight_traffic_backward=13.2 * n_weights,
        operations=12.0 * n_linears,
        operations_backward=8.0 * n_linears,
    )


def phases(settings: Settings, workload: Workload) -> tuple[Phase, ...]:
    """Training with rounded weights, before it the same at full precision to compare with.

    The result of either is measured once more.
    """
    if settings["compare"]:
        unasked = dataclasses.replace(workload, n_asked=0)  # the comparison asks no questions
        all_phases = (
            *build_supervised_phases(unasked, "full", FULL_PRECISION),
            *build_supervised_phases(workload, "qat"),
        )
    else:
        all_phases = build_supervised_phases(workload, "qat", linear_passes=2)
    return tuple(
        dataclasses.replace(phase, passes=phase.passes + 1) if phase.name == "check" else phase
        for phase in all_phases
    )


def prepare_for_tracing(model: Any, settings: Settings) -> Any:
    """The model during a step: with rounding."""
    return _load_quantization().set_rounding(model, enabled=True)


METHOD = Method(
    name="qat",
    tasks=("chat", "complete", "classify"),
    settings=SETTINGS,
    exports=("packed", "merged"),
    weights="trained",
    learning_rate=full.learning_rate,
    count_parameters=full.count_parameters,
    cost_profile=cost_profile,
    phases=phases,
    attach=attach,
    train=train,
    save=save,
    load=full_model_io.load,
    merge=full_model_io.load,
    check=check,
    extra_stages_message=extra_stages_message,
    prepare_for_tracing=prepare_for_tracing,
    result_bytes=result_bytes,
    # The first is the training whose result is kept.
    stages=("train", FULL_PRECISION),
    active_stages=active_stages,
)
