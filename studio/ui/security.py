"""What stands between the page and the network: foreign sites, oversized bodies and the file proxy are refused, headers are set."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
ASGIMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[ASGIMessage]]
Send = Callable[[ASGIMessage], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_JSON_BYTES = 2_000_000
MAX_UPLOAD_BYTES = 260_000_000
# Gradio would fetch any address for a visitor; nothing here needs it.
BLOCKED_PATHS = (
    "/gradio_api/file=http",
    "/gradio_api/file/http",
    "/gradio_api/proxy=",
    "/monitoring",
    "/gradio_api/runs",
)
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self' https://huggingface.co https://*.hf.space"
)
SECURITY_HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
]


class RequestTooLarge(Exception):
    """A request body grew beyond its limit."""


class SecurityMiddleware:
    """An ASGI middleware that holds nothing back, so that streams keep streaming; `hosts` are the names the page answers to, empty for any."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...] = ()) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with a counted body and safe headers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        rejection = self.check_request(scope)
        if rejection:
            await _reply(send, *rejection)
            return
        limit = MAX_UPLOAD_BYTES if scope["path"].rstrip("/").endswith("/upload") else MAX_JSON_BYTES
        received_bytes, response_started = 0, False

        async def receive_limited() -> ASGIMessage:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > limit:
                raise RequestTooLarge
            return message

        async def send_with_headers(message: ASGIMessage) -> None:
            nonlocal response_started
            if message["type"] == "http.response.start":
                response_started = True
                present_names = {name.lower() for name, _ in message["headers"]}
                message = {
                    **message,
                    "headers": [
                        *message["headers"],
                        *(header for header in SECURITY_HEADERS if header[0] not in present_names),
                    ],
                }
            await send(message)

        try:
            await self.app(scope, receive_limited, send_with_headers)
        except RequestTooLarge:
            if not response_started:
                await _reply(send, 413, "The request is too large.")

    def check_request(self, scope: Scope) -> tuple[int, str] | None:
        """Why a request is refused: its status and a sentence; None where it may pass."""
        headers = {host.decode("latin1"): value.decode("latin1") for host, value in scope["headers"]}
        host = urlsplit("//" + headers.get("host", "")).hostname or ""
        if self.hosts and host not in self.hosts:
            return 400, "The studio does not answer to this host name."
        if scope["path"].startswith(BLOCKED_PATHS):
            return 403, "This address is closed."
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        origin = headers.get("origin", "")
        if origin and (urlsplit(origin).hostname or "") != (
            urlsplit("//" + headers.get("x-forwarded-host", "")).hostname or host
        ):
            return 403, "Requests from other sites are refused."
        if not origin and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "Requests from other sites are refused."
        limit = MAX_UPLOAD_BYTES if scope["path"].rstrip("/").endswith("/upload") else MAX_JSON_BYTES
        if int(headers.get("content-length", "0") or 0) > limit:
            return 413, "The request is too large."
        return None


async def _reply(send: Send, status: int, text: str) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"text/plain; charset=utf-8"), *SECURITY_HEADERS],
        }
    )
    await send({"type": "http.response.body", "body": text.encode()})
