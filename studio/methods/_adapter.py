"""What the methods built on PEFT share: an adapter is trained, saved, loaded and merged in one way."""

from pathlib import Path
from typing import Any

from studio.errors import Problem
from studio.methods.base import Job, Settings
from studio.models.shape import ModelShape
from studio.plan import Task
from studio.words import Words

CROWDED = Words(
    "the model reads {context} tokens in all; expected at most half of them, but got {got}",
    "模型总共能读 {context} 个 token：不能超过一半，实际是 {got}",
)


def learning_rate(shape: ModelShape, settings: Settings, task: Task) -> float:
    """2e-4 is the usual start for LoRA (about ten times that of full fine-tuning); models under 400 M learn better at more."""
    return 1e-3 if shape.total() < 400e6 else 2e-4


def kind(task: Task) -> str:
    """PEFT's name of a task; for classes it trains the new head along."""
    return "SEQ_CLS" if task == "classify" else "CAUSAL_LM"


def heads(shape: ModelShape, task: Task) -> list[str] | None:
    """Parts of a new head that PEFT does not know to train: ModernBERT's head has a layer of its own before the classifier."""
    return ["head"] if task == "classify" and shape.class_head else None


def crowded(name: str, tokens: int, shape: ModelShape) -> list[Problem]:
    """What is wrong with so many virtual tokens under the setting `name`: half of what a model reads is left for the text."""
    if tokens <= shape.context // 2:
        return []
    return [Problem(name, CROWDED.filled(context=shape.context, got=tokens))]


def train(job: Job) -> Any:
    """Supervised training of what was attached."""
    from studio.methods import _supervised  # noqa: PLC0415 - loads torch

    _supervised.fit(job)
    return job.model


def save(model: Any, folder: Path, hub: str) -> None:
    """Write the adapter; `hub` is the name under which anyone can fetch its base."""
    model.peft_config["default"].base_model_name_or_path = hub
    # No method changes the vocabulary; without this PEFT asks the hub about it.
    model.save_pretrained(folder, save_embedding_layers=False)


def load(base: Any, folder: Path) -> Any:
    """The adapter of a folder on a base model, whose modules it takes over."""
    from peft import PeftModel  # noqa: PLC0415 - loads torch

    return PeftModel.from_pretrained(base, folder).eval()


def merge(base: Any, folder: Path) -> Any:
    """The base with the change added into its own matrices."""
    return load(base, folder).merge_and_unload()
