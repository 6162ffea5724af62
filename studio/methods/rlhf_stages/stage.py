"""What the stages of RLHF share: where a finished one lies, what is learned beside the model, and how TRL's trainers are told to work here."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
from peft import LoraConfig
from transformers import PrinterCallback, TrainerCallback

from studio.methods import lora
from studio.methods.spec import Scores, StageMonitor, TrainingContext
from studio.methods.training import supervised
from studio.models import shape as shapes
from studio.models.shape import ModelShape
from studio.storage import require_disk_space, write_json

# What a stage came to, beside its model: a run that goes on and skips it still reports it.
METRICS_FILE = "figures.json"


class NoCheckpoints(TrainerCallback):  # type: ignore[misc] # transformers ships no types
    """Keeps no checkpoints: a stage that was left unfinished begins again. It stands behind the watch, which asks for them."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take back what the watch asked for."""
        control.should_save = False


def folder(job: TrainingContext, stage: str) -> Path:
    """Where the result of a stage lies once it is whole."""
    return job.folder / "stages" / stage


def is_done(path: Path) -> bool:
    """Whether a stage's result is there; it appears whole or not at all."""
    return (path / "config.json").is_file()


def save_result(job: TrainingContext, stage: str, model: Any, metrics: Mapping[str, Any]) -> None:
    """Write a stage's model with its tokenizer and figures, under a draft name until it is whole.

    Raises OutOfRoom before the disk is full.
    """
    path = folder(job, stage)
    draft = path.with_name(f".{stage}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    require_disk_space(
        draft, sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    )
    model.save_pretrained(draft)
    job.tokenizer.save_pretrained(draft)
    write_json(draft / METRICS_FILE, metrics)
    shutil.rmtree(path, ignore_errors=True)
    draft.rename(path)


def model_shape(model: Any) -> ModelShape:
    """The shape of a model in memory."""
    return shapes.from_config(model.config.to_dict())


def lora_config(job: TrainingContext, model: Any, task_type: str) -> Any:
    """An untrained LoRA on every matrix of the blocks, for `kind` CAUSAL_LM or SEQ_CLS, whose new head is trained whole.

    No dropout: a policy must say the same twice, and a reward is compared with another.
    """
    rank = int(job.settings["rank"])
    return LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules=lora.target_pattern(model_shape(model), "all"),
        task_type=task_type,
    )


def merge_adapter(model: Any) -> Any:
    """The plain model with what was learned beside it added into its own matrices."""
    merged_model = model.merge_and_unload()
    merged_model.__dict__.pop("forward", None)  # TRL's trainers put a forward of their own over the model's
    return merged_model.eval()


def trl_arguments(
    job: TrainingContext, stage: str, steps: int, learning_rate: float, **overrides: Any
) -> dict[str, Any]:
    """What a TRL trainer is told: the plan's words for this machine, for `steps` steps at a learning rate.

    TRL would compute in bfloat16 and recompute activations everywhere, which a CPU does many times slower.
    """
    base_arguments = supervised.training_arguments(job, stage)
    schedule = {
        "max_steps": steps,
        "logging_steps": max(1, steps // 500),
        "warmup_steps": int(job.plan.training.warmup_ratio * steps),
    }
    return {
        **base_arguments,
        **schedule,
        "learning_rate": learning_rate,
        "gradient_checkpointing": base_arguments["activation_checkpointing"],
        **overrides,
    }


def pair_batch_sizes(job: TrainingContext, pairs_per_step: int) -> dict[str, int]:
    """How so many pairs a step are computed: a pair is two texts, so a portion holds half as many of them as of single ones."""
    micro_batch_size = max(1, pairs_per_step // (2 * job.plan.training.gradient_accumulation_steps))
    return {
        "per_device_train_batch_size": micro_batch_size,
        "gradient_accumulation_steps": max(1, pairs_per_step // micro_batch_size),
    }


def run_trainer(
    job: TrainingContext,
    stage: str,
    trainer: Any,
    measure: Callable[[], Scores] | None,
    callbacks: Sequence[TrainerCallback] = (),
    measure_start: bool = False,
) -> StageMonitor:
    """Train what a trainer holds, watched, and leave it in its best state, or its last one without `measure`.

    Where the `start_counts`, what training could not better is what remains.
    """
    supervised.upcast_trainable(trainer.model)
    trainer.remove_callback(PrinterCallback)
    monitor = job.create_monitor(stage, trainer.model, measure)
    if measure_start:
        monitor.start()
    for callback in (monitor, *callbacks, NoCheckpoints()):
        trainer.add_callback(callback)
    trainer.train()
    monitor.restore()
    return monitor


def build_dataset(**columns: Sequence[Any]) -> Any:
    """Rows for a TRL trainer, by column."""
    datasets.disable_progress_bars()
    return datasets.Dataset.from_dict({name: list(values) for name, values in columns.items()})
