"""What a browser remembers of the settings on the Method tab, for one data set: after a reload everything is as it was left."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr

from studio import methods
from studio.plan import Training, Value
from studio.tabs.training import TRAINING

# Before the name of a group of fields that travels as one text.
NOW = "now_"


class Remembered(NamedTuple):
    """States the browser keeps: the chosen method, which of the suggested numbers were moved, and what stands in every field.

    `moved` is {"source": data set, "names": fields}, `kept` is {"source": data set, "values": field -> value}.
    """

    chosen: gr.BrowserState
    moved: gr.BrowserState
    kept: gr.BrowserState


def gather(groups: Mapping[str, Mapping[str, Any]], **quiet: Any) -> dict[str, gr.Textbox]:
    """The fields of each group as one text, as they are at any moment, by names that `entered` knows.

    Gradio 6.31 takes 0.1 ms in the browser for every component that an event starts from or asks, and there are a hundred.
    """
    found = {}
    for group, fields in groups.items():
        found[f"{NOW}{group}"] = now = gr.Textbox("", visible=False)
        js = f"(...values) => JSON.stringify(Object.fromEntries({json.dumps(list(fields))}.map((name, place) => [name, values[place]])))"
        changed = [*(field.change for field in fields.values()), gr.context.Context.root_block.load]
        gr.on(changed, None, list(fields.values()), now, js=js, trigger_mode="multiple", **quiet)
    return found


def entered(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields with the texts of `gather` opened; a setting that is not there, whatever a browser sends, is as its method has it."""
    knobs = {f"{method.name}_{knob.name}": knob.default for method in methods.METHODS for knob in method.knobs}
    found = {name: value for name, value in fields.items() if not name.startswith(NOW)}
    for text in (value for name, value in fields.items() if name.startswith(NOW)):
        try:
            told = json.loads(str(text))
        except (ValueError, RecursionError):
            continue
        found |= {name: told[name] for name in {*knobs, *TRAINING} & set(told)} if isinstance(told, dict) else {}
    return knobs | found


def wire(
    remembered: Remembered, source: gr.BrowserState, fields: Mapping[str, Any], now: Sequence[Any], suggested: tuple[str, ...]
) -> None:
    """Remember what stands in `fields`, which the texts `now` gather, and put it back when the page is opened again."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    for name in suggested:
        js = f"(moved, source) => ({{ source, names: [...new Set([...(moved?.source === source ? moved.names : []), '{name}'])] }})"
        fields[name].input(None, [remembered.moved, source], remembered.moved, js=js, **quiet)

    def back(source: str, kept: object, moved: object) -> str:
        """The values of all fields as they were left; null where there is none, or of another data set."""
        values = of(source, kept, "values")
        found = values if isinstance(values, dict) else {}
        mine = names_of(source, moved)
        wanted = [name in found and (name not in suggested or name in mine) and sound(name, found[name]) for name in fields]
        return json.dumps([found[name] if good else None for name, good in zip(fields, wanted, strict=True)])

    # Nothing is remembered before what was is back. The browser hands the values out: Gradio tells every output of the server of each event.
    found = gr.Textbox("", visible=False)
    js = """(source, found, kept, ...now) =>
      (found ? { source, values: Object.assign({}, ...now.filter(Boolean).map((text) => JSON.parse(text))) } : kept)"""
    gr.on([text.change for text in now], None, [source, found, remembered.kept, *now], remembered.kept, js=js, **quiet)
    restored = gr.context.Context.root_block.load(back, [source, remembered.kept, remembered.moved], found, **quiet)
    js = "(found) => JSON.parse(found).map((value) => value ?? undefined)"
    restored.then(None, found, list(fields.values()), js=js, **quiet)


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
