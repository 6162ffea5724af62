"""What the methods built on PEFT share: counting, training, saving, loading and merging an adapter."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from studio.errors import Problem
from studio.i18n import Message
from studio.methods import defaults
from studio.methods.spec import ParameterCount, Settings, TrainingContext
from studio.models import adapters
from studio.models.shape import ModelShape
from studio.plan import Task

TOO_MANY_VIRTUAL_TOKENS = Message(
    "the model reads {context} tokens in all; expected at most half of them, but got {got}"
)
# What PEFT warns of where all is as intended.
EXPECTED_WARNINGS = (
    ".*rank_pattern keys did not match",  # it takes AdaLoRA's own rank pattern for LoRA's
    "Unsupported layer type",  # norms, which LN tuning trains
    r".*LoRA tensor\(s\) have invalid shape",  # AdaLoRA prunes some matrices to rank 0
)


@contextmanager
def without_expected_warnings() -> Iterator[None]:
    """Within, PEFT does not warn of what is intended."""
    with warnings.catch_warnings():
        for message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        yield


def learning_rate(shape: ModelShape, settings: Settings, task: Task) -> float:
    """2e-4 is usual for LoRA (ten times full fine-tuning's); models under 400 M learn better at more."""
    if task == "classify" and shape.encoder:
        return defaults.classifier_learning_rate("lora", shape)
    return 1e-3 if shape.total() < 400e6 else 2e-4


def count_with_head(shape: ModelShape, num_labels: int, added: int, frozen: int = 0) -> ParameterCount:
    """Parameters of an adapter on a frozen base, and of a new head where there are labels.

    PEFT trains a copy of the head and keeps the untrained one in the model.

    Args:
        shape: the base model's shape.
        num_labels: labels of the new head; 0 without one.
        added: parameters the adapter adds and trains.
        frozen: parameters it adds and does not train.
    """
    trainable = added + (shape.head(num_labels) if num_labels else 0)
    return ParameterCount(trainable, shape.total(num_labels) + trainable + frozen)


def peft_task_type(task: Task) -> str:
    """PEFT's name of a task; for classes it trains the new head too."""
    return "SEQ_CLS" if task == "classify" else "CAUSAL_LM"


def head_modules(shape: ModelShape, task: Task) -> list[str] | None:
    """Parts of a new head that PEFT does not know to train.

    Some heads have a layer of their own before the classifier.
    """
    return list(shape.head_modules) if task == "classify" and shape.head_modules else None


def check_virtual_tokens(name: str, virtual_tokens: int, shape: ModelShape) -> list[Problem]:
    """What is wrong with so many virtual tokens: half of the context must be left for the text."""
    if virtual_tokens <= shape.context // 2:
        return []
    return [Problem(name, TOO_MANY_VIRTUAL_TOKENS.format(context=shape.context, got=virtual_tokens))]


def train(context: TrainingContext) -> Any:
    """Supervised training of what was attached."""
    from studio.methods.training import supervised  # noqa: PLC0415 - loads torch

    supervised.fit(context)
    return context.model


def train_lora_plus(context: TrainingContext, ratio: float) -> Any:
    """Supervised training in which the B of each pair learns `ratio` times as fast as its A.

    A begins as random numbers and B as zeros, and in a wide model one rate for both is too low for B (Hayou
    et al. 2024, arXiv 2402.12354).
    """
    from studio.methods.training import supervised  # noqa: PLC0415 - loads torch

    def create_optimizer(model: Any, arguments: Any) -> Any:
        from peft.optimizers import create_loraplus_optimizer  # noqa: PLC0415 - loads torch
        from transformers import Trainer  # noqa: PLC0415 - loads torch

        optimizer_class, optimizer_arguments = Trainer.get_optimizer_cls_and_kwargs(arguments, model)
        return create_loraplus_optimizer(
            model,
            optimizer_class,
            **optimizer_arguments,
            loraplus_lr_ratio=ratio,
            loraplus_weight_decay=arguments.weight_decay,
        )

    supervised.fit(context, create_optimizer=create_optimizer)
    return context.model


def save(model: Any, folder: Path, base_name: str) -> None:
    """Write the adapter; `base_name` is the name under which anyone can fetch its base."""
    model.peft_config["default"].base_model_name_or_path = base_name
    # No method changes the vocabulary; without this PEFT asks the hub about it.
    with without_expected_warnings():
        model.save_pretrained(folder, save_embedding_layers=False)


def load(base: Any, folder: Path) -> Any:
    """The adapter in a folder on a base model, whose modules it takes over."""
    from peft import PeftModel  # noqa: PLC0415 - loads torch

    with without_expected_warnings():
        return PeftModel.from_pretrained(base, folder).eval()


def merge(base: Any, folder: Path) -> Any:
    """The base with the change added into its own matrices, and with the trained head in place of its own."""
    return adapters.unwrap_trained_copies(load(base, folder).merge_and_unload())
