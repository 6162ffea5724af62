"""Writes the answers of a batch: each leaves the batch when it ends, and equal prompts are read once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class RowHooks:
    """What treats the rows of a batch differently.

    Attributes:
        forward: Computes each pass in the model's stead: called with `rows`, the places of those that are
            left, and the model's inputs by name.
        streamers: A streamer of transformers' for each row.
    """

    forward: Callable[..., Any]
    streamers: Sequence[Any]


def decode(
    model: Any,
    input_ids: torch.Tensor,
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: Any,
    row_hooks: RowHooks | None = None,
    **model_kwargs: Any,
) -> torch.Tensor:
    """Generate as transformers does, without what nobody reads: `model.generate(custom_generate=decode)`.

    A row that has ended leaves the batch, and of rows with the same prompt one is read for all. Greedy
    answers stay the same; samples are drawn from the same distribution, with other random numbers.

    Args:
        model: The model.
        input_ids: The prompts, padded on the left: rows x tokens.
        logits_processor: Makes scores of the logits of the rows that are left.
        stopping_criteria: Tells which of the rows that are left have ended.
        generation_config: Whether to sample, and what to pad with.
        row_hooks: What treats the rows differently; None where they are all the same to the model.
        model_kwargs: The model's other inputs.

    Returns:
        Prompts with their answers, padded on the right: rows x tokens.
    """
    prompts, rows = input_ids, torch.arange(len(input_ids), device=input_ids.device)
    written: list[list[int]] = [[] for _ in prompts]
    outputs, model_kwargs = _read_prompts(model, input_ids, row_hooks, model_kwargs)
    while True:
        scores = logits_processor(input_ids, outputs.logits[:, -1].float())
        next_ids = _choose(scores, generation_config.do_sample)
        input_ids = torch.cat([input_ids, next_ids[:, None]], dim=-1)
        places, is_left = rows.tolist(), ~stopping_criteria(input_ids, None)
        for row, token_id, goes_on in zip(places, next_ids.tolist(), is_left.tolist(), strict=True):
            written[row].append(token_id)
            if row_hooks:
                _stream(row_hooks.streamers[row], token_id, goes_on)
        unfinished = is_left.nonzero().flatten()
        if not len(unfinished):
            return _join(prompts, written, generation_config.pad_token_id)
        if len(unfinished) < len(rows):
            model_kwargs = _select_rows(model_kwargs, len(rows), unfinished)
            rows, input_ids = rows[unfinished], input_ids[unfinished]
        next_length = 1 if model_kwargs["use_cache"] else None
        inputs = model.prepare_inputs_for_generation(
            input_ids, next_sequence_length=next_length, **model_kwargs
        )
        outputs = _compute(model, row_hooks, rows, inputs)
        model_kwargs = model._update_model_kwargs_for_generation(outputs, model_kwargs)


def _read_prompts(
    model: Any, input_ids: torch.Tensor, row_hooks: RowHooks | None, model_kwargs: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The outputs of the first pass, whose last logits are those of each row, and the next pass's inputs."""
    n_rows = len(input_ids)
    first, copies = torch.arange(n_rows), torch.arange(n_rows)
    if row_hooks is None:
        first, copies = _find_equal_rows(input_ids, model_kwargs.get("attention_mask"))
    has_copies = len(first) < n_rows
    if has_copies:
        model_kwargs = _select_rows(model_kwargs, n_rows, first.to(input_ids.device))
    read_ids = input_ids[first.to(input_ids.device)]
    inputs = model.prepare_inputs_for_generation(read_ids, is_first_iteration=True, **model_kwargs)
    outputs = _compute(model, row_hooks, first, inputs)
    model_kwargs = model._update_model_kwargs_for_generation(outputs, model_kwargs)
    if has_copies:
        copies = copies.to(input_ids.device)
        outputs.logits = outputs.logits[copies]
        model_kwargs = _select_rows(model_kwargs, len(first), copies)
    return outputs, model_kwargs


def _find_equal_rows(
    input_ids: torch.Tensor, attention_mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The place of the first of each kind of rows, and for each row the kind that it is of."""
    tokens = input_ids.tolist()
    masks = tokens if attention_mask is None else attention_mask.tolist()
    kinds: dict[tuple[Any, ...], int] = {}
    first: list[int] = []
    copies: list[int] = []
    for row, key in enumerate(zip(map(tuple, tokens), map(tuple, masks), strict=True)):
        if key not in kinds:
            kinds[key] = len(first)
            first.append(row)
        copies.append(kinds[key])
    return torch.tensor(first), torch.tensor(copies)


def _select_rows(model_kwargs: dict[str, Any], n_rows: int, places: torch.Tensor) -> dict[str, Any]:
    """The inputs of some of the rows; what is the same for all rows stays."""
    selected = {}
    for name, value in model_kwargs.items():
        if name == "past_key_values" and value is not None:
            value.reorder_cache(places)
        is_by_row = isinstance(value, torch.Tensor) and value.dim() > 1 and len(value) == n_rows
        selected[name] = value[places] if is_by_row else value
    return selected


def _compute(model: Any, row_hooks: RowHooks | None, rows: torch.Tensor, inputs: dict[str, Any]) -> Any:
    if row_hooks is None:
        return model(**inputs, return_dict=True)
    return row_hooks.forward(rows=rows.tolist(), **inputs)


def _choose(scores: torch.Tensor, do_sample: bool) -> torch.Tensor:
    if not do_sample:
        return scores.argmax(dim=-1)
    return torch.multinomial(scores.softmax(dim=-1), num_samples=1).squeeze(1)


def _stream(streamer: Any, token_id: int, goes_on: bool) -> None:
    streamer.put(torch.tensor([token_id]))
    if not goes_on:
        streamer.end()


def _join(prompts: torch.Tensor, written: Sequence[list[int]], pad_token_id: int) -> torch.Tensor:
    width = max(map(len, written))
    answers = [ids + [pad_token_id] * (width - len(ids)) for ids in written]
    return torch.cat([prompts, torch.tensor(answers, device=prompts.device)], dim=-1)
