"""Machines of one's own on the Method tab: one is typed in, tried, added to the list, and removed again.

The same form takes a token for a Ray cluster or for Hugging Face. It is kept in one file of the studio's home
that its owner alone can read (studio/credentials.py). Where others reach the page, none of this is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import gradio as gr

from studio import credentials
from studio.errors import NotPossible, StudioError, explain
from studio.estimate.machines import catalogue, own
from studio.estimate.machines.catalogue import LOCAL_ID, MachineEntry
from studio.i18n import Message, join_sentences, label
from studio.launchers import connection
from studio.launchers.connection import Finding
from studio.ui import access
from studio.ui.components import notices
from studio.ui.components.events import UNQUEUED, read_event
from studio.ui.components.gradio_adapter import current_page
from studio.ui.components.labels import t
from studio.ui.language import request_language
from studio.ui.method import machine as machine_panel

HEADING = label("Your own machines")
HELP = label(
    "Add a box that you reach by SSH, a Ray cluster, or your Hugging Face account. None of your data is sent "
    "there before you agree on the Train tab."
)
KIND = label("What to add")
KINDS: dict[str, Message] = {
    "ssh": Message("A box, by SSH"),
    "ray": Message("A Ray cluster"),
    "hub": Message("A Hugging Face token"),
}
NAME, NAME_HELP = label("Name of the machine"), label("As the list of machines shows it.")
SSH_ADDRESS, SSH_HELP = (
    label("SSH address"),
    label("What you type behind `ssh`: user@host, or a name of your SSH config. It must ask no question."),
)
RAY_ADDRESS, RAY_HELP = (
    label("Address of its dashboard"),
    label("Such as http://localhost:8265. Over http to another machine, others on the way can read along."),
)
PYTHON, PYTHON_HELP = label("Python there"), label("Empty: python3. It has to be 3.11 or newer.")
HARDWARE, HARDWARE_HELP = label("Hardware there"), label("The estimates rest on it.")
AS_FOUND = Message("As the test finds it")
CARDS, CARDS_HELP = label("GPUs that train one run together"), label("1 lets several runs train at once.")
STORAGE, STORAGE_HELP = label("Shared folder"), label("Where several nodes train one run; else empty.")
TOKEN, TOKEN_HELP = (
    label("Token"),
    label(
        "Kept in one file here that only you can read, and sent to that place alone. Empty: none, or yours."
    ),
)
TEST, ADD, UNDO = label("Test the connection"), label("Add it"), label("Undo")
REMOVE, FORGET = Message("Remove"), Message("Forget the token")
NOTHING_KEPT = Message("Nothing has been added yet.")
ADDED = Message("“{name}” is added, and chosen in the list of machines above.")
TOKEN_KEPT = Message(
    "The token is kept. Models and data whose terms you have accepted can be fetched with it, and if it may "
    "write, machines of Hugging Face Jobs be trained on."
)
REMOVED = Message("“{name}” is removed from the list, and its token with it.")
FORGOTTEN = Message("The token is removed from this machine.")
RESTORED = Message("“{name}” is back in the list. If it had a token, type it in again.")
NEEDS_NAME, TYPE_NAME = Message("The machine has no name."), Message("Type one, such as Ada's box.")
NEEDS_ADDRESS = Message("The machine has no address.")
NEEDS_TOKEN, TYPE_TOKEN = Message("There is no token."), Message("Paste it into the field.")
NEEDS_HARDWARE = Message("What hardware the machine has was not found.")
CHOOSE_HARDWARE = Message("Choose it in the list, or what comes nearest.")
NEEDS_MEMORY = Message("The machine does not say how much memory it has.")
WRITE_BY_HAND = Message("Write it into machines.yaml, with host: {{memory_gb: 64, cores: 8}}.")
NOT_HERE = Message("On a page that others can reach, no machine and no token can be added.")
ADD_IN_PRIVATE = Message("Start the studio for yourself: `studio`.")
UNKNOWN_ACTION, RELOAD = Message("The list of machines has no such button."), Message("Reload the page.")
CAPTION = Message("Added on this page")
HUB_TITLE = Message("Hugging Face token")
KEPT_HERE = Message("kept on this machine")
HAS_TOKEN = Message("with a token")
MAX_CHARS, MAX_TOKEN_CHARS = 200, 1000
LIST_TEMPLATE = (
    '<section aria-label="{{value.caption}}">{{#if value.rows}}<ul>{{#each value.rows}}<li>'
    "<span><b>{{this.name}}</b> {{this.more}}</span>"
    '<button type="button" data-action="{{this.action}}" data-id="{{this.id}}"'
    ' aria-label="{{this.label}}: {{this.name}}">{{this.label}}</button></li>{{/each}}</ul>'
    "{{else}}<p>{{value.empty}}</p>{{/if}}</section>"
)
LIST_SCRIPT = """
element.addEventListener('click', (event) => {
  const press = event.target.closest('button[data-action]');
  if (press) trigger('act', { id: press.dataset.id, action: press.dataset.action });
});
"""


class Form(NamedTuple):
    """The fields, in the order in which handlers take them: the components, or what they hold."""

    kind: Any
    name: Any
    ssh: Any
    ray: Any
    python: Any
    hardware: Any
    cards: Any
    storage: Any
    token: Any


@dataclass(frozen=True)
class _Typed:
    """What a person has typed in, with what a browser would not send left out."""

    kind: str
    name: str
    ssh: str
    ray: str
    python: str
    hardware: str
    cards: int
    storage: str
    token: str

    def to_entry(self, finding: Finding | None = None) -> MachineEntry:
        """The machine, with the hardware that was chosen, or else found.

        Raises:
            NotPossible: A field is missing or cannot be used.
        """
        address = self.ssh if self.kind == "ssh" else self.ray
        if not self.name:
            raise NotPossible(NEEDS_NAME, TYPE_NAME)
        if not address:
            raise NotPossible(NEEDS_ADDRESS, own.FIELDS_TO_DO[self.kind])
        values: dict[str, Any] = {"name": self.name, self.kind: address, "python": self.python}
        if self.kind == "ray":
            values |= {"cards": self.cards, "storage": self.storage}
        return own.build_entry(values | self._choose_hardware(finding))

    def _choose_hardware(self, finding: Finding | None) -> dict[str, Any]:
        """The hardware that was chosen or found; any before the machine has been asked."""
        if not finding:
            host = catalogue.Host(memory_gb=1, cores=1)
            return {"card": self.hardware or catalogue.FALLBACK_CPU, "host": host.model_dump()}
        card = self.hardware or finding.card
        if not card:
            raise NotPossible(NEEDS_HARDWARE, CHOOSE_HARDWARE)
        if catalogue.has_own_memory(card):
            return {"card": card}
        if not finding.host:
            raise NotPossible(NEEDS_MEMORY, WRITE_BY_HAND)
        return {"card": card, "host": finding.host.model_dump()}


def _read(*fields: object) -> _Typed:
    form_values = Form._make(fields)
    cards = form_values.cards
    return _Typed(
        kind=form_values.kind if isinstance(form_values.kind, str) and form_values.kind in KINDS else "ssh",
        name=_text(form_values.name),
        ssh=_text(form_values.ssh),
        ray=_text(form_values.ray),
        python=_text(form_values.python),
        hardware=_text(form_values.hardware),
        cards=int(cards) if isinstance(cards, int | float) and 0 < cards < 1000 else 1,
        storage=_text(form_values.storage),
        token=_text(form_values.token, MAX_TOKEN_CHARS),
    )


def _text(value: object, most: int = MAX_CHARS) -> str:
    return value.strip()[:most] if isinstance(value, str) else ""


def _require_owner() -> None:
    """Raise NotPossible where others reach the page."""
    if access.is_open_to_others():
        raise NotPossible(NOT_HERE, ADD_IN_PRIVATE)


def _look(form_values: _Typed, machine_id: str = "new") -> Finding:
    """Ask what was typed in; raises StudioError where it does not answer, or a field cannot be used."""
    _require_owner()
    if form_values.kind == "hub":
        if not form_values.token:
            raise NotPossible(NEEDS_TOKEN, TYPE_TOKEN)
        return connection.look_at_hub(form_values.token)
    machine = own.build_machine(machine_id, form_values.to_entry())
    if form_values.kind == "ssh":
        return connection.look_at_box(machine)
    return connection.look_at_cluster(machine, form_values.token)


def test(request: gr.Request, *fields: object) -> tuple[Any, ...]:
    """Ask the machine, and say what was found; nothing is added yet.

    Returns:
        The notice, and the button that adds it.
    """
    lang = request_language(request)
    try:
        finding = _look(_read(*fields))
    except (StudioError, OSError) as error:
        return notices.error_notice(explain(error), lang), gr.update(visible=False)
    first, *others = [line.render(lang) for line in finding.lines]
    return notices.notice(first, join_sentences(others, lang), kind="good"), gr.update(visible=True)


def add(request: gr.Request, *fields: object) -> tuple[Any, ...]:
    """Ask the machine once more and add it to the list, or keep the token.

    Returns:
        The notice, the button that adds, the token's field emptied, the list, and the list of machines.
    """
    lang, form_values = request_language(request), _read(*fields)
    try:
        finding = _look(form_values)
        if form_values.kind == "hub":
            credentials.keep(credentials.HUB, form_values.token)
            message, chosen = TOKEN_KEPT.render(lang), gr.skip()
        else:
            machine_id = own.choose_id(form_values.name)
            machine = own.add(machine_id, form_values.to_entry(finding))
            if form_values.kind == "ray" and form_values.token:
                credentials.keep(credentials.ray_name(machine_id), form_values.token)
            message = ADDED.render(lang, name=machine.name)
            chosen = gr.update(choices=machine_panel.machine_choices(lang), value=machine_id)
    except (StudioError, OSError) as error:
        return notices.error_notice(explain(error), lang), *(gr.skip(),) * 4
    return notices.notice(message, kind="good"), gr.update(visible=False), "", _list(lang), chosen


def act(chosen_machine: object, removed: object, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
    """Remove the machine or the token that a row names.

    Returns:
        The notice, the list, the list of machines, what was removed, and the button that undoes it.
    """
    lang = request_language(request)
    machine_id = _text(read_event(event, "id"))
    try:
        _require_owner()
        if read_event(event, "action") == "forget":
            credentials.forget(credentials.HUB)
            return _show_changed(notices.notice(FORGOTTEN.render(lang)), lang)
        if read_event(event, "action") != "remove":
            raise NotPossible(UNKNOWN_ACTION, RELOAD)
        entry = own.remove(machine_id)
        credentials.forget(credentials.ray_name(machine_id))
    except (StudioError, OSError) as error:
        return notices.error_notice(explain(error), lang), *(gr.skip(),) * 4
    choice = {"value": LOCAL_ID} if chosen_machine == machine_id else {}
    undo_state = {"id": machine_id, "entry": entry.model_dump(mode="json")}
    return _show_changed(notices.notice(REMOVED.render(lang, name=entry.name)), lang, choice, undo_state)


def undo(removed: object, request: gr.Request) -> tuple[Any, ...]:
    """Bring back the machine that was removed last; returns what `act` does."""
    lang = request_language(request)
    try:
        _require_owner()
        if not isinstance(removed, dict):
            raise NotPossible(UNKNOWN_ACTION, RELOAD)
        machine = own.add(_text(removed.get("id")), own.build_entry(dict(removed.get("entry") or {})))
    except (StudioError, OSError) as error:
        return notices.error_notice(explain(error), lang), *(gr.skip(),) * 4
    return _show_changed(notices.notice(RESTORED.render(lang, name=machine.name), kind="good"), lang)


def _show_changed(
    notice: dict[str, Any],
    lang: str,
    choice: Mapping[str, str] = MappingProxyType({}),
    removed: Mapping[str, Any] | None = None,
) -> tuple[Any, ...]:
    """What `act` returns: beside the notice the lists as they are now, and an undo where one is removed."""
    machines = gr.update(choices=machine_panel.machine_choices(lang), **choice)
    return notice, _list(lang), machines, removed, gr.update(visible=removed is not None)


def show(request: gr.Request) -> tuple[Any, ...]:
    """The list of what was added, and the kinds and the hardware in the visitor's language."""
    lang = request_language(request)
    kinds = [(title.render(lang), name) for name, title in KINDS.items()]
    return _list(lang), gr.update(choices=kinds), gr.update(choices=_hardware_choices(lang))


