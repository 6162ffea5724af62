"""What cannot be combined says why, and what works instead; everybody asks one module."""

import pytest

from studio import methods, presets
from studio.methods import compatibility
from studio.models import shape
from studio.plan import REQUIRED_ROLES

GENERATIVE_SHAPE, ENCODER_SHAPE = (
    shape.from_config(presets.models()[name].config) for name in ("smollm2-135m", "minilm-l6")
)
PLAN = {"task": "chat", "model": "minilm-l6", "data": {"source": "x"}, "method": {"name": "lora"}}


def test_a_method_trains_what_its_card_allows_and_nothing_else():
    tasks = {method.name: set(method.tasks) for method in methods.METHODS}
    assert tasks == {name: set(compatibility.supported_tasks(name)) for name in tasks}


def test_what_does_not_go_together_says_why_and_what_does_in_both_languages():
    problems = []
    for method in methods.METHODS:
        for task in REQUIRED_ROLES:
            incompatibility = compatibility.find_incompatibility(method.name, task, GENERATIVE_SHAPE)
            if (incompatibility is None) != (task in method.tasks):
                problems.append((method.name, task))
            if incompatibility:
                for message in (incompatibility.reason, incompatibility.alternative):
                    if not (message.render().endswith(".") and message.render("zh").endswith("。")):
                        problems.append((method.name, task, message.render("zh")))
    assert problems == []


def test_a_task_that_neither_card_nor_table_explains_has_a_neutral_line(monkeypatch):
    card = presets.methods()["lora"].model_copy(update={"tasks": ("chat",)})
    monkeypatch.setattr(presets, "methods", lambda: {"lora": card})
    assert compatibility.find_incompatibility("lora", "classify") == compatibility.UNSUPPORTED_TASK
    assert compatibility.find_incompatibility("lora", "prompts") == compatibility.UNSUPPORTED_TASKS["prompts"]
    assert compatibility.find_incompatibility("lora", "chat") is None


def test_a_model_that_only_reads_is_refused_for_everything_but_classes():
    for method in methods.METHODS:
        for task in method.tasks:
            incompatibility = compatibility.find_incompatibility(method.name, task, ENCODER_SHAPE)
            assert (incompatibility is None) == (task == "classify"), (method.name, task)


def test_qlora_is_refused_where_bitsandbytes_has_no_build(monkeypatch):
    monkeypatch.setattr(compatibility, "is_installed", lambda library: library != "bitsandbytes")
    incompatibility = compatibility.find_incompatibility("qlora", "chat", GENERATIVE_SHAPE)
    assert "no build for this machine (linux" in incompatibility.reason.render()
    assert "LoRA" in incompatibility.alternative.render()
    assert compatibility.find_incompatibility("lora", "chat", GENERATIVE_SHAPE) is None


def test_a_plan_with_a_method_and_a_task_that_do_not_go_together_is_told_the_table_s_reason():
    (problem,) = methods.find_plan_problems({**PLAN, "task": "classify", "method": {"name": "rlhf"}})
    incompatibility = compatibility.find_incompatibility("rlhf", "classify")
    assert problem.message.values["why"] == incompatibility.reason


def test_a_reading_model_is_told_apart_by_its_shape_not_its_name():
    (problem,) = methods.find_plan_problems(PLAN)
    assert problem.message.values["why"] == compatibility.ENCODER_CANNOT_GENERATE.reason


def test_a_prefix_on_a_model_that_takes_none_is_refused_before_the_run():
    raw = {**PLAN, "task": "classify", "model": "modernbert-base", "method": {"name": "prefix"}}
    refusal, _ = presets.methods()["prefix"].not_with.families
    (problem,) = methods.find_plan_problems(raw)
    expected = methods.INCOMPATIBLE_METHOD.format(
        name="prefix", task="'classify'", why=refusal.reason, nearest=refusal.alternative
    )
    assert problem.render() == f"method.name: {expected.render()}"
    assert methods.find_plan_problems({**raw, "model": "minilm-l6"}) == []


def test_a_result_that_cannot_be_merged_says_why_where_its_method_can():
    for name in ("adapter", "prefix", "peft"):
        assert compatibility.find_export_incompatibility(name, "merged").reason.render("zh")
    assert compatibility.find_export_incompatibility("lora", "merged") is None
    assert compatibility.find_export_incompatibility("magic", "merged") is None


@pytest.mark.parametrize(
    "name", [name for name, card in presets.models().items() if "classify" in card.tasks]
)
def test_every_other_family_takes_a_prefix(name):
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    card_config = presets.models()[name].config
    tiny = {
        **card_config,
        "num_hidden_layers": 1,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_attention_heads": 4,
        "vocab_size": 64,
    }
    tiny |= {"num_key_value_heads": 2, "head_dim": 8} if "num_key_value_heads" in card_config else {}
    config = AutoConfig.for_model(tiny.pop("model_type"), **tiny, pad_token_id=0)
    model = AutoModelForSequenceClassification.from_config(config)
    is_refused = (
        compatibility.find_incompatibility("prefix", "classify", shape.from_config(card_config)) is not None
    )
    try:
        prefix = methods.get("prefix")
        with_prefix = prefix.attach(model, prefix.resolve_settings({}), "classify")
        with_prefix(input_ids=torch.tensor([[1, 2, 3]]), attention_mask=torch.ones(1, 3))
        assert not is_refused
    except ValueError as error:
        assert is_refused, error


def test_on_an_apple_gpu_a_4_bit_base_is_refused_before_the_start_and_the_rest_is_not(monkeypatch):
    monkeypatch.setenv("STUDIO_DEVICE", "mps")
    refused = {
        method.name
        for method in methods.METHODS
        if compatibility.find_incompatibility(method.name, method.tasks[0])
    }
    assert refused == {"qlora"}
    (problem,) = methods.find_plan_problems(
        {"task": "chat", "model": "smollm2-135m", "method": {"name": "qlora"}}
    )
    assert "cannot do so on Apple’s GPU. LoRA trains the same matrices there" in problem.message.render()
    monkeypatch.setenv("STUDIO_DEVICE", "cpu")
    assert not compatibility.find_incompatibility("qlora", "chat")
