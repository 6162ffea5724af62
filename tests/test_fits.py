"""One table says what goes with what, and everyone asks it."""

import itertools

import pytest

from studio import methods, presets
from studio.methods import METHODS, fits

TASKS = ("chat", "complete", "classify", "prefer", "prompts")


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_method_trains_what_the_table_allows_and_nothing_else(method):
    assert set(method.tasks) == set(fits.tasks(method.name))


@pytest.mark.parametrize(("name", "task"), itertools.product([method.name for method in METHODS], TASKS))
def test_what_does_not_go_together_says_why_and_what_does_in_both_languages(name, task):
    found = fits.refusal(name, task, encoder=False)
    assert (found is None) == (task in methods.get(name).tasks)
    for words in (found.why, found.nearest) if found else ():
        assert words.en.endswith(".")
        assert words.zh.endswith("。")


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_model_that_only_reads_is_refused_for_everything_but_classes(method):
    for task in method.tasks:
        assert (fits.refusal(method.name, task, encoder=True) is None) == (task == "classify")


def test_qlora_is_refused_where_bitsandbytes_has_no_build(monkeypatch):
    monkeypatch.setattr(fits, "has", lambda library: library != "bitsandbytes")
    found = fits.refusal("qlora", "chat", encoder=False)
    assert "no build for this machine (linux" in found.why.en
    assert "LoRA" in found.nearest.en
    assert fits.refusal("lora", "chat", encoder=False) is None


def test_a_plan_with_a_method_and_a_task_that_do_not_go_together_is_told_the_table_s_reason():
    raw = {"task": "classify", "model": "minilm-l6", "data": {"source": "x"}, "method": {"name": "rlhf"}}
    found = methods.problems(raw)
    assert len(found) == 1
    assert fits.refusal("rlhf", "classify").why.en in found[0]


def test_a_reading_model_is_told_apart_by_its_shape_not_its_name():
    raw = {"task": "chat", "model": "minilm-l6", "data": {"source": "x"}, "method": {"name": "lora"}}
    assert fits.ENCODER.why.en in methods.problems(raw)[0]


def test_every_card_names_the_tasks_its_method_trains():
    for method in METHODS:
        assert set(presets.methods()[method.name].tasks) == set(method.tasks), method.name
