"""Before a run leaves this machine: what that comes to, and the button that agrees to it."""

import html
from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr

from studio import launchers
from studio.errors import NotPossible
from studio.estimate.machines.catalogue import Machine
from studio.estimate.types import Estimate
from studio.i18n import Message, label
from studio.launchers import consent
from studio.launchers.consent import Consent
from studio.plan import Plan
from studio.ui import access
from studio.ui.components import notices
from studio.ui.components.labels import t

READ_FIRST = Message("This run would leave this machine. Nothing has been sent yet.")
KEEP = label("Keep data and result there afterwards")
AGREE = label("Agree and start there")
NOT_FOR_VISITORS = Message("On a page that others can reach, runs train on its own machine alone.")
TRAIN_HERE = Message("Choose this machine on the Method tab.")
AGREE_AGAIN = Message("“{name}” trained at “{machine}”, and each run there is agreed to anew.")
START_FROM_FORM = Message("Open it with “Same again, but …”, then start it here on the Train tab.")


class ConsentSheet(NamedTuple):
    """The sheet, its lines, whether what lies there stays, and the button that agrees."""

    panel: gr.Column
    lines: gr.HTML
    keep: gr.Checkbox
    agree: gr.Button


def find_machine(plan: Plan) -> Machine:
    """Where a plan trains that is not for this machine, at today's price.

    Raises:
        NotPossible: Others reach this page, or the studio cannot train there.
    """
    if access.is_open_to_others():
        raise NotPossible(NOT_FOR_VISITORS, TRAIN_HERE)
    return consent.current_machine(launchers.find_machine(plan.where))


def ask(plan: Plan, machine: Machine, estimate: Estimate | None, lang: str) -> dict[str, Any]:
    """The notice that brings up the sheet; raises StudioError where the machine does not take the run."""
    return ask_about(READ_FIRST, consent.describe(plan, machine, estimate).lines, lang)


def ask_about(what: Message, lines: Sequence[Message], lang: str) -> dict[str, Any]:
    """The notice that brings up the sheet with these lines."""
    # What becomes of the data is said by the box to tick.
    asks = [line.render(lang) for line in lines if line.text != consent.DELETED.text]
    return {**notices.notice(what.render(lang), kind="check"), "asks": asks}


def agree(plan: Plan, machine: Machine, estimate: Estimate | None, keep: object) -> Consent:
    """What the person has agreed to, worked out anew."""
    return consent.describe(plan, machine, estimate, keep is True)


def show(notice: object) -> tuple[Any, str]:
    """The sheet with the lines that a notice brings along; hidden where it brings none."""
    lines = notice.get("asks") if isinstance(notice, dict) else None
    if not isinstance(lines, list):
        return gr.update(visible=False), ""
    items = "".join(f"<li>{html.escape(str(line))}</li>" for line in lines)
    return gr.update(visible=True), f"<ul>{items}</ul>"


def build(elem_id: str = "consent") -> ConsentSheet:
    """Lay the sheet out, hidden, under an id of the page."""
    with gr.Column(visible=False, elem_id=elem_id, elem_classes="consent") as panel:
        lines = gr.HTML("", elem_id=f"{elem_id}-lines")
        keep = gr.Checkbox(False, label=t(KEEP), elem_id=f"{elem_id}-keep")
        button = gr.Button(t(AGREE), variant="primary", elem_id=f"{elem_id}-agree", scale=0)
    return ConsentSheet(panel, lines, keep, button)
