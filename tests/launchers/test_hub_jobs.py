"""A run at Hugging Face Jobs, by the real client and a hub of this machine that runs the command."""

import json

import pytest
from stand_in import TOKEN

from studio import runs
from studio.launchers import follower
from studio.launchers.record import Record


@pytest.fixture
def make_run(make_plan):
    def make(max_minutes=30.0, keep=False, **training):
        plan = make_plan("lora", "chat", **training)
        run = runs.create(plan.model_copy(update={"where": "hf-t4-small"}))
        Record(agreed=True, max_minutes=max_minutes, keep=keep).write(run)
        return run

    return make


def texts_of(folder):
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".safetensors":
            yield path, path.read_bytes()


def test_the_same_folder_comes_back_and_no_token_is_written(ada, make_run, studio_home):
    run = make_run(epochs=2)
    follower.follow(run.id)
    assert runs.status(run).state == "done", runs.status(run)
    assert runs.complete_report(run)["trained_at"] == "Hugging Face t4-small"
    (job,) = ada.jobs.values()
    assert (job.spec["flavor"], job.spec["timeoutSeconds"]) == ("t4-small", 30 * 60)
    assert job.spec["secrets"] == {"HF_TOKEN": TOKEN}
    assert TOKEN not in json.dumps({**job.spec, "secrets": {}}), "no argument and no variable holds it"
    assert TOKEN not in "\n".join(job.lines)
    for path, content in (*texts_of(studio_home), *texts_of(job.folder)):
        assert TOKEN.encode() not in content, path
    assert ada.repos == {}, "data and result are deleted at the hub"
