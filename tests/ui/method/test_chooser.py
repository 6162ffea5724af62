"""The chooser on the page: filled in from the data, open about what is missing; its choice can be taken."""

from types import SimpleNamespace

import gradio as gr
import pytest

from studio import methods, presets
from studio.chooser import QUESTIONS
from studio.chooser.answers import TASK_BY_DATA_KIND
from studio.estimate.machines import catalogue
from studio.ui.data import tab as data_tab
from studio.ui.form import plan_form
from studio.ui.method import chooser as chooser_panel
from studio.ui.method import tab as method_tab
from studio.ui.playground import tab as playground_tab

ENGLISH = SimpleNamespace(headers={"accept-language": "en"}, query_params={}, session_hash="one")
CHINESE = SimpleNamespace(headers={"accept-language": "zh-CN"}, query_params={}, session_hash="two")
TONE = ("sample:support-tone", "chat", '{"prompt": "customer", "response": "reply"}', "smollm2-135m", "")
ANSWERS = {
    "change": "tone",
    "have": "answers",
    "many": "some",
    "where": "unknown",
    "budget": "any",
    "apart": "near",
}


def prefill(*form, before="{}", request=ENGLISH, **answers):
    *fields, result, _ = chooser_panel.prefill_answers(*form, before, request, **answers)
    assert result == {}
    return {question.id: field for question, field in zip(QUESTIONS, fields, strict=True)}


def test_what_the_data_says_is_filled_in():
    updates = prefill(*TONE)
    assert (updates["have"]["value"], updates["many"]["value"]) == ("answers", "some")
    assert updates["change"]["value"] is None
    triage = prefill(
        "sample:ticket-triage", "classify", '{"text": "text", "label": "label"}', "minilm-l6", ""
    )
    assert (triage["have"]["value"], triage["change"]["value"]) == ("labels", "decisions")


def test_without_data_every_question_is_open_but_what_the_machine_says():
    updates = prefill("", "chat", "{}", "smollm2-135m", "")
    assert updates["have"]["value"] is None


def test_another_machine_and_other_data_leave_what_was_answered_and_fill_in_the_rest_anew():
    *fields, _, before = chooser_panel.prefill_answers(*TONE, "{}", ENGLISH)
    answers = {question.id: field["value"] for question, field in zip(QUESTIONS, fields, strict=True)}
    assert answers["apart"] is None
    answers |= {"change": "format", "many": "lots", "budget": "any"}
    card = next(name for name, machine in catalogue.load_machines().items() if machine.price_per_hour)
    updates = prefill(*TONE[:4], card, before=before, **answers)
    assert {name: updates[name]["value"] for name in ("change", "many", "budget")} == {
        "change": "format",
        "many": "lots",
        "budget": "any",
    }
    assert updates["where"]["value"] == "cloud"
    labels = prefill(
        "sample:ticket-triage",
        "classify",
        '{"text": "text", "label": "label"}',
        "minilm-l6",
        "",
        before=before,
        **answers,
    )
    assert (labels["have"]["value"], labels["change"]["value"]) == ("labels", "format")


def test_the_questions_are_asked_in_the_visitor_s_language():
    updates = prefill(*TONE, request=CHINESE)
    for question in QUESTIONS:
        assert updates[question.id]["label"] == question.text.render("zh")
        assert [text for text, _ in updates[question.id]["choices"]] == [
            text.render("zh") for _, text in question.choices
        ]


def test_missing_answers_are_counted():
    notice, choice_value = chooser_panel.choose_method(
        *TONE, ENGLISH, **{**ANSWERS, "change": None, "apart": None}
    )
    assert (notice["text"], choice_value) == (chooser_panel.QUESTIONS_LEFT.render(count=2), {})


def test_a_choice_has_reasons_a_cost_and_a_line_on_every_other_method():
    _, choice_value = chooser_panel.choose_method(*TONE, ENGLISH, **ANSWERS)
    name = presets.methods()[choice_value["plan"]["method"]["name"]].name
    assert choice_value["head"] == chooser_panel.BEST_METHOD.render(method=name)
    assert len(choice_value["reasons"]) == 3
    assert len(choice_value["lost"]) == len(methods.METHODS) - 1
    assert "GB" in choice_value["cost"]
    assert choice_value["plan"]["method"]["name"] in presets.methods()


def test_advice_not_to_train_offers_a_prompt_and_nothing_to_take():
    _, choice_value = chooser_panel.choose_method(*TONE, ENGLISH, **{**ANSWERS, "change": "knowledge"})
    assert (choice_value["head"], choice_value["take"], choice_value["plan"]) == (
        chooser_panel.NO_TRAINING.render(),
        "",
        {},
    )
    assert choice_value["advice"]
    assert chooser_panel.read_prompt(choice_value) == choice_value["prompt"] != ""


