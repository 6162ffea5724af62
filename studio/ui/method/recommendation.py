"""The recommended method on top of the Method tab: why, what it takes, and the next step as one button."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gradio as gr

from studio import chooser, methods, plan, presets
from studio.chooser import Choice, Estimator
from studio.errors import StudioError
from studio.estimate import all_methods
from studio.estimate.types import Estimate, Range
from studio.i18n import Message, join_sentences
from studio.plan import Plan
from studio.ui import access, units
from studio.ui.components.events import UNQUEUED
from studio.ui.data import tab as data_tab
from studio.ui.form import plan_form
from studio.ui.form.form_state import FormState, read_form
from studio.ui.language import request_language
from studio.ui.method import chooser as questions
from studio.ui.method import table_messages
from studio.ui.method.estimate_inputs import EstimateInputs
from studio.ui.method.machine import find_machine

MAX_PROMPT_CHARS = 20_000
RECOMMENDED = Message("Recommended: {method}")
NO_TRAINING = Message("Better not to train yet")
NO_DATA = Message("Add data to get a recommendation")
NO_DATA_TO_DO = Message("The Data tab takes a file, pasted rows or a sample.")
OPEN_QUESTIONS = Message("Assumed:")
ASSUMED = Message("{question} {answer}")
WHY_NOT_OTHERS = Message(
    "Why not the other {count}", {"count": partial(presets.spelled_method_count, besides=1)}
)
PROMPT_TO_TRY = Message("A prompt to try on the base model first")
TRY_PROMPT = Message("Try the prompt on the base model")
USE_AND_CONTINUE, CONTINUE = Message("Use {method} and continue"), Message("Continue to training")
CONTINUE_WITH, TRAIN_ANYWAY = Message("Continue with {method}"), Message("Train {method} anyway")
FIT_MORE = Message("Set max length to automatic")
METHOD_CHANGED = Message("Method changed from {old} to {new} to suit the new data.")
CHANGED = Message("Changed: {changes}.")
CHANGE = Message("{what} {old} → {new}")
METHOD, MODEL, DATA = Message("method"), Message("base model"), Message("data set")
UNDO, UNDONE = Message("Undo"), Message("{method} is selected again.")
# The part of a choice's reasons that says what the plan takes is left out: the figures stand beside them.
MAX_REASONS = 2
CARD_TEMPLATE = """
{{#if value.head}}<section class="advice {{value.mood}}" aria-labelledby="advice-head">
<div class="advice-text"><h3 id="advice-head" tabindex="-1">{{value.head}}</h3>
{{#each value.reasons}}<p>{{this}}</p>{{/each}}
{{#if value.note}}<p class="small">{{value.note}}</p>{{/if}}
{{#if value.open}}<p class="small">{{value.open}}
{{#each value.questions}} <button type="button" class="link" data-do="ask"
 data-id="{{this.id}}">{{this.text}}</button>{{/each}}</p>{{/if}}
{{#if value.language}}<p class="advice-warning">{{value.language}}</p>{{/if}}
{{#if value.warning}}<p class="advice-warning">{{value.warning}}</p>{{/if}}</div>
{{#if value.figures}}<dl class="advice-figures">{{#each value.figures}}<div><dt>{{this.name}}</dt>
<dd><b>{{this.big}}</b> <span class="small">{{this.small}}</span></dd></div>{{/each}}</dl>{{/if}}
<div class="advice-acts">{{#each value.acts}}<button type="button" class="{{this.look}}"
 data-do="{{this.do}}">{{this.label}}</button>{{/each}}</div>
<div class="advice-more">{{#if value.lost}}<details><summary>{{value.others}}</summary>
<dl>{{#each value.lost}}<dt>{{this.name}}</dt><dd>{{this.why}}</dd>{{/each}}</dl></details>{{/if}}
{{#if value.prompt}}<details><summary>{{value.prompted}}</summary>
<pre tabindex="0">{{value.prompt}}</pre>
<button type="button" class="link" data-do="attempt">{{value.attempt}}</button></details>{{/if}}</div>
</section>{{/if}}"""
CHANGE_TEMPLATE = """{{#if value.text}}<div class="notice good" role="status"><p>{{value.text}}
{{#if value.undo}}<button type="button" class="link" data-do="undo">{{value.undo}}</button>{{/if}}</p>
</div>{{/if}}"""


@dataclass(frozen=True)
class ChoiceTargets:
    """The components that taking a choice sets.

    Attributes:
        data: What the Data tab shows of a data set (data_tab.open_with).
        method: The chosen method.
        method_for: The data that the method was chosen for.
        model: The base model.
        settings: The settings of all methods, as METHOD_SETTING.
    """

    data: list[Any]
    method: gr.BrowserState
    method_for: gr.BrowserState
    model: gr.Dropdown
    settings: dict[str, Any]

    def components(self) -> list[Any]:
        """All of them, in the order in which `apply_choice` returns their values."""
        return [*self.data, self.method, self.method_for, self.model, *self.settings.values()]


def form_estimator(inputs: EstimateInputs, method_estimates: Mapping[str, Estimate]) -> Estimator:
    """The estimates of the table for a plan on the form's data and model, so that both say the same.

    Args:
        inputs: What the form says.
        method_estimates: Its estimates, by method name.
    """
    default_estimator = chooser.table_estimator(inputs.machine)

    def estimate(wanted: Plan) -> Mapping[str, Estimate]:
        is_same = (wanted.task, wanted.model, wanted.data.source) == (
            inputs.plan.task,
            inputs.plan.model,
            inputs.plan.data.source,
        )
        if not is_same:
            return default_estimator(wanted)
        name = wanted.method.name
        if not wanted.method.settings:
            return method_estimates
        changed = {**inputs.settings[name], **wanted.method.settings}
        settings = {**inputs.settings, name: methods.get(name).resolve_settings(changed)}
        context = replace(inputs.context, settings=settings)
        return {**method_estimates, **all_methods.estimate_all_methods(context, only_method=name)}

    return estimate


def recommend(
    form: FormState, fields: Mapping[str, Any], estimator: Estimator
) -> tuple[Choice, questions.AnswerSet] | None:
    """The choice for the form, and the answers it rests on; None where there is no data to choose for.

    Args:
        form: The form.
        fields: What questions.read_answers reads.
        estimator: Where estimates come from.

    Raises:
        StudioError: The data cannot be read.
    """
    answer_set = questions.read_answers(form, fields, estimator)
    if "have" not in answer_set.answers or "many" not in answer_set.answers:
        return None
    return questions.choose(form, answer_set.answers, estimator), answer_set


def render_card(
    inputs: EstimateInputs,
    form: FormState,
    fields: Mapping[str, Any],
    estimates: tuple[Mapping[str, Estimate], Mapping[str, Estimate]],
    lang: str,
) -> dict[str, Any]:
    """What the page shows on top.

    Args:
        inputs: What the estimates are computed from.
        form: The form.
        fields: What questions.read_answers reads.
        estimates: By method name; first to decide by, then to show, with the cost of electricity.
        lang: The visitor's language.
    """
    deciding, displayed = estimates
    try:
        recommended = recommend(form, fields, form_estimator(inputs, deciding))
    except StudioError:  # the Data tab says what is wrong with the data
        recommended = None
    chosen = inputs.plan.method.name
    fit = _describe_fit(inputs, chosen, lang)
    if not recommended:
        return _render_without_data(lang)
    choice, answer_set = recommended
    name = choice.method if choice.method else chosen
    is_taken = _is_taken(choice, inputs)
    estimate = displayed.get(chosen) if is_taken or not choice.method else _with_cost(choice, displayed)
    head = RECOMMENDED.render(lang, method=presets.methods()[name].name)
    return {
        "head": head if choice.method else NO_TRAINING.render(lang),
        "mood": "good" if choice.method else "check",
        "reasons": _render_reasons(choice, lang),
        "note": choice.note.render(lang) if choice.note else "",
        "figures": _render_figures(estimate, lang) if choice.method else [],
        **_render_open_questions(answer_set, lang),
        "warning": fit[0],
        "language": choice.warning.render(lang) if choice.warning else "",
        "acts": _render_acts(choice, None if is_taken else chosen, fit[1], lang),
        "others": WHY_NOT_OTHERS.render(lang),
        "lost": _render_rejections(choice, lang),
        "prompted": PROMPT_TO_TRY.render(lang),
        "prompt": choice.prompt.render(lang) if choice.prompt else "",
        "attempt": TRY_PROMPT.render(lang),
        "plan": choice.plan.model_dump(mode="json") if choice.plan else {},
    }


def _render_without_data(lang: str) -> dict[str, Any]:
    return {"head": NO_DATA.render(lang), "mood": "open", "reasons": [NO_DATA_TO_DO.render(lang)]}


def _with_cost(choice: Choice, displayed: Mapping[str, Estimate]) -> Estimate | None:
    """The estimate of a choice; that of the table's row where the plan changes no setting."""
    if choice.plan and choice.method and not choice.plan.method.settings:
        return displayed.get(choice.method, choice.estimate)
    return choice.estimate


def _render_reasons(choice: Choice, lang: str) -> list[str]:
    reasons = [reason.render(lang) for reason in choice.reasons[:MAX_REASONS]]
    return [*reasons, choice.advice.render(lang)] if choice.advice else reasons


def _render_figures(estimate: Estimate | None, lang: str) -> list[dict[str, str]]:
    """Memory, time and cost, as in the table's row."""
    if not estimate:
        return []
    headings = table_messages.COLUMN_HEADINGS
    figures = []
    if estimate.memory_gb:
        figures.append(_figure(headings["memory"], estimate.memory_gb, units.format_gb, lang))
    if estimate.minutes:
        format_minutes = partial(units.format_minutes, lang=lang)
        figures.append(_figure(headings["time"], estimate.minutes, format_minutes, lang))
    if estimate.money:
        cost = units.format_money(estimate.money, estimate.currency)
        energy = units.format_energy(estimate.watt_hours) if estimate.watt_hours else ""
        figures.append({"name": headings["money"].render(lang), "big": cost, "small": energy})
    return figures


def _figure(heading: Message, amount: Range, formatter: Any, lang: str) -> dict[str, str]:
    span = units.format_span(formatter(amount.low), formatter(amount.high))
    return {"name": heading.render(lang), "big": formatter(amount.likely), "small": span}


def _render_open_questions(answer_set: questions.AnswerSet, lang: str) -> dict[str, Any]:
    open_questions = [
        {
            "id": question.id,
            "text": ASSUMED.render(
                lang,
                question=question.text,
                answer=dict(question.choices)[answer_set.answers[question.id]],
            ),
        }
        for question in answer_set.open_questions
        if question.id in answer_set.answers
    ]
    return {"open": OPEN_QUESTIONS.render(lang) if open_questions else "", "questions": open_questions}


def _is_taken(choice: Choice, inputs: EstimateInputs) -> bool:
    """Whether the form is what is recommended: the method, on the same data."""
    if not choice.plan:
        return False
    return (choice.method, choice.plan.data.source) == (inputs.plan.method.name, inputs.plan.data.source)


def _render_acts(choice: Choice, chosen: str | None, can_fit_more: bool, lang: str) -> list[dict[str, str]]:
    """The buttons: the first is the next step, the others are quieter.

    Args:
        choice: What is recommended.
        chosen: The method that is selected; None where the form is what is recommended.
        can_fit_more: Whether too few examples fit into max length to start.
        lang: The visitor's language.
    """
    names = {name: card.name_in_sentence for name, card in presets.methods().items()}
    acts: list[tuple[str, Message]] = []
    if can_fit_more:
        acts.append(("fit", FIT_MORE))
    if not chosen:
        acts.append(("continue", CONTINUE))
    elif choice.method:
        acts.append(("take", USE_AND_CONTINUE.format(method=names[choice.method])))
        acts.append(("continue", CONTINUE_WITH.format(method=names[chosen])))
    else:
        acts.append(("attempt", TRY_PROMPT))
        acts.append(("continue", TRAIN_ANYWAY.format(method=names[chosen])))
    return [
        {"do": do, "label": label.render(lang), "look": "quiet" if index else "primary"}
        for index, (do, label) in enumerate(acts)
    ]


def _render_rejections(choice: Choice, lang: str) -> list[dict[str, str]]:
    cards = presets.methods()
    return [
        {"name": cards[method].name.render(lang), "why": reason.render(lang)}
        for method, reason in choice.rejections.items()
    ]


def _describe_fit(inputs: EstimateInputs, chosen: str, lang: str) -> tuple[str, bool]:
    """How many examples fit into max length where not all do, and whether too few do to start."""
    if not inputs.lengths:
        return "", False
    try:
        fit = plan_form.count_fitting(inputs.plan, inputs.settings[chosen])
    except StudioError:  # the Data tab says what is wrong with the data
        return "", False
    message = fit.describe() if fit else None
    if not fit or not message:
        return "", False
    return join_sentences((message.render(lang), fit.advice.render(lang)), lang), fit.is_empty


def follow_data(
    request: gr.Request, method: str, method_for: str, model: str, **fields: Any
) -> tuple[Any, ...]:
    """Choose the method that suits other data, and say so; a method that was chosen for the data stays.

    Args:
        request: The visitor's request.
        method: The method chosen so far.
        method_for: The data it was chosen for (data_key).
        model: A base model that suits the task.
        fields: The form (form_state.read_form).

    Returns:
        The method, the data it is for, the notice of what has changed, and by METHOD_SETTING what the
        recommendation sets.
    """
    lang = request_language(request)
    form = replace(read_form(fields), model=model, method=method)
    key = data_key(form)
    if not form.source:
        return suitable_method(form.task, method), method_for, gr.skip(), {}
    if key == method_for and methods_for_task(form.task, method):
        return method, method_for, gr.skip(), {}
    chosen_plan = _recommend_plan(form)
    new_method = chosen_plan.method.name if chosen_plan else suitable_method(form.task, method)
    settings = chosen_plan.method.settings if chosen_plan else {}
    changed = {f"{new_method}_{name}": value for name, value in settings.items()}
    if not method_for or new_method == method:
        return new_method, key, {}, changed
    cards = presets.methods()
    text = METHOD_CHANGED.render(lang, old=cards[method].name, new=cards[new_method].name)
    can_undo = methods_for_task(form.task, method)
    return new_method, key, _change_notice(text, method if can_undo else "", lang), changed


def data_key(form: FormState) -> str:
    """What a method is chosen for: the data set and what the model is to learn from it."""
    return f"{form.source}|{form.task}"


def methods_for_task(task: str, method: str) -> bool:
    """Whether a method trains a task."""
    return any(candidate.name == method and task in candidate.tasks for candidate in methods.METHODS)


def suitable_method(task: plan.Task, method: str) -> str:
    """The method, if it trains the task, else the first that does."""
    if methods_for_task(task, method):
        return method
    return next((candidate.name for candidate in methods.METHODS if task in candidate.tasks), method)


def _recommend_plan(form: FormState) -> Plan | None:
    """The recommended plan on the form's own data; None where there is none, or training is not advised."""
    try:
        recommended = recommend(form, {}, chooser.table_estimator(find_machine(form.machine)))
    except StudioError:  # the Data tab says what is wrong with the data
        return None
    chosen_plan = recommended[0].plan if recommended else None
    return chosen_plan if chosen_plan and chosen_plan.data.source == form.source else None


def _change_notice(text: str, previous_method: str, lang: str) -> dict[str, str]:
    """What has changed; with a previous method, a button that brings it back."""
    undo = UNDO.render(lang) if previous_method else ""
    return {"text": text, "undo": undo, "previous": previous_method}


def undo_change(request: gr.Request, change: object, method: str) -> tuple[str, dict[str, str]]:
    """The previous method and a new notice; a browser may send anything."""
    previous = change.get("previous") if isinstance(change, dict) else ""
    cards = presets.methods()
    if previous not in cards:
        return method, {}
    lang = request_language(request)
    return str(previous), _change_notice(UNDONE.render(lang, method=cards[str(previous)].name), "", lang)


def apply_choice(choice_value: object, form: FormState, targets: ChoiceTargets, lang: str) -> tuple[Any, ...]:
    """Take a choice over into the form.

    What a browser sends is checked as a plan is, and one that cannot run sets nothing. Data that is open
    already stays as it is, and so do settings that the choice does not name.

    Args:
        choice_value: The value of the card, from `render_card` or anything else.
        form: The form as it is.
        targets: What is set.
        lang: The visitor's language.

    Returns:
        What has changed, then a value for each of `targets.components()`.

    Raises:
        gr.Error: The choice cannot be taken; says why.
    """
    try:
        chosen_plan = _check_choice(choice_value)
        data_updates = _open_data(chosen_plan, form, targets, lang)
    except StudioError as error:
        raise gr.Error(join_sentences(error.to_message().render(lang).splitlines(), lang)) from None
    method_name = chosen_plan.method.name
    setting_values = {f"{method_name}_{name}": value for name, value in chosen_plan.method.settings.items()}
    return (
        _describe_changes(chosen_plan, form, lang),
        *data_updates,
        method_name,
        f"{chosen_plan.data.source}|{chosen_plan.task}",
        chosen_plan.model,
        *(setting_values.get(name, gr.skip()) for name in targets.settings),
    )


def _describe_changes(chosen_plan: Plan, form: FormState, lang: str) -> dict[str, str]:
    """What taking a plan changes, with an undo where that is the method alone."""
    cards, models = presets.methods(), presets.models()
    old_name, new_name = form.method, chosen_plan.method.name
    changes = []
    if form.source != chosen_plan.data.source:
        source = chosen_plan.data.source.partition(":")[2]
        changes.append(CHANGE.format(what=DATA, old="–", new=source))
    if form.model != chosen_plan.model:
        old, new = (models[name].name if name in models else name for name in (form.model, chosen_plan.model))
        changes.append(CHANGE.format(what=MODEL, old=old or "–", new=new))
    can_undo = not changes and methods_for_task(form.task, old_name)
    if old_name in cards and old_name != new_name:
        changes.append(CHANGE.format(what=METHOD, old=cards[old_name].name, new=cards[new_name].name))
    if not changes:
        return {}
    return _change_notice(CHANGED.render(lang, changes=changes), old_name if can_undo else "", lang)


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


def build_card() -> gr.HTML:
    """The card; the browser sends `take`, `attempt`, `fit` and `go`."""
    script = (presets.ASSETS / "choose.js").read_text(encoding="utf-8")
    return gr.HTML(
        {}, html_template=CARD_TEMPLATE, js_on_load=script, elem_id="choice", apply_default_css=False
    )


def build_change_notice() -> gr.HTML:
    """What the studio has changed by itself; the browser sends `undo`."""
    script = (presets.ASSETS / "choose.js").read_text(encoding="utf-8")
    return gr.HTML(
        {},
        html_template=CHANGE_TEMPLATE,
        js_on_load=script,
        elem_id="method-change",
        elem_classes="notice-box",
        apply_default_css=False,
    )


def wire(
    card: gr.HTML,
    change: gr.HTML,
    form_fields: dict[str, Any],
    targets: ChoiceTargets,
    max_length: gr.Number,
) -> None:
    """Let the card's buttons act on the form.

    Args:
        card: The card.
        change: What has changed.
        form_fields: The components of the form that handlers read, by field name.
        targets: What taking a choice sets.
        max_length: The field for the longest example.
    """

    def take(request: gr.Request, choice: object, **fields: Any) -> tuple[Any, ...]:
        return apply_choice(choice, read_form(fields), targets, request_language(request))

    taken = card.take(
        take,
        inputs_kwargs={**form_fields, "choice": card},
        outputs=[change, *targets.components()],
        **UNQUEUED,
    )
    taken.success(None, None, None, js="() => document.querySelector('#to-train').click()", **UNQUEUED)
    card.fit(None, None, max_length, js="() => null", **UNQUEUED)
    change.undo(undo_change, [change, targets.method], [targets.method, change], **UNQUEUED)
