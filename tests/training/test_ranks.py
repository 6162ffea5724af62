"""Several ranks learn what one learns: the batch of the plan is shared among them."""

import shutil

import pytest
import torch
from ranks import start_ranks, train_on_ranks
from refusals import assert_message
from safetensors.torch import load_file

from studio import runs
from studio.errors import NotPossible
from studio.methods import several_cards
from studio.models import fetch, ranks
from studio.storage import write_json
from studio.training import launcher, ranked_monitor, worker

# Only the order in which the same numbers are added differs.
TOLERANCE = 1e-4


def test_a_batch_is_shared_out_so_that_each_step_sees_as_many_examples():
    assert ranks.share_batch(8, 1, 1) == (8, 1)
    assert ranks.share_batch(8, 1, 2) == (4, 1)
    assert ranks.share_batch(8, 4, 2) == (2, 2)
    assert ranks.share_batch(16, 4, 8) == (2, 1)
    for batch_size, accumulation_steps, n_ranks in ((24, 3, 4), (48, 4, 3), (64, 1, 8), (12, 12, 2)):
        share = ranks.share_batch(batch_size, accumulation_steps, n_ranks)
        assert share.batch_size * share.accumulation_steps * n_ranks == batch_size
        assert share.batch_size <= batch_size // accumulation_steps


def test_a_plan_that_several_gpus_cannot_train_is_refused_before_the_start(make_plan):
    plan = make_plan("lora", "chat", batch_size=9)
    several_cards.require_possible(plan, 1)
    several_cards.require_possible(plan, 3)
    with pytest.raises(NotPossible) as caught:
        several_cards.require_possible(plan, 2)
    assert_message(caught.value, ranks.INDIVISIBLE, batch=9, count=2)
    for method, settings in (
        ("rlhf", {}),
        ("qat", {}),
        ("upft", {}),
        ("frozen", {}),
        ("peft", {"type": "adalora"}),
    ):
        plan = make_plan("lora", "chat").model_copy(
            update={
                "method": make_plan("lora", "chat").method.model_copy(
                    update={"name": method, "settings": settings}
                )
            }
        )
        with pytest.raises(NotPossible) as caught:
            several_cards.require_possible(plan, 2)
        assert_message(caught.value, several_cards.ONE_GPU_ALONE, method=method, count=2)


def test_a_rank_finds_the_model_that_the_first_one_has_fetched(
    make_plan, tiny_chat, studio_home, monkeypatch
):
    run = runs.create(make_plan().model_copy(update={"model": "who/tiny"}))
    fetched = shutil.copytree(tiny_chat, studio_home / "models" / "who--tiny")
    write_json(fetched / "source.json", {"name": "tiny", "note": ranks.INDIVISIBLE.to_json()})
    found = []
    monkeypatch.setattr(ranked_monitor, "follow", lambda run: found.append(fetch.fetch(run.plan.model)))
    monkeypatch.setenv("STUDIO_HOME", str(studio_home))  # which it changes for its own
    monkeypatch.chdir(studio_home)
    ranked_monitor.follow_in_own_home(run)
    assert [model.name for model in found] == ["tiny"]


def losses(run, name="loss"):
    return {(p["stage"], p["step"]): p[name] for p in runs.read_points(run) if name in p}


def shard(run):
    """Let a run's estimate say that no GPU holds it, so that its ranks share the weights."""
    write_json(run.folder / "estimate.json", {"is_sharded": True})


