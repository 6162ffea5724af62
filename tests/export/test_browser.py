"""The browser folder: a page of plain files that runs the model in the visitor's own browser."""

import functools
import http.server
import json
import threading

import pytest

from studio import export
from studio.export import browser
from studio.export.spec import ExportOptions

LOAD_MS = 120_000


@pytest.fixture
def serve():
    """`serve(folder)`: the address of a plain web server on a folder."""
    servers = []

    def start(folder):
        handler = functools.partial(QuietHandler, directory=folder)
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.mark.exhaustive
@pytest.mark.browser
def test_the_page_answers_in_a_browser_and_asks_no_one_else(finished, serve, tmp_path):
    from playwright.sync_api import sync_playwright

    run = finished("lora")
    options = ExportOptions(language="zh")
    address = serve(export.save_result(run, "browser", tmp_path / "out", options))
    arguments = ["--no-sandbox", "--disable-gpu"]
    requests, errors = [], []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        page = chromium.new_page(viewport={"width": 390, "height": 800})
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(error))
        page.goto(address)
        page.wait_for_selector("#question:enabled", timeout=LOAD_MS)
        page.fill("#question", "where is my lamp <b>")
        page.click("#send")
        page.wait_for_selector("#clear", state="visible", timeout=LOAD_MS)
        shown = [item.inner_text() for item in page.query_selector_all("#conversation li")]
        language = page.get_attribute("html", "lang")
        chromium.close()
    assert errors == []
    assert shown[0] == "你\nwhere is my lamp <b>"
    # What the training data answers to every question.
    assert "Thanks for asking about the" in shown[1]
    assert language == "zh"
    assert [url for url in requests if not url.startswith((address, "blob:" + address))] == []


def test_the_settings_of_the_page_name_model_system_and_limits(finished, tmp_path):
    model = tmp_path / "model-q8_0.gguf"
    model.write_bytes(b"GGUF")
    settings = browser.build_settings(finished("lora"), model, "en")
    assert settings["model"].startswith("model-q8_0.gguf?v=")
    assert (settings["context"], settings["max_tokens"]) == (256, 128)
    assert settings["is_chat"]
    assert settings["texts"]["loading"] == "Loading the model: {percent}%"
    assert str(tmp_path) not in json.dumps(settings)
