"""Attention of short texts in a training on a CPU: in 32 bits, which is faster there on the way back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

# Up to so many keys 32 bits are as fast or faster, 3.8 times at 32 and 1.9 times at 128 (torch 2.13,
# tests/bench/attention.py; docs/methods.md#attention-on-a-cpu).
MAX_SHORT_KEYS = 256


def is_in_float32(query: torch.Tensor, key: torch.Tensor) -> bool:
    """Whether attention is computed in 32 bits: that of short texts, where gradients go back through it."""
    return bool(query.requires_grad and key.shape[-2] <= MAX_SHORT_KEYS)


@contextmanager
def short_texts_in_float32(every_pass: bool = False) -> Iterator[None]:
    """Within, autocast on a CPU leaves the attention of short texts in 32 bits.

    Args:
        every_pass: Also where no gradients go back: of a text that is scored twice, both scores are the same.
            Answers are written in the format of autocast still, a token at a time.
    """
    sdpa = functional.scaled_dot_product_attention

    def attend(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        is_scored = every_pass and query.shape[-2] > 1 and key.shape[-2] <= MAX_SHORT_KEYS
        is_exact = is_scored or is_in_float32(query, key)
        if not (torch.is_autocast_enabled("cpu") and query.is_cpu and is_exact):
            return sdpa(query, key, value, attn_mask, **kwargs)
        if attn_mask is not None and attn_mask.is_floating_point():
            attn_mask = attn_mask.float()
        with torch.autocast("cpu", enabled=False):
            return sdpa(query.float(), key.float(), value.float(), attn_mask, **kwargs)

    functional.scaled_dot_product_attention = attend  # type: ignore[assignment] # takes what it passes on
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = sdpa