def _list(lang: str) -> dict[str, Any]:
    rows = [
        {
            "id": machine_id,
            "name": entry.name or machine_id,
            "more": _describe(machine_id, entry, lang),
            "action": "remove",
            "label": REMOVE.render(lang),
        }
        for machine_id, entry in catalogue.read_added().items()
    ]
    if credentials.read(credentials.HUB):
        token_row = {"id": credentials.HUB, "name": HUB_TITLE.render(lang), "more": KEPT_HERE.render(lang)}
        rows.append({**token_row, "action": "forget", "label": FORGET.render(lang)})
    return {"caption": CAPTION.render(lang), "rows": rows, "empty": NOTHING_KEPT.render(lang)}


def _describe(machine_id: str, entry: MachineEntry, lang: str) -> str:
    """A machine's address and hardware, and whether a token is kept for it."""
    parts = [entry.ssh or entry.ray, catalogue.hardware_names().get(entry.card, entry.card)]
    if credentials.read(credentials.ray_name(machine_id)):
        parts.append(HAS_TOKEN.render(lang))
    return " · ".join(parts)


def _hardware_choices(lang: str) -> list[tuple[str, str]]:
    names = catalogue.hardware_names()
    return [(AS_FOUND.render(lang), ""), *((name, spec_id) for spec_id, name in names.items())]


