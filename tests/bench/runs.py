"""Prints how long a full home takes: many runs and data sets to be listed, a run of many points to be opened.

`python tests/bench/runs.py --count 1000 --points 100000 --datasets 200`.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

ENGLISH = SimpleNamespace(headers={"accept-language": "en"}, query_params={})


def make_run(number):
    """A run in the home that has ended."""
    from studio import runs
    from studio.plan import Data, MethodChoice, Plan
    from studio.storage import write_json

    plan = Plan(
        name=f"Run {number}",
        task="chat",
        model="smollm2-135m",
        data=Data(source="sample:support-tone"),
        method=MethodChoice(name="lora"),
    )
    run = runs.create(plan)
    write_json(run.folder / "report.json", {"seconds": 60.0 + number})
    runs.set_status(run, "done")
    return run


def add_points(run, count):
    """Points of a training whose loss falls, with one spike in the middle."""
    with run.metrics_path.open("w") as file:
        for step in range(1, count + 1):
            loss = 9.0 if step == count // 2 else 1 + 1 / step
            point = {
                "seq": step,
                "time": step,
                "stage": "train",
                "step": step,
                "epoch": step / 100,
                "loss": loss,
            }
            file.write(json.dumps(point) + "\n")


def show(label, act):
    """Run it; prints what it says, how long it took, and the processor time, which others do not lengthen."""
    began, used = time.perf_counter(), time.process_time()
    told = act()
    seconds, used = time.perf_counter() - began, time.process_time() - used
    print(f"{label}: {told} in {1000 * seconds:.0f} ms ({1000 * used:.0f} ms of processor)")


def list_index():
    """The list as the terminal reads it."""
    from studio import run_index

    return f"{len(run_index.summarize_all())} runs"


def list_table():
    """The table as the page sends it."""
    from studio.ui.train import runs_table

    value, _ = runs_table.list_runs([], ENGLISH)
    return f"{len(value['rows'])} rows, {len(json.dumps(value)) / 1e3:.0f} KB"


def make_dataset(folder, number):
    """A data set of 50 rows in the home."""
    from studio.data import store

    path = folder / f"questions-{number}.csv"
    rows = "".join(f"where is parcel {number}-{row},It is on its way: {row}.\n" for row in range(50))
    path.write_text(f"question,answer\n{rows}", encoding="utf-8")
    return store.add(path, path.name)


def list_datasets():
    """All data sets, as the Data tab offers them."""
    from studio.data import store

    return f"{len(store.list_datasets())} data sets"


def read_queue():
    """What each waiting run looks at once a second."""
    from studio.training import queue

    current = queue.read()
    return f"{len(current.active)} active and {len(current.waiting)} waiting runs"


def start_page():
    """What the page does before it is served: look for runs that another machine has."""
    from studio import launchers

    launchers.follow_again()
    launchers.discard_again()
    return "nothing elsewhere"


def list_corrections():
    """What the estimator has learned from the runs that have ended."""
    from studio.estimate import history
    from studio.estimate.machines.catalogue import LOCAL_ID

    return f"{len(history.load_entries(LOCAL_ID))} entries"


def find_last():
    """The run that the terminal calls `last`."""
    from studio import runs

    return runs.find("last").plan.name


def open_run(run):
    """All that a fresh page asks for until it has the whole curve."""
    from studio.ui.train import live_view

    query, n_points, highest, n_requests, size = [run.id, 0, "en", "", 0], 0, 0.0, 0, 0
    while True:
        answer = live_view.poll(query)
        n_requests, size = n_requests + 1, size + len(json.dumps(answer))
        n_points += len(answer["points"])
        highest = max([highest, *(metrics.get("loss", 0.0) for _, _, metrics in answer["points"])])
        if answer["offset"] == query[1]:
            return f"{n_points} points of a curve up to {highest}, {n_requests} requests, {size / 1e3:.0f} KB"
        query = [run.id, answer["offset"], "en", answer["file"], answer["sampled"]]


def main():
    """Time the lists and the run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--datasets", type=int, default=200)
    options = parser.parse_args()
    from studio.ui.train import runs_table  # noqa: F401 - Gradio is loaded once, before the page is opened

    with tempfile.TemporaryDirectory() as home:
        os.environ["STUDIO_HOME"] = home
        for number in range(options.count):
            run = make_run(number)
        add_points(run, options.points)
        for label in ("terminal, first", "terminal", "terminal"):
            show(label, list_index)
        for label in ("page, first", "page", "page"):
            show(label, list_table)
        for label in ("queue, first", "queue", "queue"):
            show(label, read_queue)
        for label in ("last run", "last run"):
            show(label, find_last)
        for label in ("page start, first", "page start", "page start"):
            show(label, start_page)
        show("learned from runs", list_corrections)
        for number in range(options.datasets):
            make_dataset(Path(home), number)
        for label in ("data sets, first", "data sets", "data sets"):
            show(label, list_datasets)
        for label in ("run opened first", "run opened again"):
            show(label, lambda: open_run(run))


if __name__ == "__main__":
    main()
