"""What many visitors cost the page's process: `python tests/bench/load.py [--pages N] [--count N]`.

Many open pages watch one run that goes on, many visitors come at the same moment, and many visitors, uploads
and questions come one after the other.
Prints cores and memory, and what is left behind: processes, open files and files on the disk. Every browser
page takes about 100 MB; the browser's work is not counted, but it shares the cores.
"""

import argparse
import importlib.util
import json
import os
import socket
import statistics
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))
SEEN = "localStorage.setItem('studio-tour', 'seen')"  # the tour of a first visit
WATCHED_SECONDS = 20
# What a process needs once, and the sessions that the page keeps at most, are there after half of a kind.
WARM_UP_SHARE = 0.5
# Requests of each visitor: those that send the most.
N_REQUESTS = 4
# Of a visit alone, so many requests are named.
N_SLOWEST = 8


@dataclass(frozen=True)
class Footprint:
    """What the page's process holds."""

    megabytes: float
    children: int
    open_files: int
    files_of_home: int
    temporary_files: int

    def __str__(self) -> str:
        return (
            f"{self.megabytes:6.0f} MB, {self.children} child processes, {self.open_files} open files, "
            f"{self.files_of_home} files in the home, {self.temporary_files} temporary ones"
        )


class Studio:
    """The page in a process of its own.

    Args:
        folder: Where its home and its temporary files are.
    """

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.folder = folder
        self.address = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "studio", "--port", str(port)]
        with (folder / "page.log").open("w") as log:
            self.process = psutil.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def wait(self):
        """Wait until the page answers."""
        for _ in range(600):
            try:
                return httpx.get(self.address, timeout=5)
            except httpx.HTTPError:
                time.sleep(0.2)
        raise TimeoutError((self.folder / "page.log").read_text())

    def footprint(self):
        """What it holds now, children that rest included in the count alone."""
        return Footprint(
            self.process.memory_info().rss / 1e6,
            len(self.process.children(recursive=True)),
            self.process.num_fds(),
            count_files(self.folder / "home"),
            count_files(self.folder / "gradio"),
        )

    def cpu_seconds(self):
        """The processor time it has used."""
        return sum(self.process.cpu_times()[:2])


def count_files(folder):
    """The files in a folder, at any depth."""
    return sum(path.is_file() for path in folder.rglob("*"))


def open_page(browser, address):
    """A visitor of their own, who has seen the tour."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(120_000)
    page.add_init_script(SEEN)
    page.goto(address, wait_until="domcontentloaded")
    page.get_by_role("tab").first.wait_for()
    return page


def create_live_run():
    """A run that looks as if it were going on, since this script appends its points."""
    from studio import plan, presets, runs

    run = runs.create(plan.load(presets.recipes()["support-tone-lora"]))
    runs.claim(run, os.getpid())
    runs.set_status(run, "training", "train", step=1, steps=1000, seconds_left=500.0)
    return run


def watch_cores(studio, run, page):
    """Append two points a second; returns the cores that the page's process uses meanwhile."""
    from studio import runs

    step = runs.status(run).step
    began, used = time.perf_counter(), studio.cpu_seconds()
    while time.perf_counter() - began < WATCHED_SECONDS:
        step += 1
        rates = {"tokens_per_second": 200.0, "memory_gb": 2.0}
        runs.add_point(run, "train", step, step / 100, loss=4 - step / 300, **rates)
        runs.set_status(run, "training", "train", step=step, steps=1000, seconds_left=500.0)
        page.wait_for_timeout(500)
    return (studio.cpu_seconds() - used) / (time.perf_counter() - began)


def bench_watchers(studio, browser, n_pages):
    """One page that watches a live run, then many."""
    from studio import runs

    run = create_live_run()
    address = f"{studio.address}?tab=train&run={run.id}"
    pages = [open_page(browser, address)]
    pages[0].wait_for_timeout(5000)
    cores, alone = watch_cores(studio, run, pages[0]), studio.footprint()
    print(f"1 page watches: {cores:.2f} cores, {alone}", flush=True)
    pages += [open_page(browser, address) for _ in range(n_pages - 1)]
    pages[0].wait_for_timeout(5000)
    cores, crowded = watch_cores(studio, run, pages[0]), studio.footprint()
    more = crowded.megabytes - alone.megabytes
    print(
        f"{n_pages} pages watch: {cores:.2f} cores (bar 0.3), {crowded}; {more:+.0f} MB (bar 500)", flush=True
    )
    runs.set_status(run, "stopped", "after")
    for page in pages:
        page.context.close()


