"""Protection on the network: other sites, foreign names, large bodies and closed paths are refused."""

import hashlib
import hmac
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from studio.ui.failures import RELOAD, UNREADABLE, log_failure
from studio.ui.rate_limit import RateLimit

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
    "/gradio_api/dev/",
    "/gradio_api/openapi",
    "/gradio_api/token",
    "/gradio_api/vibe-",
    "/gradio_api/undo-vibe",
    "/gradio_api/deep_link",
    "/gradio_api/process_recording",
    "/docs",
    "/redoc",
    "/openapi.json",
    "/token",
)
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
# Names the page answers to beyond this machine's own, with commas; a Space says its name in SPACE_HOST.
HOSTS_ENV, SPACE_HOST_ENV = "STUDIO_HOSTS", "SPACE_HOST"
# RFC 2046 allows 70 characters for the boundary in it.
MAX_CONTENT_TYPE_CHARS = 200
MAX_SHOWN_CHARS = 80
LOGIN_PATH = "/login"
# Below it Gradio reads what a browser sends, and fails where that is of another kind than it expects.
GRADIO_PREFIX = "/gradio_api/"
# Attempts from one address, which an office may share.
MAX_LOGINS_PER_MINUTE = 20
# What a proxy adds, and Gradio believes of anyone.
FORWARDED_HEADERS = (b"x-forwarded-", b"forwarded", b"x-gradio-server")
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


@dataclass(frozen=True)
class Access:
    """Who the page answers, and whom it believes.

    Attributes:
        hosts: The names it answers to, in lower case.
        any_address: Whether it also answers to addresses in digits, which no site can point elsewhere.
        proxies: Addresses of the proxies whose forwarded headers count; "*" is any, as on a Space, which
            nothing but its proxy reaches.
    """

    hosts: tuple[str, ...] = LOCAL_HOSTS
    any_address: bool = False
    proxies: tuple[str, ...] = ()

    def answers_to(self, host: str) -> bool:
        """Whether a host name, in lower case and without a port, is one of the page's."""
        return host in self.hosts or (self.any_address and _is_address(host))

    def believes(self, client: str) -> bool:
        """Whether the forwarded headers of a request from this address count."""
        return "*" in self.proxies or client in self.proxies


def build_access(address: str, names: tuple[str, ...] = (), proxies: tuple[str, ...] = ()) -> Access:
    """Who is answered by a page that listens on an address.

    Args:
        address: The address; one of this machine's own answers to LOCAL_HOSTS.
        names: More names that the page is reached by.
        proxies: The addresses of proxies in front of it.
    """
    space_host = os.environ.get(SPACE_HOST_ENV, "")
    named = [*names, *os.environ.get(HOSTS_ENV, "").split(","), space_host]
    hosts = {*LOCAL_HOSTS, *(name.strip().lower() for name in named if name.strip())}
    trusted = ("*",) if space_host else proxies
    if address in LOCAL_HOSTS:
        return Access(tuple(sorted(hosts)), any_address=False, proxies=trusted)
    machine = socket.gethostname().lower()
    return Access(tuple(sorted(hosts | {machine, f"{machine}.local"})), any_address=True, proxies=trusted)


def password_check(password: str) -> Callable[[str, str], bool]:
    """The function that Gradio asks whether a visitor may log in; any user name will do.

    Args:
        password: What the visitor has to type; the time of a comparison says nothing about it.
    """
    expected = _digest(password)

    def is_password(_user_name: str, typed: str) -> bool:
        return hmac.compare_digest(_digest(typed), expected)

    return is_password


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode("utf-8", "replace")).digest()


class SecurityMiddleware:
    """An ASGI middleware that refuses unsafe requests and sets safe headers.

    It buffers nothing, so that streams keep streaming.

    Args:
        app: The application behind it.
        access: Who is answered, and whose forwarded headers count.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access
        self.logins = RateLimit(MAX_LOGINS_PER_MINUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on with a counted body and safe headers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        rejection = self.check_request(scope) or self.check_login(scope)
        if rejection:
            await _reply(send, *rejection)
            return
        if not self.access.believes(_client_address(scope)):
            scope = {**scope, "headers": _without_forwarded(scope["headers"])}
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
        except Exception as error:
            if response_started or not scope["path"].startswith(GRADIO_PREFIX):
                raise
            log_failure(f"{scope['method']} {scope['path'][:MAX_SHOWN_CHARS]!r}", error)
            await _reply(send, 400, f"{UNREADABLE.render()} {RELOAD.render()}")

    def check_request(self, scope: Scope) -> tuple[int, str] | None:
        """The status and the sentence with which a request is refused; None where it may pass."""
        headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]}
        netloc = self._own_netloc(headers, _client_address(scope))
        host = _hostname(netloc)
        if not self.access.answers_to(host):
            sentence = (
                "The studio does not answer to the name “{host}”. To allow it: studio --allow-host {host}"
            )
            return 400, sentence.format(host=host[:MAX_SHOWN_CHARS])
        if scope["path"].startswith(BLOCKED_PATHS):
            return 403, "This address is closed."
        if _is_cross_site(scope["method"], headers, netloc):
            return 403, "Requests from other sites are refused."
        if len(headers.get("content-type", "")) > MAX_CONTENT_TYPE_CHARS:
            return 400, "The content type is too long."
        content_length = headers.get("content-length", "")
        if content_length.isdecimal() and int(content_length) > _body_limit(scope):
            return 413, "The request is too large."
        return None

    def check_login(self, scope: Scope) -> tuple[int, str] | None:
        """The same, for an address that tries passwords; an attempt is counted."""
        if scope["method"] != "POST" or scope["path"].rstrip("/") != LOGIN_PATH:
            return None
        visitor = self._visitor_address(scope)
        if self.logins.is_reached(visitor):
            return 429, "Too many log-ins. Wait a minute, then try again."
        self.logins.add(visitor)
        return None

    def _visitor_address(self, scope: Scope) -> str:
        """Where a request came from: behind a proxy the address that it added last to X-Forwarded-For."""
        client = _client_address(scope)
        forwarded_for = dict(scope["headers"]).get(b"x-forwarded-for", b"").decode("latin1")
        last_address = forwarded_for.rpartition(",")[2].strip()
        return last_address if last_address and self.access.believes(client) else client

    def _own_netloc(self, headers: Mapping[str, str], client: str) -> str:
        """The name and port by which the page was called: behind a proxy it is in X-Forwarded-Host."""
        forwarded_host = headers.get("x-forwarded-host", "").split(",")[0].strip()
        if forwarded_host and self.access.believes(client):
            return forwarded_host.lower()
        return headers.get("host", "").lower()


def _hostname(netloc: str) -> str:
    """The name in `name:port`; empty where it cannot be read, or names a user too."""
    if "@" in netloc:
        return ""
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _client_address(scope: Scope) -> str:
    return str((scope.get("client") or ("",))[0])


def _without_forwarded(headers: Headers) -> Headers:
    return [(name, value) for name, value in headers if not name.lower().startswith(FORWARDED_HEADERS)]


def _is_cross_site(method: str, headers: Mapping[str, str], netloc: str) -> bool:
    """Whether a request comes from another site, by its Origin, else by Sec-Fetch-Site.

    A browser sends no Origin when it follows a link, and that is no way to act or to read for another site.
    """
    origin = headers.get("origin", "").lower()
    if origin:
        return origin not in (f"http://{netloc}", f"https://{netloc}")
    is_reading = method in ("GET", "HEAD", "OPTIONS")
    return not is_reading and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


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
