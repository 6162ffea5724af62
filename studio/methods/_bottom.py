"""The frozen bottom of a model: kept at rest while the top learns, and computed once for each example instead of once a round."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from studio.data.prepare import Encoded
from studio.errors import OutOfRoom
from studio.home import check_room
from studio.methods import _supervised, frozen
from studio.methods.base import Job
from studio.words import Words

# The part of the free memory that kept outputs may take; more goes to the disk.
MEMORY_SHARE = 0.25
TOKENS_AT_ONCE = 4096
ON_DISK = Words(
    "Memory is short, so the output of the frozen layers ({mb:,.0f} MB) is kept on the disk: the losses are the same, each step takes a little longer.",
    "内存不够，冻结层的输出（{mb:,.0f} MB）存放在磁盘上：损失不变，每一步会稍慢一些。",
)
NOWHERE = Words(
    "Neither memory nor disk has room for the output of the frozen layers ({mb:,.0f} MB), so they are run anew in every round: the losses are the same, the training takes longer.",
    "内存和磁盘都放不下冻结层的输出（{mb:,.0f} MB），因此每一轮都要重新计算：损失不变，训练时间更长。",
)


class _Reached(Exception):
    """Carries what arrives at the first block that learns, and ends the pass there."""

    def __init__(self, hidden: torch.Tensor) -> None:
        self.hidden = hidden


class Skip(torch.nn.Module):  # type: ignore[misc] # torch's types are not followed
    """Stands where a frozen block was, and passes on what it gets."""

    def __init__(self, block: torch.nn.Module) -> None:
        super().__init__()
        self.attention_type = getattr(block, "attention_type", None)  # some models choose a block's mask by it

    def forward(self, hidden: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """Hidden states, unchanged."""
        return hidden


class Kept(torch.nn.Module):  # type: ignore[misc] # torch's types are not followed
    """Stands where the embeddings were, and gives the frozen bottom's output of the rows a batch names.

    `hidden` is tokens x width over all rows one after the other, `reach` each row's first token and the one after its last.
    """

    def __init__(self, hidden: torch.Tensor, reach: list[tuple[int, int]], device: torch.device) -> None:
        super().__init__()
        self.hidden, self.reach, self.device = hidden, reach, device
        self.current = torch.empty(0)

    def look_up(self, module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Before a pass: take the rows' numbers out of the batch and lay their outputs ready, padded with zeros."""
        numbers = kwargs.pop("number").tolist()
        width = kwargs["input_ids"].shape[1]
        self.current = torch.zeros(len(numbers), width, self.hidden.shape[1], dtype=self.hidden.dtype, device=self.device)
        for place, number in enumerate(numbers):
            start, end = self.reach[number]
            self.current[place, : end - start] = self.hidden[start:end].to(self.device)
        return args, kwargs

    def forward(self, *_: Any, **__: Any) -> torch.Tensor:
        """Rows x tokens x width of the batch that was looked up."""
        return self.current


@contextmanager
def at_rest(model: Any) -> Iterator[None]:
    """Keep what is frozen in evaluation mode: dropout in parts that do not learn only adds noise."""
    still = [embeddings(model), *_frozen_blocks(model)]

    def rest(*_: Any) -> None:
        for module in still:
            module.eval()

    handle = model.register_forward_pre_hook(rest)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def reused(job: Job) -> Iterator[Job]:
    """Run the frozen bottom once over every example; within, the job's rows are fed from what it gave.

    Where memory has no room for that it is kept on the disk, and where that has none either the plain way is taken; both are noted.
    """
    rows = [dataclasses.replace(row, number=number) for number, row in enumerate([*job.train, *job.validation])]
    model, bottom = job.model, _frozen_blocks(job.model)
    tokens = sum(len(row.input_ids) for row in rows)
    size = tokens * model.config.hidden_size * model.dtype.itemsize
    where, said = _where(job, size)
    job.note("reused", {"tokens": tokens, "bytes": size, "where": where}, *(one.filled(mb=size / 1e6) for one in said))
    if where == "nowhere":
        with at_rest(model):
            yield job
        return
    place = _place(job, tokens, where)
    kept = Kept(place, _reach(rows), model.device)
    _fill(job, rows, kept)
    all_blocks, plain = frozen.blocks(model), embeddings(model)
    for number, block in enumerate(bottom):
        all_blocks[number] = Skip(block)
    _swap(model, kept)
    handle = model.register_forward_pre_hook(kept.look_up, with_kwargs=True)
    try:
        yield dataclasses.replace(job, train=rows[: len(job.train)], validation=rows[len(job.train) :])
    finally:
        handle.remove()
        _swap(model, plain)
        for number, block in enumerate(bottom):
            all_blocks[number] = block
        (job.folder / "checkpoints" / "bottom.bin").unlink(missing_ok=True)


