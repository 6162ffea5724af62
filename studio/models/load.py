"""Loads a model and its tokenizer from a folder, and computes the checksum of a model's parameters."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BitsAndBytesConfig,
    Mxfp4Config,
)

from studio.errors import ModelUnavailable
from studio.i18n import Message
from studio.models import device, device_sums, disk_offload, folder_files, shape
from studio.models.nf4 import NF4_OPTIONS
from studio.models.pooled_classifier import PooledClassifier
from studio.models.tokenizer import load_tokenizer
from studio.plan import Task

# Digits of a checksum whose SHA-256 has read every byte, and of one that has read sums made on a GPU.
HOST_DIGITS, DEVICE_DIGITS = 12, 16
MISSING_WEIGHTS = Message(
    "The weights in {folder} lack {count} {count:tensor|tensors} of the model’s blocks, such as {name}."
)
# Under the name by which it is loaded beside a model.
tokenizer = load_tokenizer


def nf4_config() -> Any:
    """NF4_OPTIONS, computing in the format of a training's passes."""
    compute_dtype = device.autocast_dtype() or torch.float32
    return BitsAndBytesConfig(**NF4_OPTIONS, bnb_4bit_compute_dtype=compute_dtype)


def model_class(task: Task, config: Mapping[str, Any]) -> Any:
    """The class that a task's models have, by their config (`shape.read_config`)."""
    if task != "classify":
        return AutoModelForCausalLM
    return PooledClassifier if shape.is_mean_pooled(config) else AutoModelForSequenceClassification


@dataclass(frozen=True)
class WeightStorage:
    """How the weights of a base are held.

    Attributes:
        in_4_bits: Whether the matrices are quantized to NF4 while they are read.
        on_disk: Whether those of the blocks stay on the disk until a pass comes to them.
        in_main_memory: Whether they stay there, where a GPU would compute.
        in_32_bits: Whether they are held in 32 bits, whatever the device holds a base in.
    """

    in_4_bits: bool = False
    on_disk: bool = False
    in_main_memory: bool = False
    in_32_bits: bool = False


IN_MEMORY = WeightStorage()


def base_model(
    folder: Path,
    task: Task,
    labels: Sequence[str] = (),
    seed: int = 0,
    storage: WeightStorage = IN_MEMORY,
    reads_pooling: bool = True,
) -> Any:
    """The model of a folder for a task, on its device and in evaluation mode.

    Args:
        folder: Where `config.json` and the safetensors files are.
        task: With "classify" the model gets a new classification head, otherwise it has its language head.
        labels: The classes of the new head, in the order of its outputs.
        seed: The new head is the same for the same seed.
        storage: How its weights are held.
        reads_pooling: Whether a classifier reads the mean of the tokens where the model was made for that;
            False for a result of a studio that did not.
    """
    load_kwargs: dict[str, Any] = {
        "dtype": torch.float32 if storage.in_32_bits else device.weights_dtype(),
        "trust_remote_code": False,
        "use_safetensors": True,
    }
    config = shape.read_config(folder)
    if folder_files.is_mxfp4(config):
        load_kwargs["quantization_config"] = Mxfp4Config(dequantize=True)
    if task != "classify":
        return _load(AutoModelForCausalLM, folder, load_kwargs, storage)
    config = config if reads_pooling else {}
    # A head for other classes gives way to a new one; all else was compared before (folder_check).
    load_kwargs |= {**_label_names(labels), "ignore_mismatched_sizes": True}
    torch.manual_seed(seed)
    model = _load(model_class(task, config), folder, load_kwargs, storage, draws_head=True)
    # The token that rows are padded with: it tells a decoder where each text ends.
    model.config.pad_token_id = tokenizer(folder).pad_token_id
    return model


def in_32_bits(model: Any, folder: Path, task: Task, labels: Sequence[str] = (), seed: int = 0) -> Any:
    """A base to be trained in 32 bits, with all digits that its files have.

    Args:
        model: The base as the device holds it.
        folder: As for `base_model`, which reads it anew where it lost digits.
        task: As there.
        labels: As there.
        seed: As there.
    """
    if folder_files.has_more_digits(folder, str(model.dtype).removeprefix("torch.")):
        model.to("meta")  # else both would be held at once
        return base_model(folder, task, labels, seed, WeightStorage(in_32_bits=True))
    return convert_parameters(model, torch.float32)


def convert_parameters(model: Any, dtype: torch.dtype) -> Any:
    """The same model with its parameters in a format; its buffers keep theirs.

    `to` would round the frequencies of its positions too. No file has them: whoever opens the result computes
    them in 32 bits, and would get other answers to long texts.
    """
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
    return model


