"""A folder becomes a torch model and its tokenizer; a model becomes a checksum of the numbers it computes with."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from studio.plan import Task

# For a base model that brings no chat template of its own; it is saved with whatever is trained under it.
PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].capitalize() }}: {{ message['content'] }}{{ eos_token if message['role'] == 'assistant' else '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"
)


def device() -> torch.device:
    """Where models run here: the first CUDA card, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def dtype() -> torch.dtype:
    """The number format of base weights: bfloat16 on cards that compute in it, 32 bits elsewhere (CPUs emulate bfloat16 slowly)."""
    return torch.bfloat16 if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else torch.float32


def tokenizer(folder: Path) -> Any:  # noqa: ANN401 - transformers has no common tokenizer type
    """The tokenizer of a folder, able to pad and to write a conversation."""
    found = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if found.pad_token is None:
        found.pad_token = found.eos_token
    if getattr(found, "chat_template", None) is None and found.eos_token:
        found.chat_template = PLAIN_TEMPLATE
    return found


def base(folder: Path, task: Task, labels: Sequence[str] = (), seed: int = 0) -> Any:  # noqa: ANN401 - any transformers model
    """The model of a folder for a task, in evaluation mode.

    For classification it gets a fresh head for `labels`, the same one for the same `seed`.
    """
    asked: dict[str, Any] = {"dtype": dtype(), "trust_remote_code": False, "use_safetensors": True}
    if task != "classify":
        return AutoModelForCausalLM.from_pretrained(folder, **asked).to(device()).eval()
    torch.manual_seed(seed)
    names = dict(enumerate(labels))
    asked |= {"num_labels": len(labels), "id2label": names, "label2id": {name: number for number, name in names.items()}}
    model = AutoModelForSequenceClassification.from_pretrained(folder, **asked)
    if model.config.pad_token_id is None:  # a decoder finds the last word of a padded row by this number
        model.config.pad_token_id = tokenizer(folder).pad_token_id
    return model.to(device()).eval()


def fingerprint(model: torch.nn.Module) -> str:
    """SHA-256 (first 12 digits) over the name and the bytes of every parameter, as they lie in memory."""
    total = sha256()
    for name, parameter in sorted(model.named_parameters()):
        total.update(name.encode())
        total.update(parameter.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()[:12]
