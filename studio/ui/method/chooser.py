"""The guided chooser on the Method tab: six questions, mostly answered already, and what they come to."""

from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from studio import chooser, methods, plan, presets
from studio.chooser import QUESTIONS, Choice
from studio.chooser.answers import TASK_BY_DATA_KIND
from studio.data.schema.infer_roles import RoleGuess
from studio.errors import StudioError
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import Machine
from studio.i18n import Message, label
from studio.plan import Task
from studio.ui import access
from studio.ui.components import forms
from studio.ui.components.forms import t
from studio.ui.data import tab as data_tab
from studio.ui.method import estimates as table_estimates

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
# Where the reading goes on when the answer is there, and how long it takes to be drawn (milliseconds).
RESULT_SELECTOR, RENDER_DELAY_MS = "#choice h3", 200
CHOICE_TEMPLATE = """
{{#if value.head}}<section class="choice {{value.mood}}"><h3 tabindex="-1">{{value.head}}</h3>
{{#each value.reasons}}<p>{{this}}</p>{{/each}}
{{#if value.advice}}<p><b>{{value.advice}}</b></p>{{/if}}
{{#if value.cost}}<p class="small">{{value.cost}}</p>{{/if}}
{{#if value.note}}<p class="small">{{value.note}}</p>{{/if}}
<div class="choice-acts">{{#if value.take}}<button type="button" class="primary" data-do="take">{{value.take}}</button>{{/if}}
{{#if value.attempt}}<button type="button" data-do="attempt">{{value.attempt}}</button>{{/if}}</div>
{{#if value.lost}}<details><summary>{{value.others}}</summary><dl>{{#each value.lost}}<dt>{{this.name}}</dt><dd>{{this.why}}</dd>{{/each}}</dl></details>{{/if}}
{{#if value.prompt}}<details><summary>{{value.prompted}}</summary><pre tabindex="0">{{value.prompt}}</pre></details>{{/if}}
</section>{{/if}}"""


class Chooser(NamedTuple):
    """The components of the chooser; `filled` holds the answers that nobody gave, but the studio filled in."""

    prefilled: gr.Textbox
    answers: dict[str, gr.Radio]
    show_button: gr.Button
    notice: gr.HTML
    result: gr.HTML


def prefill_answers(
    source: str,
    task: Task,
    columns: str,
    model: str,
    machine: str,
    filled: str,
    request: gr.Request,
    **answers: str | None,
) -> tuple[Any, ...]:
    """Every question in the visitor's language, answered as far as the data and the machine can answer it; what was answered stays.

    `filled` are the answers that were filled in before: they alone are filled in anew.
    """
    lang, known_answers, previous = forms.request_language(request), {}, forms.unpack(filled)
    try:
        known_answers = chooser.prefill(
            _valid_source(source),
            _find_machine(machine),
            _current_guess(source, task, columns),
            model=str(model or ""),
        )
    except StudioError:  # what is wrong with the data is said on its own tab
        known_answers = chooser.infer_answers("", 0, 0, _find_machine(machine))
    user_answers = {name: value for name, value in answers.items() if value not in (None, previous.get(name))}
    updates = [
        gr.update(
            choices=[(text.render(lang), name) for name, text in question.choices],
            label=question.text.render(lang),
            info=question.why.render(lang),
            value={**known_answers, **user_answers}.get(question.id),
        )
        for question in QUESTIONS
    ]
    return (
        *updates,
        {},
        forms.pack({name: value for name, value in known_answers.items() if name not in user_answers}),
    )


def _valid_source(source: str) -> str:
    """The data set a browser names; none where it names something else."""
    try:
        return access.find_dataset(source).source
    except StudioError:
        return ""


def _current_guess(source: str, task: Task, columns: str) -> RoleGuess | None:
    roles_to_columns = forms.unpack(columns)
    return RoleGuess(task, roles_to_columns, True) if _valid_source(source) and roles_to_columns else None


def _find_machine(machine: str) -> Machine:
    known_machines = catalogue.load_machines()
    return known_machines[machine] if machine in known_machines else catalogue.local_machine()


def choose_method(
    source: str,
    task: Task,
    columns: str,
    model: str,
    machine: str,
    request: gr.Request,
    **answers: str | None,
) -> tuple[Any, ...]:
    """What the answers come to, or how many are still missing."""
    lang = forms.request_language(request)
    missing = [question.id for question in QUESTIONS if not answers.get(question.id)]
    if missing:
        return forms.notice(QUESTIONS_LEFT.render(lang, count=len(missing))), {}
    given_answers = {name: str(value) for name, value in answers.items()}
    try:
        base_model = _usable_model(str(model or ""), task, TASK_BY_DATA_KIND.get(given_answers["have"], task))
        choice = chooser.choose(
            given_answers,
            _valid_source(source),
            _find_machine(machine),
            guess=_current_guess(source, task, columns),
            model=base_model,
        )
    except StudioError as error:
        return forms.error_notice(error, lang), {}
    return forms.notice(""), render_choice(choice, lang)


def _usable_model(model: str, task: Task, wanted_task: Task) -> str:
    """The base model on the page, where it can do what is wanted; one that was chosen to write was not chosen to sort."""
    card = presets.models().get(model)
    return "" if card and (wanted_task not in card.tasks or (wanted_task == "classify" != task)) else model


