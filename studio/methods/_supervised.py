"""Supervised training shared by the methods: one Trainer, fed so that no work is spent on what is not learned."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler

from studio.data import batch
from studio.methods.base import Job
from studio.methods.work import EIGHT_BIT_FROM, recomputed
from studio.models import load, trained


class Order(LengthGroupedSampler):  # type: ignore[misc] # transformers ships no types
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


class _Fit(Trainer):  # type: ignore[misc] # a hook of transformers' own, which can only be overridden
    """A Trainer whose checkpoints hold what is trained and nothing else, for every method in the same way."""

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        trained.save(self.model, Path(str(output_dir)))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        trained.restore(self.model, Path(resume_from_checkpoint))

    def _get_train_sampler(self, train_dataset: Any = None) -> Order:
        lengths = [len(row["input_ids"]) for row in self.train_dataset]
        return Order(self.args.train_batch_size * self.args.gradient_accumulation_steps, lengths, self.args.seed)


def fit(
    job: Job,
    stage: str = "train",
    recompute: bool = True,
    callbacks: Sequence[Any] = (),
    penalty: Callable[[], torch.Tensor] | None = None,
) -> None:
    """Train `job.model` in place on `job.train` and leave it in its best state; goes on where a stopped training left off.

    `recompute` says whether the method bears gradient checkpointing. `callbacks` are called before the watch. `penalty` pulls at what is
    trained beside the loss, without being shown as part of it.
    """
    rounded = in_32_bits(job.model)
    watch = job.watch(stage, job.model, lambda: job.measure(job.model, job.validation))
    trainer = _Fit(
        model=job.model,
        args=TrainingArguments(**arguments(job, stage, recompute)),
        train_dataset=[vars(example) for example in job.train],
        data_collator=batch.collator(job.plan.task, job.tokenizer, batch.shift(job.model)),
        compute_loss_func=_pulled(batch.loss(job.plan.task), penalty, job.plan.training.accumulate),
        processing_class=job.tokenizer,
        callbacks=[*callbacks, watch],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=watch.checkpoint())
    watch.restore()
    for value, kind in rounded:  # as they will be read again
        value.data = value.data.to(kind)


def in_32_bits(model: Any) -> list[tuple[torch.nn.Parameter, torch.dtype]]:
    """Hold what is trained in 32 bits: small steps vanish in 16-bit numbers. Returns what was held otherwise, and how."""
    found = [(value, value.dtype) for value in model.parameters() if value.requires_grad and value.dtype in (torch.bfloat16, torch.float16)]
    for value, _ in found:
        value.data = value.data.float()
    return found


def _pulled(loss: batch.Loss, penalty: Callable[[], torch.Tensor] | None, portions: int) -> batch.Loss:
    """A loss with the gradient of a penalty and without its value; a step of several portions feels it once."""
    if penalty is None:
        return loss

    def both(*given: Any, **named: Any) -> torch.Tensor:
        pull = penalty() / portions
        return loss(*given, **named) + (pull - pull.detach())

    return both


def in_16_bits() -> bool:
    """Whether a training's passes compute in bfloat16 (autocast): on a card that has it."""
    return torch.cuda.is_available() and load.dtype() is torch.bfloat16


def arguments(job: Job, stage: str, recompute: bool = True) -> dict[str, Any]:
    """What a plan asks for, in the words of TrainingArguments, with the settings that suit this machine."""
    training, on_card = job.plan.training, torch.cuda.is_available()
    size, epochs = training.batch_size or 1, training.epochs or 1.0
    portion = max(1, size // training.accumulate)
    steps_an_epoch = -(-len(job.train) // (portion * training.accumulate))
    total = sum(value.numel() for value in job.model.parameters())
    learned = sum(value.numel() for value in job.model.parameters() if value.requires_grad)
    optimiser = {"optim": "paged_adamw_8bit"} if on_card and (learned >= EIGHT_BIT_FROM or _quantised(job.model)) else {}
    return {
        "output_dir": str(job.folder / "checkpoints" / stage),
        "num_train_epochs": epochs,
        "per_device_train_batch_size": portion,
        "gradient_accumulation_steps": training.accumulate,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": training.schedule,
        "warmup_steps": int(training.warmup_share * steps_an_epoch * epochs),
        "weight_decay": training.weight_decay,
        "max_grad_norm": 1.0,
        "seed": training.seed,
        "use_cpu": not on_card,
        "bf16": in_16_bits(),
        "activation_checkpointing": recompute and recomputed(training.recompute, on_card, total),
        "dataloader_pin_memory": on_card,
        "include_num_input_tokens_seen": "non_padding",
        "logging_nan_inf_filter": False,
        "logging_steps": max(1, int(steps_an_epoch * epochs) // 500),
        "save_strategy": "no",  # the watch says when
        "save_total_limit": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        **optimiser,
    }


def _quantised(model: Any) -> bool:
    return getattr(model.config, "quantization_config", None) is not None
