"""SimPO and ORPO learn the same as with TRL's own losses, without all logits at once."""

import copy
import dataclasses

import pytest
import torch

from studio.methods.rlhf_stages import direct

CHUNKED = ("simpo", "orpo")


@pytest.fixture
def build_trainer(make_recorded_job):
    """`build_trainer(algorithm)`: the studio's trainer of an algorithm, whose LoRA has learned something."""

    def build(algorithm):
        job, _ = make_recorded_job(settings={"algorithm": algorithm, "sft": False}, rows=12)
        policy = job.model.unload()
        trainer = direct._build_trainer(
            dataclasses.replace(job, model=policy),
            policy,
            algorithm,
            direct._encode(job, job.examples[0], algorithm),
        )
        torch.manual_seed(0)
        for parameter in trainer.model.parameters():
            if parameter.requires_grad:
                parameter.data = 0.05 * torch.randn_like(parameter)
        return trainer

    return build


def measure(trainer, trainer_class):
    """The loss of a batch of pairs by a class of trainers, what is logged, and the gradient of the LoRA."""
    batch = next(iter(trainer.get_train_dataloader()))
    model = copy.deepcopy(trainer.model)
    loss, logged = trainer_class.get_batch_loss_metrics(trainer, model, batch)
    loss.backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return loss.item(), logged, torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize("algorithm", CHUNKED)
def test_loss_and_gradients_are_those_of_trl(algorithm, build_trainer, monkeypatch):
    trainer = build_trainer(algorithm)
    chunked_loss, chunked_log, chunked_gradient = measure(trainer, type(trainer))
    (mixin,) = [kind for kind in type(trainer).__mro__ if kind.__name__ == "ChunkedPairs"]
    monkeypatch.delattr(mixin, "concatenated_forward")
    loss, log, gradient = measure(trainer, type(trainer))
    assert chunked_loss == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(chunked_gradient, gradient, rtol=1e-4, atol=1e-6)
    for name in ("rewards/accuracies", "rewards/margins", "nll_loss"):
        assert chunked_log[name] == pytest.approx(log[name], abs=1e-5)
