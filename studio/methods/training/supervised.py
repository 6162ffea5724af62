"""Supervised training shared by the methods: one Trainer, fed so that only what is learned is computed."""

import itertools
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedDataParallelKwargs
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.distributed.checkpoint import load_optimizer_distributed, save_optimizer_distributed
from transformers.trainer import SCHEDULER_NAME
from transformers.trainer_pt_utils import LengthGroupedSampler

from studio.data import collate, packed_texts, vocabulary_loss
from studio.data.examples import Encoded
from studio.errors import NotPossible
from studio.i18n import Message
from studio.methods import defaults
from studio.methods.spec import Scores, Settings, TrainingContext
from studio.methods.training.step_graphs import StepGraphs
from studio.methods.workload import (
    MAX_CHECKED_EXAMPLES,
    choose_optimizer,
    holds_weights_in_bf16,
    may_replay,
    uses_gradient_checkpointing,
)
from studio.models import device, load, ranks, shape, sharding, trainable
from studio.models.cpu_attention import short_texts_in_float32
from studio.models.fused_norms import fused_norms

# What torch compiles GPU code with (triton/runtime/build.py).
C_COMPILERS = ("cc", "gcc", "clang")
NO_C_COMPILER = Message("Training weights in bfloat16 needs a C compiler ({names}), and none is installed.")
NO_NATIVE_BF16 = Message("Weights cannot be trained in bfloat16 here: this device does not compute in it.")
CHOOSE_FLOAT32 = Message("Set weights_precision to float32, which takes twice the memory, or choose LoRA.")
UNBALANCED_CLASSES = Message(
    "The classes are unbalanced, so texts of rare ones count more in training: from ×{least:.2g} to"
    " ×{most:.2g} (“{rare}”)."
)
# The newest, and the one before it, in case the newest turns out to be damaged.
KEPT_CHECKPOINTS = 2
# Where a checkpoint has the parts of an optimizer that is spread over the ranks.
OPTIMIZER_FOLDER = "optimizer"
# Of a micro batch: how many tokens it has that are no padding.
N_TOKENS = "n_tokens"
CreateOptimizer = Callable[[Any, TrainingArguments], torch.optim.Optimizer]


