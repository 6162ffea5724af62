"""The training fields and their choices."""

from typing import get_args

import gradio as gr
import pytest
from form_fields import CHINESE, ENGLISH

from studio import methods
from studio.plan import Training
from studio.ui import app
from studio.ui.form import messages
from studio.ui.form.training_fields import TRAINING_FIELDS, build_training_fields, lr_scheduler_choices
from studio.ui.method import tab as method_tab


def test_the_fields_are_built_in_the_order_of_their_names():
    with gr.Blocks():
        fields, _ = build_training_fields()
    assert list(fields) == list(TRAINING_FIELDS)


@pytest.mark.parametrize(("request_", "lang"), [(ENGLISH, None), (CHINESE, "zh")])
def test_the_schedules_are_offered_in_the_browser_s_language(request_, lang):
    update = method_tab.localize_choices(request_)[-1]
    label = messages.LR_SCHEDULERS["linear"].render(lang) if lang else None
    assert update.get("choices", [(None, "linear")])[0] == (label, "linear")
    schedules = get_args(Training.model_fields["lr_scheduler_type"].annotation)
    assert {name for _, name in lr_scheduler_choices("zh")} == set(schedules)


def test_every_setting_has_a_field_of_its_own():
    page = app.build_page()
    elem_ids = [str(block.elem_id) for block in page.blocks.values() if getattr(block, "elem_id", None)]
    assert sorted(name for name in elem_ids if name.startswith("knob-")) == sorted(
        f"knob-{method.name}-{setting.name}" for method in methods.METHODS for setting in method.settings
    )
