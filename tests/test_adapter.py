"""The bottleneck adapter is a PEFT tuner like any other.

It starts as nothing, is saved, swapped, switched off, and never merged.
"""

import pytest
import torch
from peft import PeftModel, PeftType

from studio import methods
from studio.methods import adapter
from studio.methods.training import bottleneck
from studio.models import load, shape


def answers(model, job):
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([job.train[0].input_ids])).logits


@pytest.fixture
def learned(make_job, tmp_path):
    """A trained adapter job, with the adapter saved in `tmp_path / "one"`."""
    job = make_job("adapter", "chat")
    methods.get("adapter").train(job)
    methods.get("adapter").save(job.model, tmp_path / "one", "someone/base")
    return job


def test_peft_knows_the_type_and_knowing_it_twice_changes_nothing():
    assert bottleneck._register_peft_type() is bottleneck._register_peft_type()
    assert PeftType("BOTTLENECK") in PeftType


def test_counted_by_hand(bases):
    found = adapter.count_parameters(shape.from_folder(bases("chat")), {"size": 4, "placement": "houlsby"}, 0)
    # down 32->4 with 4 biases, up 4->32 with 32, in two places of two layers
    assert found.trainable == 2 * 2 * (128 + 4 + 128 + 32)
    half = adapter.count_parameters(shape.from_folder(bases("chat")), {"size": 4, "placement": "pfeiffer"}, 0)
    assert half.trainable * 2 == found.trainable


def test_one_layer_adds_up_of_relu_of_down_by_hand():
    plain = torch.nn.Linear(2, 2, bias=False)
    plain.weight.data = torch.eye(2)
    layer = bottleneck.BottleneckLayer(plain, "default", bottleneck.BottleneckConfig(size=1))
    layer.bottleneck_down["default"].weight.data = torch.tensor([[1.0, -1.0]])
    layer.bottleneck_down["default"].bias.data = torch.tensor([0.5])
    layer.bottleneck_up["default"].weight.data = torch.tensor([[2.0], [0.0]])
    # down gives 3 - 1 + 0.5 = 2.5, up adds twice that to the first number; the other way round relu lets
    # nothing through
    assert layer(torch.tensor([[3.0, 1.0]])).tolist() == [[8.0, 1.0]]
    assert layer(torch.tensor([[1.0, 3.0]])).tolist() == [[1.0, 3.0]]


def test_switched_off_it_is_the_base_and_switched_on_again_it_is_back(learned, bases):
    base = load.base_model(bases("chat"), "chat")
    on = answers(learned.model, learned)
    with learned.model.disable_adapter():
        assert torch.equal(answers(learned.model, learned), answers(base, learned))
    assert torch.equal(answers(learned.model, learned), on)


def test_two_adapters_take_turns_on_one_loaded_base(learned, bases, make_job, tmp_path):
    other = make_job("adapter", "chat", learning_rate=3e-2)
    methods.get("adapter").train(other)
    methods.get("adapter").save(other.model, tmp_path / "two", "someone/base")
    both = PeftModel.from_pretrained(load.base_model(bases("chat"), "chat"), tmp_path / "one")
    both.load_adapter(tmp_path / "two", "second")
    assert torch.equal(answers(both, learned), answers(learned.model, learned))
    both.set_adapter("second")
    assert torch.equal(answers(both, learned), answers(other.model, learned))


def test_unloaded_it_leaves_the_base_as_it_was(learned, bases):
    base = load.base_model(bases("chat"), "chat")
    assert torch.equal(answers(learned.model.unload(), learned), answers(base, learned))


def test_it_says_that_it_cannot_be_merged(learned):
    with pytest.raises(ValueError, match="cannot be merged"):
        learned.model.merge_and_unload()
