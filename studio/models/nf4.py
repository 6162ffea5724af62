"""How a base is held in 4 bits, in the terms of transformers' BitsAndBytesConfig; imports nothing heavy."""

from typing import Any

# 4-bit NormalFloat weights with doubly quantized scales (Dettmers et al. 2023). Heads and poolers are not
# quantized.
NF4_OPTIONS: dict[str, Any] = {
    "load_in_4bit": True,
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_use_double_quant": True,
    "llm_int8_skip_modules": ["lm_head", "score", "classifier", "pre_classifier", "pooler", "head"],
}
