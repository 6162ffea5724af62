"""What the handlers of the Method tab answer, called as plain functions."""

import json
from types import SimpleNamespace

import gradio as gr
import pytest
from form_fields import CHINESE, ENGLISH, SAMPLE_COLUMNS, form_fields

from studio import methods, presets
from studio.chooser.answers import TASK_BY_DATA_KIND
from studio.data import store
from studio.estimate import all_methods
from studio.methods import compatibility
from studio.models import shape
from studio.plan import REQUIRED_ROLES
from studio.ui.form import messages as form_messages
from studio.ui.form.form_state import read_form
from studio.ui.method import estimates, messages, recommendation, refinement, settings_panel
from studio.ui.method import tab as method_tab
from studio.ui.method import table as comparison_table
from studio.ui.method.estimate_inputs import load_inputs

CONVERSATION = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    {"role": "user", "content": "c"},
    {"role": "assistant", "content": "d"},
]
PREFERENCE, COMPLETION = TASK_BY_DATA_KIND["pairs"], TASK_BY_DATA_KIND["texts"]


def table_rows(lang="en", **changed):
    """The rows of the table for the fields, by method."""
    inputs = load_inputs(read_form(form_fields(**changed)))
    state = estimates.build_table_state(inputs, estimates.estimate_all_methods(inputs), lang)
    return {row["id"]: row for row in comparison_table.render_table(state, lang)["rows"]}


def test_the_table_holds_all_methods_and_opens_those_that_suit_the_task():
    rows = table_rows().values()
    assert [row["id"] for row in rows] == list(presets.methods())
    suitable = {method.name for method in methods.METHODS if "chat" in method.tasks}
    assert {row["id"] for row in rows if row["open"]} == suitable
    # 30 layers x rank 16 x the widths of SmolLM2's seven matrices:
    # 2·576 + 2·(576+192) + 2·576 + 3·(576+1536) = 10,176
    lora = next(row for row in rows if row["id"] == "lora")
    assert lora["exact"].startswith(f"{30 * 16 * 10176:,} of 139,399,488")


def test_a_method_that_is_not_built_cannot_be_picked():
    assert method_tab.select_method("lora", SimpleNamespace(id="magic")) == "lora"
    assert method_tab.select_method("lora", SimpleNamespace(id="full")) == "full"
    assert method_tab.select_method("lora", SimpleNamespace(id={"no": 1})) == "lora"


def test_settings_that_cannot_work_are_said_beside_the_fields():
    fields = form_fields(method="rlhf", rlhf_algorithm="dpo")
    _, _, settings_notice, *_ = method_tab.refresh(ENGLISH, **fields)
    assert settings_notice["kind"] == "bad"
    assert settings_notice["more"].startswith(methods.get("rlhf").settings[0].label.render())


@pytest.mark.parametrize(
    "config", ["[]", "{broken", '{"model_type": "mamba"}', '{"model_type": "llama", "hidden_size": null}']
)
@pytest.mark.exhaustive
def test_a_model_that_cannot_be_counted_leaves_the_page_as_it_is(config, tmp_path):
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "model.safetensors").write_bytes(b"")
    table, model_notice, *_ = method_tab.refresh(ENGLISH, **form_fields(model=str(tmp_path)))
    assert len(table["rows"]) == len(presets.methods())
    assert model_notice


def test_a_method_a_browser_invents_leaves_the_page_as_it_is():
    table, _, settings_notice, *_ = method_tab.refresh(ENGLISH, **form_fields(method="magic"))
    assert len(table["rows"]) == len(presets.methods())
    assert settings_notice["kind"] == "info"


@pytest.mark.parametrize(
    ("task", "method", "current_model", "model"),
    [
        ("classify", "lora", None, "minilm-l6"),
        ("classify", "lora", "qwen3-0.6b", "minilm-l6"),
        ("classify", "lora", "bert-base-chinese", "bert-base-chinese"),
        (COMPLETION, "full", "minilm-l6", "smollm2-135m"),
        (PREFERENCE, "rlhf", "qwen3-0.6b", "qwen3-0.6b"),
    ],
)
def test_a_task_brings_a_model_and_keeps_a_method_that_trains_it_and_a_model_made_for_it(
    task, method, current_model, model
):
    models, name, *_ = follow(task=task, source="", method=method, model=current_model)
    assert (models.get("value", current_model), name) == (model, method)
    assert model in [value for _, value in models["choices"]]


