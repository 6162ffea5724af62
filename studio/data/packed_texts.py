"""Texts behind one another in one row, so that a micro batch has no padding; each attends within itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

from studio.data import collate
from studio.plan import Task


def can_pack(model: Any, task: Task) -> bool:
    """Whether the texts of a micro batch go through a model packed.

    That is a causal model on a CPU: a classifier pools each row, PEFT's prompt methods put positions before
    each row, and a GPU is faster with one kernel for padded rows than with one for each text.
    """
    if task == "classify" or model.device.type != "cpu" or collate.get_prompt_config(model) is not None:
        return False
    return bool(model.config.get_text_config()._attn_implementation == "sdpa")


@contextmanager
def attending_within_texts(model: Any) -> Iterator[None]:
    """Within, the attention of a packed row is computed for each of its texts, without a mask.

    The texts of a row begin where its position ids do (`collate.build_collator`); batches without position
    ids are padded ones. A mask for all of a row would let each token be compared with all the others, only to
    forget most of the results.
    """
    sdpa = functional.scaled_dot_product_attention
    shortest_window = getattr(model.config.get_text_config(), "sliding_window", None)
    text_lengths: list[int] = []

    def note_lengths(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        text_lengths.clear()
        if "position_ids" in kwargs:
            (position_ids,) = kwargs["position_ids"]
            starts = (position_ids == 0).nonzero().flatten()
            text_lengths.extend(torch.diff(starts, append=torch.tensor([len(position_ids)])).tolist())

    def attend(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        **kwargs: Any,
    ) -> torch.Tensor:
        if not text_lengths:
            return sdpa(query, key, value, attn_mask, dropout_p=dropout_p, is_causal=is_causal, **kwargs)
        outputs, start = [], 0
        for length in text_lengths:
            text = slice(start, start + length)
            text_mask = None
            if attn_mask is not None and shortest_window and length > shortest_window:
                text_mask = attn_mask[..., text, text]
            outputs.append(
                sdpa(
                    query[..., text, :],
                    key[..., text, :],
                    value[..., text, :],
                    text_mask,
                    dropout_p=dropout_p,
                    is_causal=text_mask is None,
                    **kwargs,
                )
            )
            start += length
        return torch.cat(outputs, dim=-2)

    handle = model.register_forward_pre_hook(note_lengths, with_kwargs=True)
    functional.scaled_dot_product_attention = attend  # type: ignore[assignment] # takes what it passes on
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = sdpa
        handle.remove()
