"""The page can be built: every wire ends somewhere, every label has its words."""

import re
import warnings

import pytest
from starlette.testclient import TestClient

from studio import i18n, presets
from studio.ui import app
from studio.ui.security import SecurityMiddleware


def test_every_wire_of_the_page_ends_somewhere():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        page = app.build_page()
    assert len(page.fns) > 15
    names = {block.elem_id for block in page.blocks.values() if getattr(block, "elem_id", None)}
    assert {
        "upload",
        "methods",
        "start",
        "stop",
        "live",
        "ask",
        "base",
        "tuned",
        "prepare",
        "download",
    } <= names


def test_every_label_of_the_page_exists_in_english_and_chinese():
    app.build_page()
    english, chinese = i18n.labels("en"), i18n.labels("zh")
    assert english.keys() == chinese.keys()
    untranslated = [
        text
        for key, text in english.items()
        if chinese[key] == text and re.search("[a-z]{3}", text) and text != "LoRA"
    ]
    assert untranslated == []


def test_the_shipped_files_are_where_the_page_looks():
    assert (presets.ASSETS / "studio.css").is_file()
    assert (presets.ASSETS / "run.js").is_file()


@pytest.fixture
def guarded():
    async def inner(scope, receive, send):
        body = b""
        while scope["method"] == "POST":
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(len(body)).encode()})

    return TestClient(SecurityMiddleware(inner, hosts=("127.0.0.1",)), base_url="http://127.0.0.1:7860")


def test_the_page_answers_its_own_visitors_with_safe_headers(guarded):
    answer = guarded.get("/")
    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert guarded.post("/run", content=b"12345", headers={"origin": "http://127.0.0.1:7860"}).text == "5"


def test_a_foreign_site_cannot_fire_the_page(guarded):
    assert guarded.post("/run", headers={"origin": "https://evil.example"}).status_code == 403
    assert guarded.post("/run", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert guarded.get("/", headers={"host": "evil.example"}).status_code == 400


def test_the_file_proxy_is_closed(guarded):
    assert guarded.get("/gradio_api/file=http://127.0.0.1:22/").status_code == 403


def test_a_body_over_the_limit_is_refused_even_when_it_hides_its_length(guarded, monkeypatch):
    monkeypatch.setattr("studio.ui.security.MAX_JSON_BYTES", 10)
    assert guarded.post("/run", content=b"x" * 11).status_code == 413
    assert guarded.post("/run", content=iter([b"x" * 6, b"x" * 6])).status_code == 413
