"""The frozen bottom of a model: in evaluation mode while the top is trained, or run once and cached."""

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from studio.data.examples import Encoded
from studio.errors import OutOfDiskSpace
from studio.i18n import Message
from studio.methods.spec import TrainingContext
from studio.methods.workload import CACHE_BATCH_TOKENS, MAX_CACHE_SHARE
from studio.models import device, layers
from studio.models.fused_norms import fused_norms
from studio.storage import require_disk_space

# Blocks that return their hidden states as the first of a tuple, and do not say so where they return it.
RETURN_TUPLES = ("MPNetLayer", "RwkvBlock")
CACHED_ON_DISK = Message(
    "Memory is short, so the output of the frozen layers ({mb:,.0f} MB) is kept on the disk: the losses are "
    "the same, each step takes a little longer."
)
NO_SPACE_FOR_CACHE = Message(
    "Neither memory nor disk has room for the output of the frozen layers ({mb:,.0f} MB), so they are run "
    "anew in every round: the losses are the same, the training takes longer."
)


class _ReachedTrainable(Exception):
    """Carries the hidden states that arrive at the first trainable block, and ends the pass there."""

    def __init__(self, hidden: torch.Tensor) -> None:
        self.hidden = hidden


class SkippedBlock(torch.nn.Module):  # type: ignore[misc] # torch's types are not followed
    """Takes the place of a frozen block and passes on what it gets."""

    def __init__(self, block: torch.nn.Module) -> None:
        super().__init__()
        # Some models choose a block's mask by it.
        self.attention_type = getattr(block, "attention_type", None)
        self.returns_tuple = type(block).__name__ in RETURN_TUPLES or _ends_in_tuple(type(block).forward)

    def forward(self, hidden: torch.Tensor, *_: Any, **__: Any) -> Any:
        """Hidden states, unchanged."""
        return (hidden,) if self.returns_tuple else hidden


def _ends_in_tuple(function: Any) -> bool:
    """Whether the last return of a function gives a tuple, as its code says it."""
    code = ast.parse(textwrap.dedent(inspect.getsource(function)))
    returned = [node.value for node in ast.walk(code) if isinstance(node, ast.Return)]
    return isinstance(returned[-1], ast.Tuple)


