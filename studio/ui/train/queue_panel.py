"""The queue on the Train tab: what each waiting run waits for, and buttons to move or cancel it."""

from typing import Any

import gradio as gr

from studio.errors import NotPossible, StudioError, explain
from studio.i18n import Message
from studio.runs import Run
from studio.training import queue as run_queue
from studio.training.queue import Queue
from studio.ui import access
from studio.ui.components import notices
from studio.ui.components.events import read_event
from studio.ui.language import request_language
from studio.ui.train import runs_table

HEADING = Message("Waiting runs")
TO_FRONT, UP, CANCEL = Message("To the front"), Message("Up"), Message("Remove from the queue")
STARTS = Message("Starts now.")
MOVED = Message("“{name}” starts earlier now.")
CANCELLED = Message("“{name}” no longer waits.")
OTHERS_WAIT = Message("On a page that others can reach, runs start in the order in which they were added.")
REMOVE_YOURS = Message("You can remove your own from the queue.")
UNKNOWN_ACTION, RELOAD = Message("The queue has no such button."), Message("Reload the page.")
TEMPLATE = (
    '{{#if value.heading}}<section class="queue" aria-labelledby="queue-heading">'
    '<h3 id="queue-heading">{{value.heading}}</h3><ol>{{#each value.waiting}}<li>'
    '<p><b>{{this.name}}</b></p><p class="why">{{this.why}}</p>'
    '{{#each this.actions}}<button type="button" data-id="{{this.id}}" data-action="{{this.action}}"'
    ' aria-label="{{this.label}}: {{this.name}}">{{this.label}}</button>{{/each}}'
    "</li>{{/each}}</ol></section>{{/if}}"
)
SCRIPT = """
element.addEventListener('click', (event) => {
  const press = event.target.closest('button[data-action]');
  if (press) trigger('act', { id: press.dataset.id, action: press.dataset.action });
});
"""


def build() -> gr.HTML:
    """The component of `show`; its buttons send the event `act`."""
    return gr.HTML({}, html_template=TEMPLATE, js_on_load=SCRIPT, elem_id="queue", apply_default_css=False)


def show(browser_runs: object, request: gr.Request) -> dict[str, Any]:
    """The waiting runs of this visitor in their order; empty where none waits."""
    return _build_value(browser_runs, request_language(request))


def _build_value(browser_runs: object, lang: str) -> dict[str, Any]:
    queue = run_queue.read()
    visible = access.visible_runs(browser_runs) if queue.waiting else []
    waiting = [_describe(run, queue, lang) for run in queue.waiting if run in visible]
    return {"heading": HEADING.render(lang), "waiting": waiting} if waiting else {}


def _describe(run: Run, queue: Queue, lang: str) -> dict[str, Any]:
    try:
        wait = run_queue.find_wait(run, queue)
        why = access.hide_others(wait.message) if wait else STARTS
    except StudioError as error:
        why = error.to_message()
    name = run_queue.find_name(run)
    labels = {"cancel": CANCEL}
    if run != queue.waiting[0] and not access.is_open_to_others():
        labels = {"front": TO_FRONT, "up": UP, **labels}
    actions = [
        {"id": run.id, "name": name, "action": action, "label": label.render(lang)}
        for action, label in labels.items()
    ]
    return {"name": name, "why": why.render(lang), "actions": actions}


def change(browser_runs: object, event: gr.EventData, request: gr.Request) -> tuple[Any, Any]:
    """Move or cancel the run that a button names; returns the notice and the queue."""
    lang = request_language(request)
    try:
        run = runs_table.find_own_run(read_event(event, "id"), browser_runs)
        message = _apply(read_event(event, "action"), run)
    except (StudioError, OSError) as error:
        return notices.error_notice(explain(error), lang), _build_value(browser_runs, lang)
    answer = notices.notice(message.render(lang, name=run_queue.find_name(run)))
    return answer, _build_value(browser_runs, lang)


def _apply(action: object, run: Run) -> Message:
    """Do what a button says; returns what to say of it."""
    if action == "cancel":
        run_queue.cancel(run)
        return CANCELLED
    if action not in ("front", "up"):
        raise NotPossible(UNKNOWN_ACTION, RELOAD)
    if access.is_open_to_others():
        raise NotPossible(OTHERS_WAIT, REMOVE_YOURS)
    run_queue.move_up(run, to_front=action == "front")
    return MOVED
