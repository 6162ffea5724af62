"""The frozen part is computed once and gives the same training; only the top changes, bit for bit."""

import pytest
import torch
from method_helpers import changed_names, parameters
from sampling import sample

from studio import methods, runs
from studio.errors import OutOfDiskSpace
from studio.estimate.machines import hardware
from studio.i18n import Message
from studio.methods import frozen, spec
from studio.methods.training import activation_cache
from studio.models import device, shape
from studio.training import worker
from studio.ui.train import results as run_results

TASKS = ("chat", "complete", "classify")


def train(make_job, task, **settings):
    """The losses of a training, and its job."""
    job = make_job("frozen", task, {"blocks": 1, **settings}, epochs=3, learning_rate=1e-3)
    methods.get("frozen").train(job)
    return job.notes["monitors"][0].losses, job


def texts(notes):
    return [message.text for message in notes]


@pytest.mark.parametrize("task", sample(TASKS, ["chat"]))
@pytest.mark.parametrize(
    "bf16",
    [False, pytest.param(True, marks=pytest.mark.exhaustive)],
    ids=["32 bits", "bf16, as on a GPU"],
)
def test_reusing_the_frozen_part_gives_the_same_losses_as_computing_it_each_time(
    make_job, task, bf16, monkeypatch
):
    monkeypatch.setattr(device, "autocast_dtype", lambda: torch.bfloat16 if bf16 else None)
    torch.manual_seed(3)
    losses, _ = train(make_job, task, reuse=False)
    torch.manual_seed(3)
    cached_losses, _ = train(make_job, task, reuse=True)
    assert len(losses) == 9
    # In 16 bits attention adds up in another order for padded texts, which fill the cache, and packed ones.
    assert losses == pytest.approx(cached_losses, rel=1e-3 if bf16 else 1e-6, abs=1e-5)


@pytest.mark.parametrize(
    ("task", "reuse"),
    sample(
        [(task, reuse) for task in TASKS for reuse in (True, False)],
        [("chat", False), ("complete", True), ("classify", True)],
    ),
)
def test_only_the_top_block_and_a_head_of_its_own_change(make_job, task, reuse):
    job = make_job("frozen", task, {"blocks": 1, "reuse": reuse})
    before = parameters(job.model)
    methods.get("frozen").train(job)
    # A tied language head is the embedding: it stays.
    top = ("model.layers.1.",)
    if task == "classify":
        top = ("bert.encoder.layer.1.", "classifier", "bert.pooler")
    assert changed_names(job.model, before) == {name for name in before if name.startswith(top)}


def test_every_frozen_parameter_is_counted_by_hand(bases):
    counted = frozen.count_parameters(shape.from_folder(bases("chat")), {"blocks": 1, "reuse": True}, 0)
    # query 32x32, key and value 32x16, output 32x32, gate, up and down 32x64, two norms of 32
    assert counted.trainable == 1024 + 512 + 512 + 1024 + 3 * 2048 + 64


def test_without_a_block_nothing_is_trained_and_a_classifier_keeps_its_linear_head(make_job):
    job = make_job("frozen", "classify", {"blocks": 0})
    before = parameters(job.model)
    methods.get("frozen").train(job)
    assert changed_names(job.model, before) == set()
    assert job.notes["linear_head"] is True
    trainable = {name for name, parameter in job.model.named_parameters() if parameter.requires_grad}
    assert trainable == {"classifier.weight", "classifier.bias"}
    counted = frozen.count_parameters(shape.from_config(job.model.config.to_dict()), {"blocks": 0}, 3)
    assert counted.trainable == 3 * (job.model.config.hidden_size + 1)


def test_a_model_that_writes_needs_a_block():
    (problem,) = frozen.check({"blocks": 0}, None, "chat")
    assert problem.key == "blocks"
    assert frozen.check({"blocks": 0}, None, "classify") == []


def test_the_linear_model_is_a_run_like_any_other(make_plan):
    run = runs.create(make_plan("frozen", "classify", {"blocks": 0}))
    worker.run(run.id)
    report = runs.report(run)
    assert runs.status(run).state == "done"
    assert report["after"]["accuracy"] == report["linear_baseline"]["accuracy"]
    assert runs.is_usable(run)
    assert "linear" not in [found["name"] for found in report["verdict"]["comparisons"]]


def test_the_model_is_complete_again_afterwards(make_job):
    job = make_job("frozen", "chat", {"blocks": 1})
    names = [name for name, _ in job.model.named_parameters()]
    methods.get("frozen").train(job)
    assert [name for name, _ in job.model.named_parameters()] == names
    assert not list(job.folder.rglob("bottom.bin"))


def test_a_tied_head_is_said_to_stay(make_job):
    _, job = train(make_job, "chat")
    assert job.notes["tied_head"] is True
    assert spec.read_notes(job.folder) == [frozen.TIED_HEAD_NOTE]
    _, classifier_job = train(make_job, "classify")
    assert classifier_job.notes["tied_head"] is False
    assert spec.read_notes(classifier_job.folder) == []


def test_the_outputs_go_to_the_disk_where_memory_is_short_and_nothing_changes(make_job, monkeypatch):
    losses, job = train(make_job, "chat")
    in_memory = job.notes["reused"]
    assert in_memory["where"] == "memory"
    assert texts(spec.read_notes(job.folder)) == [frozen.TIED_HEAD_NOTE.text]
    # As in a container: the cache is no less than a quarter of what is left.
    monkeypatch.setattr(hardware, "free_memory", lambda: 4 * in_memory["bytes"])
    losses_from_disk, job = train(make_job, "chat")
    assert losses_from_disk == pytest.approx(losses, abs=1e-6)
    assert job.notes["reused"] == {**in_memory, "where": "disk"}
    assert in_memory["bytes"] == in_memory["tokens"] * 32 * 4
    assert texts(spec.read_notes(job.folder))[1:] == [activation_cache.CACHED_ON_DISK.text]


def test_a_run_keeps_to_what_its_container_leaves(make_plan, monkeypatch):
    monkeypatch.setattr(hardware, "free_memory", lambda: 4_000)
    run = runs.create(make_plan("frozen", "chat", {"blocks": 1}, epochs=1))
    worker.run(run.id)
    assert runs.report(run)["method"]["reused"]["where"] == "disk"
    assert "。内存不够" in run_results.read_method_notes(run, "zh")


def test_without_space_anywhere_the_plain_way_is_taken_and_noted(make_job, monkeypatch):
    def refuse(*_):
        raise OutOfDiskSpace(Message("Full."), Message("Delete something."))

    monkeypatch.setattr(hardware, "free_memory", lambda: 0)
    monkeypatch.setattr(activation_cache, "require_disk_space", refuse)
    losses, job = train(make_job, "chat")
    assert len(losses) == 9
    assert job.notes["reused"]["where"] == "nowhere"
    assert texts(spec.read_notes(job.folder))[1:] == [activation_cache.NO_SPACE_FOR_CACHE.text]


def test_the_frozen_part_runs_once_for_each_example(make_job):
    job = make_job("frozen", "chat", {"blocks": 1}, epochs=4)
    batch_sizes = []
    bottom = job.model.model.layers[0]
    bottom.register_forward_pre_hook(lambda module, args: batch_sizes.append(args[0].shape[0]))
    methods.get("frozen").train(job)
    assert sum(batch_sizes) == len(job.train) + len(job.validation)