class SeededLengthGroupedSampler(LengthGroupedSampler):  # type: ignore[misc] # transformers ships no types
    """Batches texts of like length, so that little is padded; the order depends on seed and epoch alone.

    So a training that goes on after a stop sees the same batches as one that was never stopped. The batch
    with the longest text comes first, as it needs the most memory, and the others in random order: from long
    to short, as transformers has them, a training drifts with the lengths (docs/methods.md#order-of-batches).
    """

    def __init__(self, size: int, lengths: list[int], seed: int) -> None:
        super().__init__(size, lengths=lengths, generator=torch.Generator())
        self.seed = seed
        self.set_epoch(0)

    def __iter__(self) -> Iterator[int]:
        """The places of the examples in an epoch's order; a last batch that is not full stays the last."""
        places = list(super().__iter__())
        n_full = len(places) // self.batch_size
        last_batch = places[n_full * self.batch_size :]
        starts = range(0, n_full * self.batch_size, self.batch_size)
        batches = [places[start : start + self.batch_size] for start in starts]
        order = torch.randperm(max(n_full - 1, 0), generator=self.generator).tolist()
        shuffled = [batches[1 + number] for number in order]
        return itertools.chain(*batches[:1], *shuffled, last_batch)

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch (accelerate calls this)."""
        self.generator.manual_seed(self.seed * 100_003 + epoch)


class TrainableCheckpoints:
    """Comes before a Trainer's class: its checkpoints hold what is trained alone, alike for all methods."""

    model: Any
    args: Any

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save what is trained."""
        if self.args.should_save or sharding.is_sharded(self.model):  # of several ranks the first
            trainable.save(self.model, Path(str(output_dir)))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        trainable.restore(self.model, Path(resume_from_checkpoint))


class _LengthGroupedTrainer(TrainableCheckpoints, Trainer):  # type: ignore[misc] # transformers ships no types
    """A Trainer whose batches hold texts of like length, and whose loss may run the model's head itself."""

    pass_context: AbstractContextManager[Any] = nullcontext()
    sampler: SeededLengthGroupedSampler
    trained_parameters: list[torch.nn.Parameter]
    step_graphs: StepGraphs | None = None

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The loss of a micro batch."""
        inputs.pop(N_TOKENS, None)
        with self.pass_context:
            return super().compute_loss(model, inputs, *args, **kwargs)

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Forward and backward of a micro batch: its loss."""
        passes = partial(super().training_step, model)
        if not self.step_graphs or not torch.is_tensor(num_items_in_batch):
            return passes(inputs, num_items_in_batch)
        tensors = {name: value for name, value in inputs.items() if name != N_TOKENS}
        return self.step_graphs.run(tensors, num_items_in_batch, passes)

    def zero_gradients(self) -> None:
        """Begin the next step; transformers would look at the frozen parameters too."""
        if self.step_graphs:
            self.step_graphs.zero_gradients()
            return
        for parameter in self.trained_parameters:
            parameter.grad = None

    def _build_accelerator_args(self, **kwargs: Any) -> dict[str, Any]:
        """Let gradients lie in the buckets that GPUs send each other: else each GPU would hold them twice."""
        arguments: dict[str, Any] = super()._build_accelerator_args(**kwargs)
        for handler in arguments["kwargs_handlers"]:
            if isinstance(handler, DistributedDataParallelKwargs):
                handler.gradient_as_bucket_view = True
        return arguments

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """None are counted: nobody reads them, and transformers looks at every parameter for them."""
        return 0

    def _clip_grad_norm(self, model: Any) -> Any:
        """Bound the gradients; transformers would look for them in the frozen parameters too."""
        if sharding.is_sharded(model):
            return super()._clip_grad_norm(model)
        return self.accelerator.clip_grad_norm_(self.trained_parameters, self.args.max_grad_norm)

    def _track_num_input_tokens(self, inputs: dict[str, Any]) -> None:
        """Count the tokens that are no padding; transformers would wait for a GPU to have counted them."""
        if ranks.count() > 1:
            super()._track_num_input_tokens(inputs)
        else:
            self.state.num_input_tokens_seen += inputs[N_TOKENS]

    def _get_train_sampler(self, train_dataset: Any = None) -> SeededLengthGroupedSampler:
        lengths = [len(row["input_ids"]) for row in self.train_dataset]
        rank_size = self.args.train_batch_size * self.args.gradient_accumulation_steps
        step_size = rank_size * ranks.count()
        self.sampler = SeededLengthGroupedSampler(step_size, lengths, self.args.seed)
        return self.sampler

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Save the optimizer; of a model that is spread over the ranks each one saves its part."""
        if not sharding.is_sharded(self.model):
            super()._save_optimizer_and_scheduler(output_dir)
            return
        save_optimizer_distributed(self.model, self.optimizer.optimizer, f"{output_dir}/{OPTIMIZER_FOLDER}")
        if self.args.should_save:
            torch.save(self.lr_scheduler.state_dict(), f"{output_dir}/{SCHEDULER_NAME}")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or not sharding.is_sharded(self.model):
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        load_optimizer_distributed(self.model, self.optimizer.optimizer, f"{checkpoint}/{OPTIMIZER_FOLDER}")
        state = torch.load(f"{checkpoint}/{SCHEDULER_NAME}", weights_only=True)
        self.lr_scheduler.load_state_dict(state)


class _EpochOrder(TrainerCallback):  # type: ignore[misc] # as above
    """Tells a Trainer's sampler the epoch.

    Behind a part of an epoch that is skipped on several ranks, neither transformers nor accelerate reach it.
    """

    def __init__(self, trainer: _LengthGroupedTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Set the epoch that begins, or goes on."""
        self.trainer.sampler.set_epoch(int(state.epoch or 0))


