"""What the files of a model folder are, read without torch: pointers, parts of weights, rounded weights.

Each fault is a sentence that says what is there, and one that says what to do next.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.i18n import Message
from studio.models.shape import ModelShape

POINTER_START = b"version https://git-lfs.github.com/spec/"
WEIGHTS_FILE, INDEX_FILE = "model.safetensors", "model.safetensors.index.json"
# A header of a safetensors file is a list of tensors; the format's own limit is 100 MB.
MAX_HEADER_BYTES = 100_000_000
PICKLE_PATTERNS = ("*.bin", "*.pt", "*.pth", "*.ckpt")
WANTED = Message("config.json and *.safetensors are wanted")
BLOCK_MATRIX = re.compile(r"(?:^|\.)(\d+)\.(.+)\.weight$")
EMBEDDING_NAME = re.compile(r"(?:^|\.)(?:embed_tokens|wte|word_embeddings|tok_embeddings)\.weight$")
# Formats of numbers that only a quantised matrix is kept in.
QUANTISED_FORMATS = {"F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "I8", "U8", "I32", "U32"}
# Formats of files of which a format in 16 bits cannot hold every number.
LOSSY_FORMATS = {"bfloat16": {"F64", "F32", "F16"}, "float16": {"F64", "F32", "BF16"}}

TAKE_WHOLE = Message("Fetch the whole folder again, or choose another model.")
TAKE_ORIGINAL = Message(
    "Take the model it was made from, in 16 or 32 bits; QLoRA rounds it to 4 bits while it trains."
)
SAVE_AGAIN = Message(
    "Save it with save_pretrained; the studio does not open .bin or .pt files, because they can hold code."
)
NO_MODEL = Message("The folder {folder} holds no model: {why}.")
ONLY_PICKLES = Message("its weights are in {files}, which the studio does not open")
ONLY_GGUF = Message("{file} is GGUF, rounded for llama.cpp, which cannot be trained on")
DIFFUSION = Message("it is a diffusion model, which makes pictures from texts")
MODEL_BELOW = Message("the model is in {folders} below it")
NO_WEIGHTS = Message("there is a config.json, but no *.safetensors with the weights")
NO_CONFIG = Message("there are weights, but no config.json, which says what model they are of")
NAME_FOLDER_BELOW = Message("Name that folder instead.")
TAKE_TEXT_MODEL = Message("Choose a model that reads or writes text.")
POINTER = Message(
    "{file} is a Git LFS pointer of {bytes} bytes: it names the file that was to be fetched, and is not it."
)
POINTER_TO_DO = Message("Run `git lfs pull` in {folder}, or download the file itself.")
MISSING_PARTS = Message("{count} of the {total} parts of the weights are missing from {folder}: {files}.")
MISSING_INDEX = Message("{folder} holds parts of weights, but not {index}, which says what is in which part.")
CUT_OFF = Message("{file} is cut off: {have:.1f} of {want:.1f} MB are there.")
DAMAGED = Message("{file} is no safetensors file: it was cut off, or is another kind of file.")
DAMAGED_INDEX = Message("{file} cannot be read as JSON.")
MISSING_MATRICES = Message(
    "The weights lack {count} of the {total} matrices that config.json describes,"
    " such as {name} of block {block}."
)
OTHER_SIZES = Message(
    "The weights and config.json are of different models: {name} of block {block} is {have}, not {want}."
)
OTHER_VOCABULARY = Message(
    "The embedding has rows for {rows} tokens, and config.json speaks of {vocabulary} (vocab_size)."
)
CONFIG_TO_DO = Message("Take config.json and weights from the same model.")
MXFP4 = Message("The experts of this model are in 4 bits (MXFP4), which cannot be trained on as they are.")
MXFP4_TO_DO = Message(
    "They are multiplied out while they are read: {half:.0f} GB of memory for all weights on a GPU with"
    " bfloat16, {whole:.0f} GB elsewhere."
)
QUANTISED = Message("This model is already quantised ({kind}); what is rounded cannot be trained on.")


@dataclass(frozen=True)
class Finding:
    """One thing that somebody should know of a model folder before a run.

    Attributes:
        message: What is there.
        to_do: What to do next; of a remark, what the studio does.
        is_fatal: Whether no run can start with it.
    """

    message: Message
    to_do: Message
    is_fatal: bool = True

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON holds it."""
        return {
            "message": self.message.to_json(),
            "to_do": self.to_do.to_json(),
            "is_fatal": self.is_fatal,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Finding":
        """A finding from `to_json`."""
        return cls(
            Message.from_json(fields["message"]), Message.from_json(fields["to_do"]), bool(fields["is_fatal"])
        )


def find_pointers(folder: Path) -> Iterator[Finding]:
    """Files that are Git LFS pointers in the place of what they name."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.stat().st_size < 1024 and path.read_bytes().startswith(POINTER_START):
            yield Finding(
                POINTER.format(file=path.name, bytes=path.stat().st_size), POINTER_TO_DO.format(folder=folder)
            )


def find_missing_files(folder: Path) -> Finding | None:
    """What a folder is where it has no config or no weights that the studio opens; None where it has both."""
    has_config, has_weights = (folder / "config.json").is_file(), any(folder.glob("*.safetensors"))
    if has_config and has_weights:
        return None
    why, to_do = WANTED, SAVE_AGAIN
    pickles = [path.name for pattern in PICKLE_PATTERNS for path in sorted(folder.glob(pattern))]
    below = [path.parent.name for path in sorted(folder.glob("*/config.json"))[:3]]
    gguf_files = sorted(path.name for path in folder.glob("*.gguf"))
    if (folder / "model_index.json").is_file():
        why, to_do = DIFFUSION, TAKE_TEXT_MODEL
    elif pickles:
        why = ONLY_PICKLES.format(files=pickles[:3])
    elif gguf_files:
        why, to_do = ONLY_GGUF.format(file=gguf_files[0]), TAKE_ORIGINAL
    elif below and not has_config:
        why, to_do = MODEL_BELOW.format(folders=below), NAME_FOLDER_BELOW
    elif has_config:
        why, to_do = NO_WEIGHTS, TAKE_WHOLE
    elif has_weights:
        why, to_do = NO_CONFIG, TAKE_WHOLE
    return Finding(NO_MODEL.format(folder=folder, why=why), to_do)


def find_quantisation(config: Mapping[str, Any], shape: ModelShape) -> Finding | None:
    """Whether a config says that the weights are rounded (GPTQ, AWQ, bitsandbytes, FP8 and others).

    Those of gpt-oss are multiplied out while they are read (`load.base_model`), which stops no run.
    """
    quantization = config.get("quantization_config") or config.get("compression_config")
    if not isinstance(quantization, Mapping):
        return None
    if is_mxfp4(config):
        sizes = {"half": 2 * shape.total() / 1e9, "whole": 4 * shape.total() / 1e9}
        return Finding(MXFP4, MXFP4_TO_DO.format(**sizes), is_fatal=False)
    kind = str(quantization.get("quant_method") or "?")[:40].upper()
    bits = quantization.get("bits") or (4 if quantization.get("load_in_4bit") else 0)
    name = f"{kind}, {bits} bit" if bits else kind
    return Finding(QUANTISED.format(kind=name), TAKE_ORIGINAL)


def is_mxfp4(config: Mapping[str, Any]) -> bool:
    """Whether a config says that weights are in MXFP4, which transformers can multiply out."""
    quantization = config.get("quantization_config")
    return isinstance(quantization, Mapping) and quantization.get("quant_method") == "mxfp4"


@dataclass(frozen=True)
class Tensor:
    """A tensor as the header of its file describes it: its shape, its number format, and its first byte."""

    shape: tuple[int, ...]
    number_format: str
    offset: int = 0


def list_weight_files(folder: Path) -> tuple[list[str], list[Finding]]:
    """The weight files that transformers would read, and what is wrong with the list."""
    if (folder / WEIGHTS_FILE).is_file():
        return [WEIGHTS_FILE], []
    if not (folder / INDEX_FILE).is_file():
        parts = sorted(path.name for path in folder.glob("model-*-of-*.safetensors"))
        if parts:
            return [], [Finding(MISSING_INDEX.format(folder=folder, index=INDEX_FILE), TAKE_WHOLE)]
        return sorted(path.name for path in folder.glob("*.safetensors")), []
    try:
        index = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
        names = sorted({str(name) for name in index["weight_map"].values()})
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return [], [Finding(DAMAGED_INDEX.format(file=INDEX_FILE), TAKE_WHOLE)]
    missing = [name for name in names if "/" in name or not (folder / name).is_file()]
    if missing:
        message = MISSING_PARTS.format(count=len(missing), total=len(names), folder=folder, files=missing[:5])
        return [], [Finding(message, TAKE_WHOLE)]
    return names, []


def read_tensors(path: Path) -> dict[str, Tensor] | Finding:
    """The tensors that a safetensors file names, by name; or what is wrong with the file."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            n_header = int.from_bytes(file.read(8), "little")
            if not 2 <= n_header <= min(MAX_HEADER_BYTES, size - 8):
                return Finding(DAMAGED.format(file=path.name), TAKE_WHOLE)
            header = json.loads(file.read(n_header))
        header.pop("__metadata__", None)
        tensors = {
            str(name): Tensor(
                tuple(int(side) for side in fields["shape"]),
                str(fields["dtype"]),
                8 + n_header + int(fields["data_offsets"][0]),
            )
            for name, fields in header.items()
        }
        end = max((int(fields["data_offsets"][1]) for fields in header.values()), default=0)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return Finding(DAMAGED.format(file=path.name), TAKE_WHOLE)
    expected = 8 + n_header + end
    if size < expected:
        return Finding(CUT_OFF.format(file=path.name, have=size / 1e6, want=expected / 1e6), TAKE_WHOLE)
    return tensors


def read_all_tensors(folder: Path) -> tuple[dict[str, Tensor], list[Finding]]:
    """The tensors of all weight files of a folder, and what is wrong with the files."""
    names, findings = list_weight_files(folder)
    tensors: dict[str, Tensor] = {}
    for name in names:
        content = read_tensors(folder / name)
        if isinstance(content, Finding):
            findings.append(content)
        else:
            tensors |= content
    return tensors, findings


def has_more_digits(folder: Path, held_in: str) -> bool:
    """Whether some weights of a folder lose digits where they are held in a format, such as "bfloat16"."""
    if held_in not in LOSSY_FORMATS:
        return False
    tensors, _ = read_all_tensors(folder)
    return any(tensor.number_format in LOSSY_FORMATS[held_in] for tensor in tensors.values())


def compare_with_shape(tensors: Mapping[str, Tensor], shape: ModelShape) -> Finding | None:
    """The first way in which weights are not those of a model of this shape; None where they are."""
    matrices = dict(_block_matrices(tensors))
    formats = {tensor.number_format for tensor in tensors.values()}
    if formats & QUANTISED_FORMATS and any(name.endswith((".qweight", ".scales")) for name in tensors):
        return Finding(QUANTISED.format(kind=", ".join(sorted(formats & QUANTISED_FORMATS))), TAKE_ORIGINAL)
    if shape.is_counted:  # files may hold them under other names, which transformers maps when it loads them
        return None
    wanted = [(block, linear) for block in range(shape.layers) for linear in shape.linears]
    missing = [(block, linear) for block, linear in wanted if (block, linear.name) not in matrices]
    if missing:
        block, linear = missing[0]
        return Finding(
            MISSING_MATRICES.format(count=len(missing), total=len(wanted), name=linear.name, block=block),
            TAKE_WHOLE,
        )
    for block, linear in wanted:
        tensor = matrices[block, linear.name]
        if tensor.number_format in QUANTISED_FORMATS:
            return Finding(QUANTISED.format(kind=tensor.number_format), TAKE_ORIGINAL)
        # GPT-2 keeps its matrices the other way round.
        if sorted(tensor.shape) != sorted((linear.n_in, linear.n_out)):
            sizes = {"have": _format_sizes(tensor.shape), "want": _format_sizes((linear.n_out, linear.n_in))}
            return Finding(OTHER_SIZES.format(name=linear.name, block=block, **sizes), CONFIG_TO_DO)
    n_rows = count_embeddings(tensors)
    if n_rows not in (0, shape.vocabulary):
        return Finding(OTHER_VOCABULARY.format(rows=n_rows, vocabulary=shape.vocabulary), CONFIG_TO_DO)
    return None


def _block_matrices(tensors: Mapping[str, Tensor]) -> Iterator[tuple[tuple[int, str], Tensor]]:
    for name, tensor in tensors.items():
        match = BLOCK_MATRIX.search(name)
        if match:
            yield (int(match[1]), match[2]), tensor


def count_embeddings(tensors: Mapping[str, Tensor]) -> int:
    """The tokens that the model's embedding has a row for; 0 where no tensor has a known name."""
    return max(
        (tensor.shape[0] for name, tensor in tensors.items() if EMBEDDING_NAME.search(name)), default=0
    )


def _format_sizes(sizes: Iterable[int]) -> str:
    return " × ".join(str(size) for size in sizes)
