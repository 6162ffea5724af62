"""The registry of methods: one file each, listed here. A card without a method is shown as coming."""

from collections.abc import Mapping
from typing import Any

from studio import presets
from studio.errors import ModelUnavailable, NotPossible, Problem
from studio.i18n import Message
from studio.methods import (
    adapter,
    compatibility,
    frozen,
    full,
    lora,
    peft,
    prefix,
    qat,
    qlora,
    rlhf,
    several_cards,
    upft,
    workload,
)
from studio.methods.spec import Method, Settings
from studio.models import fetch
from studio.models import shape as shapes
from studio.models.shape import ModelShape

METHODS: tuple[Method, ...] = (
    full.METHOD,
    frozen.METHOD,
    lora.METHOD,
    prefix.METHOD,
    rlhf.METHOD,
    adapter.METHOD,
    qlora.METHOD,
    upft.METHOD,
    qat.METHOD,
    peft.METHOD,
)

METHOD_NOT_BUILT = Message("is not built yet; choose {ready}")
UNKNOWN_METHOD = Message("there is no method {name}; choose {ready}")
INCOMPATIBLE_METHOD = Message("{name} for {task}: {why} {nearest}")
NUM_GPUS_METHODS = Message("goes with {names} alone (not with AdaLoRA); choose one of them, or set it to 1")
NUM_GPUS_ELSEWHERE = Message("is for this machine; elsewhere its entry says it (cards:); leave it out")
NUM_GPUS_BATCH = Message("must divide batch_size {batch} evenly; change one of the two")
DISK_OFFLOAD_METHODS = Message("goes with {names} alone; choose one of them, or set it to false")
DISK_OFFLOAD_SETTINGS = Message(
    "goes with neither DoRA nor LoftQ, which read all weights before the first step; leave them off, or"
    " set it to false"
)
DISK_OFFLOAD_EXPERTS = Message(
    "does not go with a mixture of experts, whose files hold experts in another form than the model; set it"
    " to false"
)
DISK_OFFLOAD_GPUS = Message("goes with one GPU alone; set num_gpus to 1, or it to false")
PADDING_NEEDED = Message("does not go with {what}; leave it out")
CLASSIFYING = Message("classifying")
VIRTUAL_TOKENS = Message("virtual tokens (prefix, prompt tuning)")
RUNNING_STATE = Message("a model whose state runs on along a row (“{family}”)")
EAGER_ATTENTION = Message("a model whose attention transformers computes step by step (“{family}”)")
MIXED_TEXTS = Message("a model that does not keep texts in one row apart (“{family}”)")
TRAINING_NOT_BUILT = Message("The training of “{name}” is not built yet.")
CHOOSE_BUILT_METHOD = Message("Choose {ready}.")


def get(name: str) -> Method:
    """The method of this name.

    Raises:
        NotPossible: where its training is not built yet.
    """
    for method in METHODS:
        if method.name == name:
            return method
    names = [method.name for method in METHODS]
    raise NotPossible(TRAINING_NOT_BUILT, CHOOSE_BUILT_METHOD, name=name, ready=names)


