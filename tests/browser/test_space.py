"""The bundle of `studio space`, installed from its own requirements and started as the hub starts it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from journey_steps import open_part, open_tab, set_number, wait_for_end
from playwright.sync_api import expect

from studio.hub import space_bundle
from studio.ui import space_note

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive]
# An interpreter that has the requirements already spares the minutes and gigabytes of installing them.
PYTHON_ENV = "STUDIO_SPACE_PYTHON"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return space_bundle.write(tmp_path_factory.mktemp("space") / "bundle")


@pytest.fixture(scope="module")
def space_python(bundle, tmp_path_factory):
    """The interpreter of a fresh environment in which the bundle's requirements are installed."""
    if os.environ.get(PYTHON_ENV):
        return os.environ[PYTHON_ENV]
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([find_python(), "-m", "venv", folder], check=True)
    gradio = re.search(r"sdk_version: (\S+)", space_bundle.render_card())[1]
    wanted = ["-r", str(bundle / "requirements.txt"), f"gradio=={gradio}"]
    subprocess.run([folder / "bin" / "pip", "install", "-q", *wanted], check=True, timeout=1800)
    return str(folder / "bin" / "python")


def find_python() -> str:
    """The interpreter of a Space's version, where one of this name works; else that of the tests."""
    path = shutil.which(f"python{space_bundle.PYTHON_VERSION}")
    works = path and subprocess.run([path, "-V"], capture_output=True, check=False).returncode == 0
    return path if works else sys.executable


@pytest.fixture
def space_address(bundle, space_python, tmp_path):
    """The bundle, started as the hub starts it, with a Space's variables and nothing of this machine's."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SYSTEM": "spaces",
        "SPACE_ID": "ada/studio",
        "SPACE_HOST": "127.0.0.1",
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_SERVER_PORT": str(port),
        "STUDIO_HOME": str(tmp_path / "home"),
        "HF_TOKEN": "hf_the_owner_s",
        **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [space_python, "studio/app.py"], cwd=bundle, env=variables, stdout=log, stderr=subprocess.STDOUT
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_open(address, process, tmp_path / "log")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_until_open(address: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(180):
        assert process.poll() is None, log.read_text(encoding="utf-8")
        try:
            if httpx.get(address, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(1)
    pytest.fail(log.read_text(encoding="utf-8"))


def test_a_stranger_walks_from_data_to_training(space_address, browser):
    page = browser.new_context(locale="en-US", reduced_motion="reduce").new_page()
    page.add_init_script("localStorage.setItem('studio-tour', 'seen')")
    page.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    page.goto(space_address, wait_until="domcontentloaded")
    expect(page.locator(".space-note").first).to_contain_text("Others use this page too")
    expect(page.locator(".space-note a")).to_have_attribute("href", re.compile(r"ada/studio\?duplicate=true"))
    expect(page.get_by_text(space_note.NO_VOLUME.text)).to_be_visible()
    page.locator("#samples button").first.click()
    expect(page.locator("#data-notice .good, #data-notice .info").first).to_be_visible()
    page.get_by_role("button", name="Next: choose a method").click()
    open_part(page, "settings")
    set_number(page, "#epochs", 1)
    page.locator("#to-train").click()
    expect(page.locator("#summary")).to_contain_text("steps")
    page.locator("#start").click()
    wait_for_end(page, timeout=900_000)
    open_tab(page, "Share")
    expect(page.locator("#card")).to_contain_text("Limits")
    stranger = browser.new_context(locale="en-US").new_page()
    stranger.goto(space_address, wait_until="domcontentloaded")
    open_tab(stranger, "Share")
    expect(stranger.locator("#share-notice")).to_contain_text("finished")
