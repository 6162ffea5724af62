"""The page in a real browser, which is installed if there is none.

The app runs in the test process, its workers in processes of their own as always.
"""

import os
import shutil
import socket
import subprocess
import sys
from time import monotonic

import pytest

# Seconds that a busy machine takes from the first error of a page that is left to the next page.
NAVIGATION_SECONDS = 10.0
BROWSER_FLAGS = [
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
    """The path of a chromium, or None: an installed one, else Playwright's, else Debian's where we are root.

    Playwright finds its own by itself: the path is "" then.
    """
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    for name in names:
        if path := shutil.which(name):
            return path
    download = subprocess.run(
        [sys.executable, "-m", "playwright", "install", "chromium"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if download.returncode == 0:
        return ""
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        apt_options = {
            "capture_output": True,
            "check": False,
            "timeout": 600,
            "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        }
        subprocess.run(["apt-get", "update", "-qq"], **apt_options)
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], **apt_options)
        return shutil.which("chromium")
    return None


@pytest.fixture(scope="session")
def browser():
    """One chromium for all tests."""
    from playwright.sync_api import sync_playwright

    path = find_browser()
    if path is None:
        reason = (
            "NO BROWSER: there is no chromium here, Playwright cannot download one, and Debian's package"
            " needs root. The page was NOT tested."
        )
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path or None, args=BROWSER_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session", autouse=True)
def studio_home(tmp_path_factory):
    """All tests share one home, like the sessions of one person."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("STUDIO_HOME", str(folder))
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        yield folder


@pytest.fixture(scope="module", autouse=True)
def rough_estimates():
    """No step is traced in the background: that would keep a core busy for seconds after every change.

    A worker of pytest-xdist runs other tests of its session behind these.
    """
    from studio.estimate import all_methods

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(all_methods, "needs_tracing", lambda context, method: False)
        estimate = all_methods.estimate_chosen_method
        patch.setattr(
            all_methods, "estimate_chosen_method", lambda plan, machine, wait=False: estimate(plan, machine)
        )
        yield


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


@pytest.fixture(scope="module")
def finished_run(studio_home, train_once, make_short_plan):
    """`finished_run(task)`: the id of a run that has ended well, copied into the home of these tests."""
    from studio import runs

    def copy_run(task):
        folder = train_once(f"lora-{task}", make_short_plan("lora", task))
        shutil.copytree(folder, runs.folder() / folder.name, dirs_exist_ok=True)
        return folder.name

    return copy_run


@pytest.fixture
def visit(browser, address):
    """`visit(**context options)` opens the page as a new visitor, who waits for its tabs or for `landmark`.

    At the end, no page may have had an error or sent a request to another address.
    """
    contexts, problems, console_errors = [], [], []

    def watch(page):
        """Record errors; those just before the page navigates are dropped, as it aborts its open requests."""

        def check_address(request):
            if not request.url.startswith((address, "data:", "blob:")):
                problems.append(f"request to another address: {request.url}")

        def record_error(message):
            if message.type == "error":
                text = f"console: {message.text} ({message.location['url']})"
                console_errors.append((monotonic(), page, text))

        def drop_recent_errors(frame):
            if frame == page.main_frame:
                console_errors[:] = [
                    (time, error_page, text)
                    for time, error_page, text in console_errors
                    if error_page != page or monotonic() - time > NAVIGATION_SECONDS
                ]

        page.on("pageerror", lambda error: problems.append(f"error on the page: {error}"))
        page.on("request", check_address)
        page.on("console", record_error)
        page.on("framenavigated", drop_recent_errors)

    def open_page(path="", context=None, landmark="", **options):
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
            # The tour would cover the buttons.
            context.add_init_script("localStorage.setItem('studio-tour', 'seen')")
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        watch(page)
        page.goto(address + path, wait_until="domcontentloaded")
        (page.locator(landmark) if landmark else page.get_by_role("tab")).first.wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems + [text for _, _, text in console_errors] == []
