"""The form is read once from whatever a browser sends."""

import json
from types import SimpleNamespace

import pytest
from form_fields import DEFAULT_SETTINGS, ENGLISH, TRAINING_VALUES, form_fields

from studio import methods, runs
from studio.i18n import Message
from studio.methods.spec import Setting
from studio.ui.form import packing
from studio.ui.form.form_state import read_edited_fields, read_form, read_method_settings
from studio.ui.train import tab as train_tab


def packed_form_fields(**changed):
    """The form with the groups of fields of this test as texts, as the Method tab sends them."""
    fields = form_fields(**changed)
    training = {name: fields[name] for name in TRAINING_VALUES}
    single = {
        name: value
        for name, value in fields.items()
        if name not in DEFAULT_SETTINGS and name not in TRAINING_VALUES
    }
    return {
        **single,
        "now_lora": json.dumps({"lora_rank": fields["lora_rank"]}),
        "now_training": json.dumps(training),
    }


def test_fields_that_travel_as_text_say_what_the_fields_say():
    changed = {"lora_rank": 32, "epochs": 5}
    assert read_form(packed_form_fields(**changed)) == read_form(form_fields(**changed))


def test_a_field_that_is_there_by_itself_counts_more_than_one_in_a_text():
    assert read_form({**packed_form_fields(max_length=64), "max_length": 96}).max_length == 96


@pytest.mark.parametrize(
    "text", [None, 7, "", "{", "[1]", '"x"', "[" * 100_000, '{"source": "b", "no_such": 1, "__class__": 2}']
)
def test_a_text_that_is_no_fields_changes_nothing(text):
    fields = packing.unpack_fields({"source": "a", "now_lora": text})
    assert fields == {"source": "a", **DEFAULT_SETTINGS}


@pytest.mark.parametrize("columns", ["", "[1]", "nonsense", None, "[" * 9999, '{"a": {}}'])
def test_columns_from_a_browser_may_be_anything(columns):
    assert isinstance(packing.unpack_mapping(columns), dict)
    notice, *_ = train_tab.start_run(ENGLISH, browser_runs=[], **form_fields(columns=columns))
    assert notice["kind"] == "bad"
    assert runs.all_runs() == []


@pytest.mark.parametrize(
    "state", [None, [], "x", {"source": "other", "names": ["epochs"]}, {"source": "a", "names": 3}]
)
def test_what_a_browser_claims_to_remember_is_checked(state):
    assert read_edited_fields("a", state) == ()


def test_a_setting_of_one_choice_alone_is_left_out_under_the_others():
    text = Message("x")
    peft_type = Setting("peft_type", text, text, "dora", "str", high=9)
    rank = Setting("rank", text, text, 4, "int", 1, 9, depends_on=("peft_type", "dora"))
    assert rank.applies({"peft_type": "dora"})
    assert not rank.applies({"peft_type": "ia3"})
    assert peft_type.applies({})
    method = SimpleNamespace(name="peft", settings=(peft_type, rank))
    under_ia3 = read_method_settings(method, {"peft_peft_type": "ia3", "peft_rank": 4}, "chat")
    under_dora = read_method_settings(method, {"peft_peft_type": "dora", "peft_rank": 4}, "chat")
    assert (under_ia3, under_dora) == ({"peft_type": "ia3"}, {"peft_type": "dora", "rank": 4})


def test_a_setting_that_another_makes_meaningless_is_left_out_of_the_form_and_allowed_in_a_plan():
    form = read_form(form_fields(task="prefer", method="rlhf", rlhf_algorithm="dpo", rlhf_reward="json"))
    assert set(form.settings["rlhf"]) == {
        "algorithm",
        "beta",
        "steps",
        "rank",
        "start_from",
        "sft",
        "last_rate",
    }
    assert methods.get("rlhf").find_problems({"algorithm": "dpo", "reward": "json"}) == []
    orpo = read_form(form_fields(task="prefer", method="rlhf", rlhf_algorithm="orpo"))
    assert set(orpo.settings["rlhf"]) == {"algorithm", "steps", "rank", "start_from", "last_rate"}
