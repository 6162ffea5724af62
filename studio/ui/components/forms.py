"""Words, errors and knobs as the page shows them."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from studio import i18n
from studio.errors import Problem, explain
from studio.i18n import Message
from studio.methods.spec import Method, Setting
from studio.plan import GROUP_ROLE, OPTIONAL_ROLES, REQUIRED_ROLES, Task, Value, active_roles

_I18N = gr.I18n()
NOTICE_TEMPLATE = '{{#if value.text}}<div class="notice {{value.kind}}" role="{{#if value.bad}}alert{{else}}status{{/if}}"><p>{{value.text}}</p>{{#if value.bar}}<progress class="run-bar" max="100" value="{{value.bar.share}}" aria-hidden="true"></progress>{{/if}}{{#if value.more}}<p class="more">{{value.more}}</p>{{/if}}{{#if value.list}}<details><summary>{{value.which}}</summary><ul>{{#each value.list}}<li>{{this}}</li>{{/each}}</ul></details>{{/if}}</div>{{/if}}'
Update = dict[str, Any]
# Numbers up to here want more digits than a slider has.
MAX_FINE_NUMBER = 0.1
# The cookie in which assets/language.js keeps the language that was chosen.
LANGUAGE_COOKIE = re.compile(r"(?:^|;\s*)studio-lang=([a-z]+)(?:;|$)")
TIMER_UNITS = Message("h"), Message("min", context="timer"), Message("s")
FIELD_PROBLEM = Message("{label}: {what}")
SETTINGS_TO_CHANGE = Message("Settings to change before this can start: {count}.")


def t(label: Message) -> Any:
    """A fixed label, said by the browser in its own language."""
    return _I18N(i18n.label_key(label))


def translations() -> gr.I18n:
    """Every fixed label in every language, for `launch`."""
    return gr.I18n(
        **{
            locale: i18n.labels(language)
            for language in i18n.languages()
            for locale in i18n.about(language).get("browser_locales", [language])
        }
    )


def request_language(request: gr.Request | None) -> str:
    """The language for the browser behind a request: the one chosen on the page, else the one the browser prefers, else en."""
    headers = request.headers if request is not None and request.headers else {}
    chosen = LANGUAGE_COOKIE.search(headers.get("cookie", ""))
    if chosen and chosen[1] in i18n.languages():
        return chosen[1]
    preferred = headers.get("accept-language", "").lower()
    return next((name for name in i18n.languages() if preferred.startswith(name)), "en")


def after_any(*changes: Any) -> Any:
    """An event after any of these; let handlers follow it with `.then(…, trigger_mode="always_last")`.

    Two such handlers on one and the same event would never end: when a deferred one is done, Gradio 6.31 fires the event again, for both.
    """
    return gr.on(
        list(changes),
        None,
        None,
        None,
        js="() => {}",
        trigger_mode="multiple",
        show_progress="hidden",
        queue=False,
    )


def notice_box(elem_id: str) -> gr.HTML:
    """A place for one sentence about what happened; empty until there is one."""
    return gr.HTML(
        {}, html_template=NOTICE_TEMPLATE, elem_id=elem_id, elem_classes="notice-box", apply_default_css=False
    )


def notice(text: str, more: str = "", kind: str = "info") -> dict[str, Any]:
    """What a notice box shows; `kind` is info, good or bad."""
    return {"text": text, "more": more, "kind": kind, "bad": kind == "bad"}


def error_notice(error: Exception, lang: str) -> dict[str, Any]:
    """What a notice box shows of an error: what happened, and what to do next."""
    return notice(*explain(error).sentences(lang), kind="bad")


def problems_notice(problems: Sequence[Problem], labels: Mapping[str, Message], lang: str) -> dict[str, Any]:
    """What a notice box shows of a plan's problems: each under the label its field has on the page, by whole key or by its last part."""
    lines = [
        FIELD_PROBLEM.render(
            lang,
            label=labels.get(problem.key) or labels.get(problem.key.rpartition(".")[2]) or problem.key,
            what=problem.message,
        )
        for problem in problems
    ]
    return notice(SETTINGS_TO_CHANGE.render(lang, count=len(lines)), " · ".join(lines), kind="bad")


def patch_number_validation(component_class: Any) -> None:
    """Let a number out of range, or none at all, reach the studio's own checks, which say what is expected; Gradio would only fail.

    On the class, since Gradio makes fields anew from it for every visitor.
    """
    original_preprocess = component_class.preprocess

    def tolerant_preprocess(self: Any, value: Any) -> Any:
        try:
            return original_preprocess(self, value)
        except (gr.Error, TypeError, ValueError):
            return value

    component_class.preprocess = tolerant_preprocess


patch_number_validation(gr.Slider)
patch_number_validation(gr.Number)


