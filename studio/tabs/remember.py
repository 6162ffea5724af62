"""What a browser remembers of the settings on the Method tab, for one data set: after a reload everything is as it was left."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import gradio as gr

from studio import methods
from studio.plan import Training, Value


class Remembered(NamedTuple):
    """States the browser keeps: the chosen method, which of the suggested numbers were moved, and every field that was touched.

    `moved` is {"source": data set, "names": fields}, `kept` is {"source": data set, "values": field -> value}.
    """

    chosen: gr.BrowserState
    moved: gr.BrowserState
    kept: gr.BrowserState


def wire(
    remembered: Remembered, source: gr.BrowserState, fields: Mapping[str, Any], suggested: tuple[str, ...], filled: Any, **quiet: Any
) -> None:
    """Remember what a person enters in `fields`, or lets the event `filled` enter, and put it back when the page is opened again."""
    for name in suggested:
        js = f"(moved, source) => ({{ source, names: [...new Set([...(moved?.source === source ? moved.names : []), '{name}'])] }})"
        fields[name].input(None, [remembered.moved, source], remembered.moved, js=js, **quiet)
    names = json.dumps(list(fields))
    js = f"(source, ...values) => ({{ source, values: Object.fromEntries({names}.map((name, place) => [name, values[place]])) }})"
    gr.on([field.input for field in fields.values()], None, [source, *fields.values()], remembered.kept, js=js, **quiet)
    filled.then(None, [source, *fields.values()], remembered.kept, js=js, **quiet)
    root = gr.context.Context.root_block

    def back(source: str, kept: object, moved: object) -> Any:
        """The values of all fields as they were left; nothing where there are none, or of another data set."""
        values = of(source, kept, "values")
        found = values if isinstance(values, dict) else {}
        mine = names_of(source, moved)
        wanted = [name in found and (name not in suggested or name in mine) and sound(name, found[name]) for name in fields]
        return [found[name] if good else gr.skip() for name, good in zip(fields, wanted, strict=True)]

    root.load(back, [source, remembered.kept, remembered.moved], list(fields.values()), **quiet)


def of(source: str, state: object, part: str) -> object:
    """A part of a state that was kept for this data set; a browser may hold anything."""
    return state.get(part) if source and isinstance(state, dict) and state.get("source") == source else None


def names_of(source: str, moved: object) -> tuple[str, ...]:
    """Which suggested numbers a person has moved for this data set."""
    names = of(source, moved, "names")
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def sound(name: str, value: Value) -> bool:
    """Whether a remembered value is one its field can take: METHOD_KNOB, or a field of the training."""
    for method in methods.METHODS:
        for knob in method.knobs:
            if name == f"{method.name}_{knob.name}":
                return not knob.problem(value)
    try:
        Training(**{name: value or None} if name == "learning_rate" else {name: value})
    except (ValueError, TypeError):
        return name in ("validation_share", "test_share") and isinstance(value, float | int) and 0 <= value < 1
    return True
