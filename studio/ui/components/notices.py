"""Notice boxes: one sentence on the page about what happened, with details below it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from studio.errors import Problem, explain
from studio.i18n import Message, label, languages

NOTICE_TEMPLATE = (
    '{{#if value.text}}<div class="notice {{value.kind}}"'
    ' role="{{#if value.bad}}alert{{else}}status{{/if}}"><p>{{value.text}}</p>'
    '{{#if value.bar}}<progress class="run-bar" max="100" value="{{value.bar.share}}" aria-hidden="true">'
    "</progress>{{/if}}"
    '{{#if value.warning}}<p class="warning">{{value.warning}}</p>{{/if}}'
    '{{#if value.more}}<p class="more">{{value.more}}</p>{{/if}}'
    '{{#if value.link}}<p><a href="{{value.link}}" target="_blank" rel="noopener">{{value.link}}</a></p>'
    "{{/if}}"
    "{{#if value.list}}<details><summary>{{value.which}}</summary>"
    "<ul>{{#each value.list}}<li>{{this}}</li>{{/each}}</ul></details>{{/if}}"
    "</div>{{/if}}"
)
CHECKING = label("Checking…", context="train")
FIELD_PROBLEM = Message("{label}: {what}")
SETTINGS_TO_CHANGE = Message("Settings to change before this can start: {count}.")


def notice_box(elem_id: str) -> gr.HTML:
    """A component for one notice; it takes up no space until there is one."""
    return gr.HTML(
        {},
        html_template=NOTICE_TEMPLATE,
        elem_id=elem_id,
        elem_classes="notice-box",
        apply_default_css=False,
    )


def notice(text: str, more: str = "", kind: str = "info", warning: str = "") -> dict[str, Any]:
    """The value of a notice box.

    Args:
        text: The sentence, already rendered; "" empties the box.
        more: Details in smaller type.
        kind: "info", "good", "check" (a warning) or "bad" (an error, announced at once by screen readers).
        warning: A sentence in red between the two; "" for none.
    """
    return {"text": text, "more": more, "kind": kind, "bad": kind == "bad", "warning": warning}


def build_checking_js() -> str:
    """JavaScript that returns a notice: shown at once by the browser, where a check takes seconds."""
    texts = json.dumps({language: CHECKING.render(language) for language in languages()}, ensure_ascii=False)
    return f"() => ({{ text: {texts}[window.studioLanguage], more: '', kind: 'info', bad: false }})"


def error_notice(error: Exception, lang: str) -> dict[str, Any]:
    """The notice for an error: what happened, and what to do next."""
    return notice(*explain(error).sentences(lang), kind="bad")


def problems_notice(problems: Sequence[Problem], labels: Mapping[str, Message], lang: str) -> dict[str, Any]:
    """The notice for a plan's problems, each under the label its field has on the page.

    Args:
        problems: What is wrong, by key in the plan.
        labels: Labels of the fields, by full key or by the last part of the key.
        lang: The visitor's language.
    """
    lines = []
    for problem in problems:
        last_part = problem.key.rpartition(".")[2]
        label = labels.get(problem.key) or labels.get(last_part) or problem.key
        lines.append(FIELD_PROBLEM.render(lang, label=label, what=problem.message))
    return notice(SETTINGS_TO_CHANGE.render(lang, count=len(lines)), " · ".join(lines), kind="bad")
