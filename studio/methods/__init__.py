"""The ten methods: one file each, listed here. A card without a method is shown as coming."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio import presets
from studio.errors import NotPossible
from studio.methods import adapter, fits, frozen, full, lora, peft, prefix, qat, qlora, rlhf, upft
from studio.methods.base import Method
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


def problems(raw: Mapping[str, Any]) -> list[str]:
    """What is wrong with the method of a raw plan: its name, its settings, whether it goes with the task and the model."""
    choice = raw.get("method")
    name = choice.get("name") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(name, str):
        return []  # the plan's own check says so
    ready = {method.name: method for method in METHODS}
    if name not in ready:
        known = "is not built yet" if name in presets.methods() else f"there is no method {name!r}"
        return [f"method.name: {known}; choose {', '.join(ready)}"]
    method, settings, found = ready[name], choice.get("settings") or {}, []
    if isinstance(settings, Mapping):
        found += [f"method.settings.{problem}" for problem in method.problems(settings)]
    task, shape = raw.get("task"), _shape(str(raw.get("model")))
    refused = fits.refusal(name, str(task), shape)
    if refused:
        found.append(f"method.name: {name} for {task!r}: {refused.why.say()} {refused.nearest.say()}")
    elif task in method.tasks and not found and isinstance(settings, Mapping):
        found += [f"method.settings.{problem}" for problem in method.check(method.settle(settings), shape, task)]
    return found


def _shape(model: str) -> ModelShape | None:
    """The shape of a catalogue model or a local folder; None where it is only known once it is fetched."""
    card = presets.models().get(model)
    if card:
        return shapes.of(card.config)
    return shapes.read(Path(model)) if (Path(model) / "config.json").is_file() else None
