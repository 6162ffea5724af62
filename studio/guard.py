"""What stands between the page and the network: foreign sites, oversized bodies and the file proxy are refused, headers are set."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_JSON = 2_000_000
MOST_UPLOAD = 260_000_000
# Gradio would fetch any address for a visitor; nothing here needs it.
CLOSED = ("/gradio_api/file=http", "/gradio_api/file/http", "/gradio_api/proxy=", "/monitoring", "/gradio_api/runs")
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self' https://huggingface.co https://*.hf.space"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
]


class TooLarge(Exception):
    """A request body grew beyond its limit."""


class Guard:
    """An ASGI middleware that holds nothing back, so that streams keep streaming; `hosts` are the names the page answers to, empty for any."""

    def __init__(self, app: App, hosts: tuple[str, ...] = ()) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with a counted body and safe headers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refused = self.refusal(scope)
        if refused:
            await _reply(send, *refused)
            return
        limit = MOST_UPLOAD if scope["path"].rstrip("/").endswith("/upload") else MOST_JSON
        seen, started = 0, False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise TooLarge
            return message

        async def dressed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                have = {name.lower() for name, _ in message["headers"]}
                message = {**message, "headers": [*message["headers"], *(pair for pair in HEADERS if pair[0] not in have)]}
            await send(message)

        try:
            await self.app(scope, counted, dressed)
        except TooLarge:
            if not started:
                await _reply(send, 413, "The request is too large.")

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Why a request is refused: its status and a sentence; None where it may pass."""
        headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]}
        name = urlsplit("//" + headers.get("host", "")).hostname or ""
        if self.hosts and name not in self.hosts:
            return 400, "The studio does not answer to this host name."
        if scope["path"].startswith(CLOSED):
            return 403, "This address is closed."
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        origin = headers.get("origin", "")
        if origin and (urlsplit(origin).hostname or "") != (urlsplit("//" + headers.get("x-forwarded-host", "")).hostname or name):
            return 403, "Requests from other sites are refused."
        if not origin and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "Requests from other sites are refused."
        limit = MOST_UPLOAD if scope["path"].rstrip("/").endswith("/upload") else MOST_JSON
        if int(headers.get("content-length", "0") or 0) > limit:
            return 413, "The request is too large."
        return None


async def _reply(send: Send, status: int, text: str) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]})
    await send({"type": "http.response.body", "body": text.encode()})
