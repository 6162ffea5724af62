"""A complete run of format 1 opens as it is: list, page, card, notes, estimate and record."""

import json
import time

import pytest

from studio import run_format, runs
from studio.estimate import history
from studio.export import card
from studio.i18n import Message
from studio.methods import spec
from studio.ui.train import live_view

RUN_ID = "0123456789abcdef" * 2
PLAN = """
name: Support tone
task: chat
model: smollm2-135m
data:
  source: sample:support-tone
  columns: {prompt: prompt, response: response}
  validation_share: 0.1
method:
  name: lora
  settings: {rank: 8}
training:
  epochs: 3.0
  batch_size: 8
  accumulate: 2
  learning_rate: 0.0002
  max_length: 512
  schedule: linear
  warmup_share: 0.05
  weight_decay: 0.0
  evaluations: 6
  patience: 2
  recompute: true
  seed: 42
where: local
"""
OLD_TRAINING = {
    "epochs": 3.0,
    "batch_size": 8,
    "accumulate": 2,
    "learning_rate": 0.0002,
    "schedule": "linear",
    "warmup_share": 0.05,
    "evaluations": 6,
    "patience": 2,
    "recompute": True,
}
POINTS = [
    {"seq": 0, "time": 1.0, "stage": "train", "step": 0, "epoch": 0, "eval_loss": 3.5, "eval_right": 0.1},
    {"seq": 1, "time": 2.0, "stage": "train", "step": 1, "epoch": 0.5, "loss": 3.4, "memory_gb": 1.5},
    {"seq": 2, "time": 3.0, "stage": "after", "step": 1, "epoch": 1, "test_loss": 2.5, "test_right": 0.6},
]
REPORT = {
    "data": {
        "name": "support-tone.csv",
        "sha256": "ab" * 32,
        "columns": {"prompt": "prompt", "response": "response"},
        "rows": 250,
        "damaged": 0,
        "incomplete": 1,
        "train": 200,
        "validation": 25,
        "test": 24,
    },
    "base": {
        "name": "SmolLM2 135M Instruct",
        "hub": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "weights": "the embedded weights",
        "weights_zh": "内置的权重",
        "checksum": "0123456789ab",
    },
    "tuned": {"checksum": "ba9876543210"},
    "parameters": {"trainable": 1000, "total": 100_000},
    "texts": {"max_length": 512, "cut": 0, "dropped": 0},
    "labels": [],
    "device": "cpu",
    "before": {"loss": 3.5, "right": 0.1, "asked": 24},
    "after": {"loss": 2.5, "right": 0.6, "asked": 24},
    "measured_on": "test",
    "best_step": 1,
    "stopped": False,
    "stopped_early": False,
    "resumed": False,
    "training": OLD_TRAINING,
    "learning_rate": 0.0002,
    "method": {"rl": {"before": {"right": 0.1}, "after": {"right": 0.6}, "steps": 3}},
    "seconds": 60.0,
    "fetch_seconds": 0.0,
    "peak_memory_gb": 1.5,
}
RANGE = {"low": 1.0, "likely": 2.0, "high": 3.0}
ESTIMATE = {
    "method": "lora",
    "place": "here",
    "trainable": 1000,
    "total": 100_000,
    "memory_gb": RANGE,
    "parts": {"model": 2.0},
    "minutes": RANGE,
    "stretches": {"train": 2.0},
    "money": None,
    "currency": "USD",
    "watt_hours": None,
    "disk_mb": 4.0,
    "fits": "yes",
    "room_gb": 8.0,
    "level": "traced",
    "stamp": 0.0,
    "corrected": {"minutes": 1.0, "memory_gb": 1.0},
    "price": {"per_hour": None, "billed": "", "start_minutes": 0.0},
}
RECORD = {
    "run": RUN_ID,
    "model": "smollm2-135m",
    "method": "lora",
    "place": "here",
    "stamp": 0.0,
    "corrected": {},
    "minutes": RANGE,
    "memory_gb": RANGE,
    "took": 1.0,
    "used": 1.5,
    "whole": True,
    "died": False,
    "busy": False,
}
NOTES = {"openings": [{"en": "They begin alike.", "zh": "开头相似。"}]}


