"""The training fields and their choices."""

from typing import get_args

import gradio as gr
import pytest
from form_fields import CHINESE, ENGLISH

from studio import methods
from studio.estimate.machines import hardware
from studio.plan import Training
from studio.ui import app
from studio.ui.form.training_fields import (
    CHOICES,
    TRAINING_FIELDS,
    build_main_fields,
    build_more_fields,
    find_visible_fields,
    in_order,
    training_choices,
)
from studio.ui.method import settings_panel


def test_the_three_that_matter_come_first_and_the_fields_have_the_order_of_their_names():
    with gr.Blocks():
        first, others = build_main_fields(), build_more_fields()
    assert list(first) == ["epochs", "learning_rate", "max_length"]
    assert list(in_order({**others, **first})) == list(TRAINING_FIELDS)


def test_without_a_supervised_stage_epochs_and_learning_rate_are_absent():
    rlhf = methods.get("rlhf")
    for sft in (True, False):
        settings = rlhf.resolve_settings({"algorithm": "dpo", "sft": sft})
        visible = find_visible_fields("prefer", "rlhf", settings)
        assert (visible["epochs"], visible["learning_rate"]) == (sft, sft)
    linear = find_visible_fields("classify", "frozen", {"blocks": 0})
    assert (linear["epochs"], linear["learning_rate"]) == (False, False)
    assert find_visible_fields("chat", "lora", {}) == {
        "epochs": True,
        "learning_rate": True,
        "class_weights": False,
        "retention": True,
        "disk_offload": True,
        "num_gpus": False,
    }
    assert not find_visible_fields("chat", "lora", {"dora": True})["disk_offload"]
    assert not find_visible_fields("chat", "full", {})["disk_offload"]
    assert find_visible_fields("classify", "lora", {})["class_weights"]


def test_several_gpus_are_offered_where_there_are_some_and_the_method_can_use_them(monkeypatch):
    monkeypatch.setattr(hardware, "count_gpus", lambda: 4)
    assert find_visible_fields("chat", "full", {})["num_gpus"]
    assert not find_visible_fields("prefer", "rlhf", {})["num_gpus"]


@pytest.mark.parametrize("name", CHOICES)
def test_choices_are_offered_in_the_browser_s_language_the_default_first(name):
    index = list(CHOICES).index(name) - len(CHOICES)
    assert "choices" not in settings_panel.localize_choices(ENGLISH)[index], "the page is drawn in English"
    assert settings_panel.localize_choices(CHINESE)[index]["choices"] == training_choices(name, "zh")
    field = Training.model_fields[name]
    assert {value for _, value in training_choices(name, "zh")} == set(get_args(field.annotation))
    assert training_choices(name, "en")[0][1] == field.default


def test_every_setting_has_a_field_of_its_own():
    page = app.build_page()
    elem_ids = [str(block.elem_id) for block in page.blocks.values() if getattr(block, "elem_id", None)]
    assert sorted(name for name in elem_ids if name.startswith("knob-")) == sorted(
        f"knob-{method.name}-{setting.name}" for method in methods.METHODS for setting in method.settings
    )
