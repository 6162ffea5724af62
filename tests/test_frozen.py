"""The frozen part is computed once and gives the same training; only the top changes, bit for bit."""

import pytest
import torch

from studio import methods, runs
from studio.errors import OutOfDiskSpace
from studio.estimate.machines import hardware
from studio.methods import frozen, spec
from studio.methods.training import activation_cache, supervised
from studio.training import worker
from studio.ui.train import results as run_results

TASKS = ("chat", "complete", "classify")


def trained(make_job, task, **settings):
    """The losses of a training and the model it leaves."""
    job = make_job("frozen", task, {"blocks": 1, **settings}, epochs=3, learning_rate=1e-3)
    methods.get("frozen").train(job)
    return job.notes["watches"][0].losses, job


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("half", [False, True], ids=["32 bits", "bf16, as on a card"])
def test_reusing_the_frozen_part_gives_the_same_losses_as_computing_it_each_time(
    make_job, task, half, monkeypatch
):
    monkeypatch.setattr(supervised, "uses_bf16", lambda: half)
    torch.manual_seed(3)
    plain, _ = trained(make_job, task, reuse=False)
    torch.manual_seed(3)
    reused, _ = trained(make_job, task, reuse=True)
    assert len(plain) == 9
    assert plain == pytest.approx(reused, abs=1e-5)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("reuse", [True, False])
def test_only_the_top_block_and_a_head_of_its_own_change(make_job, bases, task, reuse):
    job = make_job("frozen", task, {"blocks": 1, "reuse": reuse})
    before = {name: value.detach().clone() for name, value in job.model.named_parameters()}
    methods.get("frozen").train(job)
    changed = {name for name, value in job.model.named_parameters() if not torch.equal(value, before[name])}
    heads = (
        ("classifier", "bert.pooler") if task == "classify" else ()
    )  # a tied language head is the embedding: it stays
    top = "bert.encoder.layer.1." if task == "classify" else "model.layers.1."
    assert changed == {name for name in before if name.startswith((top, *heads))}


def test_every_frozen_number_is_counted_by_hand(bases):
    from studio.models import shape

    found = frozen.count_parameters(shape.from_folder(bases("chat")), {"blocks": 1, "reuse": True}, 0)
    # query 32x32, key and value 32x16, output 32x32, gate, up and down 32x64, two norms of 32
    assert found.trainable == 1024 + 512 + 512 + 1024 + 3 * 2048 + 64


def test_the_model_is_whole_again_afterwards(make_job):
    job = make_job("frozen", "chat", {"blocks": 1})
    names = [name for name, _ in job.model.named_parameters()]
    methods.get("frozen").train(job)
    assert [name for name, _ in job.model.named_parameters()] == names
    assert not list(job.folder.rglob("bottom.bin"))


def test_a_tied_head_is_said_to_stay(make_job):
    _, job = trained(make_job, "chat")
    assert job.notes["tied_head"] is True
    assert spec.read_notes(job.folder) == [frozen.TIED_HEAD_NOTE]
    _, other = trained(make_job, "classify")
    assert other.notes["tied_head"] is False
    assert spec.read_notes(other.folder) == []


def test_the_outputs_go_to_the_disk_where_memory_is_short_and_nothing_changes(make_job, monkeypatch):
    plain, job = trained(make_job, "chat")
    kept = job.notes["reused"]
    assert (kept["where"], spec.read_notes(job.folder)) == ("memory", [frozen.TIED_HEAD_NOTE])
    monkeypatch.setattr(
        hardware, "free_memory", lambda: 4 * kept["bytes"]
    )  # as in a container: a quarter of it is not more than that
    on_disk, job = trained(make_job, "chat")
    assert on_disk == pytest.approx(plain, abs=1e-6)
    assert job.notes["reused"] == {**kept, "where": "disk"}
    assert kept["bytes"] == kept["tokens"] * 32 * 4
    assert [one.render().split(",")[0] for one in spec.read_notes(job.folder)[1:]] == ["Memory is short"]


def test_a_run_keeps_to_what_its_container_leaves(make_plan, monkeypatch):
    monkeypatch.setattr(hardware, "free_memory", lambda: 4_000)
    run = runs.create(make_plan("frozen", "chat", {"blocks": 1}, epochs=1))
    worker.run(run.id)
    assert runs.report(run)["method"]["reused"]["where"] == "disk"
    assert "。内存不够" in run_results.read_method_notes(run, "zh")


def test_without_room_anywhere_the_plain_way_is_taken_and_noted(make_job, monkeypatch):
    from studio.i18n import Message

    def no_room(*_):
        raise OutOfDiskSpace(Message("Full."), Message("Delete something."))

    monkeypatch.setattr(hardware, "free_memory", lambda: 0)
    monkeypatch.setattr(activation_cache, "require_disk_space", no_room)
    losses, job = trained(make_job, "chat")
    assert len(losses) == 9
    assert job.notes["reused"]["where"] == "nowhere"
    assert [one.render().split(",")[0] for one in spec.read_notes(job.folder)[1:]] == [
        "Neither memory nor disk has room for the output of the frozen layers (0 MB)"
    ]


def test_the_frozen_part_runs_once_for_each_example(make_job):
    job = make_job("frozen", "chat", {"blocks": 1}, epochs=4)
    seen = []
    job.model.model.layers[0].register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[0]))
    methods.get("frozen").train(job)
    assert sum(seen) == len(job.train) + len(job.validation)
