"""The embedded models, fetched and trained for real (slow): what the README promises happens."""

import csv
import os
from pathlib import Path

import pytest

from studio import methods, plan, presets, runs
from studio.data import store
from studio.plan import Data, MethodChoice, Plan, Training
from studio.training import worker

pytestmark = pytest.mark.embedded


@pytest.fixture(autouse=True)
def shared_home(monkeypatch):
    """One home for all sessions, so that a model is fetched once."""
    default = Path.home() / ".cache" / "studio-tests"
    monkeypatch.setenv("STUDIO_HOME", os.environ.get("STUDIO_TEST_HOME") or str(default))


@pytest.fixture
def train():
    """Train a plan and return its report; the run is removed when the test is over."""
    started_runs = []

    def train(plan):
        run = runs.create(plan)
        started_runs.append(run)
        worker.run(run.id)
        return runs.report(run)

    yield train
    for run in started_runs:
        runs.delete(run)


@pytest.mark.exhaustive
def test_the_shortened_recipe_lowers_the_validation_loss_of_smollm2(train, tmp_path):
    recipe = plan.load(presets.recipes()["support-tone-lora"], (), (methods.find_plan_problems,))
    sample = store.find(recipe.data.source).path
    with sample.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 140
    # Two steps on the shortest examples are enough: the loss falls from 4.84 to 4.05.
    rows.sort(key=lambda row: len(row["customer"]) + len(row["reply"]))
    short_csv = tmp_path / "short.csv"
    with short_csv.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows[:12])
    data = recipe.data.model_copy(update={"source": str(short_csv), "validation_share": 0.34})
    shortened = {"epochs": 1, "eval_count": 1, "warmup_ratio": 0.0, "retention": "none"}
    training = recipe.training.model_copy(update=shortened)
    report = train(recipe.model_copy(update={"data": data, "training": training}))
    assert report["after"]["loss"] < 0.9 * report["before"]["loss"]
    assert report["parameters"]["total"] - report["parameters"]["trainable"] == 134_515_008
    assert (report["data"]["train"], report["data"]["validation"]) == (8, 4)


def test_minilm_learns_to_triage_tickets(train):
    triage = Plan(
        name="Triage",
        task="classify",
        model="minilm-l6",
        data=Data(source="sample:ticket-triage", validation_share=0.2),
        method=MethodChoice(name="full"),
        training=Training(epochs=1, batch_size=8, eval_count=1),
    )
    report = train(triage)
    assert report["data"]["validation"] == 48
    # Of six queues: one in six right by chance, and more than half after one look at each ticket.
    assert report["after"]["accuracy"] > 0.5 > 0.3 > report["before"]["accuracy"]
