"""Prints how long a list of many runs takes, the first time and after that.

`python tests/bench/runs.py --count 1000`.
"""

import argparse
import os
import tempfile
import time


def fill(count):
    """Write `count` runs that have ended into the home."""
    from studio import runs
    from studio.plan import Data, MethodChoice, Plan
    from studio.storage import write_json

    data = Data(source="sample:support-tone")
    for number in range(count):
        plan = Plan(
            name=f"Run {number}",
            task="chat",
            model="smollm2-135m",
            data=data,
            method=MethodChoice(name="lora"),
        )
        run = runs.create(plan)
        write_json(run.folder / "report.json", {"seconds": 60.0 + number})
        runs.set_status(run, "done")


def main():
    """Time the list of runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1000)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as home:
        os.environ["STUDIO_HOME"] = home
        fill(count)
        from studio import run_index

        for label in ("first", "again", "again"):
            began = time.perf_counter()
            listed = run_index.summarize_all()
            print(f"{label}: {len(listed)} runs in {1000 * (time.perf_counter() - began):.0f} ms")


if __name__ == "__main__":
    main()
