"""What the stages of RLHF share: where a finished one lies, what is learned beside the model, and how TRL's trainers are told to work here."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
from peft import LoraConfig
from transformers import PrinterCallback, TrainerCallback

from studio.home import check_room, write_json
from studio.methods import _supervised, lora
from studio.methods.base import Job, Scores, Watch
from studio.models import shape as shapes
from studio.models.shape import ModelShape

# What a stage came to, beside its model: a run that goes on and skips it still reports it.
FIGURES = "figures.json"


class Unkept(TrainerCallback):  # type: ignore[misc] # transformers ships no types
    """Keeps no checkpoints: a stage that was left unfinished begins again. It stands behind the watch, which asks for them."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take back what the watch asked for."""
        control.should_save = False


def folder(job: Job, stage: str) -> Path:
    """Where the result of a stage lies once it is whole."""
    return job.folder / "stages" / stage


def done(path: Path) -> bool:
    """Whether a stage's result is there; it appears whole or not at all."""
    return (path / "config.json").is_file()


def keep(job: Job, stage: str, model: Any, figures: Mapping[str, Any]) -> None:
    """Write a stage's model with its tokenizer and figures, under a draft name until it is whole.

    Raises OutOfRoom before the disk is full.
    """
    path = folder(job, stage)
    draft = path.with_name(f".{stage}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    check_room(draft, sum(value.numel() * value.element_size() for value in model.parameters()))
    model.save_pretrained(draft)
    job.tokenizer.save_pretrained(draft)
    write_json(draft / FIGURES, figures)
    shutil.rmtree(path, ignore_errors=True)
    draft.rename(path)


def shape(model: Any) -> ModelShape:
    """The shape of a model in memory."""
    return shapes.of(model.config.to_dict())


def adapter(job: Job, model: Any, kind: str) -> Any:
    """An untrained LoRA on every matrix of the blocks, for `kind` CAUSAL_LM or SEQ_CLS, whose new head is trained whole.

    No dropout: a policy must say the same twice, and a reward is compared with another.
    """
    rank = int(job.settings["rank"])
    return LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=lora.targets(shape(model), "all"), task_type=kind)


def merged(model: Any) -> Any:
    """The plain model with what was learned beside it added into its own matrices."""
    found = model.merge_and_unload()
    found.__dict__.pop("forward", None)  # TRL's trainers put a forward of their own over the model's
    return found.eval()


def arguments(job: Job, stage: str, steps: int, rate: float, **chosen: Any) -> dict[str, Any]:
    """What a TRL trainer is told: the plan's words for this machine, for `steps` steps at a learning rate.

    TRL would compute in bfloat16 and recompute activations everywhere, which a CPU does many times slower.
    """
    told = _supervised.arguments(job, stage)
    timing = {"max_steps": steps, "logging_steps": max(1, steps // 500), "warmup_steps": int(job.plan.training.warmup_share * steps)}
    return {**told, **timing, "learning_rate": rate, "gradient_checkpointing": told["activation_checkpointing"], **chosen}


def portions(job: Job, pairs: int) -> dict[str, int]:
    """How so many pairs a step are computed: a pair is two texts, so a portion holds half as many of them as of single ones."""
    portion = max(1, pairs // (2 * job.plan.training.accumulate))
    return {"per_device_train_batch_size": portion, "gradient_accumulation_steps": max(1, pairs // portion)}


def fit(
    job: Job,
    stage: str,
    trainer: Any,
    measure: Callable[[], Scores] | None,
    beside: Sequence[TrainerCallback] = (),
    start_counts: bool = False,
) -> Watch:
    """Train what a trainer holds, watched, and leave it in its best state, or its last one without `measure`.

    Where the `start_counts`, what training could not better is what remains.
    """
    _supervised.in_32_bits(trainer.model)
    trainer.remove_callback(PrinterCallback)
    watch = job.watch(stage, trainer.model, measure)
    if start_counts:
        watch.start()
    for callback in (watch, *beside, Unkept()):
        trainer.add_callback(callback)
    trainer.train()
    watch.restore()
    return watch


def table(**columns: Sequence[Any]) -> Any:
    """Rows for a TRL trainer, by column."""
    datasets.disable_progress_bars()
    return datasets.Dataset.from_dict({name: list(values) for name, values in columns.items()})