def follow(method_for="", **changed):
    """What follows from the data: models, method, the data it is for, the notice, and settings."""
    return method_tab.follow_data(ENGLISH, method_for=method_for, **form_fields(**changed))


@pytest.mark.parametrize("task", REQUIRED_ROLES)
def test_a_method_that_does_not_go_with_the_task_says_why_and_what_does(task):
    model_shape = shape.from_config(presets.models()["smollm2-135m"].config)
    wrong = {}
    for row in table_rows("zh", task=task, source="").values():
        refusal = compatibility.find_incompatibility(row["id"], task, model_shape)
        reason = f"{refusal.reason.render('zh')} {refusal.alternative.render('zh')}" if refusal else ""
        if (row["refused"], row["open"]) != (reason, refusal is None):
            wrong[row["id"]] = row["refused"]
    assert wrong == {}
    assert task in methods.get(follow(task=task, source="")[1]).tasks


@pytest.mark.parametrize("model", ["smollm2-135m", "owner/name", "/some/folder"])
def test_a_model_that_stays_is_not_sent_as_another_may_have_been_typed_meanwhile(model):
    assert "value" not in follow(model=model)[0]
    assert follow(model="minilm-l6")[0]["value"] == method_tab.DEFAULT_MODEL


def test_a_reload_brings_the_saved_model_back_where_it_can_do_the_task():
    def reload(saved_model, **fields):
        return follow(model=None, saved_model=saved_model, **fields)[0]["value"]

    assert reload("qwen3-0.6b") == "qwen3-0.6b"
    assert reload("owner/name") == "owner/name"
    assert reload("qwen3-0.6b", task="classify", source="") == method_tab.DEFAULT_CLASSIFIER
    for nonsense in ("", None, {"model": "x"}, 3):
        assert reload(nonsense) == method_tab.DEFAULT_MODEL


def test_a_model_that_only_reads_is_told_in_every_row():
    assert all("only reads" in row["refused"] for row in table_rows(model="minilm-l6").values())


@pytest.mark.parametrize(("n_turns", "is_shown"), [(2, False), (4, True)])
def test_the_choice_of_turns_is_offered_where_a_conversation_has_several(n_turns, is_shown, tmp_path):
    path = tmp_path / "chats.jsonl"
    line = json.dumps({"messages": CONVERSATION[:n_turns]}) + "\n"
    path.write_text(line * 8, encoding="utf-8")
    fields = form_fields(source=store.add(path).source, columns={"messages": "messages"})
    history, replay = settings_panel.show_training_fields(**fields)[-2:]
    assert (history["visible"], replay["visible"]) == (is_shown, True)


def test_general_examples_are_offered_for_answers_alone_and_count_as_training_examples():
    triage = {"source": "sample:ticket-triage", "task": "classify", "columns": SAMPLE_COLUMNS["classify"]}
    updates = settings_panel.show_training_fields(**form_fields(**triage))[-2:]
    assert [(update["visible"], update["value"]) for update in updates] == [(False, 0)] * 2
    assert settings_panel.show_training_fields(**form_fields(source=""))[-2]["visible"] is False
    # 105 of 140 are trained on; 26 general ones beside them are a fifth of all 131.
    assert suggest(replay_share=0.2)[3]["text"] == messages.SUGGESTED_VALUES.render(
        "en", count=131, epochs=3.0, batch=8, steps=51
    )
    assert suggest(replay_share="x")[3]["text"] == suggest()[3]["text"]


def suggest(**changed):
    """Epochs, batch size, test share and notice, as they are suggested."""
    fields = {"method": "full", "validation_share": 0.1, "test_share": 0, **changed}
    return settings_panel.suggest_training_values(ENGLISH, **form_fields(**fields))[:4]


