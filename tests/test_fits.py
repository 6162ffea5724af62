"""One table says what goes with what, and everyone asks it."""

import itertools

import pytest

from studio import methods, presets
from studio.methods import METHODS, fits
from studio.models import shape

WRITER, READER = (shape.of(presets.models()[name].config) for name in ("smollm2-135m", "minilm-l6"))
TASKS = ("chat", "complete", "classify", "prefer", "prompts")


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_method_trains_what_the_table_allows_and_nothing_else(method):
    assert set(method.tasks) == set(fits.tasks(method.name))


@pytest.mark.parametrize(("name", "task"), itertools.product([method.name for method in METHODS], TASKS))
def test_what_does_not_go_together_says_why_and_what_does_in_both_languages(name, task):
    found = fits.refusal(name, task, WRITER)
    assert (found is None) == (task in methods.get(name).tasks)
    for words in (found.why, found.nearest) if found else ():
        assert words.en.endswith(".")
        assert words.zh.endswith("。")


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_model_that_only_reads_is_refused_for_everything_but_classes(method):
    for task in method.tasks:
        assert (fits.refusal(method.name, task, READER) is None) == (task == "classify")


def test_qlora_is_refused_where_bitsandbytes_has_no_build(monkeypatch):
    monkeypatch.setattr(fits, "has", lambda library: library != "bitsandbytes")
    found = fits.refusal("qlora", "chat", WRITER)
    assert "no build for this machine (linux" in found.why.en
    assert "LoRA" in found.nearest.en
    assert fits.refusal("lora", "chat", WRITER) is None


def test_a_plan_with_a_method_and_a_task_that_do_not_go_together_is_told_the_table_s_reason():
    raw = {"task": "classify", "model": "minilm-l6", "data": {"source": "x"}, "method": {"name": "rlhf"}}
    found = methods.problems(raw)
    assert len(found) == 1
    assert fits.refusal("rlhf", "classify").why.en in found[0].say()


def test_a_reading_model_is_told_apart_by_its_shape_not_its_name():
    raw = {"task": "chat", "model": "minilm-l6", "data": {"source": "x"}, "method": {"name": "lora"}}
    assert fits.ENCODER.why.en in methods.problems(raw)[0].say()


def test_every_card_names_the_tasks_its_method_trains():
    for method in METHODS:
        assert set(presets.methods()[method.name].tasks) == set(method.tasks), method.name


def test_a_prefix_on_a_model_that_takes_none_is_refused_before_the_run():
    raw = {"task": "classify", "model": "modernbert-base", "data": {"source": "x"}, "method": {"name": "prefix"}}
    (found,) = methods.problems(raw)
    assert found.say() == f"method.name: prefix for 'classify': {fits.NO_PREFIX.why.en} {fits.NO_PREFIX.nearest.en}"
    assert methods.problems({**raw, "model": "minilm-l6"}) == []


@pytest.mark.parametrize("name", [name for name, card in presets.models().items() if "classify" in card.tasks])
def test_every_other_family_takes_a_prefix(name):
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    known = presets.models()[name].config
    tiny = {**known, "num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 4, "vocab_size": 64}
    tiny |= {"num_key_value_heads": 2, "head_dim": 8} if "num_key_value_heads" in known else {}
    config = AutoConfig.for_model(tiny.pop("model_type"), **tiny, pad_token_id=0)
    model = AutoModelForSequenceClassification.from_config(config)
    refused = fits.refusal("prefix", "classify", shape.of(known)) is not None
    try:
        made = methods.get("prefix").attach(model, methods.get("prefix").settle({}), "classify")
        made(input_ids=torch.tensor([[1, 2, 3]]), attention_mask=torch.ones(1, 3))
        assert not refused
    except ValueError as error:
        assert refused, error