def check_same(run, expected):
    assert runs.status(run).state == "done", runs.status(run)
    for name in ("loss", "eval_loss"):
        got, wanted = losses(run, name), losses(expected, name)
        assert got.keys() == wanted.keys()
        assert got == pytest.approx(wanted, abs=TOLERANCE), name
    report, expected_report = runs.complete_report(run), runs.complete_report(expected)
    assert report["after"]["loss"] == pytest.approx(expected_report["after"]["loss"], abs=TOLERANCE)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("method", "task"),
    [
        ("lora", "chat"),
        ("full", "chat"),
        ("full", "classify"),
        ("adapter", "chat"),
        ("prefix", "chat"),
        ("peft", "chat"),
        ("qlora", "chat"),
    ],
)
def test_two_ranks_learn_what_one_learns(make_plan, method, task):
    plan = make_plan(method, task, batch_size=4, gradient_accumulation_steps=2, epochs=2)
    alone, together = runs.create(plan), runs.create(plan)
    worker.run(alone.id)
    train_on_ranks(together)
    check_same(together, alone)
    assert not list(together.folder.glob("checkpoints")), "what a run goes on from is removed with its end"


@pytest.mark.exhaustive
def test_ranks_compute_in_the_precision_that_the_first_one_measured(make_plan, monkeypatch):
    """The other one's home is new: it would measure for itself, and might find otherwise."""
    plan = make_plan("lora", "chat", batch_size=4, epochs=4)
    in_bf16 = plan.model_copy(update={"training": plan.training.model_copy(update={"precision": "bfloat16"})})
    automatic, expected = runs.create(plan), runs.create(in_bf16)
    train_on_ranks(expected)
    monkeypatch.delenv("STUDIO_PRECISION", raising=False)
    monkeypatch.setenv("STUDIO_TEST_SPEEDUPS", "2.0 0.5")
    train_on_ranks(automatic)
    assert losses(automatic) == losses(expected)


@pytest.mark.exhaustive
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("task", ["chat", "classify"])
def test_two_ranks_with_half_the_weights_each_learn_what_one_learns(make_plan, task, checkpointing):
    """At a rate at which a tiny classifier does not make more of how numbers are rounded."""
    training = {"batch_size": 4, "gradient_accumulation_steps": 2, "epochs": 2, "learning_rate": 1e-3}
    plan = make_plan("full", task, **training, gradient_checkpointing=checkpointing)
    alone, together = runs.create(plan), runs.create(plan)
    shard(together)
    worker.run(alone.id)
    train_on_ranks(together)
    check_same(together, alone)
    report = runs.complete_report(together)
    assert (report["ranks"], report["is_sharded"]) == (2, True)
    assert report["base"] == runs.complete_report(alone)["base"]
    assert report["parameters"] == runs.complete_report(alone)["parameters"]
    assert losses(together, "grad_norm") == pytest.approx(losses(alone, "grad_norm"), rel=1e-3)
    weights, expected = (load_file(run.model / "model.safetensors") for run in (together, alone))
    assert weights.keys() == expected.keys()
    for name in weights:
        torch.testing.assert_close(weights[name], expected[name], atol=2e-3, rtol=1e-3)
    assert not list(together.folder.glob("checkpoints"))


@pytest.mark.exhaustive
@pytest.mark.parametrize(("method", "settings"), [("lora", {"dropout": 0.1}), ("full", {})])
def test_a_training_whose_rank_is_killed_goes_on_with_the_same_numbers(make_plan, method, settings):
    """Full fine-tuning with half the weights on each rank."""
    plan = make_plan(method, "chat", settings=settings, batch_size=4, epochs=30)
    undisturbed, killed = runs.create(plan), runs.create(plan)
    if method == "full":
        shard(undisturbed)
        shard(killed)
    train_on_ranks(undisturbed)
    first, second = start_ranks(killed)
    checkpoint = "checkpoints/train/checkpoint-*/watch.json"
    while not list(killed.folder.glob(checkpoint)):
        assert first.poll() is None
    for process in (second, first):
        process.kill()
        process.wait()
    launcher.requeue(killed)
    train_on_ranks(killed)
    assert runs.complete_report(killed)["resumed"]
    assert losses(killed) == losses(undisturbed)
    assert losses(killed, "eval_loss") == losses(undisturbed, "eval_loss")
