"""One training step on meta tensors: the very model, method and loss, with the intended device's kernels."""

import gc
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig

from studio import methods
from studio.data import collate
from studio.data.packed_texts import attending_within_texts
from studio.data.vocabulary_loss import VocabularyLoss
from studio.estimate.tracing.kernels import (
    AttentionKernel,
    MetaAutocast,
    clone_packed_outputs,
    patch_kernels,
    replace_linears_with_4bit,
)
from studio.estimate.tracing.trace import Trace
from studio.methods.spec import Settings
from studio.methods.workload import holds_weights_in_bf16
from studio.models import load, shape
from studio.models.fused_norms import fused_norms
from studio.plan import Task


@dataclass(frozen=True)
class PassSpec:
    """One micro batch on its way through the model.

    Attributes:
        rows: Number of texts.
        tokens: Tokens of each text.
        scored: Positions of each text at which the vocabulary is scored.
        padded: Whether some texts are shorter, so that a mask is needed.
        with_gradients: Whether it goes back through the model too.
        with_cache: Whether keys and values are kept, for a generation that follows.
        packed_longest: Tokens of the longest text where a GPU gets them behind one another, without padding;
            `tokens` are their mean then.
    """

    rows: int
    tokens: int
    scored: int
    padded: bool
    with_gradients: bool = True
    with_cache: bool = False
    packed_longest: int = 0


@dataclass(frozen=True)
class ModelSpec:
    """A model with a method attached, as it is in training.

    Attributes:
        config: The model's config.json, as transformers has it.
        method_name: Name of the method.
        settings: All of the method's settings.
        task: What it is trained for.
        num_labels: Number of labels where it classifies, else 0.
        device: The device that it is meant for, "cpu" or "cuda".
        autocast_dtype: The 16-bit format in which the device computes, such as "bfloat16"; empty for 32 bits.
        gradient_checkpointing: Whether activations are computed again on the way back.
        tensor_device: Where its tensors are; "meta" but in tests that compare with real numbers.
    """

    config: Mapping[str, Any]
    method_name: str
    settings: Settings
    task: Task
    num_labels: int
    device: str
    autocast_dtype: str = ""
    gradient_checkpointing: bool = False
    tensor_device: str = "meta"


