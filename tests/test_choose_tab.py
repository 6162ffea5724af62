"""The chooser on the page: filled in from the data, honest about what is missing, and its choice can be taken over."""

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


def filled(*given, before="{}", request=ENGLISH, **answers):
    *fields, result, _ = chooser_panel.prefill_answers(*given, before, request, **answers)
    assert result == {}
    return {one.id: field for one, field in zip(QUESTIONS, fields, strict=True)}


def test_what_the_data_says_is_filled_in():
    found = filled(*TONE)
    assert (found["have"]["value"], found["many"]["value"]) == ("answers", "some")
    assert found["change"]["value"] is None
    triage = filled("sample:ticket-triage", "classify", '{"text": "text", "label": "label"}', "minilm-l6", "")
    assert (triage["have"]["value"], triage["change"]["value"]) == ("labels", "decisions")


def test_without_data_every_question_is_open_but_what_the_machine_says():
    found = filled("", "chat", "{}", "smollm2-135m", "")
    assert found["have"]["value"] is None


def test_another_machine_and_other_data_leave_what_was_answered_and_fill_in_the_rest_anew():
    *fields, _, before = chooser_panel.prefill_answers(*TONE, "{}", ENGLISH)
    answers = {one.id: field["value"] for one, field in zip(QUESTIONS, fields, strict=True)}
    assert answers["apart"] is None
    answers |= {"change": "format", "many": "lots", "budget": "any"}
    card = next(name for name, place in catalogue.load_machines().items() if place.price_per_hour)
    found = filled(*TONE[:4], card, before=before, **answers)
    assert {name: found[name]["value"] for name in ("change", "many", "budget")} == {
        "change": "format",
        "many": "lots",
        "budget": "any",
    }
    assert found["where"]["value"] == "cloud"
    labels = filled(
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
    found = filled(*TONE, request=CHINESE)
    for one in QUESTIONS:
        assert found[one.id]["label"] == one.text.render("zh")
        assert [said for said, _ in found[one.id]["choices"]] == [
            said.render("zh") for _, said in one.choices
        ]


def test_missing_answers_are_counted():
    told, shown = chooser_panel.choose_method(*TONE, ENGLISH, **{**ANSWERS, "change": None, "apart": None})
    assert (told["text"], shown) == ("2 of 6 questions still to answer.", {})


def test_a_choice_has_reasons_a_cost_and_nine_losers():
    _, shown = chooser_panel.choose_method(*TONE, ENGLISH, **ANSWERS)
    assert shown["head"].endswith("suits best")
    assert len(shown["reasons"]) == 3
    assert len(shown["lost"]) == len(methods.METHODS) - 1
    assert "GB" in shown["cost"]
    assert shown["plan"]["method"]["name"] in presets.methods()


def test_advice_not_to_train_offers_a_prompt_and_nothing_to_take():
    _, shown = chooser_panel.choose_method(*TONE, ENGLISH, **{**ANSWERS, "change": "knowledge"})
    assert (shown["head"], shown["take"], shown["plan"]) == ("Better not train yet", "", {})
    assert shown["advice"]
    assert chooser_panel.read_prompt(shown) == shown["prompt"] != ""


def take(shown, source="", task="chat", columns="{}"):
    """What taking a choice sets: a sentence, source, task and columns of the Data tab, method, model, settings; what stays is left out."""
    told, *opened, name, model, rank, bits = chooser_panel.apply_choice(
        shown, source, task, columns, ("lora_rank", "qat_bits"), data_tab.FIELD_COUNT + 5, ENGLISH
    )
    *_, roles, tasks, _, where = opened
    every = {
        "source": where,
        "task": tasks.get("value", tasks),
        "columns": roles,
        "chosen": name,
        "model": model,
        "lora_rank": rank,
        "qat_bits": bits,
    }
    return told, {field: value for field, value in every.items() if value != gr.skip()}


@pytest.mark.parametrize(("have", "task"), TASK_BY_DATA_KIND.items())
def test_a_choice_that_is_taken_makes_a_plan_that_can_start_whatever_was_open(have, task):
    change = "decisions" if have in ("labels", "questions") else "tone"
    _, shown = chooser_panel.choose_method(
        *TONE, ENGLISH, **{**ANSWERS, "have": have, "change": change, "many": "many"}
    )
    told, found = take(shown)
    knobs = {f"{one.name}_{knob.name}": knob.default for one in methods.METHODS for knob in one.settings}
    made = plan_form.build_plan(**{**knobs, "name": "", "validation_share": 0.1, **found})
    assert (made.task, made.model, made.method.name) == (
        task,
        shown["plan"]["model"],
        shown["plan"]["method"]["name"],
    )
    assert made.data.source == shown["plan"]["data"]["source"]
    assert plan_form.describe_plan(made, "en")
    assert told["kind"] == "good"
    assert (
        method_tab.change_task(made.task, made.method.name, made.model)[0]["value"] == made.model
    )  # which follows when the task is another


def test_taking_a_choice_sets_every_setting_of_its_method_and_leaves_data_that_is_open_as_it_is():
    held = {"source": TONE[0], "columns": {"prompt": "customer", "response": "reply"}}
    shown = {
        "plan": {
            "task": "chat",
            "model": "smollm2-360m",
            "data": held,
            "method": {"name": "qat", "settings": {"bits": "3"}},
        }
    }
    assert take(shown, *TONE[:3])[1] == {"chosen": "qat", "model": "smollm2-360m", "qat_bits": "3"}
    shown["plan"]["method"] = {"name": "lora", "settings": {}}
    assert take(shown, *TONE[:3])[1] == {"chosen": "lora", "model": "smollm2-360m", "lora_rank": 16}


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
    sound = {
        "task": "prefer",
        "model": "smollm2-135m",
        "data": {"source": "sample:support-preference"},
        "method": {"name": "rlhf"},
    }
    told, found = take({"plan": {**sound, **plan} if isinstance(plan, dict) and plan else plan})
    assert (told["kind"], found) == ("bad", {})


@pytest.mark.parametrize("machine", ["", "nonsense", next(iter(catalogue.load_machines()))])
def test_any_machine_a_browser_names_gives_an_answer(machine):
    _, shown = chooser_panel.choose_method(*TONE[:4], machine, ENGLISH, **ANSWERS)
    assert shown["head"]


def test_the_base_model_answers_alone_before_anything_is_trained(tiny_chat):
    *_, (told, base, tuned) = playground_tab.ask_base(str(tiny_chat), "chat", "where is my lamp", 12, ENGLISH)
    assert told["text"] == ""
    assert (base["busy"], base["title"].startswith("Base model alone")) == ("false", True)
    assert base["text"]
    assert tuned["text"] == ""


def test_a_base_model_that_is_not_there_says_so():
    *_, (told, base, _) = playground_tab.ask_base("owner/does-not-exist", "chat", "hello", 12, ENGLISH)
    assert told["kind"] == "bad"
    assert base["busy"] == "false"
    assert (
        next(playground_tab.ask_base("smollm2-135m", "chat", " ", 12, ENGLISH))[0]["text"]
        == "Type a question first."
    )
