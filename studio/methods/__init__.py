"""The ten methods: one file each, listed here. A card without a method is shown as coming."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio import presets
from studio.errors import NotPossible, Problem
from studio.methods import adapter, fits, frozen, full, lora, peft, prefix, qat, qlora, rlhf, upft
from studio.methods.base import Method
from studio.models import fetch
from studio.models import shape as shapes
from studio.models.shape import ModelShape
from studio.words import Words

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

NOT_BUILT = Words("is not built yet; choose {ready}", "还在开发；请选择 {ready}")
NO_METHOD = Words("there is no method {name}; choose {ready}", "没有 {name} 这种方法；请选择 {ready}")
REFUSED = Words("{name} for {task}: {why} {nearest}", "{name} 不能用于 {task}：{why}{nearest}")


def get(name: str) -> Method:
    """The method of this name; raises NotPossible where its training is not built yet."""
    for method in METHODS:
        if method.name == name:
            return method
    raise NotPossible(
        Words("The training of “{name}” is not built yet.", "“{name}”还在开发，暂时不能训练。"),
        Words("Choose {ready}.", "请选择 {ready}。"),
        name=name,
        ready=[method.name for method in METHODS],
    )


def problems(raw: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the method of a raw plan: its name, its settings, whether it goes with the task and the model."""
    choice = raw.get("method")
    name = choice.get("name") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(name, str):
        return []  # the plan's own check says so
    ready = {method.name: method for method in METHODS}
    if name not in ready:
        said = NOT_BUILT if name in presets.methods() else NO_METHOD
        return [Problem("method.name", said.filled(name=repr(name), ready=list(ready)))]
    method, settings, found = ready[name], choice.get("settings") or {}, []
    if isinstance(settings, Mapping):
        found += [problem.below("method.settings") for problem in method.problems(settings)]
    task, shape = raw.get("task"), _shape(str(raw.get("model")))
    refused = fits.refusal(name, str(task), shape)
    if refused:
        found.append(Problem("method.name", REFUSED.filled(name=name, task=repr(task), why=refused.why, nearest=refused.nearest)))
    elif task in method.tasks and not found and isinstance(settings, Mapping):
        found += [problem.below("method.settings") for problem in method.check(method.settle(settings), shape, task)]
    return found


def _shape(model: str) -> ModelShape | None:
    """The shape of a catalogue model, a local folder or a model of the hub that is here; None where it is only known once it is fetched."""
    card = presets.models().get(model)
    if card:
        return shapes.of(card.config)
    if Path(model).is_dir():
        return shapes.read(Path(model)) if (Path(model) / "config.json").is_file() else None
    here = fetch.cached(model)
    return shapes.read(here.folder) if here else None
