"""Settings and learning rates with which the tiny models learn with each of PEFT's methods."""

from studio.methods import peft, peft_form

METHOD = peft.METHOD
TYPES = list(peft_form.load_cards().types)
MERGEABLE = [peft_type for peft_type in TYPES if peft_type not in peft.VIRTUAL_TOKEN_TYPES]
# Plain texts go the way of conversations; test_methods.py trains one of each.
TASKS = ("chat", "classify")
# What makes the tiny models learn in three steps to a few dozen; a real model's rates are the method's own.
CHAT_RATES = {
    **dict.fromkeys(TYPES, 1e-2),
    "ia3": 0.1,
    "lokr": 0.05,
    "vera": 0.1,
    "ln_tuning": 0.05,
    "prompt_tuning": 0.3,
    "p_tuning": 0.02,
}
# A block of 8 divides every width of the tiny models; at 32 the rotation would be one block.
TINY_FIELDS = {"oft": {"oft_block_size": 8}, "miss": {"r": 8}, "p_tuning": {"encoder_hidden_size": 32}}
TINY_CONFIG = {
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 10,
}


def settings_of(peft_type, **fields):
    """The settings of one of PEFT's methods for the tiny models, with fields under PEFT's names."""
    fields = {**TINY_FIELDS.get(peft_type, {}), **fields}
    return {"type": peft_type, **{f"{peft_type}_{name}": value for name, value in fields.items()}}
