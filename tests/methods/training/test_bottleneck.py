"""The bottleneck tuner is registered with PEFT, and one layer computes what it should."""

import torch
from peft import PeftType

from studio.methods.training import bottleneck


def test_peft_knows_the_type_and_knowing_it_twice_changes_nothing():
    assert bottleneck._register_peft_type() is bottleneck._register_peft_type()
    assert PeftType("BOTTLENECK") in PeftType


def test_one_layer_adds_up_of_relu_of_down_by_hand():
    linear = torch.nn.Linear(2, 2, bias=False)
    linear.weight.data = torch.eye(2)
    layer = bottleneck.BottleneckLayer(linear, "default", bottleneck.BottleneckConfig(size=1))
    layer.bottleneck_down["default"].weight.data = torch.tensor([[1.0, -1.0]])
    layer.bottleneck_down["default"].bias.data = torch.tensor([0.5])
    layer.bottleneck_up["default"].weight.data = torch.tensor([[2.0], [0.0]])
    # `down` gives 3 - 1 + 0.5 = 2.5, `up` adds twice that to the first output; the other way round ReLU gives
    # 0.
    assert layer(torch.tensor([[3.0, 1.0]])).tolist() == [[8.0, 1.0]]
    assert layer(torch.tensor([[1.0, 3.0]])).tolist() == [[1.0, 3.0]]
