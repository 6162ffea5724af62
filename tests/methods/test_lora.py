"""LoRA+ trains the second matrix of each pair faster than the first, and nothing else differs."""

import pytest
import torch
from method_helpers import parameters

from studio import methods

RATE, RATIO = 1e-3, 8.0


def first_steps(job):
    """How far each kind of parameter moved at most in training."""
    before = parameters(job.model)
    methods.get(job.plan.method.name).train(job)
    moved = {"lora_A": 0.0, "lora_B": 0.0, "classifier": 0.0}
    for name, value in job.model.named_parameters():
        kind = next((kind for kind in moved if kind in name), None)
        if kind and not name.endswith("bias") and value.requires_grad:
            moved[kind] = max(moved[kind], float((value.detach() - before[name]).abs().max()))
    return moved


@pytest.mark.parametrize("name", ["lora", "qlora"])
def test_the_second_matrix_learns_so_many_times_faster(name, make_job):
    # Adam's first step is the learning rate, whatever the gradient; rows and batch make one step.
    training = {"rows": 8, "batch_size": 8, "learning_rate": RATE, "lr_scheduler_type": "constant"}
    job = make_job(name, "classify", {"loraplus_lr_ratio": RATIO, "dropout": 0.0}, **training)
    moved = first_steps(job)
    assert moved["lora_B"] == pytest.approx(RATIO * RATE, rel=0.02)
    # A has no gradient while B is 0, so only the head moves at the rate itself.
    assert moved["lora_A"] == 0
    assert moved["classifier"] == pytest.approx(RATE, rel=0.02)
    plain = make_job(name, "classify", {"dropout": 0.0}, **training)
    assert first_steps(plain)["lora_B"] == pytest.approx(RATE, rel=0.02)


def test_a_ratio_of_one_is_lora(make_job):
    results = []
    for settings in ({}, {"loraplus_lr_ratio": 1.0}):
        job = make_job("lora", "chat", settings, learning_rate=RATE)
        methods.get("lora").train(job)
        results.append(parameters(job.model))
    assert all(torch.equal(value, results[1][name]) for name, value in results[0].items())