def escape_template(value: Any) -> Any:
    """A value whose texts come out of a template as they are.

    Gradio 6.31 puts what a template gave between backticks and runs it as JavaScript: `${…}` in a text would be run, a backslash lost.
    """
    if isinstance(value, dict):
        return {key: escape_template(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [escape_template(item) for item in value]
    return re.sub(r"[\\`$]", r"\\\g<0>", value) if isinstance(value, str) else value


def unescape_template(value: Any) -> Any:
    """What `literal` was given."""
    if isinstance(value, dict):
        return {key: unescape_template(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unescape_template(item) for item in value]
    return re.sub(r"\\([\\`$])", r"\1", value) if isinstance(value, str) else value


def patch_html_escaping(component_class: Any) -> None:
    """Let no text that a template shows be run: on the class, so that no component can be forgotten. Scripts take their values as they are."""
    original_postprocess, original_preprocess = component_class.postprocess, component_class.preprocess

    def escaped_postprocess(self: Any, value: Any) -> Any:
        output = original_postprocess(self, value)
        return escape_template(output) if "{{" in (self.html_template or "") else output

    def unescaped_preprocess(self: Any, value: Any) -> Any:
        return original_preprocess(
            self, unescape_template(value) if "{{" in (self.html_template or "") else value
        )

    component_class.postprocess, component_class.preprocess = escaped_postprocess, unescaped_preprocess


patch_html_escaping(gr.HTML)


def build_setting_field(method: str, setting: Setting, visible: bool = True) -> Any:
    """The form field of a method's knob."""
    common_arguments: dict[str, Any] = {
        "label": t(setting.label),
        "info": t(setting.help),
        "elem_id": f"knob-{method}-{setting.name}",
        "visible": visible,
    }
    if setting.kind == "bool":
        return gr.Checkbox(bool(setting.default), **common_arguments)
    if setting.kind == "choice":
        return gr.Radio(
            [(text.render(), name) for name, text in setting.choices],
            value=setting.default,
            **common_arguments,
        )
    if setting.kind == "str":
        return gr.Textbox(
            str(setting.default),
            max_length=int(setting.high),
            lines=1 if setting.high <= 200 else 3,
            **common_arguments,
        )
    if setting.kind == "float" and setting.high <= MAX_FINE_NUMBER:
        return gr.Number(
            setting.default, minimum=setting.low, maximum=setting.high, step=0.00001, **common_arguments
        )
    return gr.Slider(
        setting.low,
        setting.high,
        setting.default,
        step=1 if setting.kind == "int" else 0.01,
        **common_arguments,
    )


def read_method_settings(method: Method, values: dict[str, Value]) -> dict[str, Value]:
    """The settings of one method out of the values of all fields, which are named METHOD_KNOB; those without a say are left out."""
    all_values = {setting.name: values[f"{method.name}_{setting.name}"] for setting in method.settings}
    return {
        setting.name: all_values[setting.name] for setting in method.settings if setting.applies(all_values)
    }


def required_column_roles(task: Task, columns: Mapping[str, str]) -> tuple[str, ...]:
    """The roles a task cannot do without, in the form that its columns have now."""
    return tuple(
        role
        for role in active_roles(task, columns)
        if role not in OPTIONAL_ROLES.get(task, ()) and role != GROUP_ROLE
    )


def optional_column_roles(task: Task, columns: Mapping[str, str]) -> tuple[str, ...]:
    """The roles whose columns may stay empty."""
    return (
        *(
            OPTIONAL_ROLES.get(task, ())
            if required_column_roles(task, columns) == REQUIRED_ROLES[task]
            else ()
        ),
        GROUP_ROLE,
    )


def pack(columns: Mapping[str, str]) -> str:
    """Role -> column as one text, which the page carries from tab to tab."""
    return json.dumps(columns, ensure_ascii=False)


def unpack(text: object) -> dict[str, str]:
    """The roles in a text from `pack`; empty where a browser sends anything else."""
    try:
        parsed = json.loads(str(text))
    except (ValueError, RecursionError):
        return {}
    return {str(role): str(column) for role, column in parsed.items()} if isinstance(parsed, dict) else {}


def format_count(value: float) -> str:
    """A count as people read it: 4,884,480 stays, 134,515,008 becomes 134.5 M."""
    for size, unit in ((1e9, "B"), (1e6, "M")):
        if value >= size * (0.9995 if unit == "B" else 10):  # just under a billion is said as one
            return f"{value / size:.3g} {unit}"
    return f"{value:,.0f}"


def format_seconds(seconds: float, lang: str) -> str:
    """A time as people say it: 45 s, 3 min 20 s, 2 h 5 min."""
    total_seconds = round(seconds)
    hours, minutes, remaining_seconds = total_seconds // 3600, total_seconds % 3600 // 60, total_seconds % 60
    units = [unit.render(lang) for unit in TIMER_UNITS]
    parts = (
        [(hours, units[0]), (minutes, units[1])]
        if hours
        else [(minutes, units[1]), (remaining_seconds, units[2])]
    )
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or f"0 {units[2]}"