class Given(torch.nn.Module):  # type: ignore[misc] # torch's types are not followed
    """Stands where the embeddings were, and gives hidden states that mean nothing: for a rehearsal."""

    def __init__(self, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.width, self.dtype = width, dtype

    def forward(self, input_ids: torch.Tensor | None = None, **_: Any) -> torch.Tensor:
        """Rows x tokens x width."""
        assert input_ids is not None
        return torch.empty(*input_ids.shape, self.width, dtype=self.dtype, device=input_ids.device)


def without(model: Any) -> Any:
    """The model as it learns while its bottom's output is reused."""
    for number, block in enumerate(_frozen_blocks(model)):
        frozen.blocks(model)[number] = Skip(block)
    _swap(model, Given(model.config.hidden_size, model.dtype))
    return model


def embeddings(model: Any) -> Any:
    """The module that turns token ids into the first block's input."""
    inner = model.base_model
    return inner.embeddings if hasattr(inner, "embeddings") else inner.embed_tokens


def _swap(model: Any, module: torch.nn.Module) -> None:
    setattr(model.base_model, "embeddings" if hasattr(model.base_model, "embeddings") else "embed_tokens", module)


def _frozen_blocks(model: Any) -> list[Any]:
    """The blocks below the first that learns."""
    found = list(frozen.blocks(model))
    first = next((number for number, block in enumerate(found) if any(value.requires_grad for value in block.parameters())), len(found))
    return found[:first]


def _reach(rows: list[Encoded]) -> list[tuple[int, int]]:
    found, start = [], 0
    for row in rows:
        found.append((start, start + len(row.input_ids)))
        start += len(row.input_ids)
    return found


def _where(job: Job, size: int) -> tuple[str, tuple[Words, ...]]:
    """Where so many bytes are kept (memory, disk or nowhere), and what is said of it."""
    if size < MEMORY_SHARE * job.free_memory():
        return "memory", ()
    try:
        check_room(job.folder, size)
    except OutOfRoom:
        return "nowhere", (NOWHERE,)
    return "disk", (ON_DISK,)


def _place(job: Job, tokens: int, where: str) -> torch.Tensor:
    """Room for tokens x width: in memory, or in a file of the run."""
    width, dtype = job.model.config.hidden_size, job.model.dtype
    if where == "memory":
        return torch.empty(tokens, width, dtype=dtype)
    path: Path = job.folder / "checkpoints" / "bottom.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    return torch.from_file(str(path), shared=True, size=tokens * width, dtype=dtype).view(tokens, width)


def _fill(job: Job, rows: list[Encoded], kept: Kept) -> None:
    """One pass of the bottom over all rows, those of like length together."""
    model, was_training = job.model, job.model.training
    first = frozen.blocks(model)[len(_frozen_blocks(model))]

    def catch(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raise _Reached(args[0] if args else kwargs["hidden_states"])

    handle = first.register_forward_pre_hook(catch, with_kwargs=True)
    model.eval()
    order = sorted(rows, key=lambda row: len(row.input_ids))
    done = 0
    try:
        while done < len(order):
            some = order[done : done + max(1, TOKENS_AT_ONCE // len(order[min(done + 64, len(order) - 1)].input_ids))]
            job.tell("bottom", done, len(order))
            _pass(model, some, job.tokenizer.pad_token_id, kept)
            done += len(some)
    finally:
        handle.remove()
        model.train(was_training)


def _pass(model: Any, rows: list[Encoded], pad: int, kept: Kept) -> None:
    width = max(len(row.input_ids) for row in rows)
    ids = torch.tensor([row.input_ids + [pad] * (width - len(row.input_ids)) for row in rows], device=model.device)
    mask = torch.tensor([[1] * len(row.input_ids) + [0] * (width - len(row.input_ids)) for row in rows], device=model.device)
    as_trained = torch.autocast(ids.device.type, dtype=torch.bfloat16, enabled=_supervised.in_16_bits())
    try:
        with torch.no_grad(), as_trained:
            model.base_model(input_ids=ids, attention_mask=mask)
    except _Reached as reached:
        for row, hidden in zip(rows, reached.hidden, strict=True):
            start, end = kept.reach[row.number]
            kept.hidden[start:end] = hidden[: end - start].to(kept.hidden.device)
