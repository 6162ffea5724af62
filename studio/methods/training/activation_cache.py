"""The frozen bottom of a model: kept at rest while the top learns, and computed once for each example instead of once a round."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from studio.data.examples import Encoded
from studio.errors import OutOfDiskSpace
from studio.i18n import Message
from studio.methods.spec import TrainingContext
from studio.methods.training import supervised
from studio.models import layers
from studio.storage import require_disk_space

# The part of the free memory that kept outputs may take; more goes to the disk.
MAX_MEMORY_SHARE = 0.25
MAX_BATCH_TOKENS = 4096
CACHED_ON_DISK = Message(
    "Memory is short, so the output of the frozen layers ({mb:,.0f} MB) is kept on the disk: the losses are the same, each step takes a little longer."
)
NO_SPACE_FOR_CACHE = Message(
    "Neither memory nor disk has room for the output of the frozen layers ({mb:,.0f} MB), so they are run anew in every round: the losses are the same, the training takes longer."
)


class _ReachedTrainable(Exception):
    """Carries what arrives at the first block that learns, and ends the pass there."""

    def __init__(self, hidden: torch.Tensor) -> None:
        self.hidden = hidden


class SkippedBlock(torch.nn.Module):  # type: ignore[misc] # torch's types are not followed
    """Stands where a frozen block was, and passes on what it gets."""

    def __init__(self, block: torch.nn.Module) -> None:
        super().__init__()
        self.attention_type = getattr(
            block, "attention_type", None
        )  # some models choose a block's mask by it

    def forward(self, hidden: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """Hidden states, unchanged."""
        return hidden


class CachedHidden(torch.nn.Module):  # type: ignore[misc] # torch's types are not followed
    """Stands where the embeddings were, and gives the frozen bottom's output of the rows a batch names.

    `hidden` is tokens x width over all rows one after the other, `reach` each row's first token and the one after its last.
    """

    def __init__(self, hidden: torch.Tensor, row_spans: list[tuple[int, int]], device: torch.device) -> None:
        super().__init__()
        self.hidden, self.row_spans, self.device = hidden, row_spans, device
        self.batch_hidden = torch.empty(0)

    def load_rows(self, module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Before a pass: take the rows' numbers out of the batch and lay their outputs ready, padded with zeros."""
        row_indices = kwargs.pop("row_index").tolist()
        width = kwargs["input_ids"].shape[1]
        self.batch_hidden = torch.zeros(
            len(row_indices), width, self.hidden.shape[1], dtype=self.hidden.dtype, device=self.device
        )
        for position, row_index in enumerate(row_indices):
            start, end = self.row_spans[row_index]
            self.batch_hidden[position, : end - start] = self.hidden[start:end].to(self.device)
        return args, kwargs

    def forward(self, *_: Any, **__: Any) -> torch.Tensor:
        """Rows x tokens x width of the batch that was looked up."""
        return self.batch_hidden


@contextmanager
def frozen_in_eval_mode(model: Any) -> Iterator[None]:
    """Keep what is frozen in evaluation mode: dropout in parts that do not learn only adds noise."""
    frozen_modules = [layers.get_embeddings(model), *_frozen_blocks(model)]

    def set_eval(*_: Any) -> None:
        for module in frozen_modules:
            module.eval()

    handle = model.register_forward_pre_hook(set_eval)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def cached_activations(job: TrainingContext) -> Iterator[TrainingContext]:
    """Run the frozen bottom once over every example; within, the job's rows are fed from what it gave.

    Where memory has no room for that it is kept on the disk, and where that has none either the plain way is taken; both are noted.
    """
    rows = [dataclasses.replace(row, row_index=index) for index, row in enumerate([*job.train, *job.validation])]
    model, frozen_blocks = job.model, _frozen_blocks(job.model)
    n_tokens = sum(len(row.input_ids) for row in rows)
    n_bytes = n_tokens * model.config.hidden_size * model.dtype.itemsize
    location, messages = _choose_location(job, n_bytes)
    job.add_note(
        "reused",
        {"tokens": n_tokens, "bytes": n_bytes, "where": location},
        *(message.format(mb=n_bytes / 1e6) for message in messages),
    )
    if location == "nowhere":
        with frozen_in_eval_mode(model):
            yield job
        return
    buffer = _allocate_buffer(job, n_tokens, location)
    cache = CachedHidden(buffer, _row_spans(rows), model.device)
    _fill_cache(job, rows, cache)
    all_blocks, original_embeddings = layers.get_blocks(model), layers.get_embeddings(model)
    for index, block in enumerate(frozen_blocks):
        all_blocks[index] = SkippedBlock(block)
    layers.set_embeddings(model, cache)
    handle = model.register_forward_pre_hook(cache.load_rows, with_kwargs=True)
    try:
        yield dataclasses.replace(job, train=rows[: len(job.train)], validation=rows[len(job.train) :])
    finally:
        handle.remove()
        layers.set_embeddings(model, original_embeddings)
        for index, block in enumerate(frozen_blocks):
            all_blocks[index] = block
        (job.folder / "checkpoints" / "bottom.bin").unlink(missing_ok=True)


