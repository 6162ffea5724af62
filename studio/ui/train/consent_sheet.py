"""Before a run leaves this machine: what that comes to, and the button that agrees to it."""

import html
from collections.abc import MutableMapping, Sequence
from typing import Any, NamedTuple

import gradio as gr

from studio import launchers
from studio.errors import NotPossible
from studio.estimate.machines.catalogue import Machine
from studio.i18n import Message, label
from studio.launchers import consent
from studio.plan import Plan
from studio.ui import access
from studio.ui.components import notices
from studio.ui.components.events import UNQUEUED
from studio.ui.components.labels import t

READ_FIRST = Message("This run would leave this machine. Nothing has been sent yet.")
CHANGED = Message("What it comes to has changed since it was shown. Read it again; nothing has been sent.")
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


class Answer(NamedTuple):
    """What comes with the button that agrees: whether what lies there stays, and the lines it stood under."""

    keep: bool
    lines: str


NO_ANSWER = Answer(False, "")


def read_answer(fields: MutableMapping[str, Any]) -> Answer:
    """Take the sheet's answer out of the fields of the page; where another button was pressed it is empty."""
    return Answer(fields.pop("keep", False) is True, str(fields.pop("agreed_lines", "")))


def find_machine(plan: Plan) -> Machine:
    """Where a plan trains that is not for this machine, at today's price.

    Raises:
        NotPossible: Others reach this page, or the studio cannot train there.
    """
    if access.is_open_to_others():
        raise NotPossible(NOT_FOR_VISITORS, TRAIN_HERE)
    return consent.current_machine(launchers.find_machine(plan.where))


def ask_unless_agreed(
    what: Message, lines: Sequence[Message], answer: Answer, lang: str
) -> dict[str, Any] | None:
    """The notice that brings up the sheet; None where the person has agreed to these very lines.

    Args:
        what: What would leave this machine.
        lines: What it comes to now; none where nothing leaves it.
        answer: What the person has agreed to.
        lang: The visitor's language.
    """
    # What becomes of the data is said by the box to tick.
    told_by_the_box = (consent.DELETED.text, consent.KEPT.text)
    asks = [line.render(lang) for line in lines if line.text not in told_by_the_box]
    if _write_list(asks) == answer.lines:
        return None
    notice = notices.notice((CHANGED if answer.lines else what).render(lang), kind="check")
    return {**notice, "asks": asks}


def _write_list(lines: Sequence[object]) -> str:
    items = "".join(f"<li>{html.escape(str(line))}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def show(notice: object) -> tuple[Any, Any]:
    """The sheet with the lines that a notice brings along; hidden where it brings none."""
    lines = notice.get("asks") if isinstance(notice, dict) else None
    if not isinstance(lines, list) or not lines:
        return gr.update(visible=False), gr.skip()
    return gr.update(visible=True), _write_list(lines)


def build(elem_id: str = "consent") -> ConsentSheet:
    """Lay the sheet out, hidden, under an id of the page."""
    with gr.Column(visible=False, elem_id=elem_id, elem_classes="consent") as panel:
        lines = gr.HTML("", elem_id=f"{elem_id}-lines")
        keep = gr.Checkbox(False, label=t(KEEP), elem_id=f"{elem_id}-keep")
        button = gr.Button(t(AGREE), variant="primary", elem_id=f"{elem_id}-agree", scale=0)
    return ConsentSheet(panel, lines, keep, button)


def wire(sheet: ConsentSheet, notice: gr.HTML) -> dict[str, Any]:
    """Let a notice bring up the sheet, and the button that agrees say that it is being checked.

    Returns:
        The fields of the sheet's answer, which the button's own event takes along (`read_answer`).
    """
    notice.change(show, notice, [sheet.panel, sheet.lines], **UNQUEUED)
    sheet.agree.click(None, None, notice, js=notices.build_checking_js(), **UNQUEUED)
    return {"keep": sheet.keep, "agreed_lines": sheet.lines}
