"""Supervised training shared by the methods: one Trainer, fed so that no work is spent on what is not learned."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler

from studio.data import collate
from studio.methods.spec import TrainingContext
from studio.methods.workload import EIGHT_BIT_OPTIMIZER_MIN_PARAMETERS, uses_gradient_checkpointing
from studio.models import device, trainable


class SeededLengthGroupedSampler(LengthGroupedSampler):  # type: ignore[misc] # transformers ships no types
    """Texts of like length share a batch, so that little is padded; an epoch's order depends on the seed and the epoch alone.

    So a training that goes on after a stop sees the same batches as one that was never stopped.
    """

    def __init__(self, size: int, lengths: list[int], seed: int) -> None:
        super().__init__(size, lengths=lengths, generator=torch.Generator())
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch (accelerate calls this)."""
        self.generator.manual_seed(self.seed * 100_003 + epoch)


class _TrainableOnlyTrainer(Trainer):  # type: ignore[misc] # a hook of transformers' own, which can only be overridden
    """A Trainer whose checkpoints hold what is trained and nothing else, for every method in the same way."""

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        trainable.save(self.model, Path(str(output_dir)))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        trainable.restore(self.model, Path(resume_from_checkpoint))

    def _get_train_sampler(self, train_dataset: Any = None) -> SeededLengthGroupedSampler:
        lengths = [len(row["input_ids"]) for row in self.train_dataset]
        return SeededLengthGroupedSampler(
            self.args.train_batch_size * self.args.gradient_accumulation_steps, lengths, self.args.seed
        )


def fit(
    job: TrainingContext,
    stage: str = "train",
    gradient_checkpointing: bool = True,
    callbacks: Sequence[Any] = (),
    penalty: Callable[[], torch.Tensor] | None = None,
) -> None:
    """Train `job.model` in place on `job.train` and leave it in its best state; goes on where a stopped training left off.

    `recompute` says whether the method bears gradient checkpointing. `callbacks` are called before the watch. `penalty` pulls at what is
    trained beside the loss, without being shown as part of it.
    """
    original_dtypes = upcast_trainable(job.model)
    monitor = job.create_monitor(stage, job.model, lambda: job.measure(job.model, job.validation))
    trainer = _TrainableOnlyTrainer(
        model=job.model,
        args=TrainingArguments(**training_arguments(job, stage, gradient_checkpointing)),
        train_dataset=[vars(example) for example in job.train],
        data_collator=collate.build_collator(
            job.plan.task, job.tokenizer, collate.count_virtual_tokens(job.model)
        ),
        compute_loss_func=_with_gradient_penalty(
            collate.get_loss(job.plan.task), penalty, job.plan.training.gradient_accumulation_steps
        ),
        processing_class=job.tokenizer,
        callbacks=[*callbacks, monitor],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=monitor.checkpoint())
    monitor.restore()
    for parameter, original_dtype in original_dtypes:  # as they will be read again
        parameter.data = parameter.data.to(original_dtype)


def upcast_trainable(model: Any) -> list[tuple[torch.nn.Parameter, torch.dtype]]:
    """Hold what is trained in 32 bits: small steps vanish in 16-bit numbers. Returns what was held otherwise, and how."""
    upcast = [
        (parameter, parameter.dtype)
        for parameter in model.parameters()
        if parameter.requires_grad and parameter.dtype in (torch.bfloat16, torch.float16)
    ]
    for parameter, _ in upcast:
        parameter.data = parameter.data.float()
    return upcast


def _with_gradient_penalty(
    loss: collate.Loss, penalty: Callable[[], torch.Tensor] | None, n_micro_batches: int
) -> collate.Loss:
    """A loss with the gradient of a penalty and without its value; a step of several portions feels it once."""
    if penalty is None:
        return loss

    def loss_with_penalty(*args: Any, **kwargs: Any) -> torch.Tensor:
        scaled_penalty = penalty() / n_micro_batches
        return loss(*args, **kwargs) + (scaled_penalty - scaled_penalty.detach())

    return loss_with_penalty


def uses_bf16() -> bool:
    """Whether a training's passes compute in bfloat16 (autocast): on a card that has it."""
    return device.has_native_bf16()


def training_arguments(
    job: TrainingContext, stage: str, gradient_checkpointing: bool = True
) -> dict[str, Any]:
    """What a plan asks for, in the words of TrainingArguments, with the settings that suit this machine."""
    training, on_gpu = job.plan.training, device.device_type() == "cuda"
    batch_size, epochs = training.batch_size or 1, training.epochs or 1.0
    micro_batch_size = max(1, batch_size // training.gradient_accumulation_steps)
    steps_per_epoch = -(-len(job.train) // (micro_batch_size * training.gradient_accumulation_steps))
    total_parameters = sum(parameter.numel() for parameter in job.model.parameters())
    trainable_parameters = sum(
        parameter.numel() for parameter in job.model.parameters() if parameter.requires_grad
    )
    optimizer_arguments = (
        {"optim": "paged_adamw_8bit"}
        if on_gpu and (trainable_parameters >= EIGHT_BIT_OPTIMIZER_MIN_PARAMETERS or _is_quantized(job.model))
        else {}
    )
    return {
        "output_dir": str(job.folder / "checkpoints" / stage),
        "num_train_epochs": epochs,
        "per_device_train_batch_size": micro_batch_size,
        "gradient_accumulation_steps": training.gradient_accumulation_steps,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": training.lr_scheduler_type,
        "warmup_steps": int(training.warmup_ratio * steps_per_epoch * epochs),
        "weight_decay": training.weight_decay,
        "max_grad_norm": 1.0,
        "seed": training.seed,
        "use_cpu": device.uses_cpu(),
        "bf16": uses_bf16(),
        "activation_checkpointing": gradient_checkpointing
        and uses_gradient_checkpointing(training.gradient_checkpointing, on_gpu, total_parameters),
        "dataloader_pin_memory": on_gpu,
        "include_num_input_tokens_seen": "non_padding",
        "logging_nan_inf_filter": False,
        "logging_steps": max(1, int(steps_per_epoch * epochs) // 500),
        "save_strategy": "no",  # the watch says when
        "save_total_limit": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        **optimizer_arguments,
    }


def _is_quantized(model: Any) -> bool:
    return getattr(model.config, "quantization_config", None) is not None
