"""Quantisation-aware fine-tuning: the model learns while its weights are rounded, so that the small file is the one that was trained."""

import dataclasses
import gc
import json
import logging
import math
import shutil
from pathlib import Path
from typing import Any

from studio.errors import NotPossible, Problem
from studio.home import write_json
from studio.methods import _whole, full, work
from studio.methods.base import Job, Knob, Method, Scores, Settings, Watch
from studio.methods.touch import Touch
from studio.methods.work import Load, Phase
from studio.models import shape as shapes
from studio.models.shape import ModelShape
from studio.plan import Task
from studio.words import Words, label

KNOBS = (
    Knob(
        "bits",
        label("How small each weight becomes (bits)", "每个权重用几位来存（位数 bits）"),
        label(
            "4 makes the layers' weights about a sixth of their 32-bit size and loses little. This training pays off most at 3 and 2; at 8 "
            "rounding afterwards is as good. Files get smaller; on a CPU answers do not get faster.",
            "取 4 位时，各层权重的大小约为 32 位的六分之一，效果损失很小。这种训练在 3 位和 2 位时最划算；8 位时，训练后再量化就够了。文件会变小，但在 CPU 上回答不会变快。",
        ),
        "4",
        "choice",
        choices=(
            ("8", label("8 bits: as good as full precision", "8 位：与全精度相当")),
            ("4", label("4 bits: the usual choice", "4 位：常用选择")),
            ("3", label("3 bits: smaller, some loss", "3 位：更小，略有损失")),
            ("2", label("2 bits: smallest, clear loss", "2 位：最小，损失明显")),
        ),
    ),
    Knob(
        "compare",
        label("Also train once at full precision, to compare", "同时以全精度训练一次，用于对比"),
        label(
            "The report then shows full precision, rounded afterwards and rounded while training side by side. Takes about twice as long.",
            "报告会并列显示全精度、训练后量化和训练中量化三种结果。用时约为两倍。",
        ),
        True,
        "switch",
    ),
    Knob(
        "group",
        label("How many weights share a scale (group size)", "多少个权重共用一个缩放系数（group size）"),
        label(
            "Fewer is more exact and a little bigger: at 32 the scales add 1 bit to each weight in 32-bit files, half a bit in 16-bit ones. "
            "The model's widths must be multiples of it.",
            "越少越精确，文件略大：取 32 时，32 位文件中每个权重多占 1 位，16 位文件中多占半位。模型各层的宽度必须是它的整数倍。",
        ),
        "32",
        "choice",
        choices=(
            ("32", label("32: most exact", "32：最精确")),
            ("64", label("64", "64")),
            ("128", label("128: smallest", "128：最小")),
        ),
        first=False,
    ),
)
# The columns of the comparison in the report's notes; one that was not measured is None.
FULL, AFTERWARDS, WHILE_TRAINING = "full_precision", "quantised_afterwards", "quantised_while_training"

TWICE = Words(
    "It trains twice: once at full precision to compare with, which takes as long again.",
    "会训练两遍：先以全精度训练一遍作为对比，用时加倍。",
)

NO_DIVISOR = Words("{group} does not divide {width}, the width of {part}; {do}", "{part} 的宽度 {width} 不能被 {group} 整除；{do}")
CHOOSE, NONE_FITS = (
    Words("choose {sizes}", "请选择 {sizes}"),
    Words("no size on offer does, so choose another model", "可选的大小都不行，请换一个模型"),
)


def check(settings: Settings, shape: ModelShape | None, task: Task) -> list[Problem]:
    """The group size must divide the width of every matrix of the blocks."""
    if shape is None:
        return []
    group = int(settings["group"])
    bad = next((linear for linear in shape.linears if linear.n_in % group), None)
    if not bad:
        return []
    fitting = [name for name, _ in KNOBS[2].choices if all(linear.n_in % int(name) == 0 for linear in shape.linears)]
    do = CHOOSE.filled(sizes=Words(" or ".join(fitting), "、".join(fitting))) if fitting else NONE_FITS
    return [Problem("group", NO_DIVISOR.filled(group=group, width=bad.n_in, part=bad.name, do=do))]


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """The blocks' matrices are made ready to be rounded; until training begins the model answers as before.

    Embeddings, norms and heads are never rounded, as is usual: readers of such files expect them whole, and a tied embedding is a head.
    """
    shape = shapes.of(model.config.to_dict())
    for wrong in check(settings, shape, task):
        raise NotPossible(
            Words("The group size does not go with this model: {said}.", "这个模型不能用这个分组大小（group size）：{said}。"),
            Words("Choose another group size under “more settings”.", "请在“更多设置”里换一个分组大小（group size）。"),
            said=wrong.what,
        )
    names = tuple(linear.name for linear in shape.linears)
    return _rounding().prepare(model, names, int(settings["bits"]), int(settings["group"])).requires_grad_(True)


