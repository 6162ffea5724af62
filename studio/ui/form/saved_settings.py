"""What a browser remembers of the settings on the Method tab, for one data set: after a reload everything is as it was left."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr

from studio import methods
from studio.plan import Training, Value
from studio.ui.form.training_fields import TRAINING_FIELDS

# Before the name of a group of fields that travels as one text.
PACKED_PREFIX = "now_"


class SavedSettings(NamedTuple):
    """States the browser keeps: the chosen method, which of the suggested numbers were moved, and what stands in every field.

    `moved` is {"source": data set, "names": fields}, `kept` is {"source": data set, "values": field -> value}.
    """

    chosen: gr.BrowserState
    moved: gr.BrowserState
    kept: gr.BrowserState


def pack_fields(groups: Mapping[str, Mapping[str, Any]], **event_options: Any) -> dict[str, gr.Textbox]:
    """The fields of each group as one text, as they are at any moment, by names that `entered` knows.

    Gradio 6.31 takes 0.1 ms in the browser for every component that an event starts from or asks, and there are a hundred.
    """
    packed = {}
    for group, fields in groups.items():
        packed[f"{PACKED_PREFIX}{group}"] = textbox = gr.Textbox("", visible=False)
        js = f"(...values) => JSON.stringify(Object.fromEntries({json.dumps(list(fields))}.map((name, place) => [name, values[place]])))"
        triggers = [*(field.change for field in fields.values()), gr.context.Context.root_block.load]
        gr.on(triggers, None, list(fields.values()), textbox, js=js, trigger_mode="multiple", **event_options)
    return packed


def unpack_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields with the texts of `gather` opened; a setting that is not there, whatever a browser sends, is as its method has it."""
    default_values = {
        f"{method.name}_{setting.name}": setting.default
        for method in methods.METHODS
        for setting in method.settings
    }
    values = {name: value for name, value in fields.items() if not name.startswith(PACKED_PREFIX)}
    for text in (value for name, value in fields.items() if name.startswith(PACKED_PREFIX)):
        try:
            parsed = json.loads(str(text))
        except (ValueError, RecursionError):
            continue
        values |= (
            {name: parsed[name] for name in {*default_values, *TRAINING_FIELDS} & set(parsed)}
            if isinstance(parsed, dict)
            else {}
        )
    return default_values | values


def wire(
    saved: SavedSettings,
    source: gr.BrowserState,
    fields: Mapping[str, Any],
    packed_texts: Sequence[Any],
    suggested: tuple[str, ...],
) -> None:
    """Remember what stands in `fields`, which the texts `now` gather, and put it back when the page is opened again."""
    event_options: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    for name in suggested:
        js = f"(moved, source) => ({{ source, names: [...new Set([...(moved?.source === source ? moved.names : []), '{name}'])] }})"
        fields[name].input(None, [saved.moved, source], saved.moved, js=js, **event_options)

    def restore_values(source: str, stored: object, moved: object) -> str:
        """The values of all fields as they were left; null where there is none, or of another data set."""
        state_values = read_state_part(source, stored, "values")
        saved_values = state_values if isinstance(state_values, dict) else {}
        moved_names = read_moved_names(source, moved)
        usable = [
            name in saved_values
            and (name not in suggested or name in moved_names)
            and is_valid_saved_value(name, saved_values[name])
            for name in fields
        ]
        return json.dumps(
            [
                saved_values[name] if is_usable else None
                for name, is_usable in zip(fields, usable, strict=True)
            ]
        )

    # Nothing is remembered before what was is back. The browser hands the values out: Gradio tells every output of the server of each event.
    restored_values = gr.Textbox("", visible=False)
    js = """(source, found, kept, ...now) =>
      (found ? { source, values: Object.assign({}, ...now.filter(Boolean).map((text) => JSON.parse(text))) } : kept)"""
    gr.on(
        [text.change for text in packed_texts],
        None,
        [source, restored_values, saved.kept, *packed_texts],
        saved.kept,
        js=js,
        **event_options,
    )
    restore_event = gr.context.Context.root_block.load(
        restore_values, [source, saved.kept, saved.moved], restored_values, **event_options
    )
    js = "(found) => JSON.parse(found).map((value) => value ?? undefined)"
    restore_event.then(None, restored_values, list(fields.values()), js=js, **event_options)


def read_state_part(source: str, state: object, key: str) -> object:
    """A part of a state that was kept for this data set; a browser may hold anything."""
    return state.get(key) if source and isinstance(state, dict) and state.get("source") == source else None


def read_moved_names(source: str, moved: object) -> tuple[str, ...]:
    """Which suggested numbers a person has moved for this data set."""
    names = read_state_part(source, moved, "names")
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def is_valid_saved_value(name: str, value: Value) -> bool:
    """Whether a remembered value is one its field can take: METHOD_KNOB, or a field of the training."""
    for method in methods.METHODS:
        for setting in method.settings:
            if name == f"{method.name}_{setting.name}":
                return not setting.find_problem(value)
    try:
        Training(**{name: value or None} if name == "learning_rate" else {name: value})
    except (ValueError, TypeError):
        return (
            name in ("validation_share", "test_share") and isinstance(value, float | int) and 0 <= value < 1
        )
    return True
