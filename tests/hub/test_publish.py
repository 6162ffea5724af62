"""A result as a Space: the folder is complete, and the app is started and asked by Gradio's own client."""

import functools
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest
import yaml
from gradio_client import Client
from gradio_client.exceptions import AppError
from refusals import assert_message
from stand_in import TOKEN

from studio import runs
from studio.errors import NotPossible
from studio.hub import account, publish, push, space_bundle


@pytest.fixture
def ada(hub):
    return account.sign_in(TOKEN)


def read_card(folder):
    return yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---")[1])


@pytest.fixture
def ask_space():
    """`ask_space(folder, endpoint, *values)`: the Space of a folder, started as the hub does, and asked."""
    processes, clients = [], {}

    def start(folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder.parent),
            "GRADIO_SERVER_PORT": str(port),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }
        log = folder.parent / "space.log"
        with log.open("wb") as output:
            command = [sys.executable, "app.py"]
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        processes.append(process)
        for _ in range(240):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            try:
                return Client(f"http://127.0.0.1:{port}", verbose=False)
            except Exception:
                time.sleep(0.5)
        return pytest.fail(log.read_text(encoding="utf-8"))

    def ask(folder, endpoint, *values):
        clients[folder] = clients.get(folder) or start(folder)
        return clients[folder].predict(*values, api_name=endpoint)

    yield ask
    for process in processes:
        process.terminate()
        process.wait(timeout=30)


def test_base_and_tuned_answer_side_by_side_as_in_the_studio(finished, hub, ada, ask_space, tiny_chat):
    from studio.playground import server as model_server

    run = finished("lora")
    prepared = publish.prepare(run, publish.GRADIO, "tone", ada, "zh")
    check_card(prepared, run)
    for path in prepared.files:
        if path.suffix in (".md", ".json", ".yaml", ".py", ".txt"):
            assert str(tiny_chat.parent) not in path.read_text(encoding="utf-8"), path
    question = "where is my lamp"
    answers = ask_space(prepared.folder, "/ask", question)
    expected = {"base": "", "tuned": ""}

    def note(event):
        expected[event["side"]] += event.get("text", "")

    asked = {"prompt": question, "temperature": 0.0, "length": 160, "seed": 0}
    model_server.answer_both(model_server.ModelPair(run), asked, note, threading.Event())
    assert [text.strip() for text in answers] == [text.strip() for text in expected.values()]
    assert answers[0] != answers[1]
    with pytest.raises(AppError, match=publish.TEXTS["empty"].render("zh")):
        ask_space(prepared.folder, "/ask", "   ")
    assert push.upload(prepared, ada) == f"{hub.address}/spaces/ada/tone"
    asked = hub.repos["ada/tone"].asked
    assert (asked["type"], asked["sdk"], asked["hardware"]) == ("space", "gradio", "zero-a10g")
    assert {"app.py", "load_model.py", "README.md"} <= set(hub.repos["ada/tone"].files)


def check_card(prepared, run):
    """The card says what to build and start, the requirements are the studio's, the words in one language."""
    card = read_card(prepared.folder)
    assert (card["sdk"], card["app_file"], card["title"]) == ("gradio", "app.py", run.plan.name)
    assert card["suggested_hardware"] == prepared.hardware
    requirements = (prepared.folder / "requirements.txt").read_text(encoding="utf-8").split("\n")
    assert space_bundle.ZERO_GPU_TORCH in requirements
    assert set(filter(None, requirements)) <= set(space_bundle.requirements())
    settings = json.loads((prepared.folder / "settings.json").read_text(encoding="utf-8"))
    assert settings["texts"]["send"] == publish.TEXTS["send"].render("zh")


@pytest.mark.exhaustive
def test_an_adapter_with_code_of_its_own_answers_too(finished, ada, ask_space):
    prepared = publish.prepare(finished("adapter"), publish.GRADIO, "tone", ada)
    base, tuned = ask_space(prepared.folder, "/ask", "where is my lamp")
    assert base != tuned


@pytest.mark.exhaustive
def test_a_classifier_names_its_labels(finished, ada, ask_space):
    run = finished("lora", "classify")
    prepared = publish.prepare(run, publish.GRADIO, "kind", ada)
    text = json.loads((run.folder / "data" / "train.jsonl").read_text(encoding="utf-8").split("\n")[0])
    answer = ask_space(prepared.folder, "/classify", text["text"])
    assert answer["label"] == text["label"]
    assert {entry["label"] for entry in answer["confidences"]} == set(runs.report(run)["labels"])


def test_a_kind_there_is_not_and_one_that_a_result_cannot_be_are_refused(finished, ada, monkeypatch):
    run = finished("lora", "classify")
    with pytest.raises(NotPossible) as caught:
        publish.prepare(run, publish.STATIC, "kind", ada)
    assert_message(caught.value, publish.NO_STATIC, name=run.plan.name)
    with pytest.raises(NotPossible) as caught:
        publish.prepare(run, "docker", "kind", ada)
    assert_message(caught.value, publish.UNKNOWN_KIND, kind="docker")


@pytest.mark.exhaustive
@pytest.mark.browser
def test_a_static_space_answers_in_the_visitor_s_own_browser(finished, hub, ada):
    from playwright.sync_api import sync_playwright

    run = finished("lora")
    prepared = publish.prepare(run, publish.STATIC, "tone", ada)
    card = read_card(prepared.folder)
    assert (card["sdk"], card["app_file"]) == ("static", "index.html")
    assert "suggested_hardware" not in card
    check = json.loads((prepared.folder / "export.json").read_text(encoding="utf-8"))
    assert check["replay"]["samples"] == [], "rows of the data stay here"
    # What a static Space serves is what was uploaded.
    push.upload(prepared, ada)
    assert hub.repos["ada/tone"].asked["sdk"] == "static"
    served = prepared.folder.parent / "served"
    for name, content in hub.repos["ada/tone"].files.items():
        (served / name).parent.mkdir(parents=True, exist_ok=True)
        (served / name).write_bytes(content)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(http.server.SimpleHTTPRequestHandler, directory=served)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    requests = []
    offline = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=offline)
        page = chromium.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)
        page.wait_for_selector("#question:enabled", timeout=120_000)
        page.fill("#question", "where is my lamp")
        page.click("#send")
        page.wait_for_selector("#clear", state="visible", timeout=120_000)
        shown = [item.inner_text() for item in page.query_selector_all("#conversation li")]
        chromium.close()
    server.shutdown()
    server.server_close()
    assert "Thanks for asking about the" in shown[1]
    assert [url for url in requests if not url.startswith((address, f"blob:{address}"))] == []
