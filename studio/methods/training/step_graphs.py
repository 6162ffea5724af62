"""Micro batches that a GPU replays as one graph of kernels, instead of being told of each kernel by itself.

A step of a 3B model with LoRA is thousands of kernels, and Python takes longer to launch them than an H200 to
compute them (docs/methods.md#graphs-of-a-step).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from studio.data.examples import IGNORE_INDEX
from studio.models import device

# Micro batches are padded to multiples of so many tokens, so that few shapes stand for all.
LENGTH_MULTIPLE = 32
# No more shapes are kept: each costs a pass to record, and some memory.
MAX_SHAPES = 32
# Memory that must be free to record, in what the passes so far have taken at most.
NEEDED_SHARE = 1.25
# What fills the place of padding, by the name of the input; the first position is scored and not learned.
FILLERS = {"input_ids": 0, "attention_mask": 0, "logits_to_keep": 0, "labels": IGNORE_INDEX}

Inputs = dict[str, torch.Tensor]
# Forward and backward of a micro batch, in a step that learns so many tokens: returns the loss.
Passes = Callable[[Inputs, torch.Tensor], torch.Tensor]
Replay = Callable[[], torch.Tensor]
Record = Callable[[Replay], Replay]


@dataclass(frozen=True)
class _Recorded:
    """The passes of a shape: they read `inputs` and `n_items`, where a new micro batch is copied to."""

    inputs: Inputs
    n_items: torch.Tensor
    replay: Replay

    def run(self, inputs: Inputs, n_items: torch.Tensor) -> torch.Tensor:
        for name, tensor in inputs.items():
            self.inputs[name].copy_(tensor, non_blocking=True)
        self.n_items.copy_(n_items)
        return self.replay().clone()


class StepGraphs:
    """Runs the passes of micro batches: as they are the first time a shape comes, then recorded and replayed.

    Gradients stay where they are from the first record on: they are set to zero, not let go.

    Args:
        trained: The parameters that learn.
        record: Takes passes without arguments, and returns what replays them; left out, a CUDA graph.

    Attributes:
        refusal: Why recording was given up; empty where it was not.
    """

    def __init__(self, trained: list[torch.nn.Parameter], record: Record | None = None) -> None:
        self.refusal = ""
        self._trained = trained
        self._reached: set[torch.nn.Parameter] = set()  # those that get gradients: others must not decay
        self._record = record or _CudaRecorder()
        self._seen: set[tuple[Any, ...]] = set()
        self._recorded: dict[tuple[Any, ...], _Recorded] = {}

    def run(self, inputs: Mapping[str, Any], n_items: torch.Tensor, passes: Passes) -> torch.Tensor:
        """The loss of a micro batch, whose gradients are added to those that are there.

        Args:
            inputs: Its tensors on the GPU; with others than a padded batch of texts has, nothing is recorded.
            n_items: The learned tokens of the step.
            passes: Computes the loss and the gradients.
        """
        if self.refusal or not inputs.keys() <= FILLERS.keys():
            return passes(dict(inputs), n_items)
        padded = {name: _pad(tensor, FILLERS[name], name == "labels") for name, tensor in inputs.items()}
        key = tuple(tensor.shape for tensor in padded.values())
        if key not in self._seen:
            self._seen.add(key)
            return passes(padded, n_items)
        if key not in self._recorded and not self._try_to_record(key, padded, n_items, passes):
            return passes(padded, n_items)
        return self._recorded[key].run(padded, n_items)

    def zero_gradients(self) -> None:
        """Begin the next step."""
        if self._recorded:
            torch._foreach_zero_([parameter.grad for parameter in self._reached])
            return
        self._note_reached()
        for parameter in self._trained:
            parameter.grad = None

    def _note_reached(self) -> None:
        self._reached.update(parameter for parameter in self._trained if parameter.grad is not None)

    def _try_to_record(
        self, key: tuple[Any, ...], inputs: Inputs, n_items: torch.Tensor, passes: Passes
    ) -> bool:
        if len(self._recorded) >= MAX_SHAPES:
            return False
        own_inputs = {name: tensor.clone() for name, tensor in inputs.items()}
        own_n_items = n_items.clone()
        self._note_reached()
        for parameter in self._reached:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        try:
            replay = self._record(lambda: passes(dict(own_inputs), own_n_items))
        except RuntimeError as error:  # what the model does cannot be recorded, or there is no room for it
            self.refusal = str(error).splitlines()[0]
            return False
        self._recorded[key] = _Recorded(own_inputs, own_n_items, replay)
        return True


def _pad(tensor: torch.Tensor, filler: int, has_first_column: bool) -> torch.Tensor:
    """A tensor whose last dimension is a multiple of LENGTH_MULTIPLE, beside the first column of labels."""
    n_missing = -(tensor.shape[-1] - has_first_column) % LENGTH_MULTIPLE
    return functional.pad(tensor, (0, n_missing), value=filler) if n_missing else tensor


class _CudaRecorder:
    """Records CUDA graphs, which share their memory, as only one is replayed at a time."""

    def __init__(self) -> None:
        self._pool: Any = None

    def __call__(self, passes: Replay) -> Replay:
        """Record passes.

        Raises:
            RuntimeError: They wait for the GPU, or there is too little memory.
        """
        torch.cuda.empty_cache()  # what ordinary passes have left, which a graph cannot use
        needed_gb = NEEDED_SHARE * (torch.cuda.max_memory_allocated() - torch.cuda.memory_allocated()) / 1e9
        free_gb = device.free_cuda_bytes() / 1e9
        if not self._pool and free_gb < needed_gb:
            raise RuntimeError(f"{free_gb:.1f} GB of the GPU are free, and {needed_gb:.1f} are needed.")
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            loss = passes()
        self._pool = graph.pool()
        return partial(_replay, graph, loss)


def _replay(graph: Any, loss: torch.Tensor) -> torch.Tensor:
    graph.replay()
    return loss