def find_plan_problems(raw: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with a raw plan's method: its name, its settings, its fit with the task and the model."""
    choice = raw.get("method")
    name = choice.get("name") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(name, str):
        return []  # studio.plan.find_problems reports it
    built_methods = {method.name: method for method in METHODS}
    if name not in built_methods:
        message = METHOD_NOT_BUILT if name in presets.methods() else UNKNOWN_METHOD
        return [Problem("method.name", message.format(name=repr(name), ready=list(built_methods)))]
    method = built_methods[name]
    settings = choice.get("settings") or {}
    problems = []
    if isinstance(settings, Mapping):
        problems += [problem.with_prefix("method.settings") for problem in method.find_problems(settings)]
    task, shape = raw.get("task"), _find_shape(str(raw.get("model")))
    incompatibility = compatibility.find_incompatibility(name, str(task), shape)
    if incompatibility:
        message = INCOMPATIBLE_METHOD.format(
            name=name, task=repr(task), why=incompatibility.reason, nearest=incompatibility.alternative
        )
        problems.append(Problem("method.name", message))
    elif task in method.tasks and not problems and isinstance(settings, Mapping):
        resolved = method.resolve_settings(settings)
        problems += [
            problem.with_prefix("method.settings") for problem in method.check(resolved, shape, task)
        ]
        problems += _find_disk_offload_problems(raw, method, resolved, shape)
        problems += _find_padding_problems(raw, method, resolved, shape)
        problems += _find_gpu_problems(raw, method, resolved)
    return problems


def _find_gpu_problems(raw: Mapping[str, Any], method: Method, settings: Settings) -> list[Problem]:
    """What stands against training on several GPUs of this machine."""
    training = raw.get("training")
    num_gpus = training.get("num_gpus") if isinstance(training, Mapping) else None
    if not isinstance(num_gpus, int) or num_gpus <= 1:
        return []
    if raw.get("where", "local") != "local":
        return [Problem("training.num_gpus", NUM_GPUS_ELSEWHERE)]
    if not several_cards.can_train_together(method.name, settings):
        return [Problem("training.num_gpus", NUM_GPUS_METHODS.format(names=list(several_cards.METHODS)))]
    batch_size = training.get("batch_size") if isinstance(training, Mapping) else None
    if isinstance(batch_size, int) and batch_size % num_gpus:
        return [Problem("training.num_gpus", NUM_GPUS_BATCH.format(batch=batch_size))]
    return []


def _find_disk_offload_problems(
    raw: Mapping[str, Any], method: Method, settings: Settings, shape: ModelShape | None
) -> list[Problem]:
    training = raw.get("training")
    is_asked = isinstance(training, Mapping) and training.get("disk_offload") is True
    if is_asked and shape and shape.experts.count:
        return [Problem("training.disk_offload", DISK_OFFLOAD_EXPERTS)]
    num_gpus = training.get("num_gpus") if isinstance(training, Mapping) else None
    if is_asked and isinstance(num_gpus, int) and num_gpus > 1:
        return [Problem("training.disk_offload", DISK_OFFLOAD_GPUS)]
    if not is_asked or method.supports_disk_offload(settings, shape):
        return []
    names = [other.name for other in METHODS if other.supports_disk_offload(other.resolve_settings({}), None)]
    message = DISK_OFFLOAD_SETTINGS if method.name in names else DISK_OFFLOAD_METHODS
    return [Problem("training.disk_offload", message.format(names=names))]


def _find_padding_problems(
    raw: Mapping[str, Any], method: Method, settings: Settings, shape: ModelShape | None
) -> list[Problem]:
    """Whether the texts are to be packed that cannot be."""
    training = raw.get("training")
    is_asked = isinstance(training, Mapping) and training.get("padding_free") is True
    if not is_asked or not shape:
        return []
    virtual_tokens = method.cost_profile(shape, settings).virtual_tokens
    if workload.can_pack_texts(raw["task"], shape, virtual_tokens):
        return []
    reasons = {CLASSIFYING: raw["task"] == "classify", VIRTUAL_TOKENS: virtual_tokens > 0}
    reasons |= {RUNNING_STATE: shape.has_state, EAGER_ATTENTION: shape.is_eager}
    reason = next((reason for reason, holds in reasons.items() if holds), MIXED_TEXTS)
    return [Problem("training.padding_free", PADDING_NEEDED.format(what=reason.format(family=shape.family)))]


def _find_shape(model: str) -> ModelShape | None:
    """The shape of a catalogue, local or cached model; None where it must be fetched first."""
    card = presets.models().get(model)
    if card:
        return shapes.from_config(card.config)
    try:
        cached_model = fetch.find_cached(model)
    except ModelUnavailable:  # whoever examines the folder says what is wrong with it
        return None
    return shapes.from_folder(cached_model.folder) if cached_model else None