def bench_repeats(studio, name, repeat, count):
    """Repeat something, and compare what the page holds after a warm-up with what it holds at the end."""
    n_warm_up = max(1, round(WARM_UP_SHARE * count))
    for number in range(n_warm_up):
        repeat(number)
    before, began, used = studio.footprint(), time.perf_counter(), studio.cpu_seconds()
    for number in range(n_warm_up, count):
        repeat(number)
    seconds = (time.perf_counter() - began) / (count - n_warm_up)
    used = (studio.cpu_seconds() - used) / (count - n_warm_up)
    after = studio.footprint()
    growth = after.megabytes / before.megabytes - 1
    print(
        f"{name}, {seconds:.2f} s each ({used:.2f} s of the page's processor)\n  after {n_warm_up:4}: {before}"
    )
    print(f"  after {count:4}: {after}; memory {growth:+.1%} (bar 5 %)", flush=True)


@contextmanager
def recorded_requests(page):
    """The calls of the page's functions that a browser makes meanwhile: their bodies."""
    bodies = []

    def record(request):
        if "run/predict" in request.url:
            bodies.append(json.loads(request.post_data))

    page.on("request", record)
    yield bodies
    page.remove_listener("request", record)


def bench_visitors(studio, browser, count):
    """What a page asks for when it is opened with a data set, each time as a new visitor."""
    page = open_page(browser, studio.address)
    with recorded_requests(page) as bodies:
        page.locator("#sample-support-tone").click()
        page.locator("#health .health").wait_for()
        page.wait_for_timeout(3000)
    page.context.close()
    client = httpx.Client(base_url=studio.address, timeout=60)
    largest_bodies = sorted(bodies, key=lambda body: len(json.dumps(body)))[-N_REQUESTS:]

    def visit(number):
        session = uuid.uuid4().hex
        for body in largest_bodies:
            client.post("/gradio_api/run/predict", json={**body, "session_hash": session})

    bench_repeats(studio, f"{count} visitors with {N_REQUESTS} requests each", visit, count)


def bench_crowd(studio, browser, n_visitors):
    """So many visitors open the page in the same moment, bring a data set and look at three tabs."""
    page = open_page(browser, studio.address)
    with recorded_requests(page) as bodies:
        page.locator("#sample-support-tone").click()
        page.locator("#health .health").wait_for()
        for name in ("Method", "Train", "Data"):
            page.get_by_role("tab", name=name).click()
            page.wait_for_timeout(3000)
    page.context.close()

    def visit(client):
        began, session, seconds = time.perf_counter(), uuid.uuid4().hex, []
        refused = client.get("/").status_code != 200
        first = time.perf_counter() - began
        for body in bodies:
            asked = time.perf_counter()
            answer = client.post("/gradio_api/run/predict", json={**body, "session_hash": session})
            refused += answer.status_code != 200
            seconds.append(time.perf_counter() - asked)
        return first, seconds, time.perf_counter() - began, refused

    with ThreadPoolExecutor(n_visitors) as pool:
        clients = [httpx.Client(base_url=studio.address, timeout=300) for _ in range(n_visitors)]
        alone, before, used = visit(clients[0]), studio.footprint(), studio.cpu_seconds()
        visits = list(pool.map(visit, clients))
        used = (studio.cpu_seconds() - used) / n_visitors
    print(f"a visit: {len(bodies)} requests; alone {alone[2]:.2f} s, of which most:")
    names = {each["id"]: each["api_name"] for each in clients[0].get("/config").json()["dependencies"]}
    for seconds, body in sorted(zip(alone[1], bodies, strict=True), key=lambda timed: -timed[0])[:N_SLOWEST]:
        print(f"  {seconds:.2f} s {names[body['fn_index']]}")
    print(f"{n_visitors} visitors at once: {used:.2f} s of the page's processor each, {studio.footprint()}")
    print(f"  {studio.footprint().megabytes - before.megabytes:+.0f} MB, {sum(v[3] for v in visits)} refused")
    answers = [seconds for visited in visits for seconds in visited[1]]
    timed = {"page": [v[0] for v in visits], "answer": answers, "visit": [v[2] for v in visits]}
    for what, seconds in timed.items():
        median, worst = statistics.median(seconds), max(seconds)
        late = statistics.quantiles(seconds, n=20)[-1]
        print(f"  {what}: median {median:.2f} s, 95 % below {late:.2f}, worst {worst:.2f}", flush=True)