def fit(
    context: TrainingContext,
    stage: str = "train",
    gradient_checkpointing: bool = True,
    callbacks: Sequence[Any] = (),
    penalty: Callable[[], torch.Tensor] | None = None,
    create_optimizer: CreateOptimizer | None = None,
) -> None:
    """Train `context.model` in place on `context.train` and leave it in its best state.

    A stopped training goes on where it was.

    Args:
        context: the training.
        stage: the name of the stage; its checkpoints have a folder of this name.
        gradient_checkpointing: whether the method supports it.
        callbacks: called before the monitor.
        penalty: a regularization term whose gradient is added in each step, without being reported as loss.
        create_optimizer: makes another optimizer than Trainer's own from the model and its arguments.
    """
    model = sharding.shard(context.model.cpu(), context.base_folder) if context.is_sharded else context.model
    original_dtypes = []
    if context.is_sharded or trained_dtype(context.settings, model) is torch.float32:
        original_dtypes = upcast_trainable(model)
    if context.plan.training.disk_offload:
        model.enable_input_require_grads()  # the way back passes through what has a gradient alone
    checked = _sample_validation(context)

    def measure() -> Scores:
        scores = context.measure(model, checked)
        sharding.reshard(model)
        return scores

    monitor = context.create_monitor(stage, model, measure)
    task = context.plan.task
    loss, pass_context = vocabulary_loss.build_loss(task, model, device.autocast)
    if task == "classify" and (weights := _class_weights(context)):
        loss = collate.with_class_weights(weights)
    loss = _with_gradient_penalty(loss, penalty, context.plan.training.accumulation_steps)
    n_virtual_tokens = collate.count_virtual_tokens(model)
    # Where a state runs along a row, or positions are not told from outside, texts would reach into others.
    can_pack = packed_texts.can_pack(model, task) and shape.from_config(model.config.to_dict()).packs
    packs_texts = can_pack and context.packs_texts
    within_texts = packed_texts.attending_within_texts(model) if can_pack else nullcontext()
    collate_rows = collate.build_collator(task, context.tokenizer, n_virtual_tokens, packs_texts)
    arguments = TrainingArguments(**training_arguments(context, stage, gradient_checkpointing))
    optimizer = create_optimizer(model, arguments) if create_optimizer else None
    trainer = _LengthGroupedTrainer(
        model=model,
        args=arguments,
        train_dataset=[vars(example) for example in context.train],
        data_collator=partial(_collate_and_count, collate_rows),
        compute_loss_func=loss,
        processing_class=context.tokenizer,
        callbacks=[*callbacks, monitor],
        optimizers=(optimizer, None),
    )
    trainer.pass_context = pass_context
    trainer.trained_parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if can_pack and not packs_texts and penalty is None and _may_replay(context, arguments):
        trainer.step_graphs = StepGraphs(trainer.trained_parameters)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_EpochOrder(trainer))
    with (
        collate.without_padding_mask(model, task),
        short_texts_in_float32(),
        within_texts,
        fused_norms(model),
        _without_walks(model, trainer),
    ):
        trainer.train(resume_from_checkpoint=monitor.checkpoint())
    if trainer.step_graphs and trainer.step_graphs.refusal:
        context.add_note("cuda_graphs", trainer.step_graphs.refusal)
    monitor.restore()
    for parameter, original_dtype in original_dtypes:  # the dtype in which they will be read again
        parameter.data = parameter.data.to(original_dtype)
    if context.is_sharded:
        sharding.gather(model, context.model)


def _may_replay(context: TrainingContext, arguments: TrainingArguments) -> bool:
    """Whether the passes of padded texts may be recorded on this machine and replayed (step_graphs)."""
    training, recomputes = context.plan.training, bool(arguments.activation_checkpointing)
    return not recomputes and may_replay(training, device.device_type(), ranks.count(), arguments.fp16)


@contextmanager
def _without_walks(model: Any, trainer: _LengthGroupedTrainer) -> Iterator[None]:
    """Within, a step does not look at every module and every parameter of a model, of which few learn.

    A 3B model with LoRA has 2,333 modules: to tell all that they are in training takes 8 ms, and to let their
    gradients go 4, of a step of 100 on an H200.
    """

    def train(mode: bool = True) -> Any:
        return model if model.training is mode else type(model).train(model, mode)

    def zero_grad(set_to_none: bool = True) -> None:
        trainer.zero_gradients()

    model.train()  # all of it: PEFT wraps a model in evaluation mode in a module in training
    model.train, model.zero_grad = train, zero_grad
    try:
        yield
    finally:
        del model.train, model.zero_grad


def _collate_and_count(collate_rows: collate.Collator, rows: Sequence[dict[str, Any]]) -> collate.Batch:
    return {**collate_rows(rows), N_TOKENS: sum(len(row["input_ids"]) for row in rows)}


def _sample_validation(context: TrainingContext) -> list[Encoded]:
    """The validation examples measured along the way: all, or as many as suffice, drawn by the seed."""
    if len(context.validation) <= MAX_CHECKED_EXAMPLES:
        return context.validation
    rng = random.Random(context.plan.training.seed)  # noqa: S311 - a repeatable draw, no secret
    return rng.sample(context.validation, MAX_CHECKED_EXAMPLES)


def trained_dtype(settings: Settings, model: Any) -> torch.dtype:
    """The format in which a method holds what it trains: 32 bits, or bfloat16 by its settings.

    Raises:
        NotPossible: The settings ask for bfloat16 where the device lacks it, or there is no C compiler, with
            which torch compiles the optimizer that rounds stochastically.
    """
    has_bf16 = device.can_train_in_bf16()
    n_trained = load.count_parameters(model, trainable_only=True)
    if not holds_weights_in_bf16(settings, n_trained, has_bf16):
        return torch.float32
    if not has_bf16:
        raise NotPossible(NO_NATIVE_BF16, CHOOSE_FLOAT32)
    if not any(map(shutil.which, C_COMPILERS)):
        raise NotPossible(NO_C_COMPILER, CHOOSE_FLOAT32, names=list(C_COMPILERS))
    return torch.bfloat16


