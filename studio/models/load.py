"""A folder becomes a torch model and its tokenizer; a model becomes a checksum of the numbers it computes with."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BitsAndBytesConfig,
)

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
    """The number format of base weights: bfloat16 on cards that compute in it, 32 bits elsewhere (CPUs and older cards emulate it slowly)."""
    has_bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if has_bf16 else torch.float32


def tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder, able to pad and to write a conversation."""
    loaded = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if loaded.pad_token is None:
        loaded.pad_token = loaded.eos_token
    if getattr(loaded, "chat_template", None) is None and loaded.eos_token:
        loaded.chat_template = PLAIN_TEMPLATE
    return loaded


def nf4_config() -> Any:
    """4-bit normal-float weights with doubly quantised scales (Dettmers et al. 2023); heads and poolers stay as they are.

    The arithmetic is in the format of `dtype()`: CPUs emulate bfloat16 slowly.
    """
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype(),
        llm_int8_skip_modules=["lm_head", "score", "classifier", "pooler", "head"],
    )


def base_model(
    folder: Path, task: Task, labels: Sequence[str] = (), seed: int = 0, in_4_bits: bool = False
) -> Any:
    """The model of a folder for a task, in evaluation mode.

    For classification it gets a fresh head for `labels`, the same one for the same `seed`.
    """
    kwargs: dict[str, Any] = {"dtype": dtype(), "trust_remote_code": False, "use_safetensors": True}
    if in_4_bits:
        kwargs |= {"quantization_config": nf4_config(), "device_map": {"": device()}}
    if task != "classify":
        return _prepare_for_inference(AutoModelForCausalLM.from_pretrained(folder, **kwargs), in_4_bits)
    torch.manual_seed(seed)
    id2label = dict(enumerate(labels))
    kwargs |= {
        "num_labels": len(labels),
        "id2label": id2label,
        "label2id": {name: index for index, name in id2label.items()},
    }
    model = AutoModelForSequenceClassification.from_pretrained(folder, **kwargs)
    model.config.pad_token_id = tokenizer(
        folder
    ).pad_token_id  # what rows are padded with: a decoder finds their last word by it
    return _prepare_for_inference(model, in_4_bits)


def _prepare_for_inference(model: Any, in_4_bits: bool) -> Any:
    """On its device and in evaluation mode; 4-bit matrices stay as they were read.

    What stays whole beside them is copied: as a view of the file it would hold all of the file in memory, 0.4 GB of a model of 135M numbers.
    On processors with AVX512-BF16 bitsandbytes would repack them, and round their scales, at the first pass without gradients: the base
    would no longer be the one that was trained on.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    for parameter in model.parameters() if in_4_bits else ():
        if parameter.dtype.is_floating_point:
            parameter.data = parameter.data.clone()
    return model.to(device()).eval()


def count_parameters(model: torch.nn.Module, trainable_only: bool = False) -> int:
    """How many numbers a model holds, or of those how many are being trained; two numbers in 4 bits share a byte."""
    parameters = [
        parameter for parameter in model.parameters() if parameter.requires_grad or not trainable_only
    ]
    return sum(
        parameter.numel() * (2 if type(parameter).__name__ == "Params4bit" else 1) for parameter in parameters
    )


def fingerprint(model: torch.nn.Module) -> str:
    """SHA-256 (first 12 digits) over the name and the bytes of every parameter, as they lie in memory."""
    digest = sha256()
    for name, parameter in sorted(model.named_parameters()):
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:12]
