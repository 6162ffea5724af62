"""What a browser saves of the Method tab's settings for one data set, so that a reload does not lose them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr

from studio import methods
from studio.plan import Value
from studio.ui.components.events import UNQUEUED
from studio.ui.components.gradio_adapter import current_page
from studio.ui.form.form_state import read_edited_fields, read_state_part
from studio.ui.form.training_fields import TRAINING_FIELDS, is_valid_training_value

# Fields whose values the studio suggests by the amount of data, until a person changes them.
SUGGESTED_FIELDS = ("epochs", "batch_size", "test_share")


class SavedSettings(NamedTuple):
    """What the browser keeps of the Method tab.

    Attributes:
        method: Name of the chosen method.
        edited: Which suggested values were changed: {"source": data set, "names": fields}.
        values: What is in the fields: {"source": data set, "values": field -> value}.
        method_for: The data that the method was chosen for.
        model: The chosen base model.
        kwh_price: What a kilowatt-hour of electricity costs (dollars).
    """

    method: gr.BrowserState
    edited: gr.BrowserState
    values: gr.BrowserState
    method_for: gr.BrowserState
    model: gr.BrowserState
    kwh_price: gr.BrowserState


def wire(
    saved: SavedSettings,
    source: gr.BrowserState,
    fields: Mapping[str, Any],
    packed_texts: Sequence[Any],
) -> None:
    """Save the values of `fields`, and put them back when the page is opened again.

    Args:
        saved: Where the browser keeps them.
        source: The data set that the values belong to.
        fields: The components to restore, by field name.
        packed_texts: The same fields as packing.pack_fields sends them.
    """
    _wire_edited_names(saved, source, fields)
    # Nothing is saved before the earlier values are back: until then this text is empty. The browser
    # distributes the values, since Gradio reports every output of a server event by itself.
    restored_values = gr.Textbox("", visible=False)
    _wire_saving(saved, source, restored_values, packed_texts)

    def restore(source: str, values_state: object, edited_state: object) -> str:
        values = read_restorable_values(source, values_state, edited_state)
        return json.dumps([values.get(name) for name in fields])

    restore_event = current_page().load(
        restore, [source, saved.values, saved.edited], restored_values, **UNQUEUED
    )
    restore_event.then(
        None,
        restored_values,
        list(fields.values()),
        js="(restored) => JSON.parse(restored).map((value) => value ?? { __type__: 'update' })",
        **UNQUEUED,
    )


def _wire_edited_names(saved: SavedSettings, source: gr.BrowserState, fields: Mapping[str, Any]) -> None:
    for name in SUGGESTED_FIELDS:
        fields[name].input(None, [saved.edited, source], saved.edited, js=_add_name_js(name), **UNQUEUED)


def _add_name_js(name: str) -> str:
    return f"""(edited, source) => {{
      const names = edited?.source === source ? edited.names : [];
      return {{ source, names: [...new Set([...names, '{name}'])] }};
    }}"""


def set_edited_js(name: str) -> str:
    """A script that sets a suggested field as a person does: it returns the value and the edited fields.

    Its arguments are the value, the edited fields and the data set.
    """
    return f"(value, edited, source) => [value, ({_add_name_js(name)})(edited, source)]"


def _wire_saving(
    saved: SavedSettings, source: gr.BrowserState, restored_values: gr.Textbox, packed_texts: Sequence[Any]
) -> None:
    save_js = """(source, restored, saved, ...texts) => {
      if (!restored) return saved;
      const groups = texts.filter(Boolean).map((text) => JSON.parse(text));
      return { source, values: Object.assign({}, ...groups) };
    }"""
    gr.on(
        [text.change for text in packed_texts],
        None,
        [source, restored_values, saved.values, *packed_texts],
        saved.values,
        js=save_js,
        **UNQUEUED,
    )


def read_restorable_values(source: str, values_state: object, edited_state: object) -> dict[str, Value]:
    """The saved values to put back: those for this data set that their fields can take.

    A suggested value is put back only if the person has changed it; else the suggestion is made anew.
    """
    saved_values = read_state_part(source, values_state, "values")
    if not isinstance(saved_values, dict):
        return {}
    edited = read_edited_fields(source, edited_state)
    restorable = {}
    for name, value in saved_values.items():
        if name in SUGGESTED_FIELDS and name not in edited:
            continue
        if is_valid_saved_value(name, value):
            restorable[name] = value
    return restorable


def is_valid_saved_value(name: str, value: Value) -> bool:
    """Whether a saved value is one that its field can take; `name` is METHOD_SETTING or a training field."""
    if name in TRAINING_FIELDS:
        return is_valid_training_value(name, value)
    for method in methods.METHODS:
        for setting in method.settings:
            if name == f"{method.name}_{setting.name}":
                return not setting.find_problem(value)
    return False