def test_epochs_and_batch_size_follow_the_amount_of_data_unless_edited():
    # 140 examples, 14 to validate and 21 to test: 105; batches of 8, the most epochs for answers: 3; 14 steps
    # an epoch
    epochs, batch_size, test_share, notice = suggest()
    assert (epochs, batch_size, test_share) == (3.0, 8, 0.15)
    assert notice["text"] == messages.SUGGESTED_VALUES.render("en", count=105, epochs=3.0, batch=8, steps=42)
    edited = {"source": "sample:support-tone", "names": ["epochs"]}
    assert suggest(edited=edited)[:2] == (gr.skip(), 8)
    assert suggest(source="")[3]["text"] == ""
    # 240 texts: a tenth is left for the test alone, unless there is a test set of its own
    triage = {"source": "sample:ticket-triage", "task": "classify", "columns": SAMPLE_COLUMNS["classify"]}
    assert suggest(**triage)[2] == 0.1
    assert suggest(**triage, test="dataset:separate")[2] == 0.0


def placeholders(**changed):
    """What the empty fields for learning rate and max length stand for; "" where nothing is said."""
    outputs = method_tab.refresh(ENGLISH, **form_fields(**changed))[-2:]
    return [output.get("placeholder", "") if output != gr.skip() else "" for output in outputs]


def test_an_empty_field_says_which_value_it_stands_for_and_one_with_a_value_says_nothing():
    rate, length = placeholders(max_length=None, learning_rate=None)
    assert rate == form_messages.AUTOMATIC_VALUE.render(value="0.001")
    assert length == form_messages.AUTOMATIC_VALUE.render(value="192")
    assert placeholders(max_length=64, learning_rate=0.1) == ["", ""]
    assert placeholders(max_length=None, learning_rate=None, model="") == ["", ""]


def test_what_rlhf_leaves_to_the_studio_is_said_with_its_value():
    pairs = {
        "source": "sample:support-preference",
        "task": PREFERENCE,
        "columns": presets.samples()["support-preference"].columns,
        "method": "rlhf",
        "max_length": None,
        "rlhf_algorithm": "dpo",
    }
    notice = method_tab.refresh(ENGLISH, **form_fields(**pairs))[2]
    labels = {setting.name: setting.label.render() for setting in methods.get("rlhf").settings}
    assert f"{labels['last_rate']} 0.0001" in notice["more"]
    assert labels["steps"] in notice["more"]
    assert labels["max_completion_length"] not in notice["more"]


def test_of_a_method_with_later_stages_it_is_said_that_the_values_hold_for_the_first():
    pairs = {
        "source": "sample:support-preference",
        "task": PREFERENCE,
        "columns": presets.samples()["support-preference"].columns,
    }
    assert suggest(method="rlhf", **pairs)[3]["more"].startswith(messages.SUGGESTED_FOR_FIRST_STAGE.text)
    assert messages.SUGGESTED_FOR_FIRST_STAGE.text not in suggest(method="qat")[3]["more"]


def test_no_epochs_are_spoken_of_where_no_block_learns():
    triage = {"source": "sample:ticket-triage", "task": "classify", "columns": SAMPLE_COLUMNS["classify"]}
    linear = suggest(method="frozen", frozen_blocks=0, **triage)[3]["text"]
    assert linear == messages.SUGGESTED_WITHOUT_TRAINING.render(count=192)  # 240 - 24 - 24
    assert suggest(method="frozen", frozen_blocks=1, **triage)[3]["text"] != linear


def test_a_setting_of_one_choice_alone_is_hidden_under_the_others():
    peft, rlhf = methods.get("peft"), methods.get("rlhf")

    def visible(method, **chosen):
        updates = settings_panel.show_setting_fields(method, tuple(chosen), "prefer", *chosen.values())
        names = [setting.name for setting in settings_panel.conditional_settings(method)]
        return {name for name, update in zip(names, updates, strict=True) if update["visible"]}

    for name in ("dora", "ia3"):
        shown = visible(peft, peft_type=name)
        assert shown == {
            setting.name for setting in peft.settings if setting.depends_on == ("peft_type", name)
        }
    assert visible(rlhf, algorithm="dpo", reward="data") == {"beta", "sft"}
    assert "num_generations" in visible(rlhf, algorithm="rloo", reward="data")
    assert "reward_text" not in visible(rlhf, algorithm="rloo", reward="data")
    assert "reward_text" in visible(rlhf, algorithm="rloo", reward="contains")


