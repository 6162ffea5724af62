"""One table says what goes with what, and everyone asks it."""

import itertools

import pytest

from studio import methods, presets
from studio.methods import METHODS, compatibility
from studio.models import shape

WRITER, READER = (shape.from_config(presets.models()[name].config) for name in ("smollm2-135m", "minilm-l6"))
TASKS = ("chat", "complete", "classify", "prefer", "prompts")


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_method_trains_what_the_table_allows_and_nothing_else(method):
    assert set(method.tasks) == set(compatibility.supported_tasks(method.name))


@pytest.mark.parametrize(("name", "task"), itertools.product([method.name for method in METHODS], TASKS))
def test_what_does_not_go_together_says_why_and_what_does_in_both_languages(name, task):
    found = compatibility.find_incompatibility(name, task, WRITER)
    assert (found is None) == (task in methods.get(name).tasks)
    for words in (found.reason, found.alternative) if found else ():
        assert words.render().endswith(".")
        assert words.render("zh").endswith("。")


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_model_that_only_reads_is_refused_for_everything_but_classes(method):
    for task in method.tasks:
        assert (compatibility.find_incompatibility(method.name, task, READER) is None) == (task == "classify")


def test_qlora_is_refused_where_bitsandbytes_has_no_build(monkeypatch):
    monkeypatch.setattr(compatibility, "is_installed", lambda library: library != "bitsandbytes")
    found = compatibility.find_incompatibility("qlora", "chat", WRITER)
    assert "no build for this machine (linux" in found.reason.render()
    assert "LoRA" in found.alternative.render()
    assert compatibility.find_incompatibility("lora", "chat", WRITER) is None


def test_a_plan_with_a_method_and_a_task_that_do_not_go_together_is_told_the_table_s_reason():
    raw = {"task": "classify", "model": "minilm-l6", "data": {"source": "x"}, "method": {"name": "rlhf"}}
    found = methods.find_plan_problems(raw)
    assert len(found) == 1
    assert compatibility.find_incompatibility("rlhf", "classify").reason.render() in found[0].render()


def test_a_reading_model_is_told_apart_by_its_shape_not_its_name():
    raw = {"task": "chat", "model": "minilm-l6", "data": {"source": "x"}, "method": {"name": "lora"}}
    assert (
        compatibility.ENCODER_CANNOT_GENERATE.reason.render() in methods.find_plan_problems(raw)[0].render()
    )


def test_every_card_names_the_tasks_its_method_trains():
    for method in METHODS:
        assert set(presets.methods()[method.name].tasks) == set(method.tasks), method.name


def test_a_prefix_on_a_model_that_takes_none_is_refused_before_the_run():
    raw = {
        "task": "classify",
        "model": "modernbert-base",
        "data": {"source": "x"},
        "method": {"name": "prefix"},
    }
    (found,) = methods.find_plan_problems(raw)
    assert (
        found.render()
        == f"method.name: prefix for 'classify': {compatibility.PREFIX_NOT_SUPPORTED.reason.render()} {compatibility.PREFIX_NOT_SUPPORTED.alternative.render()}"
    )
    assert methods.find_plan_problems({**raw, "model": "minilm-l6"}) == []


@pytest.mark.parametrize(
    "name", [name for name, card in presets.models().items() if "classify" in card.tasks]
)
def test_every_other_family_takes_a_prefix(name):
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    known = presets.models()[name].config
    tiny = {
        **known,
        "num_hidden_layers": 1,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_attention_heads": 4,
        "vocab_size": 64,
    }
    tiny |= {"num_key_value_heads": 2, "head_dim": 8} if "num_key_value_heads" in known else {}
    config = AutoConfig.for_model(tiny.pop("model_type"), **tiny, pad_token_id=0)
    model = AutoModelForSequenceClassification.from_config(config)
    refused = compatibility.find_incompatibility("prefix", "classify", shape.from_config(known)) is not None
    try:
        made = methods.get("prefix").attach(model, methods.get("prefix").resolve_settings({}), "classify")
        made(input_ids=torch.tensor([[1, 2, 3]]), attention_mask=torch.ones(1, 3))
        assert not refused
    except ValueError as error:
        assert refused, error
