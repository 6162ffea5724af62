"""How long 100,000 rows take from the file to the health report, beside plain pandas and datasets.

`python tests/bench/data.py [ROWS]`.
"""

import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PLAIN = """
import sys, time
began = time.perf_counter()
import pandas
frame = pandas.read_csv(sys.argv[1], dtype=str)
print("pandas.read_csv", len(frame), time.perf_counter() - began)
began = time.perf_counter()
import datasets
datasets.disable_progress_bars()
found = datasets.load_dataset("csv", data_files=sys.argv[1], split="train", cache_dir=sys.argv[2])
print("datasets.load_dataset", len(found), time.perf_counter() - began)
"""


WORDS = """
able acid aged also area army away baby back ball band bank base bath bear beat been beer bell belt best bill bird blow
blue boat body bomb bond bone book boom born boss both bowl bulk burn bush busy call calm came camp card care case cash
cast cell chat chip city club coal coat code cold come cook cool cope copy core cost crew crop dark data date dawn days
dead deal dean dear debt deep deny desk dial diet disc disk does done door dose down draw drew drop drug dual duke dust
duty
"""


def table(path, count):
    """Questions and answers of about 100 characters each, a hundredth of them repeated."""
    chance = random.Random(0)
    words = WORDS.split()

    def text():
        return " ".join(chance.choices(words, k=20))

    rows = [(f"{text()}?", f"{text()}.") for _ in range(count - count // 100)]
    rows += chance.choices(rows, k=count // 100)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("prompt", "response"))
        writer.writerows(rows)


def studio(path):
    """Take the file in and judge it, as the page does.

    Seconds until it is read and understood, checked, and near-duplicates are known.
    """
    from studio.data import import_job, store
    from studio.data.schema import infer_roles

    began, marks = time.perf_counter(), {}
    source = next(
        found["source"]
        for found in import_job.import_dataset({"path": str(path), "name": path.name})
        if "source" in found
    )
    kept = store.find(source)
    rows = len(kept.table().rows)
    found = infer_roles.guess_roles(kept.table())
    marks["read and recognised"] = time.perf_counter() - began
    for _, _, health in import_job.check_dataset(source, found.task, found.columns):
        if health:
            marks.setdefault(
                "checked" if not health.is_complete else "near-duplicates too", time.perf_counter() - began
            )
    store.delete(kept)
    return rows, marks


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STUDIO_HOME"] = folder + "/home"
        path = Path(folder) / "rows.csv"
        table(path, count)
        size = path.stat().st_size / 1e6
        print(f"{count:,} rows, {size:.1f} MB")
        done = subprocess.run(
            [sys.executable, "-c", PLAIN, str(path), folder + "/cache"],
            capture_output=True,
            text=True,
            check=True,
        )
        plain = {
            name: float(seconds)
            for name, _, seconds in (line.rsplit(" ", 2) for line in done.stdout.splitlines())
        }
        for name, seconds in plain.items():
            print(f"{name:<28} {seconds:6.2f} s")
        rows, marks = studio(path)
        for name, seconds in marks.items():
            print(
                f"studio: {name:<20} {seconds:6.2f} s   {seconds / sum(plain.values()):.2f} of both together"
            )
        print(
            json.dumps(
                {
                    "rows": rows,
                    "megabytes of this process": round(
                        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
                    ),
                }
            )
        )


if __name__ == "__main__":
    main()
