"""Rehearse a step of a run without weights: the very model, method and loss on meta tensors, with the kernels of the device it is meant for."""

import gc
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from studio import methods
from studio.data import batch
from studio.estimate.kernels import Attention, Mixed, copied, in_4_bits, kernels
from studio.estimate.trace import Trace
from studio.methods.base import Settings
from studio.plan import Task


@dataclass(frozen=True)
class Pass:
    """One portion of texts on its way through the model: `rows` texts of `tokens` tokens, scores at `scored` positions of each.

    `padded` says that some are shorter, so that a mask is needed; `learn` that gradients are wanted, `cache` that keys and values are kept,
    to write on from there.
    """

    rows: int
    tokens: int
    scored: int
    padded: bool
    learn: bool = True
    cache: bool = False


@dataclass
class Stage:
    """A model as it stands in training, and how the device that it is meant for ("cpu" or "cuda") would treat it.

    `loss` gives the loss of a portion and whatever is held on to during the step, the model's outputs say. `mixed` is autocast to bfloat16,
    `recompute` that each block runs again on the way back. `optimiser` makes one that is rehearsed too; without, it is fused: the averages
    of AdamW lie there, and a step takes nothing more. `before` counts what loading the model did to a card's memory; `empties` says that
    the loop gives free memory back between steps.
    """

    model: Any
    device: str
    loss: Callable[[Pass], tuple[torch.Tensor, Any]]
    where: str = "meta"
    mixed: bool = False
    recompute: bool = False
    attention: Attention = "flash"
    vocabulary: int = 0
    optimiser: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer] | None = None
    before: Callable[[Trace], None] = lambda trace: None
    empties: bool = False

    @property
    def learned(self) -> list[torch.nn.Parameter]:
        """The numbers that are trained."""
        return [value for value in self.model.parameters() if value.requires_grad]

    def run(self, asked: Pass, states: bool = True) -> Trace:
        """Send a portion through, and back where it is to learn; the trace has the phases "forward", "backward" and "update".

        For a card a learning step is done twice and the second one counted: only then are the optimiser's averages there, unless `states`
        says that they lie elsewhere.
        """
        trace = Trace(self.device, self.vocabulary)
        self.before(trace)
        trace.hold((value for value in self.model.parameters() if not value.requires_grad), "frozen")
        trace.hold((value for value in self.model.buffers()), "frozen")
        trace.hold(self.learned, "weights")
        self.model.train(asked.learn)
        averages: list[torch.Tensor] = []
        chosen = kernels(self.device, asked.padded, self.attention) if self.where == "meta" else nullcontext()
        mixed = Mixed(keep=not self.recompute) if self.mixed and asked.learn else nullcontext()
        with chosen, mixed, trace, torch.set_grad_enabled(asked.learn):
            update = self.optimiser(self.learned) if self.optimiser and asked.learn else None
            if asked.learn and self.device == "cuda":
                self._step(trace, asked, update)
                with trace.during("states", "optimiser"):
                    averages += [torch.empty_like(value) for value in self.learned for _ in range(2 if states and not update else 0)]
                trace.again()
                if self.empties:
                    trace.empty_cache()
            self._step(trace, asked, update)
            del update
        del averages
        gc.collect()
        return trace

    def _step(self, trace: Trace, asked: Pass, update: torch.optim.Optimizer | None) -> None:
        with trace.during("forward", "activations"):
            trace.workspace()
            loss, held = self.loss(asked)
        if asked.learn:
            handles = [
                value.register_post_accumulate_grad_hook(lambda value: trace.belongs(value.grad, "gradients")) for value in self.learned
            ]
            with trace.during("backward", "passing"):
                trace.workspace()
                loss.backward()
            del loss
            with trace.during("update", "passing"):
                torch.nn.utils.clip_grad_norm_(self.learned, 1.0)
                if update:
                    update.step()
                    trace.hold((one for state in update.state.values() for one in state.values() if torch.is_tensor(one)), "optimiser")
            for handle in handles:
                handle.remove()
        for value in self.learned:
            value.grad = None
        del held


class Rehearsal:
    """A model of a config with a method attached, on meta tensors, as it stands in training on `device` ("cpu" or "cuda")."""

    def __init__(
        self,
        config: Mapping[str, Any],
        name: str,
        settings: Settings,
        task: Task,
        labels: int,
        device: str,
        bf16: bool = False,
        recompute: bool = False,
        where: str = "meta",
    ) -> None:
        self.method, self.task, self.device, self.where = methods.get(name), task, device, where
        found = AutoConfig.for_model(**config)
        found.num_labels = labels or found.num_labels
        kind = AutoModelForSequenceClassification if task == "classify" else AutoModelForCausalLM
        half = bf16 and device == "cuda"
        held = torch.bfloat16 if half and self.method.weights != "trained" else torch.float32
        with torch.device(where):
            model = kind.from_config(found, dtype=held, attn_implementation="sdpa")
            loaded = in_4_bits(model, held) if self.method.weights == "nf4" else None
            model.config.use_cache = False  # as a Trainer has it
            model.config.name_or_path = model.name_or_path = ""
            model.config.pad_token_id = 0
            model = self.method.attach(model, settings, task)
            self.model = self.method.rehearse(model, settings)
        for value in self.model.parameters():
            if value.requires_grad and value.is_floating_point():
                value.data = value.data.float()
        copied(self.model)
        if recompute:
            checkpointed(self.model, half)
        self.stage = Stage(
            self.model,
            device,
            lambda asked: (self._loss(asked), None),
            where,
            mixed=half,
            recompute=recompute,
            attention="flash" if bf16 else "efficient",
            vocabulary=int(getattr(found, "vocab_size", 0)),
        )
        if loaded and device == "cuda":
            self.stage.before = loaded

    @property
    def learned(self) -> list[torch.nn.Parameter]:
        """The numbers that are trained."""
        return self.stage.learned

    def run(self, asked: Pass, states: bool = True) -> Trace:
        """Send a portion through, and back where it is to learn (Stage.run)."""
        return self.stage.run(asked, states)

    def _loss(self, asked: Pass) -> torch.Tensor:
        """The loss of a portion; the model's outputs are let go as a Trainer lets them go."""
        kind: dict[str, Any] = {"dtype": torch.long, "device": self.where}
        mask = torch.ones(asked.rows, asked.tokens, **kind)
        if asked.padded:
            mask[0, -1] = 0
        given = {"input_ids": torch.ones(asked.rows, asked.tokens, **kind), "attention_mask": mask}
        if self.task == "classify":
            labels = torch.zeros(asked.rows, **kind)
        else:
            given["logits_to_keep"] = torch.arange(asked.tokens - asked.scored, asked.tokens, **kind) - 1
            given |= {"use_cache": True} if asked.cache else {}
            labels = torch.ones(asked.rows, asked.scored + 1, **kind)
        return batch.loss(self.task)(self.model(**given), labels, torch.ones((), **kind))


def checkpointed(model: Any, mixed: bool = False) -> None:
    """Have a model keep no more than each block's input for the way back."""
    # On the way back no mode is on: the second pass must be told to compute as the first.
    again = (lambda: (nullcontext(), Mixed(keep=False))) if mixed else (lambda: (nullcontext(), nullcontext()))
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False, "context_fn": again})
    model.enable_input_require_grads()