def choose_kind(kind: object) -> tuple[Any, ...]:
    """Show the fields that what is to be added has; those after `kind`, in the form's order."""
    is_box, is_cluster = kind == "ssh", kind == "ray"
    is_machine = is_box or is_cluster
    visibility = (is_machine, is_box, is_cluster, is_machine, is_machine, is_cluster, is_cluster, not is_box)
    return tuple(gr.update(visible=is_shown) for is_shown in visibility)


def _build_form() -> Form:
    kind = gr.Radio(
        [(title.render(), name) for name, title in KINDS.items()],
        value="ssh",
        label=t(KIND),
        elem_id="own-kind",
    )
    with gr.Row(equal_height=False):
        name = gr.Textbox(label=t(NAME), info=t(NAME_HELP), max_lines=1, elem_id="own-name", min_width=240)
        ssh = gr.Textbox(
            label=t(SSH_ADDRESS), info=t(SSH_HELP), max_lines=1, elem_id="own-ssh", min_width=240
        )
        ray = gr.Textbox(
            label=t(RAY_ADDRESS),
            info=t(RAY_HELP),
            max_lines=1,
            elem_id="own-ray",
            min_width=240,
            visible=False,
        )
        token = gr.Textbox(
            label=t(TOKEN),
            info=t(TOKEN_HELP),
            type="password",
            max_lines=1,
            elem_id="own-token",
            min_width=240,
            visible=False,
            html_attributes=gr.InputHTMLAttributes(autocomplete="off"),
        )
    with gr.Row(equal_height=False):
        python = gr.Textbox(
            label=t(PYTHON), info=t(PYTHON_HELP), max_lines=1, elem_id="own-python", min_width=240
        )
        hardware = gr.Dropdown(
            _hardware_choices("en"),
            value="",
            label=t(HARDWARE),
            info=t(HARDWARE_HELP),
            elem_id="own-hardware",
            min_width=240,
        )
        cards = gr.Number(
            1,
            label=t(CARDS),
            info=t(CARDS_HELP),
            minimum=1,
            maximum=catalogue.MAX_CARDS,
            precision=0,
            elem_id="own-cards",
            min_width=240,
            visible=False,
        )
        storage = gr.Textbox(
            label=t(STORAGE),
            info=t(STORAGE_HELP),
            max_lines=1,
            elem_id="own-storage",
            min_width=240,
            visible=False,
        )
    return Form(kind, name, ssh, ray, python, hardware, cards, storage, token)


