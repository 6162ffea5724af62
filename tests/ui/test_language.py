"""The chosen language is known before the page draws anything, and to every handler."""

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import gradio
import pytest

from studio.i18n import languages
from studio.ui.language import (
    GRADIO_TEXTS,
    STUDIO_NAME,
    LanguageMiddleware,
    language_script,
    request_language,
)

FRONTEND = Path(gradio.__file__).parent / "templates" / "frontend" / "assets"


def send_through(
    path, headers=(), kind=b"text/html", bodies=(b"<html><head><title>x</title>", b"</head></html>")
):
    """What a browser gets through the middleware, its headers, and the scope the app got."""
    app_scope, sent = {}, []

    async def app(scope, receive, send):
        app_scope.update(scope)
        size = str(sum(map(len, bodies))).encode()
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", kind), (b"content-length", size)],
            }
        )
        for index, body in enumerate(bodies):
            await send({"type": "http.response.body", "body": body, "more_body": index < len(bodies) - 1})

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": list(headers)}
    with ThreadPoolExecutor(1) as pool:  # browser journeys keep a loop of their own going in this thread
        pool.submit(asyncio.run, LanguageMiddleware(app)(scope, None, send)).result()
    return b"".join(message.get("body", b"") for message in sent), dict(sent[0]["headers"]), app_scope


def test_the_page_begins_with_the_language():
    body, headers, app_scope = send_through("/", [(b"accept-encoding", b"gzip"), (b"cookie", b"a=b")])
    assert body.startswith(b"<html><head>" + language_script() + b"<title>x</title>")
    assert body.endswith(b"</head></html>")
    assert int(headers[b"content-length"]) == len(body)
    assert app_scope["headers"] == [(b"cookie", b"a=b")]


def test_the_title_of_the_browser_is_known_in_each_language():
    script = language_script().decode()
    for language in languages():
        assert json.dumps(STUDIO_NAME.render(language)) in script


def test_the_browser_knows_each_text_of_gradio_in_chinese_and_replaces_none_in_english():
    script = language_script().decode()
    languages_on_page = json.loads(re.search(r"const languages = (.*);", script)[1])
    assert languages_on_page["en"]["gradio"] == {}
    assert set(languages_on_page["zh"]["gradio"]) == {text.text for text in GRADIO_TEXTS}


@pytest.mark.parametrize("text", GRADIO_TEXTS, ids=lambda text: text.text)
def test_gradio_still_says_what_is_translated(text):
    """After an upgrade: a text that Gradio has dropped needs no translation."""
    literal_parts = [part.encode() for part in re.split(r"\{\w+\}", text.text)]
    if "file type" in text.text:  # built from parts, one of which is the s of the plural
        literal_parts = [b"Invalid file type", b" allowed."]
    scripts = [path.read_bytes() for path in FRONTEND.glob("*.js")]
    assert any(all(part in script for part in literal_parts) for script in scripts)


def test_everything_else_passes_as_it_is():
    body, headers, _ = send_through("/gradio_api/info")
    assert body == b"<html><head><title>x</title></head></html>"
    assert int(headers[b"content-length"]) == len(body)


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        ("studio-lang=zh", "en-GB", "zh"),
        ("a=1; studio-lang=en; b=2", "zh-CN", "en"),
        ("", "zh-CN,zh;q=0.9", "zh"),
        ("", "de-DE", "en"),
        ("studio-lang=klingon", "zh-TW", "zh"),
        ("not-studio-lang=zh", "en", "en"),
    ],
)
def test_what_was_chosen_counts_before_what_the_browser_prefers(cookie, accepted, language):
    request = SimpleNamespace(headers={"cookie": cookie, "accept-language": accepted})
    assert request_language(request) == language


def test_without_a_request_it_is_english():
    assert request_language(None) == "en"
