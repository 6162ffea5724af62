"""The plan that the form describes, strict for a run and lenient for an estimate."""

import pytest
from form_fields import CHINESE, ENGLISH, form_fields

from studio import methods, runs
from studio.errors import BadPlan
from studio.plan import Training
from studio.ui import access
from studio.ui.form import messages, plan_form
from studio.ui.form.form_state import read_form
from studio.ui.form.training_fields import SHARE_FIELDS, TRAINING_FIELDS
from studio.ui.train import tab as train_tab

LORA_LABELS = {setting.name: setting.label for setting in methods.get("lora").settings}


@pytest.mark.parametrize(
    ("name", "value", "label", "expected"),
    [
        ("learning_rate", 5, messages.LEARNING_RATE, "应不大于 1，实际是 5"),
        ("validation_share", None, messages.VALIDATION_SHARE, "应为数字，实际是空的"),
        ("lora_rank", None, LORA_LABELS["rank"], "应为整数，实际是空的"),
        ("lora_alpha", 9999, LORA_LABELS["alpha"], "应在 "),
    ],
)
def test_an_absurd_or_emptied_field_is_named_as_on_the_page(name, value, label, expected):
    fields = form_fields(**{name: value})
    assert f"{label.render()}: " in train_tab.summarise(ENGLISH, **fields)["more"]
    assert f"{label.render('zh')}：{expected}" in train_tab.summarise(CHINESE, **fields)["more"]
    assert train_tab.start_run(ENGLISH, browser_runs=[], **fields)[0]["kind"] == "bad"
    assert runs.all_runs() == []


def test_every_setting_of_the_training_is_on_the_page_but_for_how_a_step_is_computed():
    in_plan = set(Training.model_fields) - {"gradient_accumulation_steps", "padding_free", "cuda_graphs"}
    assert set(TRAINING_FIELDS) == in_plan | set(SHARE_FIELDS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr_scheduler_type", "cosine"),
        ("warmup_ratio", 0.2),
        ("weight_decay", 0.05),
        ("early_stopping_patience", 3),
        ("eval_count", 12),
        ("max_length", 96),
    ],
)
def test_what_is_set_on_the_page_is_what_the_run_is_told(name, value):
    plan = plan_form.build_plan(read_form(form_fields(**{name: value})))
    assert getattr(plan.training, name) == value


def test_for_an_estimate_what_makes_no_sense_counts_as_its_default():
    absurd = {
        "epochs": -1,
        "batch_size": None,
        "max_length": 96,
        "learning_rate": 0,
        "validation_share": 7,
        "test_share": "x",
        "lora_dropout": 9,
    }
    form = read_form(form_fields(method="magic", model="", **absurd))
    with pytest.raises(BadPlan):
        plan_form.build_plan(read_form(form_fields(**absurd)))
    plan = plan_form.build_plan(form, strict=False)
    defaults = Training()
    assert (plan.training.epochs, plan.training.batch_size) == (defaults.epochs, defaults.batch_size)
    assert (plan.training.max_length, plan.training.learning_rate) == (96, None)
    assert (plan.data.validation_share, plan.data.test_share) == (0.1, None)
    assert plan.method.name == methods.METHODS[0].name
    dropout = methods.get("lora").resolve_settings({})["dropout"]
    assert plan_form.valid_method_settings(form)["lora"]["dropout"] == dropout


def test_strict_and_lenient_agree_on_a_form_that_is_right():
    form = read_form(form_fields(epochs=3, warmup_ratio=0.1))
    strict, lenient = plan_form.build_plan(form), plan_form.build_plan(form, strict=False)
    assert (strict.task, strict.model, strict.training) == (lenient.task, lenient.model, lenient.training)
    assert strict.data.columns == lenient.data.columns
    settings = methods.get("lora").resolve_settings(strict.method.settings)
    assert plan_form.valid_method_settings(form)["lora"] == settings


def test_a_run_without_a_name_is_called_by_its_method_and_model():
    assert plan_form.build_plan(read_form(form_fields())).name == "LoRA · smollm2-135m"
    assert plan_form.build_plan(read_form(form_fields(name="  mine " + "x" * 200))).name.startswith("mine x")


@pytest.mark.parametrize(
    ("method", "settings", "task", "text"),
    [
        (
            "rlhf",
            {},
            "pairs",
            "a reward model that learns from the pairs, then practice that asks each question about once.",
        ),
        (
            "rlhf",
            {"reward": "contains", "reward_text": "sorry", "steps": 7},
            "answers",
            "after it: 7 steps of practice.",
        ),
        (
            "rlhf",
            {"reward": "model"},
            "pairs",
            "a reward model that learns from the pairs, then practice that asks each question about once.",
        ),
        ("rlhf", {"algorithm": "dpo"}, "pairs", "after it: the training on the pairs."),
        ("qat", {}, "answers", "It trains twice"),
        ("lora", {}, "answers", ""),
    ],
)
def test_what_follows_the_counted_steps_is_said(method, settings, task, text, make_plan):
    from studio.chooser.answers import TASK_BY_DATA_KIND

    plan = make_plan(method, TASK_BY_DATA_KIND[task], settings)
    assert text in plan_form.describe_extra_stages(plan, "en")


def test_a_length_left_to_the_studio_comes_from_the_training_data_whatever_the_test_set():
    base = access.find_base("smollm2-135m")

    def limit(**changed):
        return plan_form.max_text_tokens(read_form(form_fields(max_length=0, **changed)), base)

    alone = limit()
    assert alone % 64 == 0
    assert alone > 0
    assert limit(test="sample:support-zh") == alone  # a test set whose columns have other names
    assert limit(columns={"prompt": "顾客", "response": "回复"}) == 0
