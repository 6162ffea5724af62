"""The page behind a vote's link: its questions and nothing else of the studio, and nobody gives a name."""

import html
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from studio import presets
from studio.errors import NotPossible, StudioError
from studio.i18n import Message, languages
from studio.playground.votes import ballot, draw, tally
from studio.playground.votes.ballot import BlindVote
from studio.ui.language import request_language
from studio.ui.rate_limit import RateLimit
from studio.ui.security import ASGIApp, Receive, Scope, Send

PATH = "/vote/"
# A vote is a few words; whatever is longer is none.
MAX_BODY_BYTES = 2_000
# Per minute: requests from one address (an office may share it), and wrong passcodes of one vote.
MAX_REQUESTS, MAX_WRONG_PASSCODES = 1_200, 30
TITLE = Message("Which answer is better?")
INTRODUCTION = Message(
    "Two models answered the same questions. Pick the better answer; which model wrote it stays hidden. "
    "No names are asked for or stored."
)
TEXTS: dict[str, Message] = {
    "question": Message("Question"),
    "leftTitle": Message("Answer A"),
    "rightTitle": Message("Answer B"),
    "left": Message("A is better"),
    "right": Message("B is better"),
    "tie": Message("Equally good"),
    "bad": Message("Both bad"),
    "choices": Message("Your vote"),
    "hint": Message("Keys: 1 for A, 2 for B, 3 equally good, 4 both bad."),
    "back": Message("Change last vote"),
    "result": Message("Show results"),
    "resultTitle": Message("Results so far"),
    "thanks": Message("Thank you! You voted on every question."),
    "empty": Message("(empty answer)"),
    "passcode": Message("Passcode"),
    "enter": Message("Enter"),
    "wrong": Message("Wrong passcode."),
    "offline": Message("The studio is not responding. Your votes are saved; try again in a moment."),
    "progressLabel": Message("Questions voted on"),
}
PROGRESS = Message("{done} of {total} questions", context="vote page")
TOO_MANY_REQUESTS, WAIT = Message("Too many requests."), Message("Wait a minute, then continue.")
NOT_A_VOTE = Message("This vote does not match a question on this list.")
PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{title}</title><style>
:root {{ color-scheme: light dark; }} body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 960px; margin: 0 auto; padding: 16px; }}
h1 {{ font-size: 24px; margin: 0 0 4px; }}
{css}</style></head>
<body><main><h1>{title}</h1><p>{introduction}</p><div id="vote"></div></main>
<script type="application/json" id="vote-value">{value}</script>
<script>{script}
mountVote(document.getElementById('vote')).open(JSON.parse(document.getElementById('vote-value').textContent));</script>
</body></html>"""  # noqa: E501 - HTML


class WrongPasscode(Exception):
    """The voter does not know the passcode."""


REQUESTS, WRONG_PASSCODES = RateLimit(MAX_REQUESTS), RateLimit(MAX_WRONG_PASSCODES)


def page_value(token: str, lang: str, level: int = 3) -> dict[str, Any]:
    """What assets/vote.js needs of a vote.

    Args:
        token: The vote; "" shows nothing.
        lang: The language of all words.
        level: The level of the headings.
    """
    texts = {name: message.render(lang) for name, message in TEXTS.items()}
    # The browser fills in the numbers.
    texts["progress"] = PROGRESS.render(lang, done="{done}", total="{total}")
    return {"token": token, "texts": texts, "level": level}


def script() -> str:
    """The script that shows a vote, for a page or a component."""
    return (presets.ASSETS / "vote.js").read_text(encoding="utf-8")


async def show_page(request: Request) -> Response:
    """The page of a vote; it holds no question before the passcode is known."""
    lang = request_language(request)
    try:
        vote = await run_in_threadpool(ballot.find, request.path_params["token"])
    except StudioError as error:
        return HTMLResponse(f"<!doctype html><p>{html.escape(error.render(lang))}</p>", 404)
    value = json.dumps(page_value(vote.token, lang, level=2), ensure_ascii=False).replace("<", "\\u003c")
    page = PAGE.format(
        lang=lang if lang in languages() else "en",
        title=html.escape(TITLE.render(lang)),
        introduction=html.escape(INTRODUCTION.render(lang)),
        css=(presets.ASSETS / "vote.css").read_text(encoding="utf-8"),
        value=value,
        script=script(),
    )
    return HTMLResponse(page, headers={"cache-control": "no-store"})


def next_question(vote: BlindVote, body: dict[str, Any], lang: str) -> dict[str, Any]:
    """The voter's next question; a voter without an id is given one."""
    voter = str(body.get("voter", ""))
    if not ballot.TOKEN.fullmatch(voter):
        voter = secrets.token_hex(16)
    votes = ballot.latest_votes(ballot.read_votes(vote))
    questions = vote.questions()
    number = draw.next_question(vote, voter, votes)
    reply: dict[str, Any] = {
        "voter": voter,
        "done": sum(cast.voter == voter for cast in votes),
        "total": len(questions),
    }
    if number is None:
        return reply
    first, second = questions[number].answers
    left, right = (first, second) if draw.is_first_left(vote, voter, number) else (second, first)
    question = {"number": number, "prompt": questions[number].prompt, "left": left, "right": right}
    return {**reply, "question": question}