class DummyEmbeddings(torch.nn.Module):  # type: ignore[misc] # torch's types are not followed
    """Stands where the embeddings were, and gives hidden states that mean nothing: for a rehearsal."""

    def __init__(self, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.width, self.dtype = width, dtype

    def forward(self, input_ids: torch.Tensor | None = None, **_: Any) -> torch.Tensor:
        """Rows x tokens x width."""
        assert input_ids is not None
        return torch.empty(*input_ids.shape, self.width, dtype=self.dtype, device=input_ids.device)


def without_frozen_blocks(model: Any) -> Any:
    """The model as it learns while its bottom's output is reused."""
    for index, block in enumerate(_frozen_blocks(model)):
        layers.get_blocks(model)[index] = SkippedBlock(block)
    layers.set_embeddings(model, DummyEmbeddings(model.config.hidden_size, model.dtype))
    return model


def _frozen_blocks(model: Any) -> list[Any]:
    """The blocks below the first that learns."""
    blocks = list(layers.get_blocks(model))
    first_trainable = next(
        (
            index
            for index, block in enumerate(blocks)
            if any(parameter.requires_grad for parameter in block.parameters())
        ),
        len(blocks),
    )
    return blocks[:first_trainable]


def _row_spans(rows: list[Encoded]) -> list[tuple[int, int]]:
    spans, start = [], 0
    for row in rows:
        spans.append((start, start + len(row.input_ids)))
        start += len(row.input_ids)
    return spans


def _choose_location(job: TrainingContext, n_bytes: int) -> tuple[str, tuple[Message, ...]]:
    """Where so many bytes are kept (memory, disk or nowhere), and what is said of it."""
    if n_bytes < MAX_MEMORY_SHARE * job.free_memory():
        return "memory", ()
    try:
        require_disk_space(job.folder, n_bytes)
    except OutOfDiskSpace:
        return "nowhere", (NO_SPACE_FOR_CACHE,)
    return "disk", (CACHED_ON_DISK,)


def _allocate_buffer(job: TrainingContext, n_tokens: int, location: str) -> torch.Tensor:
    """Room for tokens x width: in memory, or in a file of the run."""
    width, dtype = job.model.config.hidden_size, job.model.dtype
    if location == "memory":
        return torch.empty(n_tokens, width, dtype=dtype)
    path: Path = job.folder / "checkpoints" / "bottom.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    return torch.from_file(str(path), shared=True, size=n_tokens * width, dtype=dtype).view(n_tokens, width)


def _fill_cache(job: TrainingContext, rows: list[Encoded], cache: CachedHidden) -> None:
    """One pass of the bottom over all rows, those of like length together."""
    model, was_training = job.model, job.model.training
    first_trainable = layers.get_blocks(model)[len(_frozen_blocks(model))]

    def catch(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raise _ReachedTrainable(args[0] if args else kwargs["hidden_states"])

    handle = first_trainable.register_forward_pre_hook(catch, with_kwargs=True)
    model.eval()
    order = sorted(rows, key=lambda row: len(row.input_ids))
    n_done = 0
    try:
        while n_done < len(order):
            batch_rows = order[
                n_done : n_done
                + max(1, MAX_BATCH_TOKENS // len(order[min(n_done + 64, len(order) - 1)].input_ids))
            ]
            job.report_progress("bottom", n_done, len(order))
            _run_frozen_blocks(model, batch_rows, job.tokenizer.pad_token_id, cache)
            n_done += len(batch_rows)
    finally:
        handle.remove()
        model.train(was_training)


def _run_frozen_blocks(model: Any, rows: list[Encoded], pad_token_id: int, cache: CachedHidden) -> None:
    width = max(len(row.input_ids) for row in rows)
    input_ids = torch.tensor(
        [row.input_ids + [pad_token_id] * (width - len(row.input_ids)) for row in rows], device=model.device
    )
    mask = torch.tensor(
        [[1] * len(row.input_ids) + [0] * (width - len(row.input_ids)) for row in rows], device=model.device
    )
    training_autocast = torch.autocast(
        input_ids.device.type, dtype=torch.bfloat16, enabled=supervised.uses_bf16()
    )
    try:
        with torch.no_grad(), training_autocast:
            model.base_model(input_ids=input_ids, attention_mask=mask)
    except _ReachedTrainable as reached:
        for row, hidden in zip(rows, reached.hidden, strict=True):
            start, end = cache.row_spans[row.row_index]
            cache.hidden[start:end] = hidden[: end - start].to(cache.hidden.device)
