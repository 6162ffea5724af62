"""Rehearse a step of a run without weights: the very model, method and loss on meta tensors, with the kernels of the device it is meant for."""

import gc
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from studio import methods
from studio.data import collate
from studio.estimate.tracing.kernels import (
    AttentionKernel,
    MetaAutocast,
    clone_packed_outputs,
    patch_kernels,
    replace_linears_with_4bit,
)
from studio.estimate.tracing.trace import Trace
from studio.methods.spec import Settings
from studio.plan import Task


@dataclass(frozen=True)
class PassSpec:
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
class StepRunner:
    """A model as it stands in training, and how the device that it is meant for ("cpu" or "cuda") would treat it.

    `loss` gives the loss of a portion and whatever is held on to during the step, the model's outputs say. `mixed` is autocast to bfloat16,
    `gradient_checkpointing` that each block runs again on the way back. `optimiser` makes one that is rehearsed too; without, it is fused: the averages
    of AdamW lie there, and a step takes nothing more. `before` counts what loading the model did to a card's memory; `empties` says that
    the loop gives free memory back between steps.
    """

    model: Any
    device: str
    loss: Callable[[PassSpec], tuple[torch.Tensor, Any]]
    tensor_device: str = "meta"
    autocast: bool = False
    gradient_checkpointing: bool = False
    attention: AttentionKernel = "flash"
    vocab_size: int = 0
    build_optimizer: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer] | None = None
    trace_loading: Callable[[Trace], None] = lambda trace: None
    empties_cache: bool = False

    @property
    def trainable_parameters(self) -> list[torch.nn.Parameter]:
        """The numbers that are trained."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def run(self, spec: PassSpec, with_optimizer_states: bool = True) -> Trace:
        """Send a portion through, and back where it is to learn; the trace has the phases "forward", "backward" and "update".

        For a card a learning step is done twice and the second one counted: only then are the optimiser's averages there, unless `states`
        says that they lie elsewhere.
        """
        trace = Trace(self.device, self.vocab_size)
        self.trace_loading(trace)
        trace.track((tensor for tensor in self.model.parameters() if not tensor.requires_grad), "frozen")
        trace.track((tensor for tensor in self.model.buffers()), "frozen")
        trace.track(self.trainable_parameters, "weights")
        self.model.train(spec.learn)
        averages: list[torch.Tensor] = []
        kernel_context = (
            patch_kernels(self.device, spec.padded, self.attention)
            if self.tensor_device == "meta"
            else nullcontext()
        )
        autocast_context = (
            MetaAutocast(caches_weights=not self.gradient_checkpointing)
            if self.autocast and spec.learn
            else nullcontext()
        )
        with kernel_context, autocast_context, trace, torch.set_grad_enabled(spec.learn):
            optimizer = (
                self.build_optimizer(self.trainable_parameters)
                if self.build_optimizer and spec.learn
                else None
            )
            if spec.learn and self.device == "cuda":
                self._step(trace, spec, optimizer)
                with trace.record_phase("states", "optimiser"):
                    averages += [
                        torch.empty_like(tensor)
                        for tensor in self.trainable_parameters
                        for _ in range(2 if with_optimizer_states and not optimizer else 0)
                    ]
                trace.reset_phases()
                if self.empties_cache:
                    trace.empty_cache()
            self._step(trace, spec, optimizer)
            del optimizer
        del averages
        gc.collect()
        return trace

    def _step(self, trace: Trace, spec: PassSpec, optimizer: torch.optim.Optimizer | None) -> None:
        with trace.record_phase("forward", "activations"):
            trace.add_workspace()
            loss, retained = self.loss(spec)
        if spec.learn:
            handles = [
                parameter.register_post_accumulate_grad_hook(
                    lambda parameter: trace.move_to_part(parameter.grad, "gradients")
                )
                for parameter in self.trainable_parameters
            ]
            with trace.record_phase("backward", "passing"):
                trace.add_workspace()
                loss.backward()
            del loss
            with trace.record_phase("update", "passing"):
                torch.nn.utils.clip_grad_norm_(self.trainable_parameters, 1.0)
                if optimizer:
                    optimizer.step()
                    trace.track(
                        (
                            tensor
                            for state in optimizer.state.values()
                            for tensor in state.values()
                            if torch.is_tensor(tensor)
                        ),
                        "optimiser",
                    )
            for handle in handles:
                handle.remove()
        for parameter in self.trainable_parameters:
            parameter.grad = None
        del retained


class MetaStep:
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
        gradient_checkpointing: bool = False,
        tensor_device: str = "meta",
    ) -> None:
        self.method, self.task, self.device, self.tensor_device = (
            methods.get(name),
            task,
            device,
            tensor_device,
        )
        model_config = AutoConfig.for_model(**config)
        model_config.num_labels = labels or model_config.num_labels
        model_class = AutoModelForSequenceClassification if task == "classify" else AutoModelForCausalLM
        use_bf16 = bf16 and device == "cuda"
        base_dtype = torch.bfloat16 if use_bf16 and self.method.weights != "trained" else torch.float32
        with torch.device(tensor_device):
            model = model_class.from_config(model_config, dtype=base_dtype, attn_implementation="sdpa")
            trace_loading = (
                replace_linears_with_4bit(model, base_dtype) if self.method.weights == "nf4" else None
            )
            model.config.use_cache = False  # as a Trainer has it
            model.config.name_or_path = model.name_or_path = ""
            model.config.pad_token_id = 0
            model = self.method.attach(model, settings, task)
            self.model = self.method.prepare_for_tracing(model, settings)
        for parameter in self.model.parameters():
            if parameter.requires_grad and parameter.is_floating_point():
                parameter.data = parameter.data.float()
        clone_packed_outputs(self.model)
        if gradient_checkpointing:
            enable_gradient_checkpointing(self.model, use_bf16)
        self.runner = StepRunner(
            self.model,
            device,
            lambda spec: (self._loss(spec), None),
            tensor_device,
            autocast=use_bf16,
            gradient_checkpointing=gradient_checkpointing,
            attention="flash" if bf16 else "efficient",
            vocab_size=int(getattr(model_config, "vocab_size", 0)),
        )
        if trace_loading and device == "cuda":
            self.runner.trace_loading = trace_loading

    @property
    def trainable_parameters(self) -> list[torch.nn.Parameter]:
        """The numbers that are trained."""
        return self.runner.trainable_parameters

    def run(self, spec: PassSpec, with_optimizer_states: bool = True) -> Trace:
        """Send a portion through, and back where it is to learn (Stage.run)."""
        return self.runner.run(spec, with_optimizer_states)

    def _loss(self, spec: PassSpec) -> torch.Tensor:
        """The loss of a portion; the model's outputs are let go as a Trainer lets them go."""
        tensor_options: dict[str, Any] = {"dtype": torch.long, "device": self.tensor_device}
        mask = torch.ones(spec.rows, spec.tokens, **tensor_options)
        if spec.padded:
            mask[0, -1] = 0
        inputs = {"input_ids": torch.ones(spec.rows, spec.tokens, **tensor_options), "attention_mask": mask}
        if self.task == "classify":
            labels = torch.zeros(spec.rows, **tensor_options)
        else:
            inputs["logits_to_keep"] = (
                torch.arange(spec.tokens - spec.scored, spec.tokens, **tensor_options) - 1
            )
            inputs |= {"use_cache": True} if spec.cache else {}
            labels = torch.ones(spec.rows, spec.scored + 1, **tensor_options)
        return collate.get_loss(self.task)(self.model(**inputs), labels, torch.ones((), **tensor_options))


def enable_gradient_checkpointing(model: Any, autocast: bool = False) -> None:
    """Have a model keep no more than each block's input for the way back."""
    # On the way back no mode is on: the second pass must be told to compute as the first.
    recompute_context = (
        (lambda: (nullcontext(), MetaAutocast(caches_weights=False)))
        if autocast
        else (lambda: (nullcontext(), nullcontext()))
    )
    model.gradient_checkpointing_enable(
        gradient_checkpointing_kwargs={"use_reentrant": False, "context_fn": recompute_context}
    )
    model.enable_input_require_grads()
