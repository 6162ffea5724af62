"""The recommendation on top: a reason, figures, one next step; what a browser sends back is checked."""

import json

import gradio as gr
import pytest
from form_fields import ENGLISH, form_fields

from studio import methods, presets
from studio.chooser.answers import TASK_BY_DATA_KIND
from studio.data import store
from studio.estimate.machines import catalogue
from studio.ui.data import tab as data_tab
from studio.ui.form import plan_form
from studio.ui.form.form_state import read_form
from studio.ui.method import recommendation
from studio.ui.method import tab as method_tab
from studio.ui.method.chooser import PACKED_ANSWERS
from studio.ui.method.recommendation import ChoiceTargets

TARGETS = ChoiceTargets(
    data=[object()] * (data_tab.CONTROL_COUNT + 5),
    method=object(),
    method_for=object(),
    model=object(),
    settings={"lora_rank": object(), "qat_bits": object(), "rlhf_algorithm": object()},
)
PREFERENCE = TASK_BY_DATA_KIND["pairs"]
CARD_OUTPUT = 6


def card(answers=None, **fields):
    """The card for the form, with a person's answers."""
    packed = {PACKED_ANSWERS: json.dumps(answers or {})}
    return method_tab.refresh(ENGLISH, **form_fields(**fields), **packed)[CARD_OUTPUT]


def acts(value):
    """What the buttons do, the primary one first."""
    return [act["do"] for act in value["acts"]]


def test_the_card_has_reasons_figures_and_one_primary_button():
    value = card()
    assert value["head"] == recommendation.RECOMMENDED.render(method=presets.methods()["lora"].name)
    assert 1 <= len(value["reasons"]) <= recommendation.MAX_REASONS
    assert len(value["lost"]) == len(methods.METHODS) - 1
    assert [act["look"] for act in value["acts"]].count("primary") == 1
    assert [question["id"] for question in value["questions"]] == ["change", "apart"]


def test_the_button_continues_with_what_is_selected_and_else_takes_what_is_recommended():
    assert acts(card()) == ["continue"]
    other = card(method="full")
    assert acts(other) == ["take", "continue"]
    assert other["plan"]["method"]["name"] == "lora"


def test_advice_not_to_train_comes_with_a_prompt_and_nothing_to_take():
    value = card({"change": "knowledge"})
    assert (value["head"], value["plan"]) == (recommendation.NO_TRAINING.text, {})
    assert acts(value) == ["attempt", "continue"]
    assert recommendation.read_prompt(value) == value["prompt"] != ""
    assert recommendation.read_prompt({"prompt": 3}) == gr.skip()


def test_without_data_the_card_says_what_to_do_and_has_no_button():
    value = card(source="", columns={})
    assert value["head"] == recommendation.NO_DATA.text
    assert "acts" not in value


@pytest.mark.parametrize("machine", ["", "nonsense", next(iter(catalogue.load_machines()))])
def test_any_machine_a_browser_names_gives_a_recommendation(machine):
    assert card(machine=machine)["head"]


def make_pairs(path, answer_words):
    """Forty pairs whose answers have so many words."""
    lines = []
    for index, words in enumerate(answer_words):
        pair = {"prompt": f"Question {index}?", "chosen": "good " * words, "rejected": "bad " * words}
        lines.append(json.dumps(pair))
    path.write_text("\n".join(lines), encoding="utf-8")
    return {
        "source": store.add(path).source,
        "task": PREFERENCE,
        "columns": {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"},
        "method": "rlhf",
        "rlhf_algorithm": "dpo",
        "rlhf_sft": False,
        "max_length": 96,
    }


def test_pairs_that_do_not_fit_are_counted_before_the_start_and_nothing_is_estimated_with_them(tmp_path):
    some = make_pairs(tmp_path / "some.jsonl", [5] * 20 + [400] * 20)
    assert " of " in card(**some)["warning"]
    none = make_pairs(tmp_path / "none.jsonl", [400] * 40)
    value = card(**none)
    assert acts(value)[0] == "fit"
    assert card(**{**none, "max_length": 0})["warning"] == ""


def test_a_smaller_batch_of_pairs_does_not_need_more_memory(tmp_path):
    pairs = make_pairs(tmp_path / "pairs.jsonl", [5] * 20 + [400] * 20)

    def memory(batch_size):
        table = method_tab.refresh(ENGLISH, **form_fields(**pairs, batch_size=batch_size))[0]
        row = next(row for row in table["rows"] if row["id"] == "rlhf")
        return row["raw"]["memory"][1]

    assert memory(2) <= memory(4) <= memory(8)


def take(result, source="", task="chat", columns="{}", **others):
    """What has changed, and what taking a choice sets: fields by name, without those that stay."""
    form = read_form({"source": source, "task": task, "columns": columns, **others})
    change, *data_values, method, method_for, model, rank, bits, algorithm = recommendation.apply_choice(
        result, form, TARGETS, "en"
    )
    *_, packed_columns, tasks, _, opened_source = data_values
    values = {
        "source": opened_source,
        "task": tasks.get("value", tasks),
        "columns": packed_columns,
        "method": method,
        "method_for": method_for,
        "model": model,
        "lora_rank": rank,
        "qat_bits": bits,
        "rlhf_algorithm": algorithm,
    }
    return change, {name: value for name, value in values.items() if value != gr.skip()}


def test_taking_a_choice_sets_what_it_names_and_leaves_open_data_and_other_settings():
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
    key = f"{fields['source']}|chat"
    set_fields = take(result, *open_data)[1]
    assert set_fields == {"method": "qat", "method_for": key, "model": "smollm2-360m", "qat_bits": "3"}
    result["plan"]["method"] = {"name": "lora", "settings": {}}
    assert take(result, *open_data)[1] == {"method": "lora", "method_for": key, "model": "smollm2-360m"}


def test_what_a_choice_has_changed_is_said_with_a_way_back_where_that_is_the_method_alone():
    fields = form_fields()
    open_data = fields["source"], fields["task"], fields["columns"]
    result = card(method="full")
    change, _ = take(result, *open_data, model="smollm2-135m", method="full")
    names = {name: presets.methods()[name].name.render() for name in ("full", "lora")}
    assert f"{names['full']} → {names['lora']}" in change["text"]
    assert change["previous"] == "full"
    change, _ = take(result, *open_data, model="qwen3-0.6b", method="full")
    assert presets.models()["qwen3-0.6b"].name in change["text"]
    assert change["undo"] == ""


@pytest.mark.parametrize("task", [task for task in TASK_BY_DATA_KIND.values() if task != "complete"])
def test_a_recommendation_for_a_sample_makes_a_plan_that_can_start(task):
    name, sample = next((name, sample) for name, sample in presets.samples().items() if sample.task == task)
    data = {"source": f"sample:{name}", "task": task, "columns": dict(sample.columns)}
    model, method, *_ = method_tab.follow_data(ENGLISH, method_for="", **form_fields(**data))
    if "value" in model:
        data["model"] = model["value"]
    plan = plan_form.build_plan(read_form(form_fields(**{**data, "method": method})))
    assert plan_form.describe_plan(plan, "en")


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
    valid = {
        "task": PREFERENCE,
        "model": "smollm2-135m",
        "data": {"source": "sample:support-preference"},
        "method": {"name": "rlhf"},
    }
    assert take({"plan": valid})[1]["method"] == "rlhf"
    plan = {**valid, **sent} if isinstance(sent, dict) and sent else sent
    with pytest.raises(gr.Error):
        take({"plan": plan})
