"""The blind vote on the Playground tab: prepare one, vote, ask for the result, and send the link."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import gradio as gr
import psutil

from studio import runs
from studio.errors import StudioError
from studio.i18n import Message, about, label
from studio.playground.votes import ballot, prepare
from studio.playground.votes.ballot import BlindVote, Contestant
from studio.ui import access, vote_page
from studio.ui.components import notices
from studio.ui.components.events import UNQUEUED
from studio.ui.components.labels import t
from studio.ui.language import request_language
from studio.ui.train import runs_table

HEADING = label("Blind vote")
INTRODUCTION = label(
    "Two answers, no names: colleagues pick the better one without knowing which model wrote it. The "
    "questions were held out from training."
)
OPPONENT = label("Compare with")
OPPONENT_HELP = label("The run's own base model, or another run.")
OWN_BASE = Message("Its own base model")
COUNT = label("Questions")
COUNT_HELP = label("Both models answer once; voting then needs no model.")
PASSCODE, PASSCODE_HELP = label("Passcode (optional)"), label("Voters need it along with the link.")
PREPARE, STOP = label("Prepare vote"), label("Stop", context="vote")
VOTE, VOTE_HELP = label("Vote"), label("Newest first.")
LINK_HEADING = label("**Link for colleagues.** No account, nothing to install.")
VOTE_CHOICE = Message("{when} · {count} {count:question|questions}")
CHOOSE_RUN = Message("Choose a finished run first.")
LOADING = Message("Loading the models…")
WRITING = Message("Writing answers: {done} of {total}.")
READY = Message("Ready: {count} {count:question|questions}. Vote below or share the link.")
STOPPED = Message("Stopped. Nothing was saved.")
LOCAL_ONLY = Message(
    "This link only opens on this machine, because the studio listens on {host}. To let colleagues vote, "
    "close the studio and start it with: studio --host 0.0.0.0 (runs continue, votes are kept)."
)
REACHABLE = Message(
    "Anyone on your network who has the link can vote. They see this vote and nothing else of yours."
)
LINK_TEMPLATE = """
{{#if value.addresses}}
<div class="notice">
  <p>{{#each value.addresses}}<a href="{{this}}" target="_blank" rel="noopener">{{this}}</a> {{/each}}</p>
  <p class="more">{{value.more}}</p>
</div>
{{/if}}
"""
# The component keeps its place; the script beside it draws each vote it is given.
VOTE_SCRIPT = """
const vote = mountVote(element);
watch('value', () => vote.open(props.value));
vote.open(props.value);
"""


def update_choices(run_id: str | None, browser_runs: object, request: gr.Request) -> tuple[Any, ...]:
    """What a run can be compared with, and the votes on it."""
    lang = request_language(request)
    others = [
        run
        for run in access.visible_runs(access.read_run_ids(browser_runs))
        if run.id != run_id and runs.is_usable(run) and run.plan.task != "classify"
    ]
    opponents = [(OWN_BASE.render(lang), ""), *runs_table.list_choices(others, lang)]
    return gr.update(choices=opponents, value=""), _list_votes(run_id, lang)


def prepare_vote(
    run_id: str | None, opponent_id: str, n_questions: float, passcode: str, request: gr.Request
) -> Iterator[tuple[Any, Any]]:
    """Let both contestants answer, telling how far they are.

    Yields:
        A notice, and the list of votes once the new one is there.
    """
    lang = request_language(request)
    if not run_id:
        yield notices.notice(CHOOSE_RUN.render(lang), kind="bad"), gr.skip()
        return
    tuned = Contestant(run_id, "tuned")
    opponent = Contestant(opponent_id, "tuned") if opponent_id else Contestant(run_id, "base")
    try:
        for step in prepare.prepare((opponent, tuned), max(1, int(n_questions)), str(passcode).strip()):
            if isinstance(step, BlindVote):
                ready = READY.render(lang, count=len(step.questions()))
                yield notices.notice(ready, kind="good"), _list_votes(run_id, lang)
            else:
                yield notices.notice(_describe_progress(step, lang)), gr.skip()
    except (StudioError, OSError) as error:
        yield notices.error_notice(error, lang), gr.skip()


def _describe_progress(progress: prepare.Progress, lang: str) -> str:
    if not progress.total:
        return LOADING.render(lang)
    return WRITING.render(lang, done=progress.done, total=progress.total)


def say_stopped(request: gr.Request) -> dict[str, Any]:
    """The notice after a stop."""
    return notices.notice(STOPPED.render(request_language(request)))


def open_vote(token: str | None, request: gr.Request) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Show a vote, its link and what can be made of it; nothing of these where no vote is chosen."""
    lang = request_language(request)
    panel = gr.update(visible=bool(token))
    if not token:
        return vote_page.page_value("", lang), {"addresses": [], "more": ""}, panel
    return vote_page.page_value(token, lang), _describe_link(token, request, lang), panel


def _list_votes(run_id: str | None, lang: str) -> Any:
    """The votes on a run, the newest chosen."""
    try:
        votes = ballot.list_votes(runs.get(run_id or ""))
    except StudioError:
        votes = []
    choices = [(_describe_vote(vote, lang), vote.token) for vote in votes]
    value = choices[0][1] if choices else None
    return gr.update(choices=choices, value=value, visible=bool(choices))


def _describe_vote(vote: BlindVote, lang: str) -> str:
    date_format = str(about(lang).get("date_format", "%d %b %H:%M"))
    when = datetime.fromtimestamp(vote.created, UTC).astimezone().strftime(date_format)
    return VOTE_CHOICE.render(lang, when=when, count=len(vote.questions()))


def _describe_link(token: str, request: gr.Request, lang: str) -> dict[str, Any]:
    """The addresses of a vote, and who can open them."""
    host = request.headers.get("host", "")
    page = urlsplit(request.headers.get("origin") or f"http://{host}")
    is_local = page.hostname in ("127.0.0.1", "localhost", "::1")
    if not access.is_open_to_others():
        addresses, more = [page.netloc], LOCAL_ONLY.render(lang, host=page.hostname or "127.0.0.1")
    else:
        port = f":{page.port}" if page.port else ""
        names = _network_addresses() if is_local else []
        addresses, more = [name + port for name in names] or [page.netloc], REACHABLE.render(lang)
    path = f"{vote_page.PATH}{token}"
    return {"addresses": [f"{page.scheme}://{address}{path}" for address in addresses], "more": more}


def _network_addresses() -> list[str]:
    """The IPv4 addresses under which others in the network may reach this machine."""
    addresses = [entry for entries in psutil.net_if_addrs().values() for entry in entries]
    return [
        entry.address
        for entry in addresses
        if entry.family == socket.AF_INET and not entry.address.startswith("127.")
    ]


class VotePanel(NamedTuple):
    """The choice of a vote, and the column that is seen once there is one."""

    vote: gr.Dropdown
    column: gr.Column


def build(run_dropdown: gr.Dropdown, run_ids: gr.BrowserState) -> VotePanel:
    """Build and wire the panel.

    Args:
        run_dropdown: The run whose result is compared.
        run_ids: The runs that this browser has started.
    """
    gr.Markdown(t(INTRODUCTION))
    with gr.Row():
        opponent = gr.Dropdown(
            [(OWN_BASE.render(), "")],
            value="",
            label=t(OPPONENT),
            info=t(OPPONENT_HELP),
            elem_id="vote-against",
        )
        count = gr.Slider(
            10,
            prepare.MAX_QUESTIONS,
            prepare.DEFAULT_QUESTIONS,
            step=5,
            label=t(COUNT),
            info=t(COUNT_HELP),
            elem_id="vote-count",
        )
        passcode = gr.Textbox(
            "",
            label=t(PASSCODE),
            info=t(PASSCODE_HELP),
            max_length=ballot.MAX_PASSCODE_CHARS,
            elem_id="vote-passcode",
        )
    with gr.Row(elem_id="vote-buttons"):
        prepare_button = gr.Button(t(PREPARE), elem_id="vote-prepare")
        stop_button = gr.Button(t(STOP), elem_id="vote-stop")
    notice = notices.notice_box("vote-notice")
    vote = gr.Dropdown([], label=t(VOTE), info=t(VOTE_HELP), visible=False, elem_id="vote-choice")
    with gr.Column(visible=False) as column:
        view = gr.HTML(
            vote_page.page_value("", "en"),
            html_template="<div></div>",
            js_on_load=vote_page.script() + VOTE_SCRIPT,
            elem_id="vote",
            apply_default_css=False,
        )
        gr.Markdown(t(LINK_HEADING))
        link = gr.HTML(
            {"addresses": []}, html_template=LINK_TEMPLATE, elem_id="vote-link", apply_default_css=False
        )
    run_dropdown.change(update_choices, [run_dropdown, run_ids], [opponent, vote], **UNQUEUED)
    prepared = prepare_button.click(
        prepare_vote,
        [run_dropdown, opponent, count, passcode],
        [notice, vote],
        show_progress="hidden",
        concurrency_limit=1,
    )
    stop_button.click(say_stopped, None, notice, cancels=prepared, **UNQUEUED)
    vote.change(open_vote, vote, [view, link, column], **UNQUEUED)
    return VotePanel(vote, column)
