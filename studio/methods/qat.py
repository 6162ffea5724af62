"""Quantisation-aware fine-tuning: the model learns while its weights are rounded, so that the small file is the one that was trained."""

import dataclasses
import gc
import json
import math
import shutil
from pathlib import Path
from typing import Any

from studio.errors import NotPossible, Problem
from studio.i18n import Message, join_messages, label
from studio.methods import full, workload
from studio.methods.cost_profile import CostProfile
from studio.methods.spec import Method, Scores, Setting, Settings, StageMonitor, TrainingContext
from studio.methods.training import full_model_io
from studio.methods.workload import Phase, Workload
from studio.models import shape as shapes
from studio.models.shape import ModelShape
from studio.plan import Task
from studio.storage import write_json

SETTINGS = (
    Setting(
        "bits",
        label("How small each weight becomes (bits)"),
        label(
            "4 makes the layers' weights about a sixth of their 32-bit size and loses little. This training pays off most at 3 and 2; at 8 "
            "rounding afterwards is as good. Files get smaller; on a CPU answers do not get faster."
        ),
        "4",
        "choice",
        choices=(
            ("8", label("8 bits: as good as full precision")),
            ("4", label("4 bits: the usual choice")),
            ("3", label("3 bits: smaller, some loss")),
            ("2", label("2 bits: smallest, clear loss")),
        ),
    ),
    Setting(
        "compare",
        label("Also train once at full precision, to compare"),
        label(
            "The report then shows full precision, rounded afterwards and rounded while training side by side. Takes about twice as long."
        ),
        True,
        "bool",
    ),
    Setting(
        "group",
        label("How many weights share a scale (group size)"),
        label(
            "Fewer is more exact and a little bigger: at 32 the scales add 1 bit to each weight in 32-bit files, half a bit in 16-bit ones. "
            "The model's widths must be multiples of it."
        ),
        "32",
        "choice",
        choices=(
            ("32", label("32: most exact")),
            ("64", label("64")),
            ("128", label("128: smallest")),
        ),
        advanced=True,
    ),
)
# The columns of the comparison in the report's notes; one that was not measured is None.
FULL_PRECISION, QUANTIZED_AFTERWARDS, QUANTIZED_WHILE_TRAINING = (
    "full_precision",
    "quantised_afterwards",
    "quantised_while_training",
)

TRAINS_TWICE = Message("It trains twice: once at full precision to compare with, which takes as long again.")

GROUP_DOES_NOT_DIVIDE = Message("{group} does not divide {width}, the width of {part}; {do}")
CHOOSE_GROUP_SIZE, NO_GROUP_SIZE_FITS = (
    Message("choose {sizes}"),
    Message("no size on offer does, so choose another model"),
)


def check(settings: Settings, shape: ModelShape | None, task: Task) -> list[Problem]:
    """The group size must divide the width of every matrix of the blocks."""
    if shape is None:
        return []
    group_size = int(settings["group"])
    misfit = next((linear for linear in shape.linears if linear.n_in % group_size), None)
    if not misfit:
        return []
    fitting_sizes = [
        name
        for name, _ in SETTINGS[2].choices
        if all(linear.n_in % int(name) == 0 for linear in shape.linears)
    ]
    advice = (
        CHOOSE_GROUP_SIZE.format(sizes=join_messages(fitting_sizes, Message(" or ")))
        if fitting_sizes
        else NO_GROUP_SIZE_FITS
    )
    return [
        Problem(
            "group",
            GROUP_DOES_NOT_DIVIDE.format(group=group_size, width=misfit.n_in, part=misfit.name, do=advice),
        )
    ]


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """The blocks' matrices are made ready to be rounded; until training begins the model answers as before.

    Embeddings, norms and heads are never rounded, as is usual: readers of such files expect them whole, and a tied embedding is a head.
    """
    shape = shapes.from_config(model.config.to_dict())
    for problem in check(settings, shape, task):
        raise NotPossible(
            Message("The group size does not go with this model: {said}."),
            Message("Choose another group size under “more settings”."),
            said=problem.message,
        )
    names = tuple(linear.name for linear in shape.linears)
    return (
        _load_quantization()
        .prepare(model, names, int(settings["bits"]), int(settings["group"]))
        .requires_grad_(True)
    )


