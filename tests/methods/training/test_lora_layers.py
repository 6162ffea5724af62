"""The studio's LoRA layers learn what PEFT's learn, with fewer operations."""

import pytest
import torch
from model_families import GROUPED
from peft.tuners import lora as peft_lora
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig, AutoModelForCausalLM

from studio import methods
from studio.methods.training import lora_layers, supervised
from studio.methods.training.lora_layers import PlainLinear
from studio.models.cpu_attention import short_texts_in_float32

IDS = torch.randint(0, 300, (2, 9), generator=torch.Generator().manual_seed(3))


class CountsOps(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


def attached(family="llama", dtype=torch.float32, **settings):
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **GROUPED), dtype=dtype)
    method = methods.get("lora")
    model = method.attach(base, method.resolve_settings(settings), "chat").train()
    supervised.upcast_trainable(model)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(0, 0.05)
    return model


def one_step(model, in_bf16=False):
    """The loss of a batch and the gradients of what is trained, by name, and the operations it took."""
    with CountsOps() as counter, torch.autocast("cpu", dtype=torch.bfloat16, enabled=in_bf16):
        loss = model(input_ids=IDS, labels=IDS).loss
        loss.backward()
    gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    return loss.item(), gradients, counter.count


@pytest.fixture
def as_peft_has_it(monkeypatch):
    return lambda: monkeypatch.setattr(lora_layers, "register", lambda config, model: None)


@pytest.mark.parametrize("family", ["llama", "qwen2"])  # without biases and with
def test_a_step_learns_the_same_as_with_pefts_layers(family, as_peft_has_it):
    loss, gradients, count = one_step(attached(family))
    as_peft_has_it()
    peft_loss, peft_gradients, peft_count = one_step(attached(family))
    assert loss == peft_loss
    assert gradients.keys() == peft_gradients.keys()
    assert len(gradients) == 2 * 2 * 7  # A and B of seven matrices in two blocks
    torch.testing.assert_close(gradients, peft_gradients)
    assert count < peft_count


def test_under_autocast_it_learns_the_same_within_rounding_in_far_fewer_operations(as_peft_has_it):
    loss, gradients, count = one_step(attached(dtype=torch.bfloat16), in_bf16=True)
    as_peft_has_it()
    peft_loss, peft_gradients, peft_count = one_step(attached(dtype=torch.bfloat16), in_bf16=True)
    assert loss == pytest.approx(peft_loss, rel=2**-8)
    for name, gradient in gradients.items():
        assert gradient.dtype is torch.float32
        assert (gradient - peft_gradients[name]).norm() < 0.05 * peft_gradients[name].norm()
    assert peft_count - count >= 14 * 8  # for each of the 14 matrices at least eight less


def test_the_scaling_is_that_of_its_settings(as_peft_has_it):
    loss, _, _ = one_step(attached(alpha=7.0, rank=5))
    as_peft_has_it()
    peft_loss, _, _ = one_step(attached(alpha=7.0, rank=5))
    assert loss == pytest.approx(peft_loss, rel=1e-6)


@pytest.mark.parametrize("settings", [{"dropout": 0.1}, {"dora": True}])
def test_what_is_not_plain_stays_pefts(settings):
    layers = [module for module in attached(**settings).modules() if isinstance(module, peft_lora.Linear)]
    assert layers
    assert not any(isinstance(layer, PlainLinear) for layer in layers)


def test_without_the_adapter_the_base_answers():
    model = attached()
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **GROUPED))
    assert not model(IDS).logits.allclose(base(IDS).logits)
    with model.disable_adapter():
        assert model(IDS).logits.equal(base(IDS).logits)


def test_it_is_saved_as_any_lora(tmp_path):
    model = attached()
    model.save_pretrained(tmp_path)
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **GROUPED))
    reloaded = methods.get("lora").load(base, tmp_path)
    with torch.no_grad():
        assert model.eval()(IDS).logits.equal(reloaded(IDS).logits)
        assert torch.allclose(model.merge_and_unload()(IDS).logits, reloaded(IDS).logits, atol=1e-5)


def test_a_text_scores_the_same_in_training_with_gradients_and_without():
    """RLOO divides one by the other: the ratio is 1 where nothing was learned in between."""
    model = attached()
    with torch.autocast("cpu", dtype=torch.bfloat16), short_texts_in_float32(every_pass=True):
        learned_from = model(input_ids=IDS).logits
        with torch.no_grad():
            scored = model(input_ids=IDS).logits
    assert torch.equal(learned_from, scored)
