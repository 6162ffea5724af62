"""Runs llama.cpp's converter: `python -m studio.export.llama_cpp.convert TOOLS MODEL FILE PRECISION`.

It adds two things to it: precisions below 8 bits, and tokenizers that are built as one that llama.cpp knows.
"""

import json
import sys
from pathlib import Path
from typing import Any

# The matrices of the blocks get these; the embeddings, which few bits harm most, keep 8.
LOW_BIT_TYPES = {"q5_1": "Q5_1", "q4_0": "Q4_0"}
BLOCK_MATRICES = (".attn_", ".ffn_gate.", ".ffn_up.", ".ffn_down.")
BYTE_LEVEL = {"type": "ByteLevel", "use_regex": True, "add_prefix_space": False}
DIGITS = {"type": "Digits", "individual_digits": True}


def main(tools: str, model: str, file: str, precision: str) -> None:
    """Convert a folder of safetensors into one GGUF file."""
    sys.path.insert(0, tools)
    import convert_hf_to_gguf  # noqa: PLC0415 - stands in the folder of the tools
    from conversion.base import TextModel  # noqa: PLC0415

    _know_tokenizer_by_its_parts(TextModel)
    if precision in LOW_BIT_TYPES:
        _quantize_below_8_bits(TextModel, LOW_BIT_TYPES[precision])
    outtype = "q8_0" if precision in LOW_BIT_TYPES else precision
    sys.argv = ["convert_hf_to_gguf", "--outtype", outtype, "--outfile", file, model]
    convert_hf_to_gguf.main()


def _know_tokenizer_by_its_parts(text_model: Any) -> None:
    """The converter knows tokenizers by a checksum of what they make of a text, so only those on its list."""
    by_checksum = text_model.get_vocab_base_pre

    def get_vocab_base_pre(converter: Any, tokenizer: Any) -> str:
        try:
            return str(by_checksum(converter, tokenizer))
        except NotImplementedError:
            pre_tokenizer = name_pre_tokenizer(converter.dir_model / "tokenizer.json")
            if not pre_tokenizer:
                raise
            return pre_tokenizer

    text_model.get_vocab_base_pre = get_vocab_base_pre


def name_pre_tokenizer(path: Path) -> str:
    """llama.cpp's name of the way a tokenizer.json splits texts before its merges; "" where it has none."""
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    pre_tokenizer = tokenizer.get("pre_tokenizer") or {}
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    if tokenizer.get("normalizer") or not steps or not _is_like(steps[-1], BYTE_LEVEL):
        return ""
    if len(steps) == 1:
        return "gpt-2"
    return "smollm" if len(steps) == 2 and _is_like(steps[0], DIGITS) else ""


def _is_like(step: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(step.get(name) == value for name, value in wanted.items())


def _quantize_below_8_bits(text_model: Any, name: str) -> None:
    """The converter itself writes 8 bits at least; the types below are in the `gguf` it brings along."""
    import gguf  # noqa: PLC0415 - the one in the folder of the tools

    in_full = text_model.tensor_force_quant
    add_file_type = gguf.GGUFWriter.add_file_type

    def tensor_force_quant(converter: Any, tensor: str, new_name: str, block: int | None, n_dims: int) -> Any:
        if n_dims == 2 and any(part in new_name for part in BLOCK_MATRICES):
            return gguf.GGMLQuantizationType[name]
        return in_full(converter, tensor, new_name, block, n_dims)

    text_model.tensor_force_quant = tensor_force_quant
    file_type = gguf.LlamaFileType[f"MOSTLY_{name}"]
    gguf.GGUFWriter.add_file_type = lambda writer, _: add_file_type(writer, file_type)


if __name__ == "__main__":
    main(*sys.argv[1:])
