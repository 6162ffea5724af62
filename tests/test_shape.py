"""A model's numbers are counted from its config alone, and the count is that of the model transformers builds."""

import json

import pytest

from studio import presets
from studio.errors import ModelUnavailable
from studio.models import shape

LLAMA = {
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 10,
    "tie_word_embeddings": False,
}
VARIANTS = {
    "qwen2": {**LLAMA, "model_type": "qwen2"},
    "mistral": {**LLAMA, "model_type": "mistral", "head_dim": 4},
    "smollm3": {**LLAMA, "model_type": "smollm3", "pad_token_id": 0},
    "llama with biases": {**LLAMA, "attention_bias": True, "mlp_bias": True},
    "qwen3 with biases": {**LLAMA, "model_type": "qwen3", "head_dim": 4, "attention_bias": True},
    "gemma3_text": {**LLAMA, "model_type": "gemma3_text", "head_dim": 4, "pad_token_id": 0},
}


def built(config, labels=0):
    """The model itself, on the meta device, where numbers have a shape and no values."""
    import torch
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        AutoModelForMaskedLM,
        AutoModelForSequenceClassification,
    )

    kind = {name: value for name, value in config.items() if name != "model_type"}
    with torch.device("meta"):
        if labels:
            return AutoModelForSequenceClassification.from_config(
                AutoConfig.for_model(config["model_type"], num_labels=labels, **kind)
            )
        full = AutoConfig.for_model(config["model_type"], **kind)
        encoder = config["model_type"] in ("bert", "modernbert")
        return (AutoModelForMaskedLM if encoder else AutoModelForCausalLM).from_config(full)


def count(model):
    return sum(value.numel() for value in model.parameters())


def test_a_small_llama_counted_by_hand():
    found = shape.from_config(LLAMA)
    attention = (
        8 * 8 + 8 * 4 + 8 * 4 + 8 * 8
    )  # query, key, value, output: 4 heads of 2, and 2 for key and value
    block = attention + 3 * 8 * 16 + 2 * 8
    assert found.blocks == 2 * block == 2 * 592
    assert found.total() == 2 * 592 + 2 * 10 * 8 + 8 == 1352
    assert found.total(labels=3) == 2 * 592 + 10 * 8 + 8 + 3 * 8 == 1296


@pytest.mark.parametrize("name", [name for name, card in presets.models().items() if "chat" in card.tasks])
def test_the_count_with_a_language_head_is_that_of_the_model(name):
    config = presets.models()[name].config
    assert shape.from_config(config).total() == count(built(config))


@pytest.mark.parametrize("name", list(presets.models()))
def test_the_count_with_six_labels_is_that_of_the_model(name):
    config = presets.models()[name].config
    assert shape.from_config(config).total(labels=6) == count(built(config, 6))


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)
def test_the_count_holds_for_other_families_and_for_biases(config):
    assert shape.from_config(config).total() == count(built(config))
    assert shape.from_config(config).total(labels=6) == count(built(config, 6))


@pytest.mark.parametrize("name", list(presets.models()))
def test_every_matrix_of_a_block_is_named_as_in_the_model(name):
    config = presets.models()[name].config
    matrices = dict(built(config, 6).named_modules())
    for linear in shape.from_config(config).linears:
        (found,) = [module for path, module in matrices.items() if path.endswith(f".1.{linear.name}")]
        assert (found.in_features, found.out_features, found.bias is not None) == (
            linear.n_in,
            linear.n_out,
            linear.bias,
        )


@pytest.mark.parametrize("fixture", ["tiny_chat", "tiny_bert"])
def test_a_folder_is_read(fixture, request):
    folder = request.getfixturevalue(fixture)
    found = shape.from_folder(folder)
    assert (found.layers, found.hidden) == (2, 32)
    assert found.context == json.loads((folder / "config.json").read_text())["max_position_embeddings"]


def test_a_family_that_cannot_be_counted_is_refused_with_those_that_can():
    with pytest.raises(ModelUnavailable, match=r"“mamba”.*Llama, Mistral"):
        shape.from_config({"model_type": "mamba"}, "some model")


def test_a_config_that_lacks_a_number_says_which():
    with pytest.raises(ModelUnavailable, match="tiny does not say hidden_size"):
        shape.from_config({"model_type": "llama"}, "tiny")


@pytest.mark.parametrize(
    "wrong", [{"hidden_size": None}, {"hidden_size": "wide"}, {"num_attention_heads": 0}]
)
def test_a_size_that_is_none_is_said_to_be_none(wrong):
    sizes = {
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "vocab_size": 10,
    }
    with pytest.raises(ModelUnavailable, match="tiny is no number"):
        shape.from_config({"model_type": "llama", **sizes, **wrong}, "tiny")


@pytest.mark.parametrize("text", [None, "", "{", "\x00", "[1]", "7"])
def test_a_folder_without_a_readable_config_says_so(tmp_path, text):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelUnavailable, match=r"no readable config\.json"):
        shape.from_folder(tmp_path)
