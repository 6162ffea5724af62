"""A run whose weights are read from the disk has the losses and the result of the run that holds them."""

import json

import pytest
from sampling import sample

from studio import runs
from studio.methods import find_plan_problems
from studio.models import load
from studio.plan import find_problems
from studio.playground import server
from studio.training import worker

SHARED = ("before", "after", "best_step", "tuned", "texts", "parameters")


def losses(run, name="loss"):
    return [(point["stage"], point["step"], point[name]) for point in runs.read_points(run) if name in point]


def train(plan, **training):
    run = runs.create(plan.model_copy(update={"training": plan.training.model_copy(update=training)}))
    worker.run(run.id)
    return run


@pytest.mark.parametrize(
    ("method", "task"),
    sample([("lora", "chat"), ("qlora", "chat"), ("lora", "classify")], [("qlora", "chat")]),
)
def test_it_learns_what_the_run_in_memory_learns(method, task, make_plan, untraced_start):
    plan = make_plan(method, task, {"dropout": 0.1}, epochs=1, gradient_accumulation_steps=2)
    in_memory, offloaded = (train(plan, disk_offload=value) for value in (False, True))
    assert losses(offloaded) == losses(in_memory)
    assert losses(offloaded, "eval_loss") == losses(in_memory, "eval_loss")
    expected = runs.report(in_memory)
    report = runs.report(offloaded)
    assert {name: report[name] for name in SHARED} == {name: expected[name] for name in SHARED}
    assert report["base"]["checksum"] == expected["base"]["checksum"]


def test_the_playground_reads_the_base_from_the_disk_too(make_plan, untraced_start):
    run = train(make_plan("lora", "chat", epochs=1), disk_offload=True)
    _, base = server.load_base(run)
    assert base.offloaded_blocks
    assert load.fingerprint(base) == runs.report(run)["base"]["checksum"]


@pytest.mark.parametrize(
    ("method", "settings", "training", "key"),
    [
        ("full", {}, {}, "training.disk_offload"),
        ("lora", {"dora": True}, {}, "training.disk_offload"),
        ("qlora", {"init_lora_weights": "loftq"}, {}, "training.disk_offload"),
        ("lora", {}, {"gradient_checkpointing": False}, "training.gradient_checkpointing"),
    ],
)
def test_what_it_cannot_be_combined_with_is_refused(method, settings, training, key, make_plan):
    raw = json.loads(make_plan(method, "chat", settings, disk_offload=True, **training).model_dump_json())
    (problem,) = [*find_problems(raw), *find_plan_problems(raw)]
    assert problem.key == key
    assert problem.message.render("zh") != problem.message.render()
