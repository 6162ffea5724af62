"""The ten methods: one file each, listed here. A card without a method is shown as coming."""

from collections.abc import Mapping
from typing import Any

from studio import presets
from studio.errors import NotPossible
from studio.methods import full, lora
from studio.methods.base import Method
from studio.words import Words

METHODS: tuple[Method, ...] = (full.METHOD, lora.METHOD)


def get(name: str) -> Method:
    """The method of this name; raises NotPossible where its training is not built yet."""
    for method in METHODS:
        if method.name == name:
            return method
    raise NotPossible(
        Words("The training of “{name}” is not built yet.", "“{name}”的训练尚未完成开发。"),
        Words("Choose {ready}.", "请选择 {ready}。"),
        name=name,
        ready=", ".join(method.name for method in METHODS),
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
    task, model = raw.get("task"), presets.models().get(str(raw.get("model")))
    if task not in method.tasks:
        found.append(f"task: {name} does not train {task!r}; it trains {', '.join(method.tasks)}")
    elif model and task not in model.tasks:
        fitting = [card.id for card in presets.models().values() if task in card.tasks]
        found.append(f"model: {model.id} is not made for {task!r}; choose one of {', '.join(fitting)}")
    return found
