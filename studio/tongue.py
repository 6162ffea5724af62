"""The language a person has chosen reaches the page before it loads: a script of a few lines, put at the head of the page itself."""

from functools import lru_cache

from studio import presets
from studio.guard import App, Message, Receive, Scope, Send

HEAD = b"<head>"


@lru_cache
def script() -> bytes:
    """What is put at the head of the page."""
    return b"<script>" + (presets.ASSETS / "language.js").read_bytes() + b"</script>"


class Tongue:
    """An ASGI middleware that adds the script to the page at "/" and leaves everything else as it is."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; of the page hold back the beginning until the script stands in it."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in ("/", ""):
            await self.app(scope, receive, send)
            return
        plain = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]  # packed, it could not be added to
        start: Message = {}
        body = b""

        async def adding(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            whole = body.replace(HEAD, HEAD + script(), 1)
            kept = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
            await send({**start, "headers": [*kept, (b"content-length", str(len(whole)).encode())]})
            await send({"type": "http.response.body", "body": whole})

        await self.app({**scope, "headers": plain}, receive, adding)
