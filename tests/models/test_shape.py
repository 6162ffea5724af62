"""Parameters are counted from a config alone, and the count is that of the model transformers builds."""

import dataclasses
import json

import pytest
from model_families import config_of

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
FAMILIES = {
    "qwen2": {**LLAMA, "model_type": "qwen2"},
    "mistral": {**LLAMA, "model_type": "mistral", "head_dim": 4},
    "smollm3": {**LLAMA, "model_type": "smollm3", "pad_token_id": 0},
    "llama with biases": {**LLAMA, "attention_bias": True, "mlp_bias": True},
    "qwen3 with biases": {**LLAMA, "model_type": "qwen3", "head_dim": 4, "attention_bias": True},
    "gemma3_text": {**LLAMA, "model_type": "gemma3_text", "head_dim": 4, "pad_token_id": 0},
}
CATALOGUE = {name: card.config for name, card in presets.models().items()}
CLASSIFIERS = {
    name: config for name, config in CATALOGUE.items() if config["model_type"] not in shape.WITHOUT_CLASSIFIER
}
CHAT_MODELS = {name: card.config for name, card in presets.models().items() if "chat" in card.tasks}


def build_model(config, num_labels=0):
    """The model itself, on the meta device, where parameters have a shape and no values."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

    from studio.models import load

    settings = {name: value for name, value in config.items() if name != "model_type"}
    if num_labels:
        settings["num_labels"] = num_labels
    model_config = AutoConfig.for_model(config["model_type"], **settings)
    is_encoder = config["model_type"] in ("bert", "modernbert", "xlm-roberta")
    model_class = AutoModelForMaskedLM if is_encoder else AutoModelForCausalLM
    if num_labels:
        model_class = load.model_class("classify", config)
    with torch.device("meta"):
        return model_class.from_config(model_config)


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def wrong_counts(configs, num_labels=0):
    """Counted and actual parameters of the models whose count is wrong."""
    wrong = {}
    for name, config in configs.items():
        counted, actual = shape.from_config(config).total(num_labels), count(build_model(config, num_labels))
        if counted != actual:
            wrong[name] = (counted, actual)
    return wrong


def test_a_small_llama_counted_by_hand():
    counted = shape.from_config(LLAMA)
    # query, key, value, output: 4 heads of 2, and 2 for key and value
    attention = 8 * 8 + 8 * 4 + 8 * 4 + 8 * 8
    block = attention + 3 * 8 * 16 + 2 * 8
    assert counted.blocks == 2 * block == 2 * 592
    assert counted.total() == 2 * 592 + 2 * 10 * 8 + 8 == 1352
    assert counted.total(labels=3) == 2 * 592 + 10 * 8 + 8 + 3 * 8 == 1296


def test_the_count_with_a_language_head_is_that_of_the_model():
    assert wrong_counts(CHAT_MODELS) == {}


def test_the_count_with_six_labels_is_that_of_the_model():
    assert wrong_counts(CLASSIFIERS, num_labels=6) == {}


def test_the_count_holds_for_other_families_and_for_biases():
    assert wrong_counts(FAMILIES) == {}
    assert wrong_counts(FAMILIES, num_labels=6) == {}


def test_xlm_r_has_as_many_parameters_as_its_authors_and_keras_count():
    # keras-hub counts 277,450,752 for 512 positions and without a type of token.
    counted = shape.from_config(presets.models()["xlm-roberta-base"].config)
    assert counted.non_block_parameters + counted.blocks == 277_450_752 + 3 * 768


def test_every_matrix_of_a_block_is_named_as_in_the_model():
    wrong = {}
    for name, config in CATALOGUE.items():
        second_block = {
            path.partition(".1.")[2]: module
            for path, module in build_model(config, 6 * (name in CLASSIFIERS)).named_modules()
            if ".1." in path
        }
        for linear in shape.from_config(config).linears:
            module = second_block.get(linear.name)
            sizes = module and (module.in_features, module.out_features, module.bias is not None)
            if sizes != (linear.n_in, linear.n_out, linear.bias):
                wrong[name, linear.name] = sizes
    assert wrong == {}


@pytest.mark.parametrize("fixture", ["tiny_chat", "tiny_bert"])
def test_a_folder_is_read(fixture, request):
    folder = request.getfixturevalue(fixture)
    model_shape = shape.from_folder(folder)
    assert (model_shape.layers, model_shape.hidden) == (2, 32)
    assert model_shape.context == json.loads((folder / "config.json").read_text())["max_position_embeddings"]


def test_a_family_that_cannot_be_counted_is_refused_with_those_that_can():
    with pytest.raises(ModelUnavailable, match=r"“xlnet”, which.*Llama, Mistral"):
        shape.from_config({"model_type": "xlnet"}, "some model")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "mamba", "num_hidden_layers": 10**8}, "no number that a model can have"),
        ({"model_type": "jetmoe"}, "lacks what a training here needs: computing activations again"),
        ({"model_type": "zamba2"}, "not built of blocks behind one another"),
        ({"model_type": "cohere", "hidden_size": "wide"}, "cannot build some model"),
    ],
)
def test_a_family_without_formulas_that_cannot_be_trained_says_why(config, said):
    with pytest.raises(ModelUnavailable, match=said):
        shape.from_config(config, "some model")


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


def test_a_counted_shape_cut_to_fewer_blocks_is_that_of_a_model_cut_so():
    from studio.models import layers

    config = config_of("deepseek_v3")  # whose first block has no experts
    model = build_model(config)
    layers.keep_lower_blocks(model, 1)
    assert dataclasses.replace(shape.from_config(config), layers=1).total() == count(model)
