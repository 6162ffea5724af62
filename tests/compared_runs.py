"""Runs with made-up answers to sixty test texts, to compare with each other."""

import json

from studio import runs
from studio.evaluate import predictions, verdict

LABELS = ("card", "cash")
N_TEXTS = 60


def answered_run(plan, n_correct, texts="text"):
    """A run that is right on the first `n_correct` of sixty test texts, which begin with `texts`."""
    run = runs.create(plan)
    rows = [{"text": f"{texts} {n}", "label": LABELS[n % 2]} for n in range(N_TEXTS)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (run.folder / "data").mkdir()
    for name in ("train", "test"):
        (run.folder / "data" / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    tuned = {n: {"label": LABELS[(n + (n >= n_correct)) % 2], "probability": 0.9} for n in range(N_TEXTS)}
    predictions.write(run.folder, "test", {"base": {}, "linear": {}, "tuned": tuned})
    report = {"training": plan.training.model_dump() | {"epochs": 3.0}, "seconds": 90}
    report["verdict"] = verdict.judge(predictions.read(run.folder), report, plan).to_json()
    (run.folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    runs.set_status(run, "done")
    return run