def train(context: TrainingContext) -> Any:
    """Train with rounded weights, before that once without for comparison where asked for, and leave a model of low-bit weights."""
    from studio.methods.training import supervised  # noqa: PLC0415 - loads torch

    quantization = _load_quantization()
    scores: dict[str, Scores] = {}
    stopped = False
    if context.settings["compare"]:
        scores, stopped = _train_full_precision(context)
    if not stopped:
        quantization.set_rounding(context.model, enabled=True)
        supervised.fit(context)
    # Stopped on the way, there is a model trained at full precision: in low bits it is the second column, and the third stays empty.
    quantization.convert(context.model)
    if not stopped:
        scores = {**scores, QUANTIZED_WHILE_TRAINING: context.measure(context.model, context.validation)}
    full_bytes, packed_bytes = quantization.disk_sizes(context.model)
    bytes_by_variant = {
        FULL_PRECISION: full_bytes,
        QUANTIZED_AFTERWARDS: packed_bytes,
        QUANTIZED_WHILE_TRAINING: packed_bytes,
    }
    context.notes["quantisation"] = {
        name: {**scores[name], "bytes": bytes_by_variant[name]} if name in scores else None
        for name in bytes_by_variant
    }
    return context.model


def _train_full_precision(context: TrainingContext) -> tuple[dict[str, Scores], bool]:
    """Train at full precision, then round: the scores of both, and whether the run was stopped on the way.

    Unless it was, the model has the base's numbers again afterwards. What was measured is kept for a run that goes on after a stop.
    """
    from studio.methods.training import supervised  # noqa: PLC0415 - loads torch
    from studio.models import load  # noqa: PLC0415

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
    gc.collect()  # the optimiser's state, before the base is read once more
    labels = list(context.model.config.id2label.values()) if context.plan.task == "classify" else []
    quantization.copy_parameters(
        context.model,
        load.base_model(context.base_folder, context.plan.task, labels, context.plan.training.seed),
    )
    scores_path.parent.mkdir(parents=True, exist_ok=True)
    write_json(scores_path, scores)
    shutil.rmtree(
        scores_path.with_suffix(""), ignore_errors=True
    )  # the stage's checkpoints, which nobody needs any more
    return scores, False


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
    """Whole numbers of few bits packed into 32-bit words, row by row, a scale for each group, and everything else as it is."""
    bits, group_size = int(settings["bits"]), int(settings["group"])
    packed_bytes = sum(linear.n_out * 4 * math.ceil(linear.n_in * bits / 32) for linear in shape.linears)
    n_weights = sum(linear.n_in * linear.n_out for linear in shape.linears)
    return shape.layers * (
        packed_bytes + bytes_per_parameter * n_weights / group_size
    ) + bytes_per_parameter * (shape.total(num_labels) - shape.layers * n_weights)


def cost_profile(shape: ModelShape, settings: Settings) -> CostProfile:
    """Every matrix learns, and is rounded on each pass: two copies of it are kept for the way back."""
    n_weights, n_linears = sum(linear.n_in * linear.n_out for linear in shape.linears), len(shape.linears)
    return CostProfile(
        trainable_blocks=shape.layers,
        weight_copies=2.1 * n_weights,
        weight_traffic=17.1 * n_weights,
        weight_traffic_backward=9.6 * n_weights,
        operations=22.0 * n_linears,
        operations_backward=7.0 * n_linears,
    )


def phases(settings: Settings, run_workload: Workload) -> tuple[Phase, ...]:
    """Learning with rounded weights, before it, to compare with, the same at full precision; the result of either is measured once more."""
    comparison_phases = (
        workload.build_supervised_phases(run_workload, "full", FULL_PRECISION) if settings["compare"] else ()
    )
    return tuple(
        dataclasses.replace(phase, passes=phase.passes + 1) if phase.name == "check" else phase
        for phase in (*comparison_phases, *workload.build_supervised_phases(run_workload, "qat"))
    )


def prepare_for_tracing(model: Any, settings: Settings) -> Any:
    """The model during a step: rounding."""
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
    # The first name is where the base's score belongs: beside the training whose result is kept.
    stages=("train", FULL_PRECISION),
)
