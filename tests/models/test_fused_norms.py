"""RMS norms in one kernel: those that are Llama's, on a GPU, with the same result."""

import pytest
import torch
from model_families import GROUPED
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from studio.models.fused_norms import fused_norms

IDS = torch.arange(12)[None]
# Families, and how many norms of two blocks are Llama's: two a block and one at the end, and where queries
# and keys have one each, four a block. Gemma adds 1 to the weights.
FAMILIES = {"llama": 5, "mistral": 5, "qwen2": 5, "qwen3": 9, "gemma3_text": 0}


def build(family, dtype=torch.float32):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **GROUPED), dtype=dtype)


@pytest.fixture
def calls(monkeypatch):
    found, rms_norm = [], functional.rms_norm

    def note(hidden, *args):
        found.append(hidden.dtype)
        return rms_norm(hidden, *args)

    monkeypatch.setattr(functional, "rms_norm", note)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_the_norms_of_llama_are_taken_with_the_same_loss_and_gradients(family, calls):
    plain, fused = build(family), build(family)
    expected = plain(IDS, labels=IDS).loss
    expected.backward()
    with fused_norms(fused, "cuda"):
        loss = fused(IDS, labels=IDS).loss
        loss.backward()
    assert len(calls) == FAMILIES[family]
    torch.testing.assert_close(loss, expected)
    for value, other in zip(fused.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(value.grad, other.grad, rtol=1e-4, atol=1e-6)


def test_afterwards_and_on_a_processor_they_are_transformers_own(calls):
    model = build("llama")
    with fused_norms(model):
        model(IDS)
    with fused_norms(model, "cuda"):
        pass
    model(IDS)
    assert calls == []


def test_of_different_formats_transformers_makes_what_it_makes(calls):
    model = build("llama", torch.bfloat16)
    model.model.norm.weight.data = model.model.norm.weight.data.float()
    with fused_norms(model, "cuda"):
        assert model.model(IDS).last_hidden_state.dtype is torch.float32
    assert calls == [torch.bfloat16] * 4


@pytest.fixture
def cuda_autocast():
    was_enabled, was_dtype = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", torch.bfloat16)
    yield
    torch.set_autocast_enabled("cuda", was_enabled)
    torch.set_autocast_dtype("cuda", was_dtype)


@torch.no_grad()
def test_autocast_of_a_gpu_leaves_a_norm_in_16_bits(cuda_autocast):
    """Tensors without numbers take the paths of CUDA on a machine that has none."""
    with FakeTensorMode() as mode:
        weight, hidden = (
            FakeTensor(mode, torch.empty(shape, dtype=torch.bfloat16, device="meta"), torch.device("cuda"))
            for shape in ((64,), (2, 3, 64))
        )
        norm = LlamaRMSNorm(64)
        norm.weight = torch.nn.Parameter(weight, requires_grad=False)
        assert functional.rms_norm(hidden, (64,), norm.weight).dtype is torch.float32
        with fused_norms(norm, "cuda"):
            assert norm(hidden).dtype is torch.bfloat16
