"""What the stages of RLHF share: results on disk, the LoRA, and TRL's trainers set up for this machine."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
from peft import LoraConfig
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.utils import RepeatSampler

from studio.methods import lora
from studio.methods.rlhf_stages import schedule
from studio.methods.spec import Scores, StageMonitor, TrainingContext
from studio.methods.training import lora_layers, supervised
from studio.models import shape as shapes
from studio.models.cpu_attention import short_texts_in_float32
from studio.models.fused_norms import fused_norms
from studio.models.shape import ModelShape
from studio.storage import require_disk_space, write_json

# The metrics of a stage, saved with its model: a run that goes on and skips the stage still reports them.
METRICS_FILE = "figures.json"


class EpochSampler(torch.utils.data.Sampler):  # type: ignore[misc] # torch ships no types
    """TRL's order of the questions, which depends on seed and epoch alone: it can go on in any epoch."""

    def __init__(self, sampler: RepeatSampler, seed: int) -> None:
        self.sampler, self.seed = sampler, seed
        self.set_epoch(0)

    def __iter__(self) -> Iterator[int]:
        """The places of the questions, each as often as it is answered."""
        return iter(self.sampler)

    def __len__(self) -> int:
        """Answers in an epoch."""
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch (accelerate calls this)."""
        self.sampler.generator.manual_seed(self.seed + 100_003 * epoch)


class _StageCheckpoints(supervised.TrainableCheckpoints):
    """Comes before a class of TRL's trainers: what it saves and samples lets a stage go on where it was."""

    args: Any

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """A checkpoint needs no card."""

    def _get_train_sampler(self, *arguments: Any) -> Any:
        sampler = super()._get_train_sampler(*arguments)  # type: ignore[misc] # of the trainer's class
        is_trl_order = isinstance(sampler, RepeatSampler)
        return EpochSampler(sampler, self.args.seed) if is_trl_order else sampler


def resumable(trainer_class: type) -> Any:
    """One of TRL's trainers whose checkpoints let it go on exactly where it was."""
    return type(trainer_class.__name__, (_StageCheckpoints, trainer_class), {})


def folder(context: TrainingContext, stage: str) -> Path:
    """Where the result of a stage is saved once it is complete."""
    return context.folder / "stages" / stage


def is_done(path: Path) -> bool:
    """Whether a stage's result is saved in its folder, which appears only when it is complete."""
    return (path / "config.json").is_file()


def save_result(context: TrainingContext, stage: str, model: Any, metrics: Mapping[str, Any]) -> None:
    """Save a stage's model with its tokenizer and metrics, under a draft name until it is complete.

    Raises:
        OutOfDiskSpace: The model does not fit on the disk.
    """
    path = folder(context, stage)
    draft = path.with_name(f".{stage}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    model_bytes = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    require_disk_space(draft, model_bytes)
    model.save_pretrained(draft)
    context.tokenizer.save_pretrained(draft)
    write_json(draft / METRICS_FILE, metrics)
    shutil.rmtree(path, ignore_errors=True)
    draft.rename(path)


def model_shape(model: Any) -> ModelShape:
    """The shape of a model in memory."""
    return shapes.from_config(model.config.to_dict())


def lora_config(context: TrainingContext, model: Any, task_type: str) -> Any:
    """An untrained LoRA on every matrix of the blocks; with task type SEQ_CLS the new head is trained too.

    It has no dropout: a policy must give the same probabilities twice, and a reward is compared with another.

    Args:
        context: The training whose rank it takes.
        model: The model that it is attached to.
        task_type: CAUSAL_LM or SEQ_CLS.
    """
    # TRL draws it before it sets the seed: after a restart of the stage it would be another one.
    torch.manual_seed(context.plan.training.seed)
    rank = int(context.settings["rank"])
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules=lora.target_pattern(model_shape(model), "all"),
        task_type=task_type,
    )
    lora_layers.register(config, model)
    return config


def merge_adapter(model: Any) -> Any:
    """The plain model with the LoRA added into its matrices."""
    merged_model = model.merge_and_unload()
    merged_model.__dict__.pop("forward", None)  # TRL's trainers replace the model's own forward
    return merged_model.eval()


def trl_arguments(
    context: TrainingContext, stage: str, steps: int, learning_rate: float, **overrides: Any
) -> dict[str, Any]:
    """The arguments of a TRL trainer for so many steps at a learning rate, with the plan's settings.

    By default TRL would compute in bfloat16 with gradient checkpointing everywhere, which a CPU does many
    times slower.
    """
    base_arguments = supervised.training_arguments(context, stage)
    return {
        **base_arguments,
        "max_steps": steps,
        "logging_steps": max(1, steps // 500),
        "warmup_steps": int(context.plan.training.warmup_ratio * steps),
        "learning_rate": learning_rate,
        "gradient_checkpointing": base_arguments["activation_checkpointing"],
        **overrides,
    }


def micro_batches(context: TrainingContext, n_examples: int, texts_per_example: int) -> dict[str, int]:
    """Micro batch size and accumulation of a step.

    Args:
        context: The training.
        n_examples: The pairs, or single answers, of a step.
        texts_per_example: 2 for pairs, 1 for single answers.
    """
    accumulation_steps = context.plan.training.accumulation_steps
    size = schedule.micro_batch_size(n_examples, accumulation_steps, texts_per_example)
    return {"per_device_train_batch_size": size, "gradient_accumulation_steps": n_examples // size}


def run_trainer(
    context: TrainingContext,
    stage: str,
    trainer: Any,
    measure: Callable[[], Scores] | None,
    callbacks: Sequence[TrainerCallback] = (),
) -> StageMonitor:
    """Train a trainer's model under a monitor, and leave it in its best state.

    Args:
        context: The training.
        stage: The stage's name.
        trainer: A TRL trainer.
        measure: Gives validation scores; without it the last state is kept.
        callbacks: Further callbacks.

    Returns:
        The stage's monitor.
    """
    supervised.upcast_trainable(trainer.model)
    trainer.remove_callback(PrinterCallback)
    monitor = context.create_monitor(stage, trainer.model, measure)
    for callback in (*callbacks, monitor):
        trainer.add_callback(callback)
    with short_texts_in_float32(every_pass=True), fused_norms(trainer.model):
        trainer.train(resume_from_checkpoint=monitor.checkpoint())
    monitor.restore()
    return monitor


def build_dataset(**columns: Sequence[Any]) -> Any:
    """The rows of a TRL trainer, by column."""
    return datasets.Dataset.from_dict({name: list(values) for name, values in columns.items()})
