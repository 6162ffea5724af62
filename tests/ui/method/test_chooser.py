"""The chooser on the page: filled in from the data, open about what is missing; its choice can be taken."""

import gradio as gr
import pytest
from form_fields import CHINESE, ENGLISH, form_fields

from studio import methods, presets
from studio.chooser import QUESTIONS
from studio.chooser.answers import TASK_BY_DATA_KIND
from studio.estimate.machines import catalogue
from studio.ui.data import tab as data_tab
from studio.ui.form import plan_form
from studio.ui.form.form_state import read_form
from studio.ui.method import chooser as chooser_panel
from studio.ui.method import tab as method_tab
from studio.ui.method.chooser import ChoiceTargets

ANSWERS = {
    "change": "tone",
    "have": "answers",
    "many": "some",
    "where": "unknown",
    "budget": "any",
    "apart": "near",
}
TRIAGE = {"source": "sample:ticket-triage", "task": "classify", "model": "minilm-l6"}
TARGETS = ChoiceTargets(
    data=[object()] * (data_tab.CONTROL_COUNT + 5),
    method=object(),
    model=object(),
    settings={"lora_rank": object(), "qat_bits": object()},
)


def prefill(request=ENGLISH, prefilled="{}", answers=None, **fields):
    """The updates of the questions by their ids, and what was filled in."""
    *updates, result, filled_in = chooser_panel.prefill_answers(
        request, prefilled=prefilled, **form_fields(**fields), **(answers or {})
    )
    assert result == {}
    return {question.id: update for question, update in zip(QUESTIONS, updates, strict=True)}, filled_in


def choose(answers, **fields):
    """The result for the answers."""
    return chooser_panel.choose_method(ENGLISH, **form_fields(**fields), **answers)[1]


def test_what_the_data_says_is_filled_in():
    tone, _ = prefill()
    assert (tone["have"]["value"], tone["many"]["value"]) == ("answers", "some")
    assert tone["change"]["value"] is None
    triage, _ = prefill(**TRIAGE)
    assert (triage["have"]["value"], triage["change"]["value"]) == ("labels", "decisions")


def test_without_data_every_question_is_open_but_what_the_machine_says():
    questions, _ = prefill(source="", columns={})
    assert questions["have"]["value"] is None


def test_another_machine_and_other_data_leave_what_was_answered_and_fill_in_the_rest_anew():
    questions, filled_in = prefill()
    answers = {name: update["value"] for name, update in questions.items()}
    assert answers["apart"] is None
    by_hand = {"change": "format", "many": "lots", "budget": "any"}
    answers |= by_hand
    priced = next(name for name, machine in catalogue.load_machines().items() if machine.price_per_hour)
    elsewhere, _ = prefill(prefilled=filled_in, answers=answers, machine=priced)
    assert {name: elsewhere[name]["value"] for name in by_hand} == by_hand
    assert elsewhere["where"]["value"] == "cloud"
    labels, _ = prefill(prefilled=filled_in, answers=answers, **TRIAGE)
    assert (labels["have"]["value"], labels["change"]["value"]) == ("labels", "format")


def test_the_questions_are_asked_in_the_visitor_s_language():
    questions, _ = prefill(CHINESE)
    for question in QUESTIONS:
        assert questions[question.id]["label"] == question.text.render("zh")
        labels = [label for label, _ in questions[question.id]["choices"]]
        assert labels == [text.render("zh") for _, text in question.choices]


def test_missing_answers_are_counted():
    incomplete = {**ANSWERS, "change": None, "apart": None}
    notice, result = chooser_panel.choose_method(ENGLISH, **form_fields(), **incomplete)
    assert (notice["text"], result) == (chooser_panel.QUESTIONS_LEFT.render("en", count=2), {})


def test_a_choice_has_reasons_a_cost_and_all_other_methods_as_losers():
    result = choose(ANSWERS)
    assert result["plan"]["method"]["name"] in presets.methods()
    name = presets.methods()[result["plan"]["method"]["name"]].name
    assert result["head"] == chooser_panel.BEST_METHOD.render("en", method=name)
    assert len(result["reasons"]) == 3
    assert len(result["lost"]) == len(methods.METHODS) - 1
    assert "GB" in result["cost"]