@dataclass
class StepRunner:
    """Runs training steps of a model the way a device would.

    Attributes:
        model: The model as it is in training.
        device: The device that it is meant for, "cpu" or "cuda".
        loss: Returns the loss of a micro batch, and what is kept alive during the step, such as the model's
            outputs.
        tensor_device: Where its tensors are.
        autocast_dtype: The 16-bit format of the autocast under which it computes; None for none.
        averages_dtype: The format of the optimizer's averages; None for that of the parameters.
        gradient_checkpointing: Whether each block runs again on the way back.
        attention: The fastest attention kernel that the device has.
        vocab_size: Size of the vocabulary; 0 to tell no scores.
        build_optimizer: Makes an optimizer whose steps are traced too. Without one the optimizer is fused:
            AdamW's averages are there, and a step allocates nothing more.
        trace_loading: Counts what loading the model did to a GPU's memory.
        empties_cache: Whether the training loop calls torch.cuda.empty_cache between steps.
        fuses_norms: Whether a GPU computes each norm in one kernel, as in the studio's trainings.
    """

    model: Any
    device: str
    loss: Callable[[PassSpec], tuple[torch.Tensor, Any]]
    tensor_device: str = "meta"
    autocast_dtype: torch.dtype | None = None
    averages_dtype: torch.dtype | None = None
    gradient_checkpointing: bool = False
    attention: AttentionKernel = "flash"
    vocab_size: int = 0
    build_optimizer: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer] | None = None
    trace_loading: Callable[[Trace], None] = lambda trace: None
    empties_cache: bool = False
    fuses_norms: bool = False

    @property
    def trainable_parameters(self) -> list[torch.nn.Parameter]:
        """The parameters that are trained."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def run(self, spec: PassSpec, with_optimizer_states: bool = True) -> Trace:
        """Send a micro batch through the model, and back where it has gradients.

        For a GPU a step with gradients is done twice and the second one counted: only then do the
        optimizer's averages exist.

        Args:
            spec: The micro batch.
            with_optimizer_states: Whether the averages lie in the device's memory.

        Returns:
            The trace, with the phases "forward", "backward" and "update".
        """
        trace = Trace(self.device, self.vocab_size)
        self.trace_loading(trace)
        trace.track((tensor for tensor in self.model.parameters() if not tensor.requires_grad), "frozen")
        trace.track(self.model.buffers(), "frozen")
        trace.track(self.trainable_parameters, "weights")
        self.model.train(spec.with_gradients)
        averages: list[torch.Tensor] = []
        with (
            self._kernel_context(spec),
            self._packing_context(spec),
            self._norm_context(spec),
            self._autocast_context(spec),
            trace,
            torch.set_grad_enabled(spec.with_gradients),
        ):
            optimizer = None
            if self.build_optimizer and spec.with_gradients:
                optimizer = self.build_optimizer(self.trainable_parameters)
            if spec.with_gradients and self.device == "cuda":
                self._step(trace, spec, optimizer)
                if with_optimizer_states and not optimizer:
                    averages = self._allocate_averages(trace)
                trace.reset_phases()
                if self.empties_cache:
                    trace.empty_cache()
            self._step(trace, spec, optimizer)
            del optimizer
        # What is alive at the end was counted; what refers to it goes now.
        del averages
        gc.collect()
        return trace

    def _kernel_context(self, spec: PassSpec) -> AbstractContextManager[None]:
        if self.tensor_device != "meta":
            return nullcontext()
        # Answers are written in the weights' own format.
        autocast_dtype = None if spec.with_cache else self.autocast_dtype
        return patch_kernels(self.device, spec.padded, self.attention, autocast_dtype)

    def _packing_context(self, spec: PassSpec) -> AbstractContextManager[None]:
        if not spec.packed_longest:
            return nullcontext()
        return attending_within_texts(self.model, in_one_kernel=True)

    def _norm_context(self, spec: PassSpec) -> AbstractContextManager[None]:
        if spec.with_cache or not self.fuses_norms:  # answers are written outside of the training
            return nullcontext()
        return fused_norms(self.model, self.device)

    def _autocast_context(self, spec: PassSpec) -> AbstractContextManager[Any]:
        if not self.autocast_dtype or spec.with_cache:  # answers are written in the weights' own format
            return nullcontext()
        return MetaAutocast(self.autocast_dtype, self.device, caches_weights=not self.gradient_checkpointing)

    def _allocate_averages(self, trace: Trace) -> list[torch.Tensor]:
        """Allocate the two averages of AdamW for each trainable parameter."""
        with trace.record_phase("states", "optimiser"):
            return [
                torch.empty_like(tensor, dtype=self.averages_dtype)
                for tensor in self.trainable_parameters
                for _ in range(2)
            ]

    def _step(self, trace: Trace, spec: PassSpec, optimizer: torch.optim.Optimizer | None) -> None:
        with trace.record_phase("forward", "activations"):
            trace.add_workspace()
            loss, retained = self.loss(spec)
        if spec.with_gradients:
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
                    trace.track(_state_tensors(optimizer), "optimiser")
            for handle in handles:
                handle.remove()
        for parameter in self.trainable_parameters:
            parameter.grad = None
        del retained


def _state_tensors(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    tensors = []
    for state in optimizer.state.values():
        tensors += [value for value in state.values() if torch.is_tensor(value)]
    return tensors


class MetaStep:
    """A model of a config with a method attached, on meta tensors, as it is in training on a device.

    Args:
        spec: The model and its method.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.method = methods.get(spec.method_name)
        self.device = spec.device
        self.has_state = shape.from_config(spec.config).has_state
        autocast_dtype = getattr(torch, spec.autocast_dtype) if spec.autocast_dtype else None
        base_dtype, on_gpu = torch.float32, spec.device == "cuda"
        if autocast_dtype and on_gpu and self.method.weights != "trained":
            base_dtype = autocast_dtype
        model_config = AutoConfig.for_model(**spec.config)
        model_config.num_labels = spec.num_labels or model_config.num_labels
        model_class = load.model_class(spec.task, spec.config)
        trace_loading = None
        with torch.device(spec.tensor_device):
            model = model_class.from_config(model_config, dtype=base_dtype)
            if self.method.weights == "nf4":
                trace_loading = replace_linears_with_4bit(model, autocast_dtype or torch.float32)
            model.config.use_cache = False  # as a Trainer has it
            model.config.name_or_path = model.name_or_path = ""
            model.config.pad_token_id = 0
            model = self.method.attach(model, spec.settings, spec.task)
            self.model = self.method.prepare_for_tracing(model, spec.settings)
        n_trained = load.count_parameters(self.model, trainable_only=True)
        has_native_bf16 = on_gpu and autocast_dtype is torch.bfloat16
        in_bf16 = holds_weights_in_bf16(spec.settings, n_trained, has_native_bf16)
        for parameter in self.model.parameters():
            if parameter.requires_grad and parameter.is_floating_point():
                parameter.data = parameter.data.to(torch.bfloat16 if in_bf16 else torch.float32)
        clone_packed_outputs(self.model)
        if spec.gradient_checkpointing:
            enable_gradient_checkpointing(self.model, spec.device, autocast_dtype)
        self.runner = StepRunner(
            self.model,
            spec.device,
            # The model's outputs are released, as a Trainer releases them.
            lambda pass_spec: (self._loss(pass_spec), None),
            spec.tensor_device,
            autocast_dtype=autocast_dtype,
            averages_dtype=torch.uint8 if in_bf16 else None,
            gradient_checkpointing=spec.gradient_checkpointing,
            # FlashAttention 2 and bfloat16 came with the same GPUs (compute capability 8.0).
            attention="flash" if spec.autocast_dtype == "bfloat16" else "efficient",
            vocab_size=int(getattr(model_config, "vocab_size", 0)),
            fuses_norms=True,
        )
        if trace_loading and spec.device == "cuda":
            self.runner.trace_loading = trace_loading

    @property
    def trainable_parameters(self) -> list[torch.nn.Parameter]:
        """The parameters that are trained."""
        return self.runner.trainable_parameters

    def run(self, spec: PassSpec, with_optimizer_states: bool = True) -> Trace:
        """Send a micro batch through the model, and back where it has gradients (StepRunner.run)."""
        return self.runner.run(spec, with_optimizer_states)

    def _loss(self, spec: PassSpec) -> torch.Tensor:
        """Return the loss of a micro batch."""
        tensor_options: dict[str, Any] = {"dtype": torch.long, "device": self.spec.tensor_device}
        if spec.packed_longest:
            return self._packed_loss(spec, tensor_options)
        attention_mask = torch.ones(spec.rows, spec.tokens, **tensor_options)
        if spec.padded:
            attention_mask[0, -1] = 0
        inputs: dict[str, Any] = {
            "input_ids": torch.ones(spec.rows, spec.tokens, **tensor_options),
            "attention_mask": attention_mask,
        }
        if self.has_state and not spec.padded:
            del inputs["attention_mask"]  # transformers looks into it there, which meta tensors do not allow
        if self.spec.task == "classify":
            labels = torch.zeros(spec.rows, **tensor_options)
        else:
            # The scores of a token come from the position before it.
            positions = torch.arange(spec.tokens - spec.scored, spec.tokens, **tensor_options) - 1
            inputs["logits_to_keep"] = positions
            if spec.with_cache:
                inputs["use_cache"] = True
            labels = torch.ones(spec.rows, spec.scored + 1, **tensor_options)
        n_items = torch.ones((), **tensor_options)
        # In one expression: a variable would keep the outputs alive, and the last tensor comes after them.
        if self.spec.task == "classify" or spec.with_cache:
            return collate.get_loss(self.spec.task)(self.model(**inputs), labels, n_items)
        with VocabularyLoss(self.model, device=self.device) as vocabulary_loss:
            return vocabulary_loss(self.model(**inputs), labels, n_items)

    def _packed_loss(self, spec: PassSpec, tensor_options: dict[str, Any]) -> torch.Tensor:
        """Return the loss of texts behind one another, each as long as their mean."""
        n_tokens, n_scored = spec.rows * spec.tokens, spec.rows * spec.scored
        inputs: dict[str, Any] = {
            "input_ids": torch.ones(1, n_tokens, **tensor_options),
            "position_ids": torch.arange(spec.tokens, **tensor_options).repeat(spec.rows)[None],
            "text_lengths": (spec.packed_longest,) * spec.rows,
            "logits_to_keep": torch.arange(n_scored, **tensor_options),
        }
        labels, n_items = torch.ones(1, n_scored + 1, **tensor_options), torch.ones((), **tensor_options)
        with VocabularyLoss(self.model, device=self.device) as vocabulary_loss:
            return vocabulary_loss(self.model(**inputs), labels, n_items)


def enable_gradient_checkpointing(model: Any, device: str, autocast_dtype: torch.dtype | None = None) -> None:
    """Make a model keep no more than each block's input for the backward pass.

    Args:
        model: The model, which is changed in place.
        device: The device that it is meant for, "cpu" or "cuda".
        autocast_dtype: The format of the autocast under which the second pass computes, as the first one
            does; None for none. On the way back no mode is on, so the model is told.
    """

    def build_contexts() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        recompute_context = nullcontext()
        if autocast_dtype:
            recompute_context = MetaAutocast(autocast_dtype, device, caches_weights=False)
        return nullcontext(), recompute_context

    model.gradient_checkpointing_enable(
        gradient_checkpointing_kwargs={"use_reentrant": False, "context_fn": build_contexts}
    )
    model.enable_input_require_grads()
