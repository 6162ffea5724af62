"""The guided chooser on the Method tab: six questions, mostly answered already, and the method to use."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from studio import chooser, methods, plan, presets
from studio.chooser import QUESTIONS, Choice
from studio.chooser.answers import TASK_BY_DATA_KIND
from studio.data.schema.infer_roles import RoleGuess
from studio.errors import StudioError
from studio.i18n import Message, label
from studio.plan import Plan, Task
from studio.ui import access
from studio.ui.components import notices
from studio.ui.components.events import LATEST_UNQUEUED, UNQUEUED
from studio.ui.components.labels import t
from studio.ui.data import tab as data_tab
from studio.ui.form.form_state import FormState, read_form
from studio.ui.form.packing import pack_mapping, unpack_mapping
from studio.ui.language import request_language
from studio.ui.method.estimates import format_expected_cost
from studio.ui.method.machine import find_machine

MAX_PROMPT_CHARS = 20_000
CHOOSER_HEADING = label("Not sure which? Six questions choose for you")
CHOOSER_HELP = label("What your data and this machine already answer is filled in; change whatever is wrong.")
SHOW_RESULT = label("Show what suits")
QUESTIONS_LEFT = Message("{count} of 6 questions still to answer.")
BEST_METHOD = Message("{method} suits best")
NO_TRAINING = Message("Better not train yet")
WHY_NOT_OTHERS = Message(
    "Why not the other {count}", {"count": partial(presets.spelled_method_count, besides=1)}
)
PROMPT_TO_TRY = Message("A prompt to try on the base model first")
USE_PLAN, TRY_PROMPT = Message("Use this plan"), Message("Try the prompt on the base model")
PLAN_APPLIED = Message("Data, base model and method are set as proposed.")
PLAN_APPLIED_NEXT = Message("Look at the settings below, then train.")
# Where the focus goes when the result is there, and how long that takes to be drawn (milliseconds).
RESULT_SELECTOR, RENDER_DELAY_MS = "#choice h3", 200
CHOICE_TEMPLATE = """
{{#if value.head}}<section class="choice {{value.mood}}"><h3 tabindex="-1">{{value.head}}</h3>
{{#if value.warning}}<p class="warning">{{value.warning}}</p>{{/if}}
{{#each value.reasons}}<p>{{this}}</p>{{/each}}
{{#if value.advice}}<p><b>{{value.advice}}</b></p>{{/if}}
{{#if value.cost}}<p class="small">{{value.cost}}</p>{{/if}}
{{#if value.note}}<p class="small">{{value.note}}</p>{{/if}}
<div class="choice-acts">
{{#if value.take}}<button type="button" class="primary" data-do="take">{{value.take}}</button>{{/if}}
{{#if value.attempt}}<button type="button" data-do="attempt">{{value.attempt}}</button>{{/if}}</div>
{{#if value.lost}}<details><summary>{{value.others}}</summary>
<dl>{{#each value.lost}}<dt>{{this.name}}</dt><dd>{{this.why}}</dd>{{/each}}</dl></details>{{/if}}
{{#if value.prompt}}<details><summary>{{value.prompted}}</summary>
<pre tabindex="0">{{value.prompt}}</pre></details>{{/if}}
</section>{{/if}}"""


class Chooser(NamedTuple):
    """The components of the chooser; `prefilled` holds the answers that the studio filled in, as one text."""

    prefilled: gr.Textbox
    answers: dict[str, gr.Radio]
    show_button: gr.Button
    notice: gr.HTML
    result: gr.HTML


@dataclass(frozen=True)
class ChoiceTargets:
    """The components that taking a choice sets.

    Attributes:
        data: What the Data tab shows of a data set (data_tab.open_with).
        method: The chosen method.
        model: The base model.
        settings: The settings of all methods, as METHOD_SETTING.
    """

    data: list[Any]
    method: gr.BrowserState
    model: gr.Dropdown
    settings: dict[str, Any]

    def components(self) -> list[Any]:
        """All of them, in the order in which `apply_choice` returns their values."""
        return [*self.data, self.method, self.model, *self.settings.values()]


def prefill_answers(request: gr.Request, **fields: Any) -> tuple[Any, ...]:
    """Answer every question as far as the data and the machine can; what a person answered stays.

    Args:
        request: The visitor's request.
        fields: The form (form_state.read_form), the answers by the ids of their questions, and `prefilled`,
            the answers that were filled in before. Those alone are filled in anew.

    Returns:
        An update of every question in the visitor's language, an empty result, and the filled in answers.
    """
    lang = request_language(request)
    form = read_form(fields)
    suggested = _suggest_answers(form)
    user_answers = _read_user_answers(fields)
    answers = {**suggested, **user_answers}
    updates = [
        gr.update(
            choices=[(text.render(lang), name) for name, text in question.choices],
            label=question.text.render(lang),
            info=question.why.render(lang),
            value=answers.get(question.id),
        )
        for question in QUESTIONS
    ]
    prefilled = {name: value for name, value in suggested.items() if name not in user_answers}
    return *updates, {}, pack_mapping(prefilled)


def _suggest_answers(form: FormState) -> dict[str, str]:
    machine = find_machine(form.machine)
    try:
        return chooser.prefill(_readable_source(form), machine, _current_guess(form), model=form.model)
    except StudioError:  # the Data tab says what is wrong with the data
        return chooser.infer_answers("", 0, 0, machine)


def _read_user_answers(fields: Mapping[str, Any]) -> dict[str, str]:
    """The answers that a person gave: those that differ from what was filled in."""
    prefilled = unpack_mapping(fields.get("prefilled"))
    answers = {}
    for question in QUESTIONS:
        answer = fields.get(question.id)
        if answer is not None and answer != prefilled.get(question.id):
            answers[question.id] = answer
    return answers


def _readable_source(form: FormState) -> str:
    """The data set, "" where the browser names none that there is."""
    try:
        return access.find_dataset(form.source).source
    except StudioError:
        return ""


def _current_guess(form: FormState) -> RoleGuess | None:
    """The task and columns on the Data tab; None where there is no data, or no column has a role."""
    if not form.columns or not _readable_source(form):
        return None
    return RoleGuess(form.task, dict(form.columns), True)


def choose_method(request: gr.Request, **fields: Any) -> tuple[Any, ...]:
    """The notice and the result for the answers, or how many answers are still missing.

    Args:
        request: The visitor's request.
        fields: The form (form_state.read_form), and the answers by the ids of their questions.
    """
    lang = request_language(request)
    answers = {question.id: str(fields[question.id]) for question in QUESTIONS if fields.get(question.id)}
    missing_count = len(QUESTIONS) - len(answers)
    if missing_count:
        return notices.notice(QUESTIONS_LEFT.render(lang, count=missing_count)), {}
    form = read_form(fields)
    try:
        choice = chooser.choose(
            answers,
            _readable_source(form),
            find_machine(form.machine),
            guess=_current_guess(form),
            model=_suitable_model(form, TASK_BY_DATA_KIND.get(answers["have"], form.task)),
        )
    except StudioError as error:
        return notices.error_notice(error, lang), {}
    return notices.notice(""), render_choice(choice, lang)


def _suitable_model(form: FormState, wanted_task: Task) -> str:
    """The base model on the page, "" where it is not for the wanted task.

    A model that was chosen to write was not chosen to classify, even if it can.
    """
    card = presets.models().get(form.model)
    if card and wanted_task not in card.tasks:
        return ""
    if card and wanted_task == "classify" and form.task != "classify":
        return ""
    return form.model


def render_choice(choice: Choice, lang: str) -> dict[str, Any]:
    """What the page shows of a choice; `plan` is what taking it sets."""
    cards = presets.methods()
    name = cards[choice.method].name if choice.method else None
    rejections = [
        {"name": cards[method].name.render(lang), "why": reason.render(lang)}
        for method, reason in choice.rejections.items()
    ]
    return {
        "head": BEST_METHOD.render(lang, method=name) if name else NO_TRAINING.render(lang),
        "mood": "good" if name else "check",
        "reasons": [reason.render(lang) for reason in choice.reasons],
        "advice": _render_optional(choice.advice, lang),
        "cost": format_expected_cost(choice.estimate, lang),
        "note": _render_optional(choice.note, lang),
        "warning": _render_optional(choice.warning, lang),
        "others": WHY_NOT_OTHERS.render(lang),
        "lost": rejections,
        "prompted": PROMPT_TO_TRY.render(lang),
        "prompt": _render_optional(choice.prompt, lang),
        "take": USE_PLAN.render(lang) if choice.plan else "",
        "attempt": TRY_PROMPT.render(lang) if choice.prompt else "",
        "plan": choice.plan.model_dump(mode="json") if choice.plan else {},
    }


def _render_optional(message: Message | None, lang: str) -> str:
    return message.render(lang) if message else ""


def apply_choice(choice_value: object, form: FormState, targets: ChoiceTargets, lang: str) -> tuple[Any, ...]:
    """Take a choice over into the form.

    What a browser sends is checked as a plan is, and one that cannot run sets nothing. Data that is open
    already stays as it is.

    Args:
        choice_value: The value of the result's component, from `render_choice` or anything else.
        form: The form as it is.
        targets: What is set.
        lang: The visitor's language.

    Returns:
        A notice, then a value for each of `targets.components()`.
    """
    try:
        chosen_plan = _check_choice(choice_value)
        data_updates = _open_data(chosen_plan, form, targets, lang)
    except StudioError as error:
        unchanged = (gr.skip(),) * len(targets.components())
        return notices.error_notice(error, lang), *unchanged
    method_name = chosen_plan.method.name
    settings = methods.get(method_name).resolve_settings(chosen_plan.method.settings)
    setting_values = {f"{method_name}_{name}": value for name, value in settings.items()}
    return (
        notices.notice(PLAN_APPLIED.render(lang), PLAN_APPLIED_NEXT.render(lang), kind="good"),
        *data_updates,
        method_name,
        chosen_plan.model,
        *(setting_values.get(name, gr.skip()) for name in targets.settings),
    )


def _check_choice(choice_value: object) -> Plan:
    raw_plan = choice_value.get("plan") if isinstance(choice_value, dict) else None
    chosen_plan = plan.parse(raw_plan, "the page", (methods.find_plan_problems,))
    access.check_model(chosen_plan.model)
    return chosen_plan


def _open_data(chosen_plan: Plan, form: FormState, targets: ChoiceTargets, lang: str) -> tuple[Any, ...]:
    """Updates of the Data tab for the data of a plan; none where that is open already."""
    data = chosen_plan.data
    if (data.source, chosen_plan.task, data.columns) == (form.source, form.task, form.columns):
        return (gr.skip(),) * len(targets.data)
    return data_tab.open_with(data.source, chosen_plan.task, data.columns, lang)


def read_prompt(choice_value: Any) -> Any:
    """The prompt of a choice, for the Playground."""
    text = choice_value.get("prompt") if isinstance(choice_value, dict) else None
    if not isinstance(text, str) or not text:
        return gr.skip()
    return text[:MAX_PROMPT_CHARS]


def build() -> Chooser:
    """Lay the questions out."""
    with gr.Accordion(t(CHOOSER_HEADING), open=False, elem_id="chooser"):
        gr.Markdown(t(CHOOSER_HELP))
        answers = {}
        with gr.Row():
            for question in QUESTIONS:
                answers[question.id] = gr.Radio(
                    [(text.render(), name) for name, text in question.choices],
                    label=question.text.render(),
                    info=question.why.render(),
                    elem_id=f"ask-{question.id}",
                    min_width=420,
                )
        show_button = gr.Button(t(SHOW_RESULT), variant="primary", elem_id="choose")
        notice = notices.notice_box("choose-notice")
        script = (presets.ASSETS / "choose.js").read_text(encoding="utf-8")
        result = gr.HTML(
            {}, html_template=CHOICE_TEMPLATE, js_on_load=script, elem_id="choice", apply_default_css=False
        )
        prefilled = gr.Textbox("{}", visible=False)
    return Chooser(prefilled, answers, show_button, notice, result)


def wire(components: Chooser, data_changed: Any, form_fields: dict[str, Any], targets: ChoiceTargets) -> None:
    """Fill answers in, show the result, and take a choice over into the form.

    Args:
        components: The chooser's own components.
        data_changed: The event after which answers are filled in anew.
        form_fields: The components of the form that handlers read, by field name.
        targets: What taking a choice sets.
    """
    inputs = {**form_fields, **components.answers}
    data_changed.then(
        prefill_answers,
        inputs_kwargs={**inputs, "prefilled": components.prefilled},
        outputs=[*components.answers.values(), components.result, components.prefilled],
        **LATEST_UNQUEUED,
    )
    decide_event = components.show_button.click(
        choose_method,
        inputs_kwargs=inputs,
        outputs=[components.notice, components.result],
        show_progress="hidden",
    )
    decide_event.then(
        None,
        None,
        None,
        js=f"() => setTimeout(() => document.querySelector('{RESULT_SELECTOR}')?.focus(), {RENDER_DELAY_MS})",
        queue=False,
    )

    def take(request: gr.Request, choice: object, **fields: Any) -> tuple[Any, ...]:
        return apply_choice(choice, read_form(fields), targets, request_language(request))

    components.result.take(
        take,
        inputs_kwargs={**form_fields, "choice": components.result},
        outputs=[components.notice, *targets.components()],
        **UNQUEUED,
    )
