"""A tiny config of every family of base models, and folders with such models."""

from pathlib import Path
from typing import Any

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 384,
    "max_position_embeddings": 512,
}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
GROUPED = {**SIZES, **SPECIAL, "num_key_value_heads": 2}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
ENCODER = {**SIZES, **NO_DROPOUT, "initializer_range": 0.3, "pad_token_id": 1}
FOUR_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "initializer_range": 0.1}
MIXTURES: dict[str, dict[str, Any]] = {
    "mixtral": {**GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2, "initializer_range": 0.1},
    "olmoe": {**GROUPED, **FOUR_EXPERTS},
    "qwen2_moe": {
        **GROUPED,
        **FOUR_EXPERTS,
        **{"moe_intermediate_size": 48, "shared_expert_intermediate_size": 64},
    },
    "qwen3_moe": {**GROUPED, **FOUR_EXPERTS, "head_dim": 16, "moe_intermediate_size": 48},
}
DECODERS: dict[str, dict[str, Any]] = {
    **MIXTURES,
    "gpt2": {
        **SPECIAL,
        **{"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, "vocab_size": 384},
        **{"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    },
    "phi3": {**GROUPED},
    "gemma": {**GROUPED, "head_dim": 16},
    "gemma2": {**GROUPED, "head_dim": 16, "sliding_window": 64},
    "gemma3_text": {**GROUPED, "head_dim": 16, "sliding_window": 64},
}
ENCODERS: dict[str, dict[str, Any]] = {
    "distilbert": {
        **{"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 4, "initializer_range": 0.3},
        **{"vocab_size": 384, "max_position_embeddings": 512, "dropout": 0.0, "attention_dropout": 0.0},
    },
    "roberta": {**ENCODER, "type_vocab_size": 1},
    "xlm-roberta": {**ENCODER, "type_vocab_size": 1},
    "mpnet": {**ENCODER, "relative_attention_num_buckets": 32},
    "electra": {**ENCODER, "embedding_size": 16},
}
FAMILIES = {**DECODERS, **ENCODERS}


def config_of(family: str) -> dict[str, Any]:
    """The tiny config of a family, with its name."""
    return {"model_type": family, **FAMILIES[family]}


def save_family(family: str, folder: Path) -> None:
    """Save a tiny random model of a family with a tokenizer of its kind."""
    import torch
    from toys import _build_wordpiece_tokenizer, _train_bpe_tokenizer
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    is_encoder = family in ENCODERS
    tokenizer = _build_wordpiece_tokenizer() if is_encoder else _train_bpe_tokenizer()
    tokenizer.save_pretrained(folder)
    config = AutoConfig.for_model(family, **{**FAMILIES[family], "vocab_size": max(384, len(tokenizer))})
    torch.manual_seed(0)
    model_class = AutoModel if is_encoder else AutoModelForCausalLM
    model_class.from_config(config).save_pretrained(folder)