def _load(
    classifier_or_decoder: Any,
    folder: Path,
    load_kwargs: Mapping[str, Any],
    storage: WeightStorage,
    draws_head: bool = False,
) -> Any:
    """A model of a class of transformers, on its device and in evaluation mode.

    A GPU gets each weight straight from the file. A head that is drawn by chance is drawn on the processor,
    so that it is the same on every device, and the model with it is loaded there first.
    """
    torch_device = device.torch_device()
    device.prefer_flash_attention()
    if storage.on_disk:
        return _load_offloaded(classifier_or_decoder, folder, load_kwargs, storage.in_4_bits)
    stays_in_memory = storage.in_main_memory or torch_device.type == "cpu"
    if not storage.in_4_bits and (stays_in_memory or draws_head):
        model = _read_weights(classifier_or_decoder, folder, load_kwargs).eval()
        return model if stays_in_memory else model.to(torch_device)
    load_kwargs = {**load_kwargs, "device_map": {"": torch_device}}
    if not storage.in_4_bits:
        return _read_weights(classifier_or_decoder, folder, load_kwargs).eval()
    in_4_bits = {"quantization_config": nf4_config()}
    model = _read_weights(classifier_or_decoder, folder, {**load_kwargs, **in_4_bits})
    _disable_repacking(model)
    _detach_from_file(model)
    _keep_biases(model)
    return model.eval()


def _read_weights(classifier_or_decoder: Any, folder: Path, load_kwargs: Mapping[str, Any]) -> Any:
    """A model with the weights of a folder, which lack nothing of its blocks."""
    model, loading = classifier_or_decoder.from_pretrained(folder, **load_kwargs, output_loading_info=True)
    missing = sorted(name for name in loading["missing_keys"] if re.search(r"\.\d+\.", name))
    if missing:  # transformers makes random numbers of them
        raise ModelUnavailable(
            MISSING_WEIGHTS, folder_files.TAKE_WHOLE, folder=folder, count=len(missing), name=missing[0]
        )
    if isinstance(load_kwargs.get("quantization_config"), Mxfp4Config):
        model._weight_conversions = None  # transformers would try to write it in 4 bits again
    return model


def _load_offloaded(
    classifier_or_decoder: Any, folder: Path, load_kwargs: Mapping[str, Any], in_4_bits: bool
) -> Any:
    torch_device = device.torch_device()
    if not in_4_bits:
        return disk_offload.load(classifier_or_decoder, folder, load_kwargs, torch_device).eval()
    from studio.models.offloaded_nf4 import Nf4File  # noqa: PLC0415 - not every machine has bitsandbytes

    config = nf4_config()
    model = disk_offload.load(
        classifier_or_decoder, folder, load_kwargs, torch_device, Nf4File(config).quantize_block
    )
    # As transformers marks a model that it has rounded itself: PEFT and the Trainer read it.
    model.is_loaded_in_4bit, model.config.quantization_config = True, config
    _disable_repacking(model)
    _keep_biases(model)
    return model.eval()


def _label_names(labels: Sequence[str]) -> dict[str, Any]:
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def _disable_repacking(model: Any) -> None:
    """Keep 4-bit matrices as they were read.

    On CPUs with AVX512-BF16 bitsandbytes would repack them, and round their scales, at the first pass without
    gradients: the base would no longer be the one that was trained on.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _detach_from_file(model: Any) -> None:
    """Copy the parameters that are not quantized.

    As views of the file they would hold all of it in memory: 0.4 GB for a model with 135M parameters.
    """
    for parameter in model.parameters():
        if parameter.dtype.is_floating_point:
            parameter.data = parameter.data.clone()


def _keep_biases(model: Any) -> None:
    """Put the bias of each 4-bit layer back after a pass.

    bitsandbytes rounds it to the format of the products, for good: the base would no longer be the one that
    was trained on.
    """
    for module in model.modules():
        if type(module).__name__ == "Linear4bit" and module.bias is not None:
            module.register_forward_pre_hook(_note_bias)
            module.register_forward_hook(_restore_bias)


def _note_bias(layer: Any, inputs: Any) -> None:
    layer.unrounded_bias = layer.bias.data


def _restore_bias(layer: Any, inputs: Any, output: Any) -> None:
    layer.bias.data = layer.unrounded_bias
    del layer.unrounded_bias


def count_parameters(model: torch.nn.Module, trainable_only: bool = False) -> int:
    """The parameters of a model, or only those that are trained; two 4-bit parameters share a byte."""
    return sum(_count_elements(parameter) for parameter in _iter_parameters(model, trainable_only))


def _iter_parameters(model: torch.nn.Module, trainable_only: bool) -> Iterator[torch.nn.Parameter]:
    for parameter in model.parameters():
        if parameter.requires_grad or not trainable_only:
            yield parameter


def _count_elements(parameter: torch.nn.Parameter) -> int:
    n_elements = int(parameter.numel())
    return 2 * n_elements if type(parameter).__name__ == "Params4bit" else n_elements


def fingerprint(model: torch.nn.Module, like: str = "") -> str:
    """The checksum of a model: the first digits of a SHA-256 over the name and the bytes of every parameter.

    Of a model on an NVIDIA GPU the bytes stay there: they are summed (`device_sums`), and SHA-256 reads the
    sums. Such a checksum has more digits.

    Args:
        model: The model.
        like: An earlier checksum to compare with; this one is made as that one was.
    """
    stays_on_device = len(like) == DEVICE_DIGITS if like else next(model.parameters()).is_cuda
    digest = sha256()
    for name, parameter in disk_offload.named_parameters(model):
        digest.update(name.encode())
        if stays_on_device:
            digest.update(b"%d" % int(device_sums.mixed_sum(parameter)))
        else:
            digest.update(parameter.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[: DEVICE_DIGITS if stays_on_device else HOST_DIGITS]