def _class_weights(context: TrainingContext) -> tuple[float, ...]:
    """How much a text of each class counts, noted for the report; empty where all count the same."""
    config = context.model.config
    if config.problem_type not in (None, "single_label_classification"):
        return ()
    labels = [int(row.labels[0]) for row in context.train]
    weights = defaults.class_weights(labels, config.num_labels, context.plan.training)
    if weights:
        names = config.id2label
        context.add_note(
            "class_weights",
            {names[label]: round(weight, 3) for label, weight in enumerate(weights)},
            UNBALANCED_CLASSES.format(
                most=max(weights), rare=names[weights.index(max(weights))], least=min(weights)
            ),
        )
    return weights


def upcast_trainable(model: Any) -> list[tuple[torch.nn.Parameter, torch.dtype]]:
    """Hold trainable parameters in 32 bits: small steps vanish in 16 bits.

    Returns:
        The parameters that were in 16 bits, each with its dtype.
    """
    upcast = []
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype in (torch.bfloat16, torch.float16):
            upcast.append((parameter, parameter.dtype))
            parameter.data = parameter.data.float()
    return upcast


def _with_gradient_penalty(
    loss: collate.Loss, penalty: Callable[[], torch.Tensor] | None, gradient_accumulation_steps: int
) -> collate.Loss:
    """A loss with a penalty's gradient but not its value; a step of several micro batches gets it once."""
    if penalty is None:
        return loss

    def loss_with_penalty(*args: Any, **kwargs: Any) -> torch.Tensor:
        scaled_penalty = penalty() / gradient_accumulation_steps
        return loss(*args, **kwargs) + (scaled_penalty - scaled_penalty.detach())

    return loss_with_penalty


def training_arguments(
    context: TrainingContext, stage: str, gradient_checkpointing: bool = True
) -> dict[str, Any]:
    """Keyword arguments of TrainingArguments: the plan's, and those that suit this machine."""
    training, on_gpu = context.plan.training, device.device_type() == "cuda"
    autocast_dtype = device.autocast_dtype()
    batch_size, epochs = training.batch_size or 1, training.epochs or 1.0
    n_ranks = ranks.count()
    share = ranks.share_batch(batch_size, training.accumulation_steps, n_ranks)
    steps_per_epoch = -(-len(context.train) // (share.batch_size * share.accumulation_steps * n_ranks))
    uses_checkpointing = gradient_checkpointing and uses_gradient_checkpointing(
        training.gradient_checkpointing, load.count_parameters(context.model), device.device_type()
    )
    arguments = {
        "output_dir": str(context.folder / "checkpoints" / stage),
        "num_train_epochs": epochs,
        "per_device_train_batch_size": share.batch_size,
        "gradient_accumulation_steps": share.accumulation_steps,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": training.lr_scheduler_type,
        "warmup_steps": int(training.warmup_ratio * steps_per_epoch * epochs),
        "weight_decay": training.weight_decay,
        "max_grad_norm": 1.0,
        "seed": training.seed,
        "use_cpu": device.uses_cpu(),
        "bf16": autocast_dtype is torch.bfloat16,
        "fp16": autocast_dtype
        is torch.float16,  # accelerate scales the loss, as float16 has no small numbers
        "activation_checkpointing": uses_checkpointing,
        "dataloader_pin_memory": on_gpu,
        "accelerator_config": {"non_blocking": on_gpu},  # a batch travels while the one before is computed
        "include_num_input_tokens_seen": "non_padding",
        "logging_nan_inf_filter": False,
        "logging_steps": max(1, int(steps_per_epoch * epochs) // 500),
        "save_strategy": "no",  # the monitor saves
        "save_total_limit": KEPT_CHECKPOINTS,
        "report_to": "none",
        "disable_tqdm": True,
        # The head is run behind the model's pass (vocabulary_loss), where DDP does not look for it.
        "ddp_find_unused_parameters": False,
        "remove_unused_columns": False,
    }
    if training.disk_offload:
        # Nothing of a block but its input is kept on the way forward: else bitsandbytes keeps its matrices.
        arguments["activation_checkpointing_kwargs"] = {"use_reentrant": True}
    if context.is_sharded:
        return arguments  # the 8-bit optimizers: torchao's breaks off, bitsandbytes' is untried
    in_bf16 = trained_dtype(context.settings, context.model) is torch.bfloat16
    n_trained = load.count_parameters(context.model, trainable_only=True)
    arguments["optim"] = choose_optimizer(in_bf16, n_trained, device.cuda_memory_bytes())
    if in_bf16:
        arguments["optim_args"] = "bf16_stochastic_round=True"
    return arguments
