"""The bottleneck tuner is registered with PEFT, and one layer computes what it should."""

import torch
from peft import PeftType
from torch.utils._python_dispatch import TorchDispatchMode

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


class NotesCopies(TorchDispatchMode):
    """Notes the size of each tensor that is copied to another format, and the new format."""

    def __init__(self):
        super().__init__()
        self.copies = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function is torch.ops.aten._to_copy.default:
            self.copies.append((result.numel(), result.dtype))
        return result


def test_under_autocast_what_a_base_in_16_bits_gives_is_not_copied_to_32():
    """A step on a GPU: base in bfloat16, adapter in 32 bits, of which alone there are copies."""
    torch.manual_seed(0)
    base = torch.nn.Linear(32, 32, dtype=torch.bfloat16)
    layer = bottleneck.BottleneckLayer(base, "default", bottleneck.BottleneckConfig(size=4)).float()
    base.to(torch.bfloat16)
    layer.bottleneck_up["default"].weight.data.normal_()
    x = torch.randn(8, 16, 32, dtype=torch.bfloat16, requires_grad=True)
    with NotesCopies() as noted, torch.autocast("cpu", dtype=torch.bfloat16):
        layer(x).sum().backward()
    n_values = x.numel()
    assert (n_values, torch.float32) not in noted.copies
    assert (n_values, torch.bfloat16) not in noted.copies
    assert layer.bottleneck_down["default"].weight.grad.dtype is torch.float32


def test_without_autocast_an_adapter_in_32_bits_follows_a_base_in_16():
    """As when answers are written."""
    base = torch.nn.Linear(4, 4, dtype=torch.bfloat16)
    layer = bottleneck.BottleneckLayer(base, "default", bottleneck.BottleneckConfig(size=2))
    layer.bottleneck_down.float(), layer.bottleneck_up.float()
    x = torch.randn(2, 4, dtype=torch.bfloat16)
    assert torch.equal(layer(x), base(x)), "untrained it changes nothing"
