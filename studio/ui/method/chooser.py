"""The six questions behind the recommendation, mostly answered by the data and the machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gradio as gr

from studio import chooser, presets
from studio.chooser import QUESTIONS, Choice, Estimator, Question
from studio.chooser.answers import TASK_BY_DATA_KIND
from studio.data.schema.infer_roles import RoleGuess
from studio.errors import StudioError
from studio.i18n import label
from studio.plan import Task
from studio.ui import access
from studio.ui.components.events import LATEST_UNQUEUED
from studio.ui.components.labels import t
from studio.ui.form.form_state import FormState, read_form
from studio.ui.form.packing import pack_fields, pack_mapping, unpack_mapping
from studio.ui.language import request_language
from studio.ui.method.machine import find_machine

CHOOSER_HEADING = label("Recommend a method: six questions")
CHOOSER_HELP = label(
    "Your data and this machine have answered most of them. The recommendation follows every change."
)
# What is taken where neither the data nor the person has answered: the middle of what is usual.
ASSUMED_ANSWERS = {"change": "tone", "apart": "middle"}
# The answers as one text, under which handlers find them.
PACKED_ANSWERS = "now_answers"


class Questions(NamedTuple):
    """The components: what the studio filled in, as one text; the questions; and the answers as one text."""

    prefilled: gr.Textbox
    answers: dict[str, gr.Radio]
    packed: gr.Textbox


@dataclass(frozen=True)
class AnswerSet:
    """The answers that a recommendation rests on; of the open questions they are assumed."""

    answers: Mapping[str, str]
    open_questions: tuple[Question, ...]


def prefill_answers(request: gr.Request, **fields: Any) -> tuple[Any, ...]:
    """Answer every question as far as the data and the machine can; what a person answered stays.

    Args:
        request: The visitor's request.
        fields: The form (form_state.read_form), the answers by the ids of their questions, and `prefilled`,
            the answers that were filled in before. Those alone are filled in anew.

    Returns:
        An update of every question in the visitor's language, and the filled in answers.
    """
    lang = request_language(request)
    suggested = suggest_answers(read_form(fields))
    user_answers = _read_user_answers(fields, fields.get("prefilled"))
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
    return *updates, pack_mapping(prefilled)


def suggest_answers(form: FormState, estimator: Estimator | None = None) -> dict[str, str]:
    """The answers that follow from the data, the machine and the estimates.

    Args:
        form: The form.
        estimator: Where estimates come from; the comparison table's with default settings where None.
    """
    machine = find_machine(form.machine)
    try:
        return chooser.prefill(
            readable_source(form), machine, current_guess(form), estimator=estimator, model=form.model
        )
    except StudioError:  # the Data tab says what is wrong with the data
        return chooser.infer_answers("", 0, 0, machine)


def _read_user_answers(answers: Mapping[str, Any], prefilled_text: object) -> dict[str, str]:
    """The answers that a person gave: those that differ from what was filled in, and are choices."""
    prefilled = unpack_mapping(prefilled_text)
    user_answers = {}
    for question in QUESTIONS:
        answer = answers.get(question.id)
        if answer in dict(question.choices) and answer != prefilled.get(question.id):
            user_answers[question.id] = str(answer)
    return user_answers


def read_answers(form: FormState, fields: Mapping[str, Any], estimator: Estimator) -> AnswerSet:
    """All six answers: a person's, else what the data says, else what is assumed.

    Args:
        form: The form.
        fields: `prefilled` and PACKED_ANSWERS; a browser may send anything there.
        estimator: Where estimates come from.
    """
    user_answers = _read_user_answers(unpack_mapping(fields.get(PACKED_ANSWERS)), fields.get("prefilled"))
    answers = {**suggest_answers(form, estimator), **user_answers}
    open_questions = tuple(question for question in QUESTIONS if question.id not in answers)
    return AnswerSet({**ASSUMED_ANSWERS, **answers}, open_questions)


def readable_source(form: FormState) -> str:
    """The data set, "" where the browser names none that there is."""
    try:
        return access.find_dataset(form.source).source
    except StudioError:
        return ""


def current_guess(form: FormState) -> RoleGuess | None:
    """The task and columns on the Data tab; None where there is no data, or no column has a role."""
    if not form.columns or not readable_source(form):
        return None
    return RoleGuess(form.task, dict(form.columns), True)


def choose(form: FormState, answers: Mapping[str, str], estimator: Estimator) -> Choice:
    """The method for a complete set of answers and the form's data.

    Raises:
        StudioError: An answer is missing, or the data cannot be read.
    """
    wanted_task = TASK_BY_DATA_KIND.get(answers.get("have", ""), form.task)
    return chooser.choose(
        answers,
        readable_source(form),
        find_machine(form.machine),
        estimator=estimator,
        guess=current_guess(form),
        model=_suitable_model(form, wanted_task),
    )


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


def build() -> Questions:
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
        prefilled = gr.Textbox("{}", visible=False)
    packed = pack_fields({"answers": answers})[PACKED_ANSWERS]
    return Questions(prefilled, answers, packed)


def wire(components: Questions, data_changed: Any, form_fields: dict[str, Any]) -> None:
    """Fill answers in anew after an event.

    Args:
        components: The chooser's own components.
        data_changed: The event.
        form_fields: The components of the form that handlers read, by field name.
    """
    data_changed.then(
        prefill_answers,
        inputs_kwargs={**form_fields, **components.answers, "prefilled": components.prefilled},
        outputs=[*components.answers.values(), components.prefilled],
        **LATEST_UNQUEUED,
    )
