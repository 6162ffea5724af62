"""A method's parameter count is what it trains: to the last parameter, for each model of the catalogue."""

import copy

import pytest
import torch
from method_helpers import TOY_LABELS, count

from studio import methods, presets
from studio.methods import METHODS, peft_form
from studio.models import load, shape

# Further settings to count with besides the defaults: at least two where a method has any that change what is
# counted.
SETTINGS = {
    "lora": (
        {"rank": 1, "targets": "all"},
        {"rank": 8, "targets": "attention"},
        {"rank": 64, "targets": "feed_forward", "alpha": 16, "dropout": 0.0, "rslora": True},
        {"rank": 4, "targets": "all", "dora": True},
    ),
    "frozen": ({"blocks": 1}, {"blocks": 2}),  # of two: all of them, and the embedding alone stays
    "prefix": ({"virtual_tokens": 5}, {"virtual_tokens": 100, "projection": False}),
    "rlhf": ({"rank": 4}, {"algorithm": "dpo", "rank": 32}),
    "adapter": ({"size": 1}, {"size": 256, "placement": "pfeiffer"}),
    "qlora": ({"rank": 64, "targets": "attention"}, {"rank": 4, "dora": True}),
    "upft": ({"rank": 1}, {"rank": 64, "template": False}),
    "qat": ({"bits": "8"}, {"bits": "2", "compare": False}),
    "peft": (
        *({"type": name} for name in peft_form.load_cards().types if name != "dora"),
        {"type": "lokr", "lokr_decompose_both": True, "lokr_r": 4},
        {"type": "lokr", "lokr_decompose_factor": 7, "lokr_r": 300},
        {"type": "oft", "oft_oft_block_size": 48},
        {"type": "oft", "oft_r": 20, "oft_oft_block_size": 0},
        {"type": "oft", "oft_block_share": True},
        {
            "type": "p_tuning",
            "p_tuning_encoder_reparameterization_type": "LSTM",
            "p_tuning_encoder_num_layers": 3,
        },
    ),
}
N_LABELS = 6
# The models that come with the studio are counted in the fast part, all others on demand.
NOT_IN_CI = (pytest.mark.thorough, pytest.mark.exhaustive)
MODELS = [
    pytest.param(name, marks=() if card.wheel else NOT_IN_CI) for name, card in presets.models().items()
]
by_name = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


def settings_of(method):
    return ({}, *SETTINGS.get(method.name, ()))


def tasks_of(method, card, chosen):
    """All tasks with the default settings; with others one that writes, and the one that sorts texts."""
    tasks = [task for task in method.tasks if task in card.tasks]
    if not chosen:
        return tasks
    writing = [task for task in tasks if task != "classify"]
    return [*writing[:1], *(task for task in tasks if task == "classify")]


def model_on_meta(config, is_classifier):
    """The model of a config on the meta device: its parameters have a shape and no values."""
    from transformers import AutoConfig

    arguments = {name: value for name, value in config.items() if name != "model_type"}
    if is_classifier:
        arguments["num_labels"] = N_LABELS
    model_class = load.model_class("classify" if is_classifier else "chat", config)
    with torch.device("meta"):
        return model_class.from_config(AutoConfig.for_model(config["model_type"], **arguments))


@pytest.mark.thorough
@by_name
@pytest.mark.parametrize("name", MODELS)
def test_a_method_trains_exactly_the_parameters_it_counts(name, method):
    card = presets.models()[name]
    # Blocks are alike, and test_shape counts each model as it is: two blocks do, but for the embedded models.
    two_blocks = {**card.config, "num_hidden_layers": 2}
    differences, models = {}, {}
    for chosen in settings_of(method):
        config = card.config if card.wheel and not chosen else two_blocks
        settings = method.resolve_settings(chosen)
        for task in tasks_of(method, card, chosen):
            key = (config["num_hidden_layers"], task == "classify")
            if key not in models:
                models[key] = model_on_meta(config, task == "classify")
            attached = method.attach(copy.deepcopy(models[key]), settings, task)
            n_labels = N_LABELS if task == "classify" else 0
            counted = method.count_parameters(shape.from_config(config), settings, n_labels)
            if count(attached) != (counted.trainable, counted.total):
                differences[task, str(chosen)] = (count(attached), counted)
    assert differences == {}


@pytest.mark.thorough
@by_name
def test_the_count_holds_for_real_models_in_memory(method, bases):
    differences = {}
    for chosen in settings_of(method):
        settings = method.resolve_settings(chosen)
        for task in method.tasks:
            labels = TOY_LABELS if task == "classify" else ()
            counted = method.count_parameters(shape.from_folder(bases(task)), settings, len(labels))
            attached = method.attach(load.base_model(bases(task), task, labels), settings, task)
            if count(attached) != (counted.trainable, counted.total):
                differences[task, str(chosen)] = (count(attached), counted)
    assert differences == {}


def test_lora_on_one_small_matrix_counted_by_hand():
    tiny = {
        "model_type": "llama",
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 10,
    }
    settings = {"rank": 2, "targets": "attention", "dora": False}
    counted = methods.get("lora").count_parameters(shape.from_config(tiny), settings, 0)
    # query 8->8, key 8->4, value 8->4, output 8->8, in 2 layers, at rank 2
    assert counted.trainable == 2 * 2 * (16 + 12 + 12 + 16) == 224


def test_there_are_two_further_settings_where_any_change_what_is_counted():
    assert {name for name, choices in SETTINGS.items() if len(choices) < 2} == set()