def test_advice_not_to_train_offers_a_prompt_and_nothing_to_take():
    result = choose({**ANSWERS, "change": "knowledge"})
    assert (result["head"], result["take"], result["plan"]) == (chooser_panel.NO_TRAINING.text, "", {})
    assert result["advice"]
    assert chooser_panel.read_prompt(result) == result["prompt"] != ""


def take(result, source="", task="chat", columns="{}"):
    """The notice, and what taking a choice sets: fields by name, without those that stay."""
    form = read_form({"source": source, "task": task, "columns": columns})
    notice, *data_values, method, model, rank, bits = chooser_panel.apply_choice(result, form, TARGETS, "en")
    *_, packed_columns, tasks, _, opened_source = data_values
    values = {
        "source": opened_source,
        "task": tasks.get("value", tasks),
        "columns": packed_columns,
        "method": method,
        "model": model,
        "lora_rank": rank,
        "qat_bits": bits,
    }
    return notice, {name: value for name, value in values.items() if value != gr.skip()}


@pytest.mark.parametrize(("have", "task"), TASK_BY_DATA_KIND.items())
def test_a_choice_that_is_taken_makes_a_plan_that_can_start_whatever_was_open(have, task):
    change = "decisions" if have in ("labels", "questions") else "tone"
    result = choose({**ANSWERS, "have": have, "change": change, "many": "many"})
    notice, fields = take(result)
    plan = plan_form.build_plan(read_form({**fields, "validation_share": 0.1}))
    assert (plan.task, plan.model, plan.method.name) == (
        task,
        result["plan"]["model"],
        result["plan"]["method"]["name"],
    )
    assert plan.data.source == result["plan"]["data"]["source"]
    assert plan_form.describe_plan(plan, "en")
    assert notice["kind"] == "good"
    # The models follow when the task is another: the chosen one has to be among them.
    assert method_tab.change_task(plan.task, plan.method.name, plan.model)[0]["value"] == plan.model


def test_taking_a_choice_sets_every_setting_of_its_method_and_leaves_data_that_is_open_as_it_is():
    fields = form_fields()
    open_data = fields["source"], fields["task"], fields["columns"]
    result = {
        "plan": {
            "task": "chat",
            "model": "smollm2-360m",
            "data": {"source": fields["source"], "columns": {"prompt": "customer", "response": "reply"}},
            "method": {"name": "qat", "settings": {"bits": "3"}},
        }
    }
    assert take(result, *open_data)[1] == {"method": "qat", "model": "smollm2-360m", "qat_bits": "3"}
    result["plan"]["method"] = {"name": "lora", "settings": {}}
    assert take(result, *open_data)[1] == {"method": "lora", "model": "smollm2-360m", "lora_rank": 16}


@pytest.mark.parametrize(
    "sent",
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
def test_what_a_browser_sends_as_a_choice_is_checked_whole(sent):
    valid = chooser_result_plan()
    plan = {**valid, **sent} if isinstance(sent, dict) and sent else sent
    notice, fields = take({"plan": plan})
    assert (notice["kind"], fields) == ("bad", {})


def chooser_result_plan():
    """A plan that can be taken."""
    preference = TASK_BY_DATA_KIND["pairs"]
    return {
        "task": preference,
        "model": "smollm2-135m",
        "data": {"source": "sample:support-preference"},
        "method": {"name": "rlhf"},
    }


def test_a_choice_that_a_browser_sends_unchanged_is_taken():
    notice, fields = take({"plan": chooser_result_plan()})
    assert (notice["kind"], fields["method"]) == ("good", "rlhf")


@pytest.mark.parametrize("machine", ["", "nonsense", next(iter(catalogue.load_machines()))])
def test_any_machine_a_browser_names_gives_an_answer(machine):
    assert choose(ANSWERS, machine=machine)["head"]