def train(job: Job) -> Any:
    """Train with rounded weights, before that once without for comparison where asked for, and leave a model of low-bit weights."""
    from studio.methods import _supervised  # noqa: PLC0415 - loads torch

    low_bits = _rounding()
    scores: dict[str, Scores] = {}
    stopped = False
    if job.settings["compare"]:
        scores, stopped = _compare(job)
    if not stopped:
        low_bits.switch(job.model, on=True)
        _supervised.fit(job)
    # Stopped on the way, there is a model trained at full precision: in low bits it is the second column, and the third stays empty.
    low_bits.convert(job.model)
    if not stopped:
        scores = {**scores, WHILE_TRAINING: job.measure(job.model, job.validation)}
    whole, packed = low_bits.sizes(job.model)
    size = {FULL: whole, AFTERWARDS: packed, WHILE_TRAINING: packed}
    job.notes["quantisation"] = {name: {**scores[name], "bytes": size[name]} if name in scores else None for name in size}
    return job.model


def _compare(job: Job) -> tuple[dict[str, Scores], bool]:
    """Train at full precision, then round: the scores of both, and whether the run was stopped on the way.

    Unless it was, the model has the base's numbers again afterwards. What was measured is kept for a run that goes on after a stop.
    """
    from studio.methods import _supervised  # noqa: PLC0415 - loads torch
    from studio.models import load  # noqa: PLC0415

    known = job.folder / "checkpoints" / f"{FULL}.json"
    if known.is_file():
        return dict(json.loads(known.read_text(encoding="utf-8"))), False
    low_bits = _rounding()
    watches: list[Watch] = []

    def watch(stage: str, model: Any, measure: Any) -> Watch:
        watches.append(job.watch(stage, model, measure))
        return watches[-1]

    _supervised.fit(dataclasses.replace(job, watch=watch), stage=FULL)
    found = {FULL: job.measure(job.model, job.validation)}
    low_bits.switch(job.model, on=True)
    found[AFTERWARDS] = job.measure(job.model, job.validation)
    if watches[-1].stopped:
        return found, True
    low_bits.switch(job.model, on=False)
    gc.collect()  # the optimiser's state, before the base is read once more
    labels = list(job.model.config.id2label.values()) if job.plan.task == "classify" else []
    low_bits.put_back(job.model, load.base(job.base, job.plan.task, labels, job.plan.training.seed))
    known.parent.mkdir(parents=True, exist_ok=True)
    write_json(known, found)
    shutil.rmtree(known.with_suffix(""), ignore_errors=True)  # the stage's checkpoints, which nobody needs any more
    return found, False


def follows(settings: Settings, task: Task) -> Words | None:
    """The training to compare with."""
    return TWICE if settings["compare"] else None


def _rounding() -> Any:
    """The file that does the rounding; on import its libraries tell of kernels for other machines, which nobody needs to read."""
    for noisy in ("torchao", "torch.utils._pytree"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    from studio.methods import _low_bits  # noqa: PLC0415 - loads torch

    return _low_bits


def save(model: Any, folder: Path, hub: str) -> None:
    """Write the packed weights."""
    _rounding().save(model, folder)


def disk(shape: ModelShape, settings: Settings, labels: int, item: int) -> float:
    """Whole numbers of few bits packed into 32-bit words, row by row, a scale for each group, and everything else as it is."""
    bits, group = int(settings["bits"]), int(settings["group"])
    words = sum(linear.n_out * 4 * math.ceil(linear.n_in * bits / 32) for linear in shape.linears)
    size = sum(linear.n_in * linear.n_out for linear in shape.linears)
    return shape.layers * (words + item * size / group) + item * (shape.total(labels) - shape.layers * size)


def touch(shape: ModelShape, settings: Settings) -> Touch:
    """Every matrix learns, and is rounded on each pass: two copies of it are kept for the way back."""
    size, count = sum(linear.n_in * linear.n_out for linear in shape.linears), len(shape.linears)
    return Touch(
        learns=shape.layers,
        copies=2.1 * size,
        remade=17.1 * size,
        remade_back=9.6 * size,
        operations=22.0 * count,
        operations_back=7.0 * count,
    )


def phases(settings: Settings, load: Load) -> tuple[Phase, ...]:
    """Learning with rounded weights, before it, to compare with, the same at full precision; the result of either is measured once more."""
    again = work.supervised(load, "full", FULL) if settings["compare"] else ()
    return tuple(
        dataclasses.replace(phase, rounds=phase.rounds + 1) if phase.name == "check" else phase
        for phase in (*again, *work.supervised(load, "qat"))
    )


def rehearse(model: Any, settings: Settings) -> Any:
    """The model during a step: rounding."""
    return _rounding().switch(model, on=True)


METHOD = Method(
    name="qat",
    tasks=("chat", "complete", "classify"),
    knobs=KNOBS,
    exports=("packed", "merged"),
    weights="trained",
    learning_rate=full.learning_rate,
    footprint=full.footprint,
    touch=touch,
    phases=phases,
    attach=attach,
    train=train,
    save=save,
    load=_whole.load,
    merge=_whole.load,
    check=check,
    follows=follows,
    rehearse=rehearse,
    disk=disk,
    # The first name is where the base's score belongs: beside the training whose result is kept.
    stages=("train", FULL),
)
