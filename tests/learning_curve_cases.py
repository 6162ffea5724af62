"""Runs with results as their worker would have written them, for learning curves."""

import json

from studio import runs
from studio.evaluate import predictions
from studio.runs import Run
from studio.storage import write_json


def finish(run: Run, n_train: int, n_wrong: int, n_held_out: int = 1000, sha256: str = "a") -> Run:
    """Give a classifier's run a result: the first `n_wrong` of its held-out rows are wrong."""
    (run.folder / "data").mkdir(exist_ok=True)
    row = json.dumps({"text": "t", "label": "a"}) + "\n"
    for split, count in (("test", n_held_out), ("train", 1)):
        (run.folder / "data" / f"{split}.jsonl").write_text(row * count, encoding="utf-8")
    labels = ["b"] * n_wrong + ["a"] * (n_held_out - n_wrong)
    predictions.write(run.folder, "test", {"tuned": {i: {"label": name} for i, name in enumerate(labels)}})
    write_json(run.folder / "report.json", {"data": {"train": n_train, "sha256": sha256}, "after": {}})
    runs.set_status(run, "done", "after")
    return run
