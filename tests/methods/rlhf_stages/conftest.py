"""What the tests of RLHF share: a run of all three stages, and trainings that record their stages."""

import csv
import dataclasses

import pytest

from studio import runs
from studio.training import worker

# A tiny model needs bigger steps than a real one.
QUICK = {"steps": 6, "max_completion_length": 12, "reward_epochs": 1}


@pytest.fixture
def quick():
    """Settings of a short RLHF training."""
    return dict(QUICK)


@pytest.fixture(scope="session")
def train_run():
    """`train_run(plan)`: a run of a plan, trained in this process."""

    def train(plan):
        run = runs.create(plan)
        worker.run(run.id)
        return run

    return train


@pytest.fixture(scope="session")
def three_stage_run(make_plan, train_run, tmp_path_factory):
    """A run of all three stages on pairs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("three-stages")))
        return train_run(make_plan("rlhf", "prefer", QUICK))


@pytest.fixture
def make_recorded_job(make_job):
    """`make_recorded_job(task, settings, **training)`: a job, and the stages whose training begins."""

    def make(task="prefer", settings=None, rows=24, **training):
        job = make_job("rlhf", task, {**QUICK, **(settings or {})}, rows, **training)
        stages = []

        def create_monitor(stage, *arguments):
            stages.append(stage)
            return job.create_monitor(stage, *arguments)

        return dataclasses.replace(job, create_monitor=create_monitor), stages

    return make


@pytest.fixture
def reversed_pairs(toys, tmp_path):
    """The toy pairs with the worse answer as the better one."""
    path = tmp_path / "reversed.csv"
    with toys["prefer"].open(encoding="utf-8", newline="") as file:
        pairs = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("prompt", "chosen", "rejected"))
        writer.writerows((pair["prompt"], pair["rejected"], pair["chosen"]) for pair in pairs)
    return path
