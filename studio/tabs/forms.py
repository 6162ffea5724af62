"""Words, errors and knobs as the page shows them."""

from typing import Any

import gradio as gr

from studio import words
from studio.errors import explain
from studio.methods.base import Knob, Method
from studio.plan import Value
from studio.words import Words

_I18N = gr.I18n()
NOTICE = '{{#if value.text}}<div class="notice {{value.kind}}" role="{{#if value.bad}}alert{{else}}status{{/if}}"><p>{{value.text}}</p>{{#if value.more}}<p class="more">{{value.more}}</p>{{/if}}</div>{{/if}}'
Update = dict[str, Any]


def t(label: Words) -> Any:  # noqa: ANN401 - Gradio's I18nData, which its own types take for a str
    """A fixed label, said by the browser in its own language."""
    return _I18N(words.key(label))


def translations() -> gr.I18n:
    """Every fixed label in every language, for `launch`."""
    return gr.I18n(**{"en": words.labels("en"), "zh": words.labels("zh"), "zh-CN": words.labels("zh")})


def language(request: gr.Request | None) -> str:
    """The language of the browser behind a request: zh where it prefers Chinese, else en."""
    accepted = request.headers.get("accept-language", "") if request is not None and request.headers else ""
    return "zh" if accepted.lower().startswith("zh") else "en"


def notice_box(elem_id: str) -> gr.HTML:
    """A place for one sentence about what happened; empty until there is one."""
    return gr.HTML({}, html_template=NOTICE, elem_id=elem_id, elem_classes="notice-box", apply_default_css=False)


def notice(text: str, more: str = "", kind: str = "info") -> dict[str, Any]:
    """What a notice box shows; `kind` is info, good or bad."""
    return {"text": text, "more": more, "kind": kind, "bad": kind == "bad"}


def problem(error: Exception, lang: str) -> dict[str, Any]:
    """What a notice box shows of an error: what happened, and what to do next."""
    return notice(*explain(error).sentences(lang), kind="bad")


def field(knob: Knob, lang: str = "en") -> Any:  # noqa: ANN401 - one of several components
    """The form field of a knob."""
    about = {"label": t(knob.label), "info": t(knob.help), "elem_id": f"knob-{knob.name}"}
    if knob.kind == "switch":
        return gr.Checkbox(bool(knob.default), **about)
    if knob.kind == "choice":
        return gr.Radio([(said.say(lang), name) for name, said in knob.choices], value=knob.default, **about)
    step = 1 if knob.kind == "whole" else 0.01
    return gr.Slider(knob.low, knob.high, knob.default, step=step, **about)


def settings(method: Method, values: dict[str, Value]) -> dict[str, Value]:
    """The settings of one method out of the values of all fields, which are named METHOD_KNOB."""
    return {knob.name: values[f"{method.name}_{knob.name}"] for knob in method.knobs}


def number(value: float) -> str:
    """A count as people read it: 4,884,480 stays, 134,515,008 becomes 134.5 M."""
    for size, unit in ((1e9, "B"), (1e6, "M")):
        if value >= size * (0.9995 if unit == "B" else 10):  # just under a billion is said as one
            return f"{value / size:.3g} {unit}"
    return f"{value:,.0f}"


def duration(seconds: float, lang: str) -> str:
    """A time as people say it: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    units = ("小时", "分", "秒") if lang == "zh" else ("h", "min", "s")
    parts = [(hours, units[0]), (minutes, units[1])] if hours else [(minutes, units[1]), (rest, units[2])]
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or f"0 {units[2]}"
