"""The bottleneck adapter is a PEFT tuner: saved, swapped, switched off, unloaded, and never merged."""

import copy

import pytest
import torch
from method_helpers import load_base, logits
from peft import PeftModel

from studio.methods import adapter
from studio.models import shape


@pytest.fixture(scope="module")
def trained(trained_job):
    return trained_job("adapter", "chat")


@pytest.fixture
def model(trained):
    """A copy of the trained model that a test may take apart."""
    return copy.deepcopy(trained.model)


def test_counted_by_hand(bases):
    tiny = shape.from_folder(bases("chat"))
    houlsby = adapter.count_parameters(tiny, {"size": 4, "placement": "houlsby"}, 0)
    # down 32->4 with 4 biases, up 4->32 with 32, in two places of two layers
    assert houlsby.trainable == 2 * 2 * (128 + 4 + 128 + 32)
    pfeiffer = adapter.count_parameters(tiny, {"size": 4, "placement": "pfeiffer"}, 0)
    assert pfeiffer.trainable * 2 == houlsby.trainable


def test_switched_off_it_is_the_base_and_switched_on_again_it_is_back(model, trained, bases):
    job = trained.job
    switched_on = logits(model, job)
    with model.disable_adapter():
        assert torch.equal(logits(model, job), logits(load_base(job, bases), job))
    assert torch.equal(logits(model, job), switched_on)


def test_two_adapters_take_turns_on_one_loaded_base(trained, trained_job, bases):
    job, second = trained.job, trained_job("adapter", "chat", learning_rate=3e-2)
    swapping = PeftModel.from_pretrained(load_base(job, bases), trained.folder)
    swapping.load_adapter(second.folder, "second")
    assert torch.equal(logits(swapping, job), logits(trained.model, job))
    swapping.set_adapter("second")
    assert torch.equal(logits(swapping, job), logits(second.model, job))


def test_unloaded_it_leaves_the_base_as_it_was(model, trained, bases):
    job = trained.job
    assert torch.equal(logits(model.unload(), job), logits(load_base(job, bases), job))


def test_it_says_that_it_cannot_be_merged(model):
    with pytest.raises(ValueError, match="cannot be merged"):
        model.merge_and_unload()