def cast_vote(vote: BlindVote, body: dict[str, Any], lang: str) -> dict[str, Any]:
    """Take a vote, and give the next question."""
    voter = str(body.get("voter", ""))
    try:
        question = int(body["question"])
        choice = draw.to_choice(body["choice"], draw.is_first_left(vote, voter, question))
    except (KeyError, TypeError, ValueError):
        raise NotPossible(NOT_A_VOTE, ballot.RELOAD) from None
    ballot.cast(vote, voter, question, choice)
    return next_question(vote, body, lang)


def show_result(vote: BlindVote, body: dict[str, Any], lang: str) -> dict[str, Any]:
    """The result in sentences, for a voter who asks for it."""
    return {"sentences": [sentence.render(lang) for sentence in tally.describe(vote)]}


Action = Callable[[BlindVote, dict[str, Any], str], dict[str, Any]]


def _answer(action: Action) -> Callable[[Request], Awaitable[Response]]:
    """A handler that reads a small JSON object, checks the passcode, and replies with the action's result."""

    async def handle(request: Request) -> Response:
        lang = request_language(request)
        try:
            body = await _read_body(request)
            reply = await run_in_threadpool(_act, action, request.path_params["token"], body, lang)
        except WrongPasscode:
            return JSONResponse({"error": TEXTS["wrong"].render(lang)}, 401)
        except StudioError as error:
            return JSONResponse({"error": error.render(lang)}, 400)
        return JSONResponse(reply, headers={"cache-control": "no-store"})

    return handle


async def _read_body(request: Request) -> dict[str, Any]:
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise NotPossible(NOT_A_VOTE, ballot.RELOAD)
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise NotPossible(NOT_A_VOTE, ballot.RELOAD)
    return body


def _act(action: Action, token: str, body: dict[str, Any], lang: str) -> dict[str, Any]:
    vote = ballot.find(token)
    if WRONG_PASSCODES.is_reached(token):
        raise NotPossible(TOO_MANY_REQUESTS, WAIT)
    if not vote.is_passcode(str(body.get("passcode", ""))):
        if body.get("passcode"):
            WRONG_PASSCODES.add(token)
        raise WrongPasscode
    return action(vote, body, lang)


VOTE_APP = Starlette(
    routes=[
        Route("/vote/{token}", show_page),
        Route("/vote/{token}/next", _answer(next_question), methods=["POST"]),
        Route("/vote/{token}/cast", _answer(cast_vote), methods=["POST"]),
        Route("/vote/{token}/result", _answer(show_result), methods=["POST"]),
    ]
)


class VoteMiddleware:
    """An ASGI middleware that answers what is asked of votes itself, and passes everything else on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer under PATH, so often a minute for each address as is allowed."""
        if scope["type"] != "http" or not scope["path"].startswith(PATH):
            await self.app(scope, receive, send)
            return
        client = (scope.get("client") or ("",))[0]
        if REQUESTS.is_reached(client):
            error = NotPossible(TOO_MANY_REQUESTS, WAIT).render(request_language(Request(scope)))
            await JSONResponse({"error": error}, 429)(scope, receive, send)
            return
        REQUESTS.add(client)
        await VOTE_APP(scope, receive, send)