def bench_uploads(studio, browser, count):
    """One file after the other, each with other rows."""
    page = open_page(browser, studio.address)
    path = studio.folder / "upload.csv"

    def upload(number):
        rows = "".join(
            f"What about order {number}-{row}?,It is on its way: {row}.\n" for row in range(30 + number % 2)
        )
        path.write_text(f"question,answer\n{rows}")
        before = page.locator("#data-notice").inner_html()
        page.locator("#upload input[type=file]").set_input_files(str(path))
        page.wait_for_function(
            "(before) => document.querySelector('#data-notice').innerHTML !== before"
            " && document.querySelector('#data-notice .good')",
            arg=before,
        )

    bench_repeats(studio, f"{count} uploads", upload, count)
    page.context.close()


def train_tiny():
    """A run of a tiny model that has ended, in this process."""
    from toys import save_tiny_llama, write_toy_files

    from studio import runs
    from studio.plan import Data, MethodChoice, Plan, Training
    from studio.storage import home
    from studio.training import worker

    save_tiny_llama(home().parent / "llama")
    write_toy_files(home().parent)
    columns = {"prompt": "prompt", "response": "response"}
    run = runs.create(
        Plan(
            name="tiny",
            task="chat",
            model=str(home().parent / "llama"),
            data=Data(source=str(home().parent / "chat.csv"), columns=columns, validation_share=0.2),
            method=MethodChoice(name="lora"),
            training=Training(epochs=1, max_length=64),
        )
    )
    worker.run(run.id)
    return run


def bench_questions(studio, browser, count):
    """One question after the other to both sides of a run."""
    run = train_tiny()
    page = open_page(browser, f"{studio.address}?tab=playground&run={run.id}")

    def ask(number):
        page.get_by_label("Your question or text").fill(f"Question {number}?")
        page.get_by_role("button", name="Ask both").click()
        for side in ("base", "tuned"):
            page.locator(f"#{side} .pane[aria-busy=true]").wait_for(state="attached")
        for side in ("base", "tuned"):
            page.locator(f"#{side} .pane[aria-busy=false]").wait_for(state="attached")

    bench_repeats(studio, f"{count} questions", ask, count)
    page.context.close()


def load_browser_fixtures():
    """The browser fixtures' way to find a chromium."""
    spec = importlib.util.spec_from_file_location(
        "browser_conftest", ROOT / "tests" / "browser" / "conftest.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCHES = ("watchers", "crowd", "visitors", "uploads", "questions")


def main():
    """Run the benches that are named."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--pages", type=int, default=50, help="open pages that watch a run, and visitors at once"
    )
    parser.add_argument("--count", type=int, default=500, help="visitors, uploads and questions")
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=BENCHES)
    options = parser.parse_args()
    fixtures = load_browser_fixtures()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        os.environ |= {"STUDIO_HOME": f"{folder}/home", "GRADIO_TEMP_DIR": f"{folder}/gradio"}
        studio = Studio(Path(folder))
        studio.wait()
        browser = driver.chromium.launch(
            executable_path=fixtures.find_browser() or None, args=fixtures.BROWSER_FLAGS
        )
        if "watchers" in options.only:
            bench_watchers(studio, browser, options.pages)
        if "crowd" in options.only:
            bench_crowd(studio, browser, options.pages)
        if "visitors" in options.only:
            bench_visitors(studio, browser, options.count)
        if "uploads" in options.only:
            bench_uploads(studio, browser, options.count)
        if "questions" in options.only:
            bench_questions(studio, browser, options.count)
        browser.close()
        studio.process.terminate()
        studio.process.wait()


if __name__ == "__main__":
    main()