@pytest.fixture
def run(studio_home):
    """A run as the first format wrote it, done."""
    folder = runs.folder() / RUN_ID
    (folder / "model").mkdir(parents=True)
    (folder / "plan.yaml").write_text(PLAN, encoding="utf-8")
    lines = "".join(json.dumps(point) + "\n" for point in POINTS)
    (folder / "metrics.jsonl").write_text(lines, encoding="utf-8")
    (folder / "worker.log").touch()
    for name, content in (
        ("status", {"state": "done", "stage": "after", "step": 1, "steps": 1, "updated": time.time()}),
        ("report", REPORT),
        ("estimate", ESTIMATE),
        ("notes", NOTES),
        ("process", {"pid": 1, "born": 0.0}),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    (studio_home / "record.jsonl").write_text(json.dumps(RECORD) + "\n", encoding="utf-8")
    return runs.get(RUN_ID)


def test_a_new_run_has_the_present_format_and_one_without_a_number_the_first(run, make_plan):
    assert run_format.read_format(runs.create(make_plan()).folder) == run_format.FORMAT == 2
    assert run_format.read_format(run.folder) == 1
    (run.folder / run_format.FORMAT_FILE).write_text('{"format": "x"}')
    assert run_format.read_format(run.folder) == 1


def test_its_plan_is_read_under_the_present_keys(run):
    training = run.plan.training
    assert (training.gradient_accumulation_steps, training.gradient_checkpointing) == (2, True)
    assert (training.lr_scheduler_type, training.warmup_ratio) == ("linear", 0.05)
    assert (training.eval_count, training.early_stopping_patience) == (6, 2)


def test_it_is_listed_as_done_and_usable(run):
    assert runs.all_runs() == [run]
    assert runs.status(run).state == "done"
    assert runs.is_usable(run)
    assert runs.describe(run).startswith("Support tone · ")


def test_its_failure_is_told_in_both_languages(run):
    failure = {"state": "failed", "what": "No disk.", "what_zh": "磁盘已满。", "what_to_do": "Free some."}
    (run.folder / "status.json").write_text(json.dumps(failure), encoding="utf-8")
    assert runs.status(run).failure_text() == "No disk. Free some."
    assert runs.status(run).failure_text("zh") == "磁盘已满。Free some."


def test_its_points_and_scores_bear_the_present_names(run):
    assert [point.get("eval_answer_accuracy") for point in runs.read_points(run)] == [0.1, None, None]
    report = runs.report(run)
    assert report["after"] == {"loss": 2.5, "answer_accuracy": 0.6, "n_questions": 24}
    assert report["method"]["rl"]["after"] == {"answer_accuracy": 0.6}
    assert report["training"]["gradient_accumulation_steps"] == 2
    assert "accumulate" not in report["training"]
    assert Message.from_json(report["base"]["weights"]).render("zh") == "内置的权重"


def test_its_card_and_live_view_are_written(run):
    assert "- trained on the embedded weights (checksum `0123456789ab`)" in card.render_card(run, "adapter")
    assert "内置的权重" in card.render_card(run, "adapter", "zh")
    view = live_view.poll([RUN_ID, 0, "en"])
    assert view["kind"] == "done"
    assert view["points"]


def test_its_notes_estimate_and_record_are_read(run):
    (note,) = spec.read_notes(run.folder)
    assert (note.render(), note.render("zh")) == ("They begin alike.", "开头相似。")
    assert history.load_estimate(run)["minutes"] == RANGE
    (entry,) = history.load_entries()
    assert (entry.actual_minutes, entry.peak_memory_gb) == (1.0, 1.5)


def test_nothing_of_it_is_rewritten_by_reading(run):
    def contents():
        return {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}

    before = contents()
    runs.status(run), runs.report(run), list(runs.read_points(run)), card.render_card(run, "adapter")
    assert contents() == before
