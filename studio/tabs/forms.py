"""Words, errors and knobs as the page shows them."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from studio import words
from studio.errors import Problem, explain
from studio.methods.base import Knob, Method
from studio.plan import BESIDE, GROUP, ROLES, Task, Value, roles
from studio.words import Words

_I18N = gr.I18n()
NOTICE = '{{#if value.text}}<div class="notice {{value.kind}}" role="{{#if value.bad}}alert{{else}}status{{/if}}"><p>{{value.text}}</p>{{#if value.bar}}<progress class="run-bar" max="100" value="{{value.bar.share}}" aria-hidden="true"></progress>{{/if}}{{#if value.more}}<p class="more">{{value.more}}</p>{{/if}}{{#if value.list}}<details><summary>{{value.which}}</summary><ul>{{#each value.list}}<li>{{this}}</li>{{/each}}</ul></details>{{/if}}</div>{{/if}}'
Update = dict[str, Any]
# Numbers up to here want more digits than a slider has.
FINE = 0.1
# The cookie in which assets/language.js keeps the language that was chosen.
CHOSEN = re.compile(r"(?:^|;\s*)studio-lang=(en|zh)(?:;|$)")
FIELD = Words("{label}: {what}", "{label}：{what}")
CHANGE = Words("Settings to change before this can start: {count}.", "开始之前有 {count} 项设置需要修改。")


def t(label: Words) -> Any:
    """A fixed label, said by the browser in its own language."""
    return _I18N(words.key(label))


def translations() -> gr.I18n:
    """Every fixed label in every language, for `launch`."""
    return gr.I18n(**{"en": words.labels("en"), "zh": words.labels("zh"), "zh-CN": words.labels("zh")})


def language(request: gr.Request | None) -> str:
    """The language for the browser behind a request: the one chosen on the page, else zh where it prefers Chinese, else en."""
    headers = request.headers if request is not None and request.headers else {}
    if chosen := CHOSEN.search(headers.get("cookie", "")):
        return chosen[1]
    return "zh" if headers.get("accept-language", "").lower().startswith("zh") else "en"


def follow(*changes: Any) -> Any:
    """An event after any of these; let handlers follow it with `.then(…, trigger_mode="always_last")`.

    Two such handlers on one and the same event would never end: when a deferred one is done, Gradio 6.31 fires the event again, for both.
    """
    return gr.on(list(changes), None, None, None, js="() => {}", trigger_mode="multiple", show_progress="hidden", queue=False)


def notice_box(elem_id: str) -> gr.HTML:
    """A place for one sentence about what happened; empty until there is one."""
    return gr.HTML({}, html_template=NOTICE, elem_id=elem_id, elem_classes="notice-box", apply_default_css=False)


def notice(text: str, more: str = "", kind: str = "info") -> dict[str, Any]:
    """What a notice box shows; `kind` is info, good or bad."""
    return {"text": text, "more": more, "kind": kind, "bad": kind == "bad"}


def problem(error: Exception, lang: str) -> dict[str, Any]:
    """What a notice box shows of an error: what happened, and what to do next."""
    return notice(*explain(error).sentences(lang), kind="bad")


def settings_problem(problems: Sequence[Problem], labels: Mapping[str, Words], lang: str) -> dict[str, Any]:
    """What a notice box shows of a plan's problems: each under the label its field has on the page, by whole key or by its last part."""
    said = [
        FIELD.say(lang, label=labels.get(problem.key) or labels.get(problem.key.rpartition(".")[2]) or problem.key, what=problem.what)
        for problem in problems
    ]
    return notice(CHANGE.say(lang, count=len(said)), " · ".join(said), kind="bad")


def lenient(kind: Any) -> None:
    """Let a number out of range, or none at all, reach the studio's own checks, which say what is expected; Gradio would only fail.

    On the class, since Gradio makes fields anew from it for every visitor.
    """
    strict = kind.preprocess

    def read(self: Any, value: Any) -> Any:
        try:
            return strict(self, value)
        except (gr.Error, TypeError, ValueError):
            return value

    kind.preprocess = read


lenient(gr.Slider)
lenient(gr.Number)


def literal(value: Any) -> Any:
    """A value whose texts come out of a template as they are.

    Gradio 6.31 puts what a template gave between backticks and runs it as JavaScript: `${…}` in a text would be run, a backslash lost.
    """
    if isinstance(value, dict):
        return {key: literal(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [literal(one) for one in value]
    return re.sub(r"[\\`$]", r"\\\g<0>", value) if isinstance(value, str) else value


def spoken(value: Any) -> Any:
    """What `literal` was given."""
    if isinstance(value, dict):
        return {key: spoken(one) for key, one in value.items()}
    if isinstance(value, list):
        return [spoken(one) for one in value]
    return re.sub(r"\\([\\`$])", r"\1", value) if isinstance(value, str) else value


def harmless(kind: Any) -> None:
    """Let no text that a template shows be run: on the class, so that no component can be forgotten. Scripts take their values as they are."""
    told, asked = kind.postprocess, kind.preprocess

    def out(self: Any, value: Any) -> Any:
        found = told(self, value)
        return literal(found) if "{{" in (self.html_template or "") else found

    def back(self: Any, value: Any) -> Any:
        return asked(self, spoken(value) if "{{" in (self.html_template or "") else value)

    kind.postprocess, kind.preprocess = out, back


harmless(gr.HTML)


def field(method: str, knob: Knob, visible: bool = True) -> Any:
    """The form field of a method's knob."""
    about: dict[str, Any] = {"label": t(knob.label), "info": t(knob.help), "elem_id": f"knob-{method}-{knob.name}", "visible": visible}
    if knob.kind == "switch":
        return gr.Checkbox(bool(knob.default), **about)
    if knob.kind == "choice":
        return gr.Radio([(said.say(), name) for name, said in knob.choices], value=knob.default, **about)
    if knob.kind == "text":
        return gr.Textbox(str(knob.default), max_length=int(knob.high), lines=1 if knob.high <= 200 else 3, **about)
    if knob.kind == "number" and knob.high <= FINE:
        return gr.Number(knob.default, minimum=knob.low, maximum=knob.high, step=0.00001, **about)
    return gr.Slider(knob.low, knob.high, knob.default, step=1 if knob.kind == "whole" else 0.01, **about)


def settings(method: Method, values: dict[str, Value]) -> dict[str, Value]:
    """The settings of one method out of the values of all fields, which are named METHOD_KNOB; those without a say are left out."""
    every = {knob.name: values[f"{method.name}_{knob.name}"] for knob in method.knobs}
    return {knob.name: every[knob.name] for knob in method.knobs if knob.applies(every)}


def needed(task: Task, given: Mapping[str, str]) -> tuple[str, ...]:
    """The roles a task cannot do without, in the form that its columns have now."""
    return tuple(role for role in roles(task, given) if role not in BESIDE.get(task, ()) and role != GROUP)


def optional(task: Task, given: Mapping[str, str]) -> tuple[str, ...]:
    """The roles whose columns may stay empty."""
    return (*(BESIDE.get(task, ()) if needed(task, given) == ROLES[task] else ()), GROUP)


def pack(columns: Mapping[str, str]) -> str:
    """Role -> column as one text, which the page carries from tab to tab."""
    return json.dumps(columns, ensure_ascii=False)


def unpack(text: object) -> dict[str, str]:
    """The roles in a text from `pack`; empty where a browser sends anything else."""
    try:
        found = json.loads(str(text))
    except (ValueError, RecursionError):
        return {}
    return {str(role): str(column) for role, column in found.items()} if isinstance(found, dict) else {}


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
