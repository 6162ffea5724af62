"""Model folders as people have them, each with one thing that is wrong or odd, made from a tiny model."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from studio.methods import folder_check
from studio.models import folder_files, other_kinds, shape

GEMMA_2_TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}<start_of_turn>"
    "{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{{ message['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
SILENT_TEMPLATE = (
    "{% for message in messages if message['role'] != 'system' %}<|{{ message['role'] }}|>"
    "{{ message['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
LFS_POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345678\n"
)


class Case(NamedTuple):
    """A folder and what is to be said of it.

    Args:
        spoil: makes the folder, a copy of a sound one, what it is.
        message: the message's template.
        base: the sound folder, "tiny_chat" or "tiny_bert".
        is_fatal: whether no run can start.
        shows: words that the sentences must hold besides.
    """

    spoil: Callable[[Path], Any]
    message: Any
    base: str = "tiny_chat"
    is_fatal: bool = True
    shows: tuple[str, ...] = ()


def edit_json(name: str, **values: Any) -> Callable[[Path], None]:
    """Change values in a JSON file of the folder; None removes a key."""

    def edit(folder: Path) -> None:
        fields = json.loads((folder / name).read_text(encoding="utf-8"))
        fields = {key: value for key, value in {**fields, **values}.items() if value is not None}
        (folder / name).write_text(json.dumps(fields), encoding="utf-8")

    return edit


def remove(*names: str) -> Callable[[Path], None]:
    """Remove files of the folder."""
    return lambda folder: [(folder / name).unlink() for name in names]


def write(name: str, text: str) -> Callable[[Path], None]:
    """Write a file of the folder."""
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")


def cut_weights(folder: Path) -> None:
    """Half of the weights arrived."""
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def split_weights(folder: Path) -> None:
    """The weights in parts."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")


def lose_shard(folder: Path) -> None:
    """One part of the weights is missing."""
    split_weights(folder)
    next(folder.glob("model-00002-*.safetensors")).unlink()


def lose_index(folder: Path) -> None:
    """The parts are there without their index."""
    split_weights(folder)
    (folder / "model.safetensors.index.json").unlink()


