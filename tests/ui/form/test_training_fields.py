"""The training fields and their choices."""

from typing import get_args

import gradio as gr
import pytest
from form_fields import CHINESE, ENGLISH

from studio import methods
from studio.plan import Training
from studio.ui import app
from studio.ui.form.training_fields import CHOICES, TRAINING_FIELDS, build_training_fields, training_choices
from studio.ui.method import tab as method_tab


def test_the_fields_are_built_in_the_order_of_their_names():
    with gr.Blocks():
        fields, _ = build_training_fields()
    assert list(fields) == list(TRAINING_FIELDS)


@pytest.mark.parametrize("name", CHOICES)
def test_choices_are_offered_in_the_browser_s_language_the_default_first(name):
    index = list(CHOICES).index(name) - len(CHOICES)
    assert "choices" not in method_tab.localize_choices(ENGLISH)[index], "the page is drawn in English"
    assert method_tab.localize_choices(CHINESE)[index]["choices"] == training_choices(name, "zh")
    field = Training.model_fields[name]
    assert {value for _, value in training_choices(name, "zh")} == set(get_args(field.annotation))
    assert training_choices(name, "en")[0][1] == field.default


def test_every_setting_has_a_field_of_its_own():
    page = app.build_page()
    elem_ids = [str(block.elem_id) for block in page.blocks.values() if getattr(block, "elem_id", None)]
    assert sorted(name for name in elem_ids if name.startswith("knob-")) == sorted(
        f"knob-{method.name}-{setting.name}" for method in methods.METHODS for setting in method.settings
    )
