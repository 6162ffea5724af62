"""Uploads a run to the hub from the Share tab: first says what, where to and how large, then does it."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

import gradio as gr

from studio import credentials, runs
from studio.errors import NotPossible, StudioError
from studio.hub import account, publish, push
from studio.hub.account import Account
from studio.hub.push import Upload
from studio.i18n import Message, label
from studio.ui import access
from studio.ui.components import notices
from studio.ui.components.events import UNQUEUED
from studio.ui.components.labels import t
from studio.ui.language import request_language

HEADING = label("Upload to the Hugging Face hub, or publish as a Space")
FORM = label("What to upload")
NAME = label("Name on the hub")
NAME_INFO = label("my-model, or my-team/my-model")
TOKEN = label("Token of your Hugging Face account")
TOKEN_INFO = label(
    "It needs write access; make one at huggingface.co/settings/tokens. It goes to the hub alone and is kept "
    "nowhere."
)
PRIVATE = label("Private: only you, or the team you name, can see it")
CHECK, UPLOAD = label("Check first"), label("Upload now")
CHOOSE_RUN = Message("There is no finished run to upload.")
TRAIN_FIRST = Message("Train one, then come back.")
PREPARING = Message("Preparing… {seconds:.0f} s")
UPLOADING = Message("Uploading… {done:,.1f} of {total:,.1f} MB, {seconds:.0f} s")
MACHINE_LOGIN = label("Empty: the login of this machine")
NOTHING_YET = Message("Nothing has left this machine yet.")
UPLOADED = Message("Uploaded.")
MAX_FIELD_CHARS = 300
Outputs = tuple[Any, Any]


@dataclass
class _Arrived:
    """How much is on the hub, in megabytes, and how much it will be."""

    done: float = 0.0
    total: float = 0.0

    def update(self, done: float, total: float) -> None:
        """Take note of it; a ProgressCallback."""
        self.done, self.total = done, total


@dataclass(frozen=True)
class _Request:
    """What a visitor asks for, as the fields say it."""

    run_id: str
    form: str
    name: str
    token: str
    is_private: bool

    def prepare(self, language: str) -> tuple[Account, Upload]:
        """Sign in and write what would be uploaded.

        Raises:
            StudioError: The hub refuses the token or the name, or there is nothing to upload.
        """
        if not self.run_id:
            raise NotPossible(CHOOSE_RUN, TRAIN_FIRST)
        run = runs.get(self.run_id)
        # Where others reach the page, nobody uploads as the owner of the machine.
        token = self.token if access.is_open_to_others() else self.token or credentials.hub_token()
        person = account.sign_in(token)
        prepare = publish.prepare if self.form in publish.KIND_LABELS else push.prepare
        prepared = prepare(run, self.form, self.name, person, language)
        return person, replace(prepared, is_private=self.is_private)


def _read_fields(run_id: Any, form: Any, name: Any, token: Any, is_private: Any) -> _Request:
    """The fields as a request; what a browser would not send becomes empty."""
    return _Request(
        _read_text(run_id), _read_text(form), _read_text(name), _read_text(token), is_private is not False
    )


def _read_text(value: Any) -> str:
    return value[:MAX_FIELD_CHARS] if isinstance(value, str) else ""


def list_forms(run_id: str | None, request: gr.Request) -> Any:
    """What of the run can be uploaded, for the choice."""
    lang = request_language(request)
    try:
        run = runs.get(run_id or "")
        labels = {form: push.form_label(form) for form in push.available_forms(run)}
        labels |= {kind: publish.KIND_LABELS[kind] for kind in publish.available_kinds(run)}
    except StudioError:
        return gr.update(choices=[], value=None)
    choices = [(text.render(lang), form) for form, text in labels.items()]
    return gr.update(choices=choices, value=choices[0][1])


def check(
    run_id: str | None, form: str, name: str, token: str, is_private: bool, request: gr.Request
) -> Iterator[Outputs]:
    """Sign in, write what would be uploaded, and say what it is and where it would go."""
    lang = request_language(request)
    upload_request = _read_fields(run_id, form, name, token, is_private)

    def say_preparing(seconds: float) -> str:
        return PREPARING.render(lang, seconds=seconds)

    def say_ready(result: tuple[Account, Upload]) -> Outputs:
        person, prepared = result
        warning = prepared.warning.render(lang) if prepared.warning else ""
        text = prepared.consent(person).render(lang)
        return notices.notice(text, NOTHING_YET.render(lang), warning=warning), gr.update(visible=True)

    yield from _work(lambda: upload_request.prepare(lang), say_preparing, say_ready, lang)


def upload(
    run_id: str | None, form: str, name: str, token: str, is_private: bool, request: gr.Request
) -> Iterator[Outputs]:
    """Upload it, counting the megabytes, and say where it is."""
    lang = request_language(request)
    upload_request = _read_fields(run_id, form, name, token, is_private)
    arrived = _Arrived()

    def send() -> str:
        person, prepared = upload_request.prepare(lang)
        address = push.upload(prepared, person, arrived.update)
        push.forget(prepared)
        return address

    def say_progress(seconds: float) -> str:
        return UPLOADING.render(lang, done=arrived.done, total=arrived.total, seconds=seconds)

    def say_done(address: str) -> Outputs:
        notice = notices.notice(UPLOADED.render(lang), kind="good")
        return {**notice, "link": address}, gr.update(visible=False)

    yield from _work(send, say_progress, say_done, lang)


def _work(
    job: Callable[[], Any],
    say_progress: Callable[[float], str],
    say_done: Callable[[Any], Outputs],
    lang: str,
) -> Iterator[Outputs]:
    """Do a job in a thread, counting the seconds, and show its result or what went wrong."""
    started_at = monotonic()
    with ThreadPoolExecutor(1) as pool:
        future: Future[Any] = pool.submit(job)
        while not future.done():
            yield notices.notice(say_progress(monotonic() - started_at)), gr.update(visible=False)
            wait([future], timeout=1)
    try:
        yield say_done(future.result())
    except Exception as error:  # any error is shown here instead of in Gradio's overlay
        yield notices.error_notice(error, lang), gr.update(visible=False)


def _has_login() -> bool:
    """Whether the machine's own login stands in for an empty field."""
    return not access.is_open_to_others() and bool(credentials.hub_token())


