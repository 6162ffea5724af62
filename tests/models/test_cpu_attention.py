"""Attention of short texts stays in 32 bits under autocast on a CPU, and nothing else changes."""

import pytest
import torch
from torch.nn import functional

from studio.models import cpu_attention


def heads(tokens, requires_grad=True):
    torch.manual_seed(0)
    return [torch.randn(1, 2, tokens, 8, requires_grad=requires_grad) for _ in range(3)]


@pytest.mark.parametrize(
    ("tokens", "requires_grad", "dtype"),
    [(256, True, torch.float32), (257, True, torch.bfloat16), (8, False, torch.bfloat16)],
)
def test_short_texts_that_are_learned_from_are_computed_in_32_bits(tokens, requires_grad, dtype):
    with cpu_attention.short_texts_in_float32(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert functional.scaled_dot_product_attention(*heads(tokens, requires_grad)).dtype is dtype


def test_where_texts_are_scored_twice_both_passes_are_the_same_and_single_tokens_are_as_ever():
    query, key, value = heads(8)
    with cpu_attention.short_texts_in_float32(every_pass=True), torch.autocast("cpu", dtype=torch.bfloat16):
        attend = functional.scaled_dot_product_attention
        learned_from = attend(query, key, value)
        with torch.no_grad():
            scored = attend(query.detach(), key.detach(), value.detach())
            written = attend(query[..., -1:, :].detach(), key.detach(), value.detach())
    assert torch.equal(scored, learned_from)
    assert written.dtype is torch.bfloat16


@pytest.mark.parametrize("mask_dtype", [torch.bool, torch.float32, torch.bfloat16])
def test_it_is_the_same_attention_with_its_mask(mask_dtype):
    query, key, value = heads(5)
    is_visible = torch.tensor([[True, True, True, False, False]]).expand(5, 5)
    expected = functional.scaled_dot_product_attention(query, key, value, is_visible)
    mask = is_visible
    if mask_dtype is not torch.bool:
        mask = torch.zeros(5, 5).masked_fill(~is_visible, -1e4).to(mask_dtype)
    with cpu_attention.short_texts_in_float32(), torch.autocast("cpu", dtype=torch.bfloat16):
        half = [tensor.detach().requires_grad_() for tensor in (query, key, value)]
        attended = functional.scaled_dot_product_attention(*half, attn_mask=mask)
    torch.testing.assert_close(attended, expected)


def test_without_autocast_and_behind_it_attention_is_torchs_own():
    original = functional.scaled_dot_product_attention
    query, key, value = (tensor.detach().bfloat16().requires_grad_() for tensor in heads(8))
    with cpu_attention.short_texts_in_float32():
        assert functional.scaled_dot_product_attention(query, key, value).dtype is torch.bfloat16
    assert functional.scaled_dot_product_attention is original
