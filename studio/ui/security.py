"""Protection on the network: other sites, large bodies and the file proxy are refused, headers are set."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
ASGIMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[ASGIMessage]]
Send = Callable[[ASGIMessage], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
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
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; "
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
    """An ASGI middleware that refuses unsafe requests and sets safe headers.

    It buffers nothing, so that streams keep streaming.

    Args:
        app: The application behind it.
        hosts: The names the page answers to; any where empty.
    """

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...] = ()) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on with a counted body and safe headers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        rejection = self.check_request(scope)
        if rejection:
            await _reply(send, *rejection)
            return
        limit = _body_limit(scope)
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
                message = {**message, "headers": _add_security_headers(message["headers"])}
            await send(message)

        try:
            await self.app(scope, receive_limited, send_with_headers)
        except RequestTooLarge:
            if not response_started:
                await _reply(send, 413, "The request is too large.")

    def check_request(self, scope: Scope) -> tuple[int, str] | None:
        """The status and the sentence with which a request is refused; None where it may pass."""
        headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]}
        host = urlsplit("//" + headers.get("host", "")).hostname or ""
        if self.hosts and host not in self.hosts:
            return 400, "The studio does not answer to this host name."
        if scope["path"].startswith(BLOCKED_PATHS):
            return 403, "This address is closed."
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        if _is_cross_site(headers, host):
            return 403, "Requests from other sites are refused."
        if int(headers.get("content-length", "0") or 0) > _body_limit(scope):
            return 413, "The request is too large."
        return None


def _is_cross_site(headers: Mapping[str, str], host: str) -> bool:
    """Whether a request comes from another site, by its Origin, else by Sec-Fetch-Site."""
    origin = headers.get("origin", "")
    if not origin:
        return headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    # Behind a proxy, as on a Space, the page's own name is in X-Forwarded-Host.
    forwarded_host = urlsplit("//" + headers.get("x-forwarded-host", "")).hostname
    return (urlsplit(origin).hostname or "") != (forwarded_host or host)


def _body_limit(scope: Scope) -> int:
    is_upload = scope["path"].rstrip("/").endswith("/upload")
    return MAX_UPLOAD_BYTES if is_upload else MAX_JSON_BYTES


def _add_security_headers(headers: Headers) -> Headers:
    """These headers, and those of SECURITY_HEADERS that are not among them."""
    present_names = {name.lower() for name, _ in headers}
    missing = [header for header in SECURITY_HEADERS if header[0] not in present_names]
    return [*headers, *missing]


async def _reply(send: Send, status: int, text: str) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"text/plain; charset=utf-8"), *SECURITY_HEADERS],
        }
    )
    await send({"type": "http.response.body", "body": text.encode()})