def change_tensors(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Path], None]:
    """Save other tensors in the place of the weights."""

    def save(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        path = folder / "model.safetensors"
        save_file(change(load_file(path)), path, metadata={"format": "pt"})

    return save


def without_one_matrix(tensors: dict[str, Any]) -> dict[str, Any]:
    """All tensors but a block's output projection."""
    return {name: value for name, value in tensors.items() if "layers.1.self_attn.o_proj" not in name}


def in_8_bit_floats(tensors: dict[str, Any]) -> dict[str, Any]:
    """The matrices as FP8 numbers, whatever the config says."""
    import torch

    return {
        name: value.to(torch.float8_e4m3fn) if "_proj" in name else value for name, value in tensors.items()
    }


def add_tokens(folder: Path) -> None:
    """Two tokens were added to the tokenizer, and the embedding was not enlarged."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<tool>", "</tool>"])
    tokenizer.save_pretrained(folder)


def set_template(template: str | None, **tokens: str | None) -> Callable[[Path], None]:
    """Give the tokenizer another chat template, or none, and other special tokens."""

    def save(folder: Path) -> None:
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        edit_json("tokenizer_config.json", chat_template=None, **tokens)(folder)
        if template:
            (folder / "chat_template.jinja").write_text(template, encoding="utf-8")

    return save


def save_two_class_head(folder: Path) -> None:
    """A classifier of two classes, saved with its head."""
    from transformers import AutoModelForSequenceClassification

    labels = {0: "negative", 1: "positive"}
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2, id2label=labels)
    model.save_pretrained(folder)


def put_below(folder: Path) -> None:
    """The model lies in a folder below the one that was named."""
    below = folder / "final"
    below.mkdir()
    for path in list(folder.iterdir()):
        if path != below:
            path.rename(below / path.name)


def as_pickle(folder: Path) -> None:
    """Weights as an old pickle alone."""
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def as_gguf(folder: Path) -> None:
    """A GGUF file alone."""
    for path in list(folder.iterdir()):
        path.unlink()
    (folder / "model-q4_0.gguf").write_bytes(b"GGUF")


def as_diffusion(folder: Path) -> None:
    """A pipeline that makes pictures."""
    for path in list(folder.iterdir()):
        path.unlink()
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}', encoding="utf-8")


CASES: dict[str, Case] = {
    "LFS pointer": Case(
        write("model.safetensors", LFS_POINTER), folder_files.POINTER, shows=("git lfs pull",)
    ),
    "half of the weights": Case(cut_weights, folder_files.CUT_OFF),
    "weights that are an error page": Case(
        write("model.safetensors", "<html>not found</html>"), folder_files.DAMAGED
    ),
    "a part is missing": Case(lose_shard, folder_files.MISSING_PARTS, shows=("model-00002-",)),
    "the index is missing": Case(lose_index, folder_files.MISSING_INDEX),
    "a matrix is missing": Case(
        change_tensors(without_one_matrix), folder_files.MISSING_MATRICES, shows=("self_attn.o_proj",)
    ),
    "config of another size": Case(edit_json("config.json", intermediate_size=48), folder_files.OTHER_SIZES),
    "config with another vocabulary": Case(
        edit_json("config.json", vocab_size=50), folder_files.OTHER_VOCABULARY
    ),
    "no tokenizer": Case(
        remove("tokenizer.json", "tokenizer_config.json"),
        folder_check.NO_TOKENIZER,
        shows=("tokenizer.json",),
    ),
    "damaged tokenizer": Case(write("tokenizer.json", "{"), folder_check.DAMAGED_TOKENIZER),
    "tokens beyond the embedding": Case(
        add_tokens, folder_check.TOKENS_BEYOND, shows=("2 tokens more", "<tool>")
    ),
    "GPTQ": Case(
        edit_json("config.json", quantization_config={"quant_method": "gptq", "bits": 4}),
        folder_files.QUANTISED,
        shows=("GPTQ, 4 bit",),
    ),
    "AWQ": Case(
        edit_json("config.json", quantization_config={"quant_method": "awq", "bits": 4}),
        folder_files.QUANTISED,
    ),
    "bitsandbytes": Case(
        edit_json("config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
        folder_files.QUANTISED,
    ),
    "FP8 in the config": Case(
        edit_json("config.json", quantization_config={"quant_method": "fp8"}), folder_files.QUANTISED
    ),
    "FP8 in the weights alone": Case(
        change_tensors(in_8_bit_floats), folder_files.QUANTISED, shows=("F8_E4M3",)
    ),
    "head for two classes": Case(
        save_two_class_head,
        folder_check.FRESH_HEAD,
        "tiny_bert",
        is_fatal=False,
        shows=("negative, positive", "fresh head"),
    ),
    "template that refuses a system message": Case(
        set_template(GEMMA_2_TEMPLATE), folder_check.SYSTEM_LOST, is_fatal=False, shows=("first question",)
    ),
    "template that drops a system message": Case(
        set_template(SILENT_TEMPLATE), folder_check.SYSTEM_LOST, is_fatal=False
    ),
    "template that is no Jinja": Case(set_template("{% for %}"), folder_check.BROKEN_TEMPLATE),
    "template that writes no answers": Case(
        set_template("{{ messages[0]['content'] }}"), folder_check.BROKEN_TEMPLATE
    ),
    "no template": Case(set_template(None), folder_check.NO_TEMPLATE, is_fatal=False, shows=("User: …",)),
    "no template and no end token": Case(
        set_template(None, eos_token=None), folder_check.NO_END_TOKEN, shows=("</s>",)
    ),
    "no padding and no end token": Case(
        edit_json("tokenizer_config.json", pad_token=None), folder_check.NO_PADDING, "tiny_bert"
    ),
    "program code beside a known family": Case(
        write("modeling_own.py", "raise SystemExit"), folder_check.OWN_CODE, is_fatal=False
    ),
    "an unknown family with program code": Case(
        edit_json("config.json", model_type="own", auto_map={"AutoModel": "modeling_own.Own"}),
        other_kinds.NEEDS_OWN_CODE,
    ),
    "an unknown family": Case(edit_json("config.json", model_type="rwkv9"), other_kinds.UNKNOWN_FAMILY),
    "pictures": Case(
        edit_json("config.json", model_type="llava", vision_config={}),
        other_kinds.READS_PICTURES,
        shows=("llava",),
    ),
    "speech": Case(
        edit_json("config.json", model_type="wav2vec2", architectures=["Wav2Vec2ForCTC"]),
        other_kinds.HEARS_SPEECH,
    ),
    "encoder-decoder": Case(
        edit_json("config.json", model_type="t5", is_encoder_decoder=True), other_kinds.ENCODER_DECODER
    ),
    "mixture of experts": Case(
        edit_json("config.json", model_type="deepseek_v9", n_routed_experts=8), other_kinds.MIXTURE_OF_EXPERTS
    ),
    "pickle alone": Case(as_pickle, folder_files.NO_MODEL, shows=("pytorch_model.bin", "can hold code")),
    "GGUF alone": Case(as_gguf, folder_files.NO_MODEL, shows=("GGUF",)),
    "diffusion": Case(as_diffusion, folder_files.NO_MODEL, shows=("pictures",)),
    "the folder above": Case(put_below, folder_files.NO_MODEL, shows=("final",)),
    "damaged config": Case(write("config.json", "{"), shape.NO_CONFIG),
    "odd values in the config": Case(
        edit_json("config.json", architectures=7, id2label=["a"], model_type="rwkv9"),
        other_kinds.UNKNOWN_FAMILY,
    ),
    "no config": Case(remove("config.json"), folder_files.NO_MODEL, shows=("no config.json",)),
    "no weights": Case(remove("model.safetensors"), folder_files.NO_MODEL, shows=("no *.safetensors",)),
}


def make_folder(name: str, sound_folder: Path, folder: Path) -> Path:
    """The folder of a case, made from a copy of a sound one."""
    shutil.copytree(sound_folder, folder)
    CASES[name].spoil(folder)
    return folder
