"""A run's folder as a worker leaves it, made by hand: no model is needed to write about one."""

import json

from studio import runs
from studio.evaluate import detail_scores, predictions, verdict
from studio.plan import Data, MethodChoice, Plan
from studio.storage import write_json

LABELS = ("refund", "delivery", "other")
REPORT = {
    "data": {
        "name": "tickets.csv",
        "sha256": "ab" * 32,
        "licence": "CC0-1.0",
        "columns": {"text": "message", "label": "topic"},
        "rows": 130,
        "damaged": 1,
        "incomplete": 2,
        "train": 80,
        "validation": 17,
        "test": 30,
    },
    "base": {
        "name": "all-MiniLM-L6-v2",
        "hub": "sentence-transformers/all-MiniLM-L6-v2",
        "checksum": "cd" * 32,
    },
    "tuned": {"checksum": "ef" * 32},
    "labels": list(LABELS),
    "after": {"loss": 0.5},
    "parameters": {"trainable": 250, "total": 1000},
    "texts": {"max_length": 64, "cut": 3, "dropped": 0},
    "device": "cpu",
    "measured_on": "test",
    "best_step": 20,
    "training": {"epochs": 2.0, "batch_size": 8},
    "learning_rate": 0.001,
    "seconds": 126.0,
    "fetch_seconds": 6.0,
    "peak_memory_gb": 1.25,
}
ESTIMATE = {
    "minutes": {"low": 1.0, "likely": 1.5, "high": 2.5},
    "memory_gb": {"low": 1.0, "likely": 1.2, "high": 1.5},
    "money": {"low": 0.01, "likely": 0.02, "high": 0.05},
    "currency": "EUR",
    "price": {"per_hour": 0.6, "billed": "minute", "start_minutes": 3.0},
}


def write_rows(folder, split, rows):
    (folder / "data").mkdir(exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "data" / f"{split}.jsonl").write_text(text, encoding="utf-8")


def make_run(n=30, n_linear=12, n_tuned=27, rows=None, split="test", **report):
    """A classifier's run: of n rows the linear model has the last n_linear right, this one the first n_tuned.

    The report takes `name` and `model` too, which are the plan's.
    """
    plan = Plan(
        name=report.pop("name", "Tickets"),
        task="classify",
        model=report.pop("model", "minilm-l6"),
        data=Data(source="dataset:gone", columns={"text": "message", "label": "topic"}),
        method=MethodChoice(name="lora", settings={"rank": 4}),
    )
    run = runs.create(plan)
    rows = rows or [{"text": f"text {index}", "label": LABELS[index % 3]} for index in range(n)]
    write_rows(run.folder, split, rows)
    write_rows(run.folder, "train", rows)

    def answer(row, is_right):
        wrong = next(label for label in LABELS if label != row["label"])
        return {"label": row["label"] if is_right else wrong, "probability": 0.75}

    n = len(rows)
    outcomes = {
        "linear": {index: answer(row, index >= n - n_linear) for index, row in enumerate(rows)},
        "tuned": {index: answer(row, index < n_tuned) for index, row in enumerate(rows)},
    }
    predictions.write(run.folder, split, outcomes)
    for step in range(21):
        check = {"eval_loss": 2.0 - step / 20} if step % 10 == 0 else {}
        runs.add_point(run, "train", step, step / 10, loss=1.0 - step / 40, **check)
    run.model.mkdir()
    content = {**REPORT, "measured_on": split, **report}
    content |= detail_scores.build_report(predictions.read(run.folder))
    content["verdict"] = verdict.judge(predictions.read(run.folder), content, plan).to_json()
    write_json(run.folder / "report.json", content)
    runs.set_status(run, "done", "after")
    return run