def hide_upload() -> Any:
    """Another thing would be uploaded: it has to be checked first."""
    return gr.update(visible=False)


def build(run_dropdown: gr.Dropdown) -> None:
    """Lay the panel out and wire it.

    Args:
        run_dropdown: The run that is uploaded.
    """
    with gr.Accordion(t(HEADING), open=False, elem_id="hub"):
        form = gr.Radio([], label=t(FORM), elem_id="hub-form")
        with gr.Row():
            name = gr.Textbox(label=t(NAME), info=t(NAME_INFO), max_lines=1, elem_id="hub-name")
            token = gr.Textbox(
                label=t(TOKEN),
                info=t(TOKEN_INFO),
                type="password",
                placeholder=t(MACHINE_LOGIN) if _has_login() else None,
                max_lines=1,
                elem_id="hub-token",
                html_attributes=gr.InputHTMLAttributes(autocomplete="off"),
            )
        is_private = gr.Checkbox(True, label=t(PRIVATE), elem_id="hub-private")
        with gr.Row(elem_id="hub-buttons"):
            check_button = gr.Button(t(CHECK), elem_id="hub-check")
            upload_button = gr.Button(t(UPLOAD), variant="primary", visible=False, elem_id="hub-upload")
        notice = notices.notice_box("hub-notice")
    fields = [run_dropdown, form, name, token, is_private]
    outputs = [notice, upload_button]
    run_dropdown.change(list_forms, run_dropdown, form, **UNQUEUED)
    for changed in fields:
        changed.change(hide_upload, None, upload_button, **UNQUEUED)
    check_button.click(check, fields, outputs, show_progress="hidden")
    upload_button.click(upload, fields, outputs, show_progress="hidden")
