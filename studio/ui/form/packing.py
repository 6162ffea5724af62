"""Several values as one text, the way they travel between the page and its handlers."""

import json
from collections.abc import Mapping
from typing import Any

import gradio as gr

from studio import methods
from studio.plan import Value
from studio.ui.components.events import UNQUEUED
from studio.ui.components.gradio_adapter import current_page
from studio.ui.form.training_fields import TRAINING_FIELDS

# Starts the name of a text that holds a group of fields.
PACKED_PREFIX = "now_"


def pack_mapping(mapping: Mapping[str, str]) -> str:
    """A mapping, such as role -> column, as one text that the page carries from tab to tab."""
    return json.dumps(mapping, ensure_ascii=False)


def unpack_mapping(text: object) -> dict[str, str]:
    """The mapping in a text from `pack_mapping`; empty where a browser sends anything else."""
    return {str(name): str(value) for name, value in _parse_object(text).items()}


def pack_fields(groups: Mapping[str, Mapping[str, Any]]) -> dict[str, gr.Textbox]:
    """Add a hidden text for each group of fields, which the browser keeps equal to the fields' values.

    Gradio 6.31 takes 0.1 ms in the browser for every component that an event starts from or reads, and the
    form has a hundred of them: events use these texts instead.

    Args:
        groups: Group name -> field name -> component.

    Returns:
        The texts by the names under which `unpack_fields` recognises them.
    """
    packed = {}
    for group, fields in groups.items():
        text = gr.Textbox("", visible=False)
        field_names = json.dumps(list(fields))
        gr.on(
            [*(field.change for field in fields.values()), current_page().load],
            None,
            list(fields.values()),
            text,
            js=(
                "(...values) => JSON.stringify(Object.fromEntries("
                f"{field_names}.map((name, index) => [name, values[index]])))"
            ),
            trigger_mode="multiple",
            **UNQUEUED,
        )
        packed[f"{PACKED_PREFIX}{group}"] = text
    return packed


def unpack_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields with the texts of `pack_fields` opened.

    A text may hold fields of the form and nothing else, whatever a browser sends. A field that is there by
    itself counts more than one in a text. Settings of a method that are missing have their default.
    """
    defaults = _default_settings()
    packable_names = {*defaults, *TRAINING_FIELDS}
    single_fields, packed_fields = {}, {}
    for name, value in fields.items():
        if not name.startswith(PACKED_PREFIX):
            single_fields[name] = value
            continue
        for packed_name, packed_value in _parse_object(value).items():
            if packed_name in packable_names:
                packed_fields[packed_name] = packed_value
    return {**defaults, **packed_fields, **single_fields}


def _default_settings() -> dict[str, Value]:
    return {
        f"{method.name}_{setting.name}": setting.default
        for method in methods.METHODS
        for setting in method.settings
    }


def _parse_object(text: object) -> dict[str, Any]:
    try:
        parsed = json.loads(str(text))
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
