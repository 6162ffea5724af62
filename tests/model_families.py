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
    "gpt_oss": {
        **GROUPED,
        **{"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8, "sliding_window": 8},
        "initializer_range": 0.1,
    },
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
# Families of which the studio has no formulas: they are counted on the model itself.
HYBRID = {
    **{"linear_key_head_dim": 8, "linear_value_head_dim": 8},
    **{"linear_num_key_heads": 2, "linear_num_value_heads": 4},
}
LATENT = {
    **{"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8},
    **{"n_group": 1, "topk_group": 1, "n_routed_experts": 4, "moe_intermediate_size": 48},
}
MAMBA = {**SPECIAL, "hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 384, "state_size": 8}
COUNTED: dict[str, dict[str, Any]] = {
    "phi": {**SIZES, **SPECIAL},
    "phimoe": {**GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2},
    "falcon": {**SIZES, **SPECIAL, "alibi": False},
    "falcon-alibi": {"model_type": "falcon", **SIZES, **SPECIAL, "alibi": True},
    "hyperclovax": {**GROUPED, "head_dim": 8, "logits_scaling": 2.0},
    "minicpm3": {
        **GROUPED,
        **{"num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "dim_model_base": 16},
        **{"qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8},
    },
    "recurrent_gemma": {
        **GROUPED,
        **{"head_dim": 8, "lru_width": 32, "attention_window_size": 64, "logits_soft_cap": 0.01},
        **{"num_hidden_layers": 3, "hidden_activation": "gelu_pytorch_tanh"},
    },
    "gpt_neox": {**SIZES, **SPECIAL},
    "gptj": {
        **SPECIAL,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 512,
        "vocab_size": 384,
        "rotary_dim": 4,
    },
    "opt": {
        **SPECIAL,
        "hidden_size": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 384,
        "max_position_embeddings": 512,
        "word_embed_proj_dim": 32,
    },
    "bloom": {**SPECIAL, "hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": 384},
    "stablelm": {**GROUPED},
    "starcoder2": {**GROUPED},
    "cohere": {**GROUPED},
    "cohere2": {**GROUPED, "sliding_window": 64},
    "granite": {**GROUPED, "logits_scaling": 2.0},
    "granitemoe": {**GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2},
    "olmo2": {**GROUPED},
    "olmo3": {**GROUPED, "sliding_window": 64},
    "exaone4": {**GROUPED, "sliding_window": 64},
    "glm4": {**GROUPED, "head_dim": 8},
    "nemotron": {**GROUPED, "head_dim": 8},
    "ernie4_5": {**GROUPED, "head_dim": 8},
    "seed_oss": {**GROUPED, "head_dim": 8},
    "helium": {**GROUPED, "head_dim": 8},
    "gemma4_text": {
        **GROUPED,
        **{"head_dim": 8, "global_head_dim": 16, "sliding_window": 64, "hidden_size_per_layer_input": 32},
        **{"vocab_size_per_layer_input": 384, "layer_types": ["sliding_attention", "full_attention"]},
    },
    "deepseek_v3": {
        **GROUPED,
        **LATENT,
        "num_key_value_heads": 4,
        "num_experts_per_tok": 2,
        "first_k_dense_replace": 1,
    },
    "deepseek_v32": {
        **GROUPED,
        **LATENT,
        **{"num_key_value_heads": 4, "num_experts_per_tok": 2, "first_k_dense_replace": 1},
        **{"index_topk": 4, "index_n_heads": 2, "index_head_dim": 16},
    },
    "glm4_moe": {
        **GROUPED,
        **{"head_dim": 8, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48},
        **{"first_k_dense_replace": 1, "n_group": 1, "topk_group": 1},
    },
    "qwen3_next": {
        **GROUPED,
        **FOUR_EXPERTS,
        **HYBRID,
        **{"head_dim": 8, "moe_intermediate_size": 48, "shared_expert_intermediate_size": 64},
        **{"layer_types": ["linear_attention", "full_attention"]},
    },
    "qwen3_5_text": {
        **GROUPED,
        **HYBRID,
        "head_dim": 8,
        "layer_types": ["linear_attention", "full_attention"],
    },
    "lfm2": {**GROUPED, "layer_types": ["conv", "full_attention"]},
    "mamba": MAMBA,
    "mamba2": {**MAMBA, "num_heads": 8, "head_dim": 8, "n_groups": 1},
    "falcon_mamba": MAMBA,
    "falcon_h1": {**GROUPED, "mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8},
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
    return {"model_type": family, **{**FAMILIES, **COUNTED}[family]}


def save_family(family: str, folder: Path) -> None:
    """Save a tiny random model of a family with a tokenizer of its kind."""
    import torch
    from toys import _build_wordpiece_tokenizer, _train_bpe_tokenizer
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    is_encoder = family in ENCODERS
    tokenizer = _build_wordpiece_tokenizer() if is_encoder else _train_bpe_tokenizer()
    tokenizer.save_pretrained(folder)
    config = AutoConfig.for_model(**{**config_of(family), "vocab_size": max(384, len(tokenizer))})
    torch.manual_seed(0)
    model_class = AutoModel if is_encoder else AutoModelForCausalLM
    model_class.from_config(config).save_pretrained(folder)


FP4_VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)


def save_gpt_oss_in_4_bits(folder: Path) -> dict[str, Any]:
    """Save a tiny gpt-oss as the hub has it, its experts in MXFP4.

    Returns:
        What the experts' matrices are, by the names of their parameters.
    """
    import json

    import torch
    from safetensors.torch import load_file, save_file
    from toys import _train_bpe_tokenizer
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = _train_bpe_tokenizer()
    tokenizer.save_pretrained(folder)
    sizes = {**config_of("gpt_oss"), "vocab_size": max(384, len(tokenizer)), "intermediate_size": 32}
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.for_model(**sizes)).save_pretrained(folder)
    tensors, experts = load_file(folder / "model.safetensors"), {}
    for name in [name for name in tensors if name.endswith(("gate_up_proj", "down_proj"))]:
        n_experts, n_in, n_out = tensors.pop(name).shape
        codes = torch.randint(0, 16, (n_experts, n_out, n_in // 32, 32))
        exponents = torch.randint(122, 125, (n_experts, n_out, n_in // 32))
        tensors[f"{name}_blocks"] = (codes[..., 0::2] + 16 * codes[..., 1::2]).to(torch.uint8)
        tensors[f"{name}_scales"] = exponents.to(torch.uint8)
        values = torch.tensor(FP4_VALUES)[codes] * 2.0 ** (exponents - 127).unsqueeze(-1)
        experts[name] = values.flatten(2).transpose(1, 2)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = {
        "quant_method": "mxfp4",
        "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "lm_head"],
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return experts


def plan_family(make_plan: Any, folder: Path, method: str, task: str) -> Any:
    """A plan that trains a tiny model of a family for long enough to lower its loss."""
    rates = {"full": 3e-3, "frozen": 3e-3, "qat": 3e-3}
    changes = {"epochs": 4, "eval_count": 2, **({"learning_rate": rates[method]} if method in rates else {})}
    settings = {"steps": 2, "max_completion_length": 8} if method == "rlhf" else {}
    return make_plan(method, task, settings, **changes).model_copy(update={"model": str(folder)})


def train_and_reopen(plan: Any) -> tuple[dict[str, Any], str]:
    """Train a plan to its end: the run's report, and the checksum of its result, opened anew."""
    from studio import methods, runs
    from studio.models import load
    from studio.training import worker

    method, run = methods.get(plan.method.name), runs.create(plan)
    worker.run(run.id)
    assert runs.status(run).state == "done"
    report = runs.report(run)
    storage = load.WeightStorage(in_4_bits=method.weights == "nf4")
    base = load.base_model(Path(plan.model), plan.task, report["labels"], plan.training.seed, storage)
    return report, load.fingerprint(method.load(base, run.model))
