"""Several GPUs of this machine train one run: here processes on its cores, started as those on GPUs are."""

import time

import psutil
import pytest

from studio import methods, processes, runs
from studio.estimate.machines import hardware
from studio.storage import write_json
from studio.training import launcher, local_ranks

TOLERANCE = 1e-4


@pytest.fixture
def on_two(make_plan, monkeypatch):
    """`on_two(method, **training)`: a plan that two processes train together, where two GPUs seem to be."""
    monkeypatch.setattr(hardware, "count_gpus", lambda: 2)

    def make(method="lora", **training):
        return make_plan(method, "chat", batch_size=4, num_gpus=2, **training)

    return make


def wait_for(run, states=runs.ENDED_STATES, seconds=240):
    deadline = time.monotonic() + seconds
    while runs.status(run).state not in states:
        assert time.monotonic() < deadline, (run.folder / "worker.log").read_text(encoding="utf-8")[-3000:]
        time.sleep(0.2)
    return runs.status(run)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": {"name": "upft"}, "task": "prompts"}, methods.NUM_GPUS_METHODS),
        ({"method": {"name": "peft", "settings": {"type": "adalora"}}}, methods.NUM_GPUS_METHODS),
        ({"where": "box"}, methods.NUM_GPUS_ELSEWHERE),
        ({"training": {"num_gpus": 2, "batch_size": 3}}, methods.NUM_GPUS_BATCH),
    ],
)
def test_a_plan_says_what_does_not_go_with_several_gpus(changes, message, tiny_chat):
    plan = {"task": "chat", "model": str(tiny_chat), "method": {"name": "lora"}, "training": {"num_gpus": 2}}
    assert not methods.find_plan_problems(plan)
    (problem,) = methods.find_plan_problems(plan | changes)
    assert (problem.key, problem.message.id) == ("training.num_gpus", message.id)


def test_each_process_sees_the_gpu_of_its_rank(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    env = processes.child_environment(processes.WORKER)
    assert (env["CUDA_VISIBLE_DEVICES"], env[processes.GPUS_VARIABLE]) == ("4", "4,7")
    monkeypatch.setenv(processes.GPUS_VARIABLE, env[processes.GPUS_VARIABLE])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    assert processes.name_gpu(1) == "7"
    monkeypatch.setenv(processes.GPUS_VARIABLE, "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert processes.name_gpu(1) == "1"


def test_ranks_find_each_other_where_no_other_machine_can_reach_them():
    store, port = local_ranks._open_store(0, 2)
    listening = [c.laddr for c in psutil.Process().net_connections("tcp") if c.laddr.port == port]
    assert {address.ip for address in listening} == {local_ranks.HOST}
    other, _ = local_ranks._open_store(1, 2, port)
    other.set("step", "7")
    assert store.get("step") == b"7"


@pytest.mark.exhaustive
def test_processes_of_this_machine_train_together(on_two):
    together = runs.create(on_two(epochs=2))
    alone = runs.create(on_two(epochs=2).model_copy(update={"name": "alone"}))
    plan = alone.plan
    alone = runs.create(
        plan.model_copy(update={"training": plan.training.model_copy(update={"num_gpus": 1})})
    )
    for run in (together, alone):
        launcher.start(run)
        assert wait_for(run).state == "done", (run.folder / "worker.log").read_text(encoding="utf-8")[-3000:]
    report, expected = runs.complete_report(together), runs.complete_report(alone)
    assert (report["ranks"], expected["ranks"]) == (2, 1)
    assert report["after"]["loss"] == pytest.approx(expected["after"]["loss"], abs=TOLERANCE)


@pytest.mark.exhaustive
@pytest.mark.parametrize("is_sharded", [False, True])
def test_a_rank_that_is_lost_ends_the_run_in_a_sentence_and_it_goes_on(on_two, is_sharded):
    run = runs.create(on_two("full", epochs=100))
    write_json(run.folder / "estimate.json", {"is_sharded": is_sharded})
    launcher.start(run)
    while not list(run.folder.glob("checkpoints/train/checkpoint-*/watch.json")):
        assert runs.status(run).state not in runs.ENDED_STATES
        time.sleep(0.1)
    worker = runs.worker_process(run)
    (other,) = [child for child in worker.children() if "studio.training.local_ranks" in child.cmdline()]
    other.kill()
    status = wait_for(run)
    assert (status.state, status.message.id) == ("failed", local_ranks.RANK_LOST.id)
    worker.wait(timeout=20)
    launcher.resume(run)
    wait_for(run, ("training",))
    run.stop_file.touch()
    assert wait_for(run).state == "stopped"
    assert runs.complete_report(run)["resumed"]


@pytest.mark.exhaustive
def test_the_other_ranks_end_with_the_first(on_two):
    run = runs.create(on_two(epochs=100))
    launcher.start(run)
    wait_for(run, ("training",))
    worker = runs.worker_process(run)
    others = [child for child in worker.children() if "studio.training.local_ranks" in child.cmdline()]
    assert len(others) == 1
    worker.kill()
    _, alive = psutil.wait_procs(others, timeout=20)
    assert not alive
