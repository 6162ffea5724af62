"""Form fields for the settings of a method."""

from typing import Any

import gradio as gr

from studio.methods.spec import Setting
from studio.ui.components.labels import t

# A slider has too few decimals for a float setting whose maximum is at most this; it gets a number field.
MAX_FINE_NUMBER = 0.1


def build_setting_field(method: str, setting: Setting, visible: bool = True) -> Any:
    """The component for one setting of a method, with the kind of input that suits the setting's type."""
    common: dict[str, Any] = {
        "label": t(setting.label),
        "info": t(setting.help),
        "elem_id": f"knob-{method}-{setting.name}",
        "visible": visible,
    }
    if setting.kind == "bool":
        return gr.Checkbox(bool(setting.default), **common)
    if setting.kind == "choice":
        choices = [(text.render(), name) for name, text in setting.choices]
        return gr.Radio(choices, value=setting.default, **common)
    if setting.kind == "str":
        lines = 1 if setting.high <= 200 else 3
        return gr.Textbox(str(setting.default), max_length=int(setting.high), lines=lines, **common)
    if setting.kind == "float" and setting.high <= MAX_FINE_NUMBER:
        return gr.Number(setting.default, minimum=setting.low, maximum=setting.high, step=0.00001, **common)
    step = 1 if setting.kind == "int" else 0.01
    return gr.Slider(setting.low, setting.high, setting.default, step=step, **common)
