"""Reads a model's shape from its config, so that counting parameters needs neither torch nor the weights."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from studio import processes
from studio.errors import ModelUnavailable
from studio.i18n import Message
from studio.models.model_shape import Experts, Linear, ModelShape
from studio.models.other_kinds import (
    CHOOSE_OTHER_FAMILY,
    ENCODER_DECODER,
    HEARS_SPEECH,
    IMPOSSIBLE_SIZE,
    READS_PICTURES,
    TAKE_WHOLE_COPY,
    describe_other_kind,
)
from studio.storage import home, read_json, write_json

__all__ = ["Experts", "Linear", "ModelShape"]

# Where sentence-transformers writes how a model makes an embedding of its tokens.
POOLING_FILE = Path("1_Pooling") / "config.json"

NO_CONFIG = Message("The folder {folder} holds no readable config.json.")
NOT_COUNTED = Message("The process that counts {name} (“{family}”) broke off: {why}")
GEMMA_FAMILIES = ("gemma", "gemma2", "gemma3_text")
# Mixtures of experts, and what their configs call the inner width of an expert.
EXPERT_WIDTH_KEYS = {
    "mixtral": "intermediate_size",
    "olmoe": "intermediate_size",
    "gpt_oss": "intermediate_size",
    "qwen2_moe": "moe_intermediate_size",
    "qwen3_moe": "moe_intermediate_size",
}
# The entries of a config.json that say how weights happen to be stored, and not how a model is built.
STORAGE_KEYS = (
    *("quantization_config", "dtype", "torch_dtype"),
    *("architectures", "transformers_version", "_name_or_path"),
)
# Longer than building a model without weights and trying its copy takes on a busy machine (seconds).
COUNT_SECONDS = 300
# Families whose attention transformers computes step by step, with scores and masks for all of a row.
EAGER_FAMILIES = ("gemma2", "gpt_oss")
# Families of which transformers has no model that sorts texts.
WITHOUT_CLASSIFIER = ("olmoe",)
GATED_DECODERS = (
    *("llama", "mistral", "qwen2", "qwen3", "phi3", "smollm3"),
    *GEMMA_FAMILIES,
    *EXPERT_WIDTH_KEYS,
)
BERT_LINEARS = (
    *(f"attention.self.{name}" for name in ("query", "key", "value")),
    *("attention.output.dense", "intermediate.dense", "output.dense"),
)
# The matrices of a block of an encoder: query, key, value, output, then in and out of the feed-forward part.
ENCODER_LINEARS = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "electra"), BERT_LINEARS),
    "distilbert": (
        *(f"attention.{name}_lin" for name in ("q", "k", "v", "out")),
        *("ffn.lin1", "ffn.lin2"),
    ),
    "mpnet": (*(f"attention.attn.{name}" for name in "qkvo"), "intermediate.dense", "output.dense"),
}
# What DistilBERT calls the sizes.
DISTILBERT_KEYS = {"hidden_size": "dim", "intermediate_size": "hidden_dim", "num_hidden_layers": "n_layers"}
# Positions of these families are counted from behind their padding token.
POSITIONS_FROM_2 = ("roberta", "xlm-roberta", "mpnet")


def from_config(config: Mapping[str, Any], name: str = "this model") -> ModelShape:
    """The shape described by a transformers config.

    Args:
        config: The contents of a `config.json`; `pooling: mean` where the model's sentence embeddings are the
            mean of its tokens.
        name: What an error calls the model.

    Raises:
        ModelUnavailable: The family is unknown, or a size is missing or impossible.
    """
    family = str(config.get("model_type", ""))
    try:
        if family in ENCODER_LINEARS:
            return _encoder(config, family)
        if family == "modernbert":
            return _modernbert(config)
        if family == "gpt2":
            return _gpt2(config)
        if family in GATED_DECODERS and not (family in EXPERT_WIDTH_KEYS and _has_unequal_blocks(config)):
            return _decoder(config, family)
    except KeyError as error:
        raise ModelUnavailable(
            Message("The config of {name} does not say {key}."),
            Message("Choose another model, or a newer copy of this one."),
            name=name,
            key=str(error).strip("'"),
        ) from None
    except (TypeError, ValueError, ArithmeticError):
        raise ModelUnavailable(IMPOSSIBLE_SIZE, TAKE_WHOLE_COPY, name=name) from None
    kind = describe_other_kind(config)
    if kind in (READS_PICTURES, HEARS_SPEECH, ENCODER_DECODER):
        raise ModelUnavailable(kind, CHOOSE_OTHER_FAMILY, family=family[:40] or "?", name=name)
    return _count_on_model(config, name)


def _count_on_model(config: Mapping[str, Any], name: str) -> ModelShape:
    """The shape of a model of a family without formulas, counted once on the model itself.

    That takes torch: a process that has it counts, any other asks a child process, and keeps the answer.
    """
    left_out = (*STORAGE_KEYS, "id2label", "label2id", "num_labels", "problem_type")
    built_from = {key: value for key, value in config.items() if key not in left_out}
    if sys.modules.get("torch"):
        return _count_here(json.dumps(built_from, sort_keys=True), name)
    request = json.dumps({"config": built_from, "name": name}, sort_keys=True)
    versions = (version("transformers"), *(field.name for field in fields(ModelShape)))
    digest = sha256(json.dumps([built_from, *versions], sort_keys=True).encode()).hexdigest()
    path = home() / "shapes" / f"{digest[:32]}.json"
    reply = read_json(path) or _ask_child(request)
    if "shape" not in reply:
        raise ModelUnavailable(Message.from_json(reply["message"]), Message.from_json(reply["to_do"]))
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        write_json(path, reply)
    return ModelShape.from_json(reply["shape"])


@lru_cache(maxsize=64)
def _count_here(config: str, name: str) -> ModelShape:
    from studio.models import counted_shape  # noqa: PLC0415 - loads torch

    return counted_shape.count(json.loads(config), name)


@lru_cache(maxsize=64)
def _ask_child(request: str) -> dict[str, Any]:
    """The reply of studio.models.counted_shape to a request; of one that breaks off, what is said of it."""
    why = Message("it took longer than {seconds} s.").format(seconds=COUNT_SECONDS)
    try:
        process = processes.run_module(
            "studio.models.counted_shape", input_text=request, timeout=COUNT_SECONDS
        )
        return dict(json.loads(process.stdout.splitlines()[-1]))
    except subprocess.TimeoutExpired:
        pass
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        why = Message("it gave no answer.")
    spec = json.loads(request)
    family = str(spec["config"].get("model_type", ""))[:40] or "?"
    message = NOT_COUNTED.format(name=spec["name"], family=family, why=why)
    return {"message": message.to_json(), "to_do": CHOOSE_OTHER_FAMILY.to_json()}


def from_folder(folder: Path) -> ModelShape:
    """The shape of the model in a local folder; raises ModelUnavailable where it holds no readable config."""
    try:
        config = read_config(folder)
    except (OSError, ValueError, TypeError):
        raise ModelUnavailable(
            NO_CONFIG,
            Message("Name a folder that save_pretrained wrote, or choose a model from the list."),
            folder=folder,
        ) from None
    return from_config(config, folder.name)


def read_config(folder: Path) -> dict[str, Any]:
    """The config of a model folder, with `pooling: mean` where sentence-transformers wrote so beside it.

    Raises OSError or ValueError where there is none that can be read.
    """
    config = dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    pooling_path = folder / POOLING_FILE
    if not pooling_path.is_file():
        return config
    pooling = json.loads(pooling_path.read_text(encoding="utf-8"))
    modes = [name for name, value in pooling.items() if name.startswith("pooling_mode_") and value]
    if modes == ["pooling_mode_mean_tokens"] or pooling.get("pooling_mode") == "mean":
        config["pooling"] = "mean"
    return config


def list_labels(config: Mapping[str, Any]) -> list[str]:
    """The names of the classes that the model of a config sorts into, in the order of its outputs."""
    labels = config.get("id2label")
    return [str(name) for name in labels.values()] if isinstance(labels, dict) else []


def is_mean_pooled(config: Mapping[str, Any]) -> bool:
    """Whether a classifier on the model of a config reads the mean of the tokens: a BERT made for that.

    ModernBERT's own head and the last token of a decoder stay as transformers reads them.
    """
    return config.get("pooling") == "mean" and config.get("model_type") == "bert"


def _has_unequal_blocks(config: Mapping[str, Any]) -> bool:
    return bool(config.get("mlp_only_layers")) or int(config.get("decoder_sparse_step") or 1) != 1


def _experts(config: Mapping[str, Any], family: str) -> Experts:
    if family not in EXPERT_WIDTH_KEYS:
        return Experts()
    hidden, inner = int(config["hidden_size"]), int(config[EXPERT_WIDTH_KEYS[family]])
    return Experts(
        count=int(config["num_local_experts" if "num_local_experts" in config else "num_experts"]),
        active=int(config["num_experts_per_tok"]),
        hidden=hidden,
        inner=inner,
        shared_inner=int(config["shared_expert_intermediate_size"]) if family == "qwen2_moe" else 0,
        biases=2 * inner + hidden if family == "gpt_oss" else 0,
    )


def _decoder(config: Mapping[str, Any], family: str) -> ModelShape:
    """Llama and its relatives: grouped-query attention, a gated feed-forward part, RMS norms without bias."""
    hidden = int(config["hidden_size"])
    heads = int(config["num_attention_heads"])
    kv_heads = int(config.get("num_key_value_heads") or heads)
    layers, head_dim = int(config["num_hidden_layers"]), int(config.get("head_dim") or hidden // heads)
    is_gpt_oss = family == "gpt_oss"
    out_bias = bool(config.get("attention_bias", is_gpt_oss))
    # Qwen2 puts a bias on query, key and value whatever its config says; the others follow attention_bias.
    bias = out_bias or family == "qwen2" or (family == "qwen2_moe" and bool(config.get("qkv_bias", True)))
    norms_per_block = 4 if family in ("gemma2", "gemma3_text") else 2
    kv_width, attention_width = kv_heads * head_dim, heads * head_dim
    qk_norm_parameters = 2 * head_dim if family in ("qwen3", "qwen3_moe", "gemma3_text") else 0
    if family == "olmoe":  # which norms all heads together
        qk_norm_parameters = attention_width + kv_width
    # Each head of gpt-oss has a number that takes up attention (its sink), each expert a bias in the router.
    other_parameters = heads + int(config["num_local_experts"]) if is_gpt_oss else 0
    attention: tuple[Linear, ...] = (
        Linear("self_attn.q_proj", hidden, attention_width, bias, "attention"),
        Linear("self_attn.k_proj", hidden, kv_width, bias, "attention"),
        Linear("self_attn.v_proj", hidden, kv_width, bias, "attention"),
        Linear("self_attn.o_proj", attention_width, hidden, out_bias, "attention"),
    )
    experts = _experts(config, family)
    inner, mlp_bias = 0 if experts.count else int(config["intermediate_size"]), bool(config.get("mlp_bias"))
    feed_forward: tuple[Linear, ...] = (
        Linear("mlp.gate_proj", hidden, inner, mlp_bias, "feed_forward"),
        Linear("mlp.up_proj", hidden, inner, mlp_bias, "feed_forward"),
        Linear("mlp.down_proj", inner, hidden, mlp_bias, "feed_forward"),
    )
    if family == "phi3":
        attention = (
            Linear("self_attn.qkv_proj", hidden, attention_width + 2 * kv_width, False, "attention"),
            Linear("self_attn.o_proj", attention_width, hidden, False, "attention"),
        )
        feed_forward = (
            Linear("mlp.gate_up_proj", hidden, 2 * inner, False, "feed_forward"),
            Linear("mlp.down_proj", inner, hidden, False, "feed_forward"),
        )
    vocabulary = int(config["vocab_size"])
    tied = bool(config.get("tie_word_embeddings", family in GEMMA_FAMILIES))
    return ModelShape(
        family=family,
        encoder=False,
        hidden=hidden,
        layers=layers,
        vocabulary=vocabulary,
        context=int(config.get("max_position_embeddings", 2048)),
        tied=tied,
        linears=attention if experts.count else attention + feed_forward,
        block_other_parameters=norms_per_block * hidden + qk_norm_parameters + other_parameters,
        non_block_parameters=vocabulary * hidden + hidden,
        pooler=0,
        class_head=0,
        heads=heads,
        embedding_norms=hidden,
        kv_width=kv_width,
        experts=experts,
        norm_parameters=(2 * layers + 1) * hidden if is_gpt_oss else 0,
        has_classifier=family not in WITHOUT_CLASSIFIER,
        is_eager=family in EAGER_FAMILIES,
        packs=family not in EAGER_FAMILIES,
    )


def _gpt2(config: Mapping[str, Any]) -> ModelShape:
    """GPT-2: one matrix for query, key and value, learned positions, norms with biases."""
    hidden, vocabulary = int(config["n_embd"]), int(config["vocab_size"])
    inner, context = int(config.get("n_inner") or 4 * hidden), int(config["n_positions"])
    linears = (
        Linear("attn.c_attn", hidden, 3 * hidden, True, "attention"),
        Linear("attn.c_proj", hidden, hidden, True, "attention"),
        Linear("mlp.c_fc", hidden, inner, True, "feed_forward"),
        Linear("mlp.c_proj", inner, hidden, True, "feed_forward"),
    )
    return ModelShape(
        family="gpt2",
        encoder=False,
        hidden=hidden,
        layers=int(config["n_layer"]),
        vocabulary=vocabulary,
        context=context,
        tied=bool(config.get("tie_word_embeddings", True)),
        linears=linears,
        block_other_parameters=4 * hidden,
        non_block_parameters=(vocabulary + context + 2) * hidden,
        pooler=0,
        class_head=0,
        heads=int(config["n_head"]),
        embedding_norms=2 * hidden,
    )


def _encoder(config: Mapping[str, Any], family: str) -> ModelShape:
    """BERT and its relatives: biases everywhere, learned positions, a norm behind each part of a block."""
    names = DISTILBERT_KEYS if family == "distilbert" else {}
    hidden, inner, layers = (
        int(config[names.get(key, key)]) for key in ("hidden_size", "intermediate_size", "num_hidden_layers")
    )
    heads = int(config["n_heads" if names else "num_attention_heads"])
    sizes = (*((hidden, hidden),) * 4, (hidden, inner), (inner, hidden))
    parts = ("attention",) * 4 + ("feed_forward",) * 2
    linears = tuple(
        Linear(name, n_in, n_out, True, part)
        for name, (n_in, n_out), part in zip(ENCODER_LINEARS[family], sizes, parts, strict=True)
    )
    vocabulary, positions = int(config["vocab_size"]), int(config["max_position_embeddings"])
    token_types = 0 if family in ("distilbert", "mpnet") else int(config.get("type_vocab_size", 2))
    width = int(config.get("embedding_size", hidden)) if family == "electra" else hidden
    non_block_parameters = (vocabulary + positions + token_types + 2) * width
    if width != hidden:
        non_block_parameters += width * hidden + hidden
    if family == "mpnet":  # what is added to attention by the distance of two tokens, shared by all blocks
        non_block_parameters += int(config.get("relative_attention_num_buckets", 32)) * heads
    has_pooler = family == "bert" and not is_mean_pooled(config)
    square = hidden * hidden + hidden
    return ModelShape(
        family=family,
        encoder=True,
        hidden=hidden,
        layers=layers,
        vocabulary=vocabulary,
        context=positions - 2 if family in POSITIONS_FROM_2 else positions,
        tied=True,
        linears=linears,
        block_other_parameters=4 * hidden,
        non_block_parameters=non_block_parameters,
        pooler=square if has_pooler else 0,
        class_head=0 if family == "bert" else square,
        heads=heads,
        mean_pooled=is_mean_pooled(config),
        embedding_norms=2 * width,
        head_modules=("pre_classifier",) if family == "distilbert" else (),
        embedding_width=width,
    )


def _modernbert(config: Mapping[str, Any]) -> ModelShape:
    """ModernBERT: no biases, one matrix for query, key and value, a gated feed-forward part.

    The first block has no norm before its attention.
    """
    hidden, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    linears = (
        Linear("attn.Wqkv", hidden, 3 * hidden, False, "attention"),
        Linear("attn.Wo", hidden, hidden, False, "attention"),
        Linear("mlp.Wi", hidden, 2 * inner, False, "feed_forward"),
        Linear("mlp.Wo", inner, hidden, False, "feed_forward"),
    )
    return ModelShape(
        family="modernbert",
        encoder=True,
        hidden=hidden,
        layers=int(config["num_hidden_layers"]),
        vocabulary=int(config["vocab_size"]),
        context=int(config.get("max_position_embeddings", 8192)),
        tied=True,
        linears=linears,
        block_other_parameters=2 * hidden,
        non_block_parameters=int(config["vocab_size"]) * hidden + 2 * hidden,
        pooler=0,
        class_head=hidden * hidden + hidden,
        heads=int(config["num_attention_heads"]),
        first_block_missing=hidden,
        embedding_norms=2 * hidden,
        head_modules=("head",),
    )
