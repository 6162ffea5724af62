"""The language a person has chosen reaches the page before it loads: a script of a few lines, put at the head of the page itself."""

import json
from functools import lru_cache

from studio import i18n, presets
from studio.ui.security import ASGIApp, ASGIMessage, Receive, Scope, Send

HEAD_TAG = b"<head>"


@lru_cache
def language_script() -> bytes:
    """What is put at the head of the page."""
    locales = {name: i18n.about(name).get("browser_locales", [name])[-1] for name in i18n.languages()}
    script = (presets.ASSETS / "language.js").read_text(encoding="utf-8")
    return f"<script>{script.replace('__LOCALES__', json.dumps(locales))}</script>".encode()


class LanguageMiddleware:
    """An ASGI middleware that adds the script to the page at "/" and leaves everything else as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; of the page hold back the beginning until the script stands in it."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in ("/", ""):
            await self.app(scope, receive, send)
            return
        request_headers = [
            header for header in scope["headers"] if header[0] != b"accept-encoding"
        ]  # packed, it could not be added to
        start_message: ASGIMessage = {}
        body = b""

        async def send_with_script(message: ASGIMessage) -> None:
            nonlocal start_message, body
            if message["type"] == "http.response.start":
                start_message = message
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            page = body.replace(HEAD_TAG, HEAD_TAG + language_script(), 1)
            response_headers = [
                header for header in start_message["headers"] if header[0].lower() != b"content-length"
            ]
            await send(
                {
                    **start_message,
                    "headers": [*response_headers, (b"content-length", str(len(page)).encode())],
                }
            )
            await send({"type": "http.response.body", "body": page})

        await self.app({**scope, "headers": request_headers}, receive, send_with_script)
