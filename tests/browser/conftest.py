"""The page in a real browser: found, else installed; the app runs in the test process, its workers as they always do."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic as clock

import pytest

LEAVING = 10.0  # seconds from the first word of a page being left to the next page, on a busy machine
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


def find_browser():
    """A chromium: one that is here, Playwright's own where its download works, else Debian's when we are root."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found:
        return found
    done = subprocess.run(
        [sys.executable, "-m", "playwright", "install", "chromium"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode == 0:
        return ""  # Playwright finds its own
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {
            "capture_output": True,
            "check": False,
            "timeout": 600,
            "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        }
        subprocess.run(["apt-get", "update", "-qq"], **quiet)
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], **quiet)
        return shutil.which("chromium")
    return None


@pytest.fixture(scope="session")
def browser():
    """One chromium for all journeys."""
    from playwright.sync_api import sync_playwright

    path = find_browser()
    if path is None:
        reason = "NO BROWSER: there is no chromium here, Playwright cannot download one, and Debian's package needs root. The page was NOT tested."
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path or None, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session", autouse=True)
def studio_home(tmp_path_factory):
    """All journeys share one home, as one person's would."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("STUDIO_HOME", str(folder))
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        yield folder


@pytest.fixture(scope="session")
def address(studio_home):
    """The page, open on a free port."""
    from studio.ui import app

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    page, url = app.launch("127.0.0.1", port, block=False)
    yield url.rstrip("/")
    page.close()


@pytest.fixture
def visit(browser, address):
    """`visit(**context options)` opens the page as a new visitor; at the end nothing may have gone wrong or gone outside."""
    contexts, problems, consoles = [], [], []

    def watch(page):
        """Notes what goes wrong; not in the seconds before the page makes room for another, as it breaks off what it still asks for."""

        def asked(request):
            if not request.url.startswith((address, "data:", "blob:")):
                problems.append(f"asked outside: {request.url}")

        def said(message):
            if message.type == "error":
                consoles.append((clock(), page, f"console: {message.text} ({message.location['url']})"))

        def moved(frame):
            if frame == page.main_frame:
                consoles[:] = [one for one in consoles if one[1] != page or clock() - one[0] > LEAVING]

        page.on("pageerror", lambda error: problems.append(f"error on the page: {error}"))
        page.on("request", asked)
        page.on("console", said)
        page.on("framenavigated", moved)

    def open_page(path="", context=None, **options):
        from playwright.sync_api import expect

        expect.set_options(timeout=30_000)
        if context is None:
            context = browser.new_context(
                **{
                    "viewport": {"width": 1280, "height": 900},
                    "locale": "en-US",
                    "reduced_motion": "reduce",
                    **options,
                }
            )
            context.add_init_script(
                "localStorage.setItem('studio-tour', 'seen')"
            )  # the tour would stand before the buttons
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        watch(page)
        page.goto(address + path, wait_until="domcontentloaded")
        page.get_by_role("tab").first.wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems + [text for _, _, text in consoles] == []


@pytest.fixture(scope="session")
def shots():
    """Where journeys leave pictures to look at, when STUDIO_SHOTS names a folder."""
    return Path(os.environ["STUDIO_SHOTS"]) if os.environ.get("STUDIO_SHOTS") else None
