"""LoftQ brings a 4-bit base nearer to the unrounded one, and its adapter opens on any 4-bit base."""

import copy

import pytest
import torch
from method_helpers import TOY_LABELS, load_base, logits
from model_families import save_family

from studio import methods, runs
from studio.models import load
from studio.training import worker

QLORA = methods.get("qlora")
LOFTQ = {"init_lora_weights": "loftq", "rank": 8, "dropout": 0.0}


@pytest.fixture(params=["chat", "classify"])
def task(request):
    return request.param


def test_the_start_takes_up_a_part_of_the_rounding_of_every_matrix(task, make_job, bases):
    job = make_job("qlora", task, LOFTQ)
    labels = list(TOY_LABELS) if task == "classify" else []
    unrounded = load.base_model(bases(task), task, labels, job.plan.training.seed)
    base = load_base(job, bases)
    expected = logits(base, job)
    rounded, shares = base.dequantize(), {}
    for name, module in job.model.named_modules():
        if hasattr(module, "lora_A"):
            path = name.removeprefix("base_model.model.")
            error = unrounded.get_submodule(path).weight - rounded.get_submodule(path).weight
            left = error - module.get_delta_weight("default")
            shares[path] = float((left.norm() / error.norm()).detach())
    # Eight directions of at most 32 hold more than a quarter of the square.
    assert shares
    assert {path: share for path, share in shares.items() if share > 0.75**0.5} == {}
    with job.model.disable_adapter():
        torch.testing.assert_close(logits(job.model, job), expected, rtol=0, atol=1e-6)


def test_matrices_that_gpt_2_holds_the_other_way_round_begin_so_too(build_once):
    folder = build_once("family-gpt2", lambda folder: save_family("gpt2", folder))
    unrounded = load.base_model(folder, "chat", [], 0)
    base = load.base_model(folder, "chat", [], 0, load.WeightStorage(in_4_bits=True))
    rounded = copy.deepcopy(base).dequantize()
    attached = QLORA.attach(base, QLORA.resolve_settings(LOFTQ), "chat")
    shares = {}
    for name, module in attached.named_modules():
        if hasattr(module, "lora_A"):
            path = name.removeprefix("base_model.model.")
            error = unrounded.get_submodule(path).weight.T - rounded.get_submodule(path).weight
            left = error - module.get_delta_weight("default")
            shares[path] = float((left.norm() / error.norm()).detach())
    assert len(shares) == 8
    assert {path: share for path, share in shares.items() if share > 0.75**0.5} == {}


def test_what_was_trained_from_it_comes_back_the_same_on_a_fresh_4_bit_base(task, trained_job, bases):
    trained = trained_job("qlora", task, LOFTQ)
    tuned = QLORA.load(load_base(trained.job, bases), trained.folder)
    expected = logits(trained.model, trained.job)
    torch.testing.assert_close(logits(tuned, trained.job), expected, rtol=0, atol=1e-6)
    merged = QLORA.merge(load_base(trained.job, bases), trained.folder)
    torch.testing.assert_close(logits(merged, trained.job), expected, rtol=0, atol=1e-4)


@pytest.mark.thorough
def test_the_base_is_measured_without_the_start(make_plan):
    losses = []
    for settings in ({}, LOFTQ):
        run = runs.create(make_plan("qlora", "chat", settings, epochs=1, eval_count=1))
        worker.run(run.id)
        losses.append(runs.report(run)["before"]["loss"])
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)
