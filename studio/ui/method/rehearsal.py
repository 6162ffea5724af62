"""The reward rehearsal among RLHF's settings: whether the chosen reward can teach, before anything starts."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr

from studio.errors import StudioError
from studio.i18n import Message, join_sentences, label
from studio.methods.rlhf_stages.rehearsal import Rehearsal, Verdict
from studio.training import rehearsal
from studio.ui.components import notices
from studio.ui.components.events import UNQUEUED
from studio.ui.components.labels import t
from studio.ui.form import plan_form
from studio.ui.form.form_state import read_form
from studio.ui.language import request_language

REHEARSE = label("Rehearse the reward")
STOP = label("Stop", context="rehearsal")
HINT = label("The base model writes 50 answers, and you see whether this reward could teach it anything.")
NO_EXAMPLES = Message("Bring examples first: the rehearsal asks their questions.")
LOADING = Message("Loading the base model…")
WRITING = Message("Writing and scoring answers: {done} of {total}.")
STOPPED = Message("The rehearsal was stopped.")
NOTICE_KINDS: dict[Verdict, str] = {"can": "good", "cannot": "bad", "tricked": "check"}


class RehearsalPanel(NamedTuple):
    """The components of the panel."""

    start: gr.Button
    stop: gr.Button
    notice: gr.HTML


def rehearse(request: gr.Request, **fields: Any) -> Iterator[dict[str, Any]]:
    """Rehearse the reward of the form's plan; `fields` are the form (form_state.read_form).

    Yields:
        A notice: the progress, and at the end the verdict with its evidence.
    """
    lang, form = request_language(request), read_form(fields)
    if not form.source:
        yield notices.notice(NO_EXAMPLES.render(lang), kind="bad")
        return
    try:
        for step in rehearsal.rehearse(plan_form.build_plan(form)):
            yield _describe(step, lang)
    except (StudioError, OSError) as error:
        yield plan_form.plan_error_notice(error, form.method, lang)


def _describe(step: rehearsal.Progress | Rehearsal, lang: str) -> dict[str, Any]:
    if isinstance(step, Rehearsal):
        headline, *evidence = (sentence.render(lang) for sentence in step.describe())
        return notices.notice(headline, join_sentences(evidence, lang), kind=NOTICE_KINDS[step.verdict])
    if not step.total:
        return notices.notice(LOADING.render(lang))
    return notices.notice(WRITING.render(lang, done=step.done, total=step.total))


def say_stopped(request: gr.Request) -> dict[str, Any]:
    """The notice after a stop."""
    return notices.notice(STOPPED.render(request_language(request)))


def build() -> RehearsalPanel:
    """Lay the panel out."""
    gr.Markdown(t(HINT), container=True)
    with gr.Row():
        start = gr.Button(t(REHEARSE), elem_id="rehearse")
        stop = gr.Button(t(STOP), elem_id="rehearse-stop")
    return RehearsalPanel(start, stop, notices.notice_box("rehearsal"))


def wire(panel: RehearsalPanel, form_fields: dict[str, Any]) -> None:
    """Let the buttons act on the form."""
    rehearsed = panel.start.click(
        rehearse,
        inputs_kwargs=form_fields,
        outputs=panel.notice,
        show_progress="hidden",
        concurrency_limit=1,
    )
    panel.stop.click(say_stopped, None, panel.notice, cancels=rehearsed, **UNQUEUED)