def build(machine: gr.Dropdown) -> None:
    """Lay the panel out and wire it; where others reach the page there is none.

    Args:
        machine: The list of machines.
    """
    if access.is_open_to_others():
        return
    with gr.Accordion(t(HEADING), open=False, elem_id="own-machines"):
        gr.Markdown(t(HELP))
        machines = gr.HTML(
            {},
            html_template=LIST_TEMPLATE,
            js_on_load=LIST_SCRIPT,
            elem_id="own-list",
            apply_default_css=False,
        )
        form = _build_form()
        with gr.Row(elem_id="own-buttons"):
            test_button = gr.Button(t(TEST), elem_id="own-test", scale=0, min_width=190)
            add_button = gr.Button(
                t(ADD), variant="primary", visible=False, elem_id="own-add", scale=0, min_width=140
            )
            undo_button = gr.Button(t(UNDO), visible=False, elem_id="own-undo", scale=0, min_width=140)
        notice = notices.notice_box("own-notice")
    removed = gr.State(None)
    form.kind.change(choose_kind, form.kind, list(form[1:]), **UNQUEUED)
    for field in form:
        field.change(lambda: gr.update(visible=False), None, add_button, **UNQUEUED)
    current_page().load(show, None, [machines, form.kind, form.hardware], **UNQUEUED)
    test_button.click(test, list(form), [notice, add_button], trigger_mode="once", show_progress="hidden")
    add_button.click(
        add, list(form), [notice, add_button, form.token, machines, machine], trigger_mode="once", **UNQUEUED
    )
    changed = [notice, machines, machine, removed, undo_button]
    machines.act(act, [machine, removed], changed, **UNQUEUED)
    undo_button.click(undo, removed, changed, **UNQUEUED)
