"""The visitor's language: read from a request, and known to the page before it draws anything."""

import json
import re
from functools import lru_cache

import gradio as gr
from starlette.requests import Request

from studio import i18n, presets
from studio.i18n import Message
from studio.ui.security import ASGIApp, ASGIMessage, Receive, Scope, Send

# The cookie in which assets/language.js stores the language that was chosen on the page.
LANGUAGE_COOKIE = re.compile(r"(?:^|;\s*)studio-lang=([a-z]+)(?:;|$)")
HEAD_TAG = b"<head>"
STUDIO_NAME = Message("Training studio")
SKIP_TO_CONTENT = Message("Skip to content")
# What Gradio 6.31 says by itself on this page and has in English alone (assets/language.js translates it).
GRADIO_TEXTS = (
    Message("Error", context="gradio"),
    Message("Warning", context="gradio"),
    Message("Info", context="gradio"),
    Message("Connection Lost"),
    Message("Connection to the server was lost. Attempting reconnection..."),
    Message("Connection errored out."),
    Message("This application is currently busy. Please try again."),
    Message("Could not parse server response: {why}"),
    Message("Error uploading file"),
    Message("Invalid file type: {names}. Only {kinds} allowed."),
    Message("Invalid file types: {names}. Only {kinds} allowed."),
    Message("Click to upload or drop files"),
    Message("Remove this file"),
    Message("Reset to default value"),
    Message("Table actions"),
    Message("Copy table data"),
    Message("Copied to clipboard"),
    Message("Fullscreen"),
    Message("Exit fullscreen mode"),
    Message("Open cell menu"),
    Message("Static column"),
    Message("Empty value"),
    Message("Filter", context="gradio"),
    Message("Clear filters"),
    Message("Close", context="gradio"),
    Message("Clear", context="gradio"),
    Message("Copy", context="gradio"),
    Message("Copied", context="gradio"),
    Message("Download", context="gradio"),
    Message("Code input container"),
    Message("Fold line"),
    Message("Unfold line"),
)


def request_language(request: gr.Request | Request | None) -> str:
    """The language to answer a request in.

    Args:
        request: The request as Gradio or Starlette hands it to a handler, or None.

    Returns:
        The language chosen on the page, else the one the browser prefers, else "en".
    """
    headers = request.headers if request is not None and request.headers else {}
    cookie = LANGUAGE_COOKIE.search(headers.get("cookie", ""))
    if cookie and cookie[1] in i18n.languages():
        return cookie[1]
    preferred = headers.get("accept-language", "").lower()
    for language in i18n.languages():
        if preferred.startswith(language):
            return language
    return "en"


@lru_cache
def language_script() -> bytes:
    """The script at the start of the page's <head>: assets/language.js with the languages filled in."""
    script = (presets.ASSETS / "language.js").read_text(encoding="utf-8")
    texts = {language: _page_texts(language) for language in i18n.languages()}
    return f"<script>{script.replace('__LANGUAGES__', json.dumps(texts))}</script>".encode()


def _page_texts(language: str) -> dict[str, str | dict[str, str]]:
    """What a browser calls a language, and the texts that the page's scripts show in it."""
    gradio_texts = {text.text: text.render(language) for text in GRADIO_TEXTS}
    return {
        "locale": i18n.about(language).get("browser_locales", [language])[-1],
        "title": STUDIO_NAME.render(language),
        "skip": SKIP_TO_CONTENT.render(language),
        "gradio": {english: text for english, text in gradio_texts.items() if text != english},
    }


class LanguageMiddleware:
    """An ASGI middleware that adds the language script to the page at "/" and changes no other response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; the page itself is collected, and sent with the script in its head."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in ("/", ""):
            await self.app(scope, receive, send)
            return
        # A compressed page could not be added to.
        request_headers = [header for header in scope["headers"] if header[0] != b"accept-encoding"]
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
            headers = [
                header for header in start_message["headers"] if header[0].lower() != b"content-length"
            ]
            headers.append((b"content-length", str(len(page)).encode()))
            await send({**start_message, "headers": headers})
            await send({"type": "http.response.body", "body": page})

        await self.app({**scope, "headers": request_headers}, receive, send_with_script)