class CachedHidden:
    """Gives the first trainable block the frozen bottom's output for the rows of a batch.

    Args:
        hidden: tokens x width, the rows one after the other.
        row_spans: each row's first token in it, and the one after its last.
        device: where a batch is computed.
    """

    def __init__(self, hidden: torch.Tensor, row_spans: list[tuple[int, int]], device: torch.device) -> None:
        self.hidden, self.row_spans, self.device = hidden, row_spans, device
        self.batch_hidden = torch.empty(0)

    def load_rows(self, module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Before a pass: look up the outputs of the batch's rows by their indices, padded or packed."""
        spans = [self.row_spans[row_index] for row_index in kwargs.pop("row_index")]
        rows = [self.hidden[start:end].to(self.device) for start, end in spans]
        is_packed = "position_ids" in kwargs
        self.batch_hidden = torch.cat(rows)[None] if is_packed else pad_sequence(rows, batch_first=True)
        return args, kwargs

    def replace_input(
        self, block: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Before the first trainable block: what was looked up, in the place of what comes from below."""
        if args:
            return (self.batch_hidden, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": self.batch_hidden}


@contextmanager
def frozen_in_eval_mode(model: Any) -> Iterator[None]:
    """Keep frozen modules in evaluation mode: dropout in parts that do not learn only adds noise."""
    frozen_modules = [*_frozen_children(model), *_frozen_blocks(model)]

    def set_eval(*_: Any) -> None:
        for module in frozen_modules:
            if module.training:
                module.eval()

    handle = model.register_forward_pre_hook(set_eval)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def cached_activations(context: TrainingContext) -> Iterator[TrainingContext]:
    """Run the frozen bottom once over every example; within, the context's rows are fed from the cache.

    Where memory has no space for the cache it is kept on the disk, and where that has none either the bottom
    is run in every step; both are noted.
    """
    train_and_validation = [*context.train, *context.validation]
    rows = [dataclasses.replace(row, row_index=index) for index, row in enumerate(train_and_validation)]
    model = context.model
    n_tokens = sum(len(row.input_ids) for row in rows)
    n_bytes = n_tokens * model.config.hidden_size * model.dtype.itemsize
    location, messages = _choose_location(context, n_bytes)
    context.add_note(
        "reused",
        {"tokens": n_tokens, "bytes": n_bytes, "where": location},
        *(message.format(mb=n_bytes / 1e6) for message in messages),
    )
    if location == "nowhere":
        with frozen_in_eval_mode(model):
            yield context
        return
    buffer = _allocate_buffer(context, n_tokens, location)
    cache = CachedHidden(buffer, _row_spans(rows), model.device)
    try:
        _fill_cache(context, rows, cache)
        with _replaced_by_cache(model, cache):
            n_train = len(context.train)
            yield dataclasses.replace(context, train=rows[:n_train], validation=rows[n_train:])
    finally:
        _buffer_path(context).unlink(missing_ok=True)


@contextmanager
def _replaced_by_cache(model: Any, cache: CachedHidden) -> Iterator[None]:
    """Within, the first trainable block reads from the cache, and the frozen blocks below are left out.

    The embeddings still run, which costs next to nothing: each family has its own around them.
    """
    frozen_blocks, blocks = _frozen_blocks(model), layers.get_blocks(model)
    first_trainable = blocks[len(frozen_blocks)]
    for index, block in enumerate(frozen_blocks):
        blocks[index] = SkippedBlock(block)
    handles = [
        model.register_forward_pre_hook(cache.load_rows, with_kwargs=True),
        first_trainable.register_forward_pre_hook(cache.replace_input, with_kwargs=True),
    ]
    try:
        with frozen_in_eval_mode(model):
            yield
    finally:
        for handle in handles:
            handle.remove()
        for index, block in enumerate(frozen_blocks):
            blocks[index] = block


def without_frozen_blocks(model: Any) -> Any:
    """The model as it is trained while its bottom's output is cached."""
    for index, block in enumerate(_frozen_blocks(model)):
        layers.get_blocks(model)[index] = SkippedBlock(block)
    return model


def _frozen_children(model: Any) -> list[Any]:
    """The parts of the backbone beside its blocks in which nothing is trained, such as the embeddings."""
    return [
        child
        for child in model.base_model.children()
        if not any(parameter.requires_grad for parameter in child.parameters())
    ]


def _frozen_blocks(model: Any) -> list[Any]:
    """The blocks below the first trainable one."""
    frozen_blocks = []
    for block in layers.get_blocks(model):
        if any(parameter.requires_grad for parameter in block.parameters()):
            break
        frozen_blocks.append(block)
    return frozen_blocks


def _row_spans(rows: list[Encoded]) -> list[tuple[int, int]]:
    spans, start = [], 0
    for row in rows:
        spans.append((start, start + len(row.input_ids)))
        start += len(row.input_ids)
    return spans


def _choose_location(context: TrainingContext, n_bytes: int) -> tuple[str, tuple[Message, ...]]:
    """Where so many bytes are kept ("memory", "disk" or "nowhere"), and messages about it."""
    if n_bytes < MAX_CACHE_SHARE * context.free_memory():
        return "memory", ()
    try:
        require_disk_space(context.folder, n_bytes)
    except OutOfDiskSpace:
        return "nowhere", (NO_SPACE_FOR_CACHE,)
    return "disk", (CACHED_ON_DISK,)


def _allocate_buffer(context: TrainingContext, n_tokens: int, location: str) -> torch.Tensor:
    """Space for tokens x width: in memory, or in a file of the run."""
    width, dtype = context.model.config.hidden_size, context.model.dtype
    if location == "memory":
        return torch.empty(n_tokens, width, dtype=dtype)
    path = _buffer_path(context)
    path.parent.mkdir(parents=True, exist_ok=True)
    return torch.from_file(str(path), shared=True, size=n_tokens * width, dtype=dtype).view(n_tokens, width)


def _buffer_path(context: TrainingContext) -> Path:
    return context.folder / "checkpoints" / "bottom.bin"


def _fill_cache(context: TrainingContext, rows: list[Encoded], cache: CachedHidden) -> None:
    """Run the bottom once over all rows, those of like length together."""
    model, was_training = context.model, context.model.training
    first_trainable = layers.get_blocks(model)[len(_frozen_blocks(model))]

    def catch(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raise _ReachedTrainable(args[0] if args else kwargs["hidden_states"])

    handle = first_trainable.register_forward_pre_hook(catch, with_kwargs=True)
    model.eval()
    sorted_rows = sorted(rows, key=lambda row: len(row.input_ids))
    n_done = 0
    try:
        while n_done < len(sorted_rows):
            # The row 64 further on is about as long as the batch's longest.
            row_length = len(sorted_rows[min(n_done + 64, len(sorted_rows) - 1)].input_ids)
            batch_size = max(1, CACHE_BATCH_TOKENS // row_length)
            batch_rows = sorted_rows[n_done : n_done + batch_size]
            context.report_progress("bottom", n_done, len(sorted_rows))
            _run_frozen_blocks(model, batch_rows, context.tokenizer.pad_token_id, cache)
            n_done += len(batch_rows)
    finally:
        handle.remove()
        model.train(was_training)


def _run_frozen_blocks(model: Any, rows: list[Encoded], pad_token_id: int, cache: CachedHidden) -> None:
    """Run the bottom over a batch of rows and store its output in the cache."""
    width = max(len(row.input_ids) for row in rows)
    padded_ids, masks = [], []
    for row in rows:
        n_padding = width - len(row.input_ids)
        padded_ids.append(row.input_ids + [pad_token_id] * n_padding)
        masks.append([1] * len(row.input_ids) + [0] * n_padding)
    input_ids = torch.tensor(padded_ids, device=model.device)
    attention_mask = torch.tensor(masks, device=model.device)
    try:
        with torch.no_grad(), device.autocast(), fused_norms(model):
            model.base_model(input_ids=input_ids, attention_mask=attention_mask)
    except _ReachedTrainable as reached:
        for row, hidden in zip(rows, reached.hidden.to(cache.hidden.device), strict=True):
            start, end = cache.row_spans[row.row_index]
            cache.hidden[start:end] = hidden[: end - start]