def test_there_is_more_to_refine_only_while_something_is_untraced(monkeypatch):
    assert isinstance(method_tab.refresh_after_change(ENGLISH, **form_fields())[-1], int)
    monkeypatch.setattr(all_methods, "needs_tracing", lambda context, method: False)
    monkeypatch.setattr(refinement, "has_guessed_tokens", lambda inputs: False)
    assert method_tab.refresh_after_change(ENGLISH, **form_fields())[-1] == gr.skip()


def test_an_offer_of_a_row_that_does_not_fit_changes_its_field_and_chooses_the_method():
    fields = form_fields(model="qwen3-8b", machine="hf-t4-small", method="full")
    rows = table_rows(model="qwen3-8b", machine="hf-t4-small", method="full")
    name = next(name for name, row in rows.items() if row["offers"])
    changes = method_tab.apply_offer(SimpleNamespace(id=name, number=0), **fields)
    assert any(value != gr.skip() for value in changes)
    nothing = (gr.skip(),) * len(changes)
    for sent in ((name, 99), (name, -1), (name, "0"), ("magic", 0)):
        event = SimpleNamespace(id=sent[0], number=sent[1])
        assert method_tab.apply_offer(event, **fields) == nothing


def test_a_try_of_a_method_opens_its_sample_and_is_short():
    *_, name, method_for, edited, epochs = method_tab.try_on_sample(SimpleNamespace(id="lora"), ENGLISH)
    assert method_for == "sample:support-tone|chat", "so that no other method takes its place"
    assert (name, edited["names"], epochs) == ("lora", ["epochs"], method_tab.MIN_EPOCHS)
    with pytest.raises(gr.Error, match=messages.UNKNOWN_METHOD.render("zh")):
        method_tab.try_on_sample(SimpleNamespace(id="magic"), CHINESE)


UPFT_FOR_QUESTIONS = {"method": "upft", "method_for": "dataset:questions|prompts"}


def test_other_data_brings_the_method_that_suits_it_and_says_so_with_a_way_back():
    _, name, method_for, notice, _ = follow(**UPFT_FOR_QUESTIONS)
    cards = presets.methods()
    assert (name, method_for) == ("lora", "sample:support-tone|chat")
    assert notice["text"] == recommendation.METHOD_CHANGED.render(
        old=cards["upft"].name, new=cards["lora"].name
    )
    assert recommendation.undo_change(ENGLISH, notice, "lora")[0] == "upft"
    for sent in (None, {}, {"previous": "magic"}, {"previous": 3}):
        assert recommendation.undo_change(ENGLISH, sent, "lora") == ("lora", {})


def test_a_method_chosen_for_the_open_data_stays_and_the_first_data_changes_it_without_a_word():
    assert follow(method="upft", method_for="sample:support-tone|chat")[1:4] == (
        "upft",
        "sample:support-tone|chat",
        gr.skip(),
    )
    assert follow(method="upft", method_for="")[1:4] == ("lora", "sample:support-tone|chat", {})
    assert follow(method="upft", method_for="x", source="")[1:3] == ("upft", "x"), "nothing is open"


def test_a_method_that_cannot_learn_from_the_other_data_has_no_way_back():
    pairs = {
        "source": "sample:support-preference",
        "task": PREFERENCE,
        "columns": presets.samples()["support-preference"].columns,
    }
    _, name, _, notice, _ = follow(method="full", method_for="sample:support-tone|chat", **pairs)
    assert (name, notice["undo"]) == ("rlhf", "")


def test_the_recommendation_the_table_and_the_strip_say_the_same_figures():
    fields = form_fields(machine="hf-t4-small", epochs=7, batch_size=2)
    table, _, _, _, _, strip, card, *_ = method_tab.refresh(ENGLISH, **fields)
    row = next(row for row in table["rows"] if row["kind"] == "chosen")
    assert card["head"] == recommendation.RECOMMENDED.render(method=presets.methods()["lora"].name)
    figures = {figure["big"]: figure["small"] for figure in card["figures"]}
    for column in ("memory", "time"):
        cell = row["cells"][column]
        assert figures[cell["big"]] == cell["small"]
        assert cell["small"] in json.dumps(strip, ensure_ascii=False)
    assert row["cells"]["money"]["big"] in figures