def take(choice_value, source="", task="chat", columns="{}"):
    """What taking a choice sets: the notice, and the fields by name without those that stay as they are."""
    notice, *opened, name, model, rank, bits = chooser_panel.apply_choice(
        choice_value, source, task, columns, ("lora_rank", "qat_bits"), data_tab.FIELD_COUNT + 5, ENGLISH
    )
    *_, roles, tasks, _, where = opened
    updates = {
        "source": where,
        "task": tasks.get("value", tasks),
        "columns": roles,
        "chosen": name,
        "model": model,
        "lora_rank": rank,
        "qat_bits": bits,
    }
    return notice, {field: value for field, value in updates.items() if value != gr.skip()}


@pytest.mark.parametrize(("have", "task"), TASK_BY_DATA_KIND.items())
def test_a_choice_that_is_taken_makes_a_plan_that_can_start_whatever_was_open(have, task):
    change = "decisions" if have in ("labels", "questions") else "tone"
    _, choice_value = chooser_panel.choose_method(
        *TONE, ENGLISH, **{**ANSWERS, "have": have, "change": change, "many": "many"}
    )
    notice, updates = take(choice_value)
    defaults = {
        f"{method.name}_{setting.name}": setting.default
        for method in methods.METHODS
        for setting in method.settings
    }
    plan = plan_form.build_plan(**{**defaults, "name": "", "validation_share": 0.1, **updates})
    assert (plan.task, plan.model, plan.method.name) == (
        task,
        choice_value["plan"]["model"],
        choice_value["plan"]["method"]["name"],
    )
    assert plan.data.source == choice_value["plan"]["data"]["source"]
    assert plan_form.describe_plan(plan, "en")
    assert notice["kind"] == "good"
    assert (
        method_tab.change_task(plan.task, plan.method.name, plan.model)[0]["value"] == plan.model
    )  # which follows when the task is another


def test_taking_a_choice_sets_every_setting_of_its_method_and_leaves_data_that_is_open_as_it_is():
    data = {"source": TONE[0], "columns": {"prompt": "customer", "response": "reply"}}
    choice_value = {
        "plan": {
            "task": "chat",
            "model": "smollm2-360m",
            "data": data,
            "method": {"name": "qat", "settings": {"bits": "3"}},
        }
    }
    assert take(choice_value, *TONE[:3])[1] == {"chosen": "qat", "model": "smollm2-360m", "qat_bits": "3"}
    choice_value["plan"]["method"] = {"name": "lora", "settings": {}}
    assert take(choice_value, *TONE[:3])[1] == {"chosen": "lora", "model": "smollm2-360m", "lora_rank": 16}


@pytest.mark.parametrize(
    "plan",
    [
        None,
        3,
        {},
        {"method": {"name": "../x"}},
        {"method": {"name": "lora", "settings": {"rank": "many"}}},
        {"model": "banana-9000"},
        {"data": {"source": "/etc/passwd"}},
        {"data": {"source": "dataset:" + "0" * 32}},
        {"task": "classify"},
    ],
)
def test_what_a_browser_sends_as_a_choice_is_checked_whole(plan):
    valid_plan = {
        "task": "prefer",
        "model": "smollm2-135m",
        "data": {"source": "sample:support-preference"},
        "method": {"name": "rlhf"},
    }
    notice, updates = take({"plan": {**valid_plan, **plan} if isinstance(plan, dict) and plan else plan})
    assert (notice["kind"], updates) == ("bad", {})


@pytest.mark.parametrize("machine", ["", "nonsense", next(iter(catalogue.load_machines()))])
def test_any_machine_a_browser_names_gives_an_answer(machine):
    _, choice_value = chooser_panel.choose_method(*TONE[:4], machine, ENGLISH, **ANSWERS)
    assert choice_value["head"]


def test_the_base_model_answers_alone_before_anything_is_trained(tiny_chat):
    *_, (notice, base, tuned) = playground_tab.ask_base(
        str(tiny_chat), "chat", "where is my lamp", 12, ENGLISH
    )
    assert notice["text"] == ""
    assert (base["busy"], base["title"].startswith("Base model alone")) == ("false", True)
    assert base["text"]
    assert tuned["text"] == ""


def test_a_base_model_that_is_not_there_says_so():
    *_, (notice, base, _) = playground_tab.ask_base("owner/does-not-exist", "chat", "hello", 12, ENGLISH)
    assert notice["kind"] == "bad"
    assert base["busy"] == "false"
    assert (
        next(playground_tab.ask_base("smollm2-135m", "chat", " ", 12, ENGLISH))[0]["text"]
        == "Type a question first."
    )
