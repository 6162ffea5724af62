"""Texts behind one another in one row, so that a micro batch has no padding; each attends within itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import masking_utils

from studio.data import collate
from studio.plan import Task

Attend = Callable[..., torch.Tensor]


def can_pack(model: Any, task: Task) -> bool:
    """Whether the texts of a micro batch can go through a model packed.

    That is a causal model: a classifier pools each row, and PEFT's prompt methods put positions before each
    row.
    """
    if task == "classify" or collate.get_prompt_config(model) is not None:
        return False
    return bool(model.config.get_text_config()._attn_implementation == "sdpa")


@dataclass
class _Texts:
    """The texts of the packed row that is on its way through the model.

    Attributes:
        lengths: How many tokens each has, as the collator told; empty where rows are padded.
        places: Where each token stands in padded rows behind one another, if a GPU attends in those.
    """

    lengths: tuple[int, ...] = ()
    places: torch.Tensor | None = None


@contextmanager
def attending_within_texts(model: Any, in_one_kernel: bool | None = None) -> Iterator[None]:
    """Within, the attention of a packed row is computed for each of its texts, without a mask.

    A mask for all of a row would let each token be compared with all the others, only to forget most of the
    results. A CPU attends text by text. A GPU takes one kernel for all of them: for the attention alone the
    texts are moved into padded rows. How long they are the batch tells, so that nobody has to wait for a GPU
    to know.

    Args:
        model: The model.
        in_one_kernel: Whether it is done in one kernel; left out, as suits the device that the model is on.
    """
    if in_one_kernel is None:
        in_one_kernel = model.device.type != "cpu"
    sdpa, find_packed = functional.scaled_dot_product_attention, masking_utils.find_packed_sequence_indices
    shortest_window = int(getattr(model.config.get_text_config(), "sliding_window", None) or 0)
    texts = _Texts()

    def exceeds_window() -> bool:
        return 0 < shortest_window < max(texts.lengths, default=0)

    def note_texts(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        kwargs = dict(kwargs)
        texts.lengths = kwargs.pop("text_lengths", ())
        if texts.lengths and in_one_kernel:
            positions = kwargs["position_ids"].flatten()
            texts.places = (positions.eq(0).cumsum(0) - 1) * max(texts.lengths) + positions
        return args, kwargs

    def find_packed_where_needed(position_ids: torch.Tensor) -> Any:
        """No mask keeps texts apart, but where a window is cut out of it; a look would wait for a GPU."""
        return find_packed(position_ids) if exceeds_window() else None

    def attend(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        **kwargs: Any,
    ) -> torch.Tensor:
        if not texts.lengths:
            return sdpa(query, key, value, attn_mask, dropout_p=dropout_p, is_causal=is_causal, **kwargs)
        mask = attn_mask if exceeds_window() else None

        def attend_causally(
            query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None
        ) -> torch.Tensor:
            return sdpa(query, key, value, mask, dropout_p=dropout_p, is_causal=mask is None, **kwargs)

        attend_row = _attend_one_by_one if texts.places is None else _attend_in_rows
        return attend_row(texts, (query, key, value), mask, attend_causally)

    handle = model.register_forward_pre_hook(note_texts, with_kwargs=True)
    functional.scaled_dot_product_attention = attend  # type: ignore[assignment] # takes what it passes on
    masking_utils.find_packed_sequence_indices = find_packed_where_needed
    try:
        yield
    finally:
        masking_utils.find_packed_sequence_indices = find_packed
        functional.scaled_dot_product_attention = sdpa
        handle.remove()


def _attend_one_by_one(
    texts: _Texts, row: tuple[torch.Tensor, ...], mask: torch.Tensor | None, attend: Attend
) -> torch.Tensor:
    """The attention of a packed row: 1 x heads x tokens x width, one text after the other."""
    outputs, start = [], 0
    for length in texts.lengths:
        text = slice(start, start + length)
        pieces = (tensor[..., text, :] for tensor in row)
        outputs.append(attend(*pieces, mask=None if mask is None else mask[..., text, text]))
        start += length
    return torch.cat(outputs, dim=-2)


def _attend_in_rows(
    texts: _Texts, row: tuple[torch.Tensor, ...], mask: torch.Tensor | None, attend: Attend
) -> torch.Tensor:
    """The attention of a packed row: 1 x heads x tokens x width, with the texts in padded rows.

    Padding comes behind each text, where no token of it looks.
    """
    lengths, longest, places = texts.lengths, max(texts.lengths), texts.places
    assert places is not None

    def pad(tensor: torch.Tensor) -> torch.Tensor:
        tokens = tensor.transpose(1, 2).flatten(0, 1)
        rows = tokens.new_zeros(len(lengths) * longest, *tokens.shape[1:]).index_copy_(0, places, tokens)
        return rows.view(len(lengths), longest, *tokens.shape[1:]).transpose(1, 2)

    if mask is not None:  # what the longest text may see, every shorter one may as far as it goes
        start = sum(lengths[: lengths.index(longest)])
        mask = mask[..., start : start + longest, start : start + longest]
    rows = attend(*map(pad, row), mask=mask)
    return rows.transpose(1, 2).flatten(0, 1).index_select(0, places)[None].transpose(1, 2)