def render_choice(choice: Choice, lang: str) -> dict[str, Any]:
    """What is shown of a choice; `plan` is what taking it would set."""
    cards = presets.methods()
    name = cards[choice.method].name if choice.method else None
    cost = table_estimates.format_expected_cost(choice.estimate, lang)
    return {
        "head": BEST_METHOD.render(lang, method=name) if name else NO_TRAINING.render(lang),
        "mood": "good" if name else "check",
        "reasons": [reason.render(lang) for reason in choice.reasons],
        "advice": choice.advice.render(lang) if choice.advice else "",
        "cost": cost,
        "note": choice.note.render(lang) if choice.note else "",
        "others": WHY_NOT_OTHERS.render(lang),
        "lost": [
            {"name": cards[method_id].name.render(lang), "why": why_not.render(lang)}
            for method_id, why_not in choice.rejections.items()
        ],
        "prompted": PROMPT_TO_TRY.render(lang),
        "prompt": choice.prompt.render(lang) if choice.prompt else "",
        "take": USE_PLAN.render(lang) if choice.plan else "",
        "attempt": TRY_PROMPT.render(lang) if choice.prompt else "",
        "plan": choice.plan.model_dump(mode="json") if choice.plan else {},
    }


def apply_choice(
    choice_value: object,
    source: str,
    task: Task,
    columns: str,
    setting_names: tuple[str, ...],
    data_output_count: int,
    request: gr.Request,
) -> tuple[dict[str, Any], ...]:
    """A sentence, then what taking a choice sets: the `many` values of the Data tab, method, model and the settings `names` (METHOD_KNOB).

    What a browser sends is checked as a plan is; one that cannot run sets nothing. Data that is open already stays as it is looked at.
    """
    lang = forms.request_language(request)
    try:
        chosen_plan = plan.parse(
            choice_value.get("plan") if isinstance(choice_value, dict) else None,
            "the page",
            (methods.find_plan_problems,),
        )
        access.check_model(chosen_plan.model)
        is_open = (chosen_plan.data.source, chosen_plan.task, chosen_plan.data.columns) == (
            source,
            task,
            forms.unpack(columns),
        )
        data_updates = (
            (gr.skip(),) * data_output_count
            if is_open
            else data_tab.open_with(chosen_plan.data.source, chosen_plan.task, chosen_plan.data.columns, lang)
        )
    except StudioError as error:
        return forms.error_notice(error, lang), *(gr.skip(),) * (data_output_count + 2 + len(setting_names))
    method = chosen_plan.method.name
    setting_values = {
        f"{method}_{name}": value
        for name, value in methods.get(method).resolve_settings(chosen_plan.method.settings).items()
    }
    notice = forms.notice(PLAN_APPLIED.render(lang), PLAN_APPLIED_NEXT.render(lang), kind="good")
    return (
        notice,
        *data_updates,
        method,
        chosen_plan.model,
        *(setting_values.get(name, gr.skip()) for name in setting_names),
    )


def read_prompt(choice_value: Any) -> Any:
    """The prompt of a choice, for the Playground."""
    text = choice_value.get("prompt") if isinstance(choice_value, dict) else None
    return text[:20_000] if isinstance(text, str) and text else gr.skip()


def build() -> Chooser:
    """Lay the questions out."""
    with gr.Accordion(t(CHOOSER_HEADING), open=False, elem_id="chooser"):
        gr.Markdown(t(CHOOSER_HELP))
        answers = {}
        with gr.Row():
            for question in QUESTIONS:
                choices = [(text.render(), name) for name, text in question.choices]
                answers[question.id] = gr.Radio(
                    choices,
                    label=question.text.render(),
                    info=question.why.render(),
                    elem_id=f"ask-{question.id}",
                    min_width=420,
                )
        show_button = gr.Button(t(SHOW_RESULT), variant="primary", elem_id="choose")
        notice = forms.notice_box("choose-notice")
        script = (presets.ASSETS / "choose.js").read_text(encoding="utf-8")
        result = gr.HTML(
            {}, html_template=CHOICE_TEMPLATE, js_on_load=script, elem_id="choice", apply_default_css=False
        )
        prefilled = gr.Textbox("{}", visible=False)
    return Chooser(prefilled, answers, show_button, notice, result)


def wire(
    components: Chooser,
    trigger: Any,
    form_fields: dict[str, Any],
    data_outputs: list[Any],
    chosen: gr.BrowserState,
    setting_fields: dict[str, Any],
) -> None:
    """Fill in what is known when it has `changed`, answer when asked, and take a choice over into the fields.

    `asked` are the fields by name, `opened` what the Data tab shows of a data set.
    """
    result_outputs, answers = [components.notice, components.result], components.answers
    prefill_inputs, prefill_outputs = (
        {**form_fields, "filled": components.prefilled, **answers},
        [*answers.values(), components.result, components.prefilled],
    )
    trigger.then(
        prefill_answers,
        inputs_kwargs=prefill_inputs,
        outputs=prefill_outputs,
        trigger_mode="always_last",
        show_progress="hidden",
        queue=False,
    )
    decide_event = components.show_button.click(
        choose_method,
        inputs_kwargs={**form_fields, **answers},
        outputs=result_outputs,
        show_progress="hidden",
    )
    decide_event.then(
        None,
        None,
        None,
        js=f"() => setTimeout(() => document.querySelector('{RESULT_SELECTOR}')?.focus(), {RENDER_DELAY_MS})",
        queue=False,
    )
    setting_names, data_output_count = tuple(setting_fields), len(data_outputs)

    def apply_shown_choice(
        choice_value: object, source: str, task: Task, columns: str, request: gr.Request
    ) -> tuple[Any, ...]:
        """The choice, into data, method, model and settings."""
        return apply_choice(choice_value, source, task, columns, setting_names, data_output_count, request)

    data_inputs = [form_fields[name] for name in ("source", "task", "columns")]
    outputs = [components.notice, *data_outputs, chosen, form_fields["model"], *setting_fields.values()]
    components.result.take(
        apply_shown_choice, [components.result, *data_inputs], outputs, show_progress="hidden", queue=False
    )
