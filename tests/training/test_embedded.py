"""The embedded models, fetched and trained for real (slow): what the README promises happens."""

import os
from pathlib import Path

import pytest

from studio import methods, plan, presets, runs
from studio.plan import Data, MethodChoice, Plan, Training
from studio.training import worker

pytestmark = pytest.mark.embedded


@pytest.fixture(autouse=True)
def kept_home(monkeypatch):
    """One home for all sessions, so that a model is fetched once."""
    monkeypatch.setenv(
        "STUDIO_HOME", os.environ.get("STUDIO_TEST_HOME") or str(Path.home() / ".cache" / "studio-tests")
    )


@pytest.fixture(autouse=True)
def all_threads():
    import torch

    torch.set_num_threads(os.cpu_count() or 1)


@pytest.fixture
def trained():
    """Train a plan; the run is removed when the test is over."""
    begun = []

    def train(found):
        run = runs.create(found)
        begun.append(run)
        worker.run(run.id)
        return runs.report(run)

    yield train
    for run in begun:
        runs.delete(run)


def test_the_shortened_recipe_lowers_the_validation_loss_of_smollm2(trained):
    recipe = plan.load(
        presets.recipes()["support-tone-lora"],
        ("training.epochs=0.25", "training.eval_count=1"),
        (methods.find_plan_problems,),
    )
    report = trained(recipe)
    assert report["after"]["loss"] < 0.9 * report["before"]["loss"]
    assert report["parameters"]["total"] - report["parameters"]["trainable"] == 134_515_008
    assert report["data"]["train"] + report["data"]["validation"] == 140


def test_minilm_learns_to_triage_tickets(trained):
    found = Plan(
        name="Triage",
        task="classify",
        model="minilm-l6",
        data=Data(source="sample:ticket-triage", validation_share=0.2),
        method=MethodChoice(name="full"),
        training=Training(epochs=3, batch_size=8),
    )
    report = trained(found)
    assert report["data"]["validation"] == 48
    assert report["after"]["accuracy"] > 0.6
    assert report["after"]["accuracy"] > report["before"]["accuracy"]
