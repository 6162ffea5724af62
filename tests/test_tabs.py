"""What the page's handlers say, called as plain functions."""

import json
import os
import shutil
from dataclasses import replace
from types import SimpleNamespace
from typing import get_args

import gradio as gr
import pytest

from studio import methods, presets, runs
from studio.errors import StudioError
from studio.estimate.dataset_lengths import measure_lengths
from studio.estimate.machines import catalogue
from studio.estimate.types import Estimate, range_around
from studio.i18n import Message
from studio.methods import compatibility
from studio.methods.spec import Setting
from studio.models import shape
from studio.plan import REQUIRED_ROLES, Data, MethodChoice, Training
from studio.storage import home
from studio.training import launcher
from studio.ui import access, app
from studio.ui.components import forms
from studio.ui.data import tab as data_tab
from studio.ui.form import plan_form, saved_settings, training_fields
from studio.ui.method import elsewhere as elsewhere_panel
from studio.ui.method import estimates as table_estimates
from studio.ui.method import tab as method_tab
from studio.ui.playground import tab as playground_tab
from studio.ui.train import live_view
from studio.ui.train import results as run_results
from studio.ui.train import tab as train_tab

ENGLISH = SimpleNamespace(headers={"accept-language": "en-GB,en"}, query_params={}, session_hash="one")
CHINESE = SimpleNamespace(headers={"accept-language": "zh-CN,zh;q=0.9"}, query_params={}, session_hash="two")
DEFAULTS = {f"{found.name}_{knob.name}": knob.default for found in methods.METHODS for knob in found.settings}
TRAINING = {
    "epochs": 2,
    "batch_size": 4,
    "learning_rate": 0,
    "max_length": 64,
    "validation_share": 0.2,
    "early_stopping_patience": 0,
    "seed": 1,
}
TONE = ("sample:support-tone", "chat", '{"prompt": "customer", "response": "reply"}', "smollm2-135m")


def fields(
    task="chat", model="smollm2-135m", chosen="lora", source="sample:support-tone", machine="here", **changed
):
    """The fields of the Method tab as the page gives them."""
    columns = TONE[2] if task == "chat" else "{}"
    given = {
        "source": source,
        "task": task,
        "columns": columns,
        "model": model,
        "chosen": chosen,
        "machine": machine,
    }
    return {**given, **DEFAULTS, **TRAINING, "gradient_checkpointing": False, **changed}


def shown(lang="en", **changed):
    """The rows of the table for the fields."""
    found = table_estimates.read_form(**fields(**changed))
    return {
        row["id"]: row
        for row in table_estimates.render_estimates(found, table_estimates.estimate_all_methods(found), lang)[
            "rows"
        ]
    }


def test_the_table_holds_all_ten_and_opens_those_that_are_built():
    rows = shown().values()
    assert len(rows) == 10
    built = {item.name for item in methods.METHODS if "chat" in item.tasks}
    assert {row["id"] for row in rows if row["open"]} == built
    # 30 layers x rank 16 x the widths of SmolLM2's seven matrices: 2·576 + 2·(576+192) + 2·576 + 3·(576+1536) = 10,176
    assert next(row for row in rows if row["id"] == "lora")["exact"].startswith(
        f"{30 * 16 * 10176:,} of 139,399,488"
    )


def test_a_method_that_is_not_built_cannot_be_picked():
    assert method_tab.select_method("lora", SimpleNamespace(id="magic")) == "lora"
    assert method_tab.select_method("lora", SimpleNamespace(id="full")) == "full"
    assert method_tab.select_method("lora", SimpleNamespace(id={"no": 1})) == "lora"


def test_the_summary_is_counted_on_the_real_data():
    text = train_tab.summarise(*TONE, "lora", "", ENGLISH, **DEFAULTS, **TRAINING)["text"]
    # 140 examples, a fifth aside: 112 to train on, 28 to check on; 112 / 4 = 28 steps a round, 56 in two
    assert "112 examples" in text
    assert "56 steps" in text
    assert "28 more" in text


def test_what_is_wrong_with_the_page_s_fields_is_said_before_anything_starts():
    values = {**DEFAULTS, **TRAINING, "lora_rank": 5000, "batch_size": 0}
    told = train_tab.start_run(*TONE, "lora", "", [], ENGLISH, **values)[0]
    assert told["kind"] == "bad"
    assert told["text"] == "Settings to change before this can start: 2."
    assert "How far the model may change (rank): expected 1 to 256, but got 5000" in told["more"]
    assert "Examples per step (batch size): " in told["more"]
    assert runs.all_runs() == []
    assert train_tab.start_run("", *TONE[1:], "lora", "", [], ENGLISH, **DEFAULTS, **TRAINING)[0][
        "text"
    ].startswith("Bring examples")


@pytest.mark.parametrize(
    ("name", "value", "said", "chinese"),
    [
        (
            "learning_rate",
            5,
            "How big each step is (learning rate): ",
            "每一步迈多大（learning rate）：应不大于 1，实际是 5",
        ),
        (
            "validation_share",
            None,
            "Share kept aside to check on (validation): ",
            "留作验证集的比例：应为数字，实际是空的",
        ),
        (
            "lora_rank",
            None,
            "How far the model may change (rank): expected a whole number, but got None",
            "模型可以改变多少（秩 rank）：应为整数，实际是空的",
        ),
        (
            "lora_alpha",
            9999,
            "How strongly the change counts (alpha): expected ",
            "改动的强度（alpha）：应在 ",
        ),
    ],
)
def test_an_absurd_or_emptied_field_is_named_as_on_the_page(name, value, said, chinese):
    values = {**DEFAULTS, **TRAINING, name: value}
    assert said in draft_of(values)["more"]
    assert chinese in draft_of(values, CHINESE)["more"]
    assert train_tab.start_run(*TONE, "lora", "", [], ENGLISH, **values)[0]["kind"] == "bad"
    assert runs.all_runs() == []


def test_every_setting_of_the_training_is_on_the_page_but_for_the_portions_of_a_step():
    assert set(method_tab.TRAINING_FIELD_NAMES) == set(Training.model_fields) - {
        "gradient_accumulation_steps"
    } | {
        "validation_share",
        "test_share",
    }


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
    made = plan_form.build_plan(*TONE, "lora", "", **{**DEFAULTS, **TRAINING, name: value})
    assert getattr(made.training, name) == value


@pytest.mark.parametrize(("browser", "said"), [(ENGLISH, None), (CHINESE, "匀速降到 0（linear）")])
def test_the_schedules_are_offered_in_the_browser_s_language(browser, said):
    last = method_tab.localize_choices(browser)[-1]
    assert last.get("choices", [(None, "linear")])[0] == (said, "linear")
    assert {name for _, name in training_fields.lr_scheduler_choices("zh")} == set(
        get_args(Training.model_fields["lr_scheduler_type"].annotation)
    )


def draft_of(values, request=ENGLISH):
    """The sentence on the Train tab."""
    return train_tab.summarise(*TONE, "lora", "", request, **values)


@pytest.mark.parametrize("made", ["Slider", "Number"])
def test_a_field_hands_on_what_it_cannot_take(made):
    field = getattr(gr, made)(minimum=1, maximum=10, value=2)
    assert [field.preprocess(value) for value in (5, 99, None)] == [5, 99, None]


def test_settings_that_cannot_work_are_said_beside_the_fields():
    values = {**DEFAULTS, "rlhf_algorithm": "dpo"}
    _, _, told, *_ = method_tab.refresh(ENGLISH, **fields(chosen="rlhf", **values))
    assert told["kind"] == "bad"
    assert told["more"].startswith(methods.get("rlhf").settings[0].label.render())


@pytest.mark.parametrize(
    "config", ["[]", "{broken", '{"model_type": "mamba"}', '{"model_type": "llama", "hidden_size": null}']
)
def test_a_model_that_cannot_be_counted_leaves_the_page_as_it_is(config, tmp_path):
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "model.safetensors").write_bytes(b"")
    content, about, *_ = method_tab.refresh(ENGLISH, **fields(model=str(tmp_path)))
    assert len(content["rows"]) == 10
    assert about


def test_where_others_reach_the_page_a_folder_is_not_looked_into(tiny_chat, monkeypatch):
    asked = fields(model=str(tiny_chat), chosen="frozen", frozen_blocks=99)
    assert "blocks" in str(method_tab.refresh(ENGLISH, **asked)[2]), (
        "of one's own the number of blocks is told"
    )
    monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")
    assert "blocks" not in str(method_tab.refresh(ENGLISH, **asked)[2])


@pytest.mark.parametrize(
    ("name", "settings", "task", "said"),
    [
        ("rlhf", {}, "prefer", "a reward model that learns from the pairs, then 40 steps of practice."),
        (
            "rlhf",
            {"reward": "contains", "reward_text": "sorry", "steps": 7},
            "chat",
            "after it: 7 steps of practice.",
        ),
        (
            "rlhf",
            {"reward": "model"},
            "prefer",
            "a reward model that learns from the pairs, then 40 steps of practice.",
        ),
        ("rlhf", {"algorithm": "dpo"}, "prefer", "after it: the training on the pairs."),
        ("qat", {}, "chat", "It trains twice"),
        ("lora", {}, "chat", ""),
    ],
)
def test_what_follows_the_counted_steps_is_said(name, settings, task, said, make_plan):
    assert said in plan_form.describe_extra_stages(make_plan(name, task, settings), "en")


def test_a_shown_run_that_has_ended_brings_the_list_up_to_date_and_clears_what_was_said(finished):
    run = finished()
    told, choose = train_tab.refresh_state(run.id, [run.id], ENGLISH)
    assert told["text"] == ""
    assert choose["choices"][0][0].endswith("Done")


def test_a_full_disk_is_said_before_a_run_starts(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000, total=1, used=1))
    told = train_tab.start_run(*TONE, "lora", "", [], ENGLISH, **DEFAULTS, **TRAINING)[0]
    assert "GB free" in told["text"]
    assert runs.all_runs() == []


def test_the_live_view_sends_only_what_is_new(finished):
    run = finished()
    first = live_view.poll([run.id, 0, "en"])
    assert first["kind"] == "done"
    assert first["offset"] == run.metrics_path.stat().st_size
    assert any("eval_loss" in measured for _, _, measured in first["points"])
    assert live_view.poll([run.id, first["offset"], "en"])["points"] == []
    with run.metrics_path.open("ab") as file:
        file.write(json.dumps({"stage": "train", "step": 99, "loss": 1.0}).encode())
    assert live_view.poll([run.id, first["offset"], "en"])["points"] == []
    with run.metrics_path.open("ab") as file:
        file.write(b"\n")
    assert live_view.poll([run.id, first["offset"], "en"])["points"] == [["train", 99, {"loss": 1.0}]]


@pytest.mark.parametrize(
    "asked", [None, [], ["../../etc", 0, "en"], ["a" * 32, 0, "en"], [{}, "x", 3], [1], "text"]
)
def test_the_live_view_trusts_nothing_a_browser_sends(asked):
    assert live_view.poll(asked) == {"gone": True}


def test_the_live_view_speaks_the_browser_s_language(finished):
    run = finished()
    assert live_view.poll([run.id, 0, "en"])["state"] == "Done"
    assert live_view.poll([run.id, 0, "zh"])["state"] == "已完成"


def test_a_failure_is_told_in_the_visitors_language(make_plan):
    run = runs.create(make_plan())
    runs.set_status(
        run,
        "failed",
        message=Message("The disk is full.", translations={"zh": "磁盘已满。"}),
        hint=Message("Free some space.", translations={"zh": "请腾出空间。"}),
    )
    assert live_view.poll([run.id, 0, "en"])["fault"] == "The disk is full. Free some space."
    assert live_view.poll([run.id, 0, "zh"])["fault"] == "磁盘已满。请腾出空间。"


def test_a_reload_finds_the_run_in_the_address_or_in_the_browser_s_memory(finished):
    run = finished()
    assert train_tab.reattach_run(run.id, [], ENGLISH)[1] == run.id
    address = SimpleNamespace(headers={}, query_params={"run": run.id})
    assert train_tab.reattach_run("", [], address)[1] == run.id
    assert train_tab.reattach_run("nonsense", [], ENGLISH)[1] == ""


def test_asking_without_a_run_or_a_question_says_so(finished):
    assert next(playground_tab.ask_both(None, "", "hello", 0, 10, 0, ENGLISH))[0]["text"].startswith(
        "No finished run"
    )
    assert (
        next(playground_tab.ask_both(None, finished().id, "  ", 0, 10, 0, ENGLISH))[0]["text"]
        == "Type a question first."
    )
    assert next(playground_tab.ask_both(None, "", "hello", 0, 10, 0, CHINESE))[0]["text"].startswith("还没有")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_times_are_said_as_people_say_them(seconds, said):
    assert forms.format_seconds(seconds, "en") == said


def test_where_others_reach_the_page_nobody_sees_another_s_runs(finished, monkeypatch):
    run = finished()
    assert [found.id for found in access.visible_runs([])] == [run.id]
    monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")
    assert access.visible_runs([]) == []
    assert access.visible_runs("nonsense") == []
    assert [found.id for found in access.visible_runs([run.id, 7])] == [run.id]
    assert train_tab.reattach_run("", [], ENGLISH)[2]["choices"] == []
    assert playground_tab.update_run_choices(None, "", [], ENGLISH)["choices"] == []


@pytest.mark.parametrize("source", ["/etc/passwd", "../secrets.csv", "dataset:../../x", "", None])
def test_a_browser_cannot_name_a_file_of_this_machine(source):
    assert data_tab.restore(source, ENGLISH)[0]["kind"] in ("info", "bad")
    assert (
        train_tab.start_run(source, *TONE[1:], "lora", "", [], ENGLISH, **DEFAULTS, **TRAINING)[0]["kind"]
        == "bad"
    )
    assert runs.all_runs() == []


def test_where_others_reach_the_page_a_model_is_no_folder_of_the_machine(tiny_chat, monkeypatch):
    access.check_model(str(tiny_chat))
    monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")
    access.check_model("smollm2-135m")
    access.check_model("owner/name")
    for folder in (str(tiny_chat), "../models/x", "models", "."):
        with pytest.raises(StudioError, match="cannot be a folder"):
            access.check_model(folder)


def test_a_run_stopped_before_it_learned_does_not_say_that_it_kept_anything(make_plan):
    run = runs.create(make_plan())
    runs.set_status(run, "stopped", "before")
    assert live_view.poll([run.id, 0, "en"])["state"] == "Stopped before it had learned anything"
    assert live_view.poll([run.id, 0, "en"])["percent"] == 0


def test_a_run_chosen_by_hand_is_the_one_to_come_back_to(finished):
    one, other = finished("lora"), finished("full")
    assert playground_tab.remember_run(one.id) == one.id
    assert playground_tab.update_run_choices(other.id, one.id, [], ENGLISH)["value"] == one.id


def test_an_open_page_takes_no_more_runs_than_it_can_work_off(make_plan, monkeypatch):
    for _ in range(access.MAX_UNFINISHED_RUNS):
        runs.create(make_plan())
    access.check_queue()
    monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")
    with pytest.raises(StudioError, match="10 runs are waiting"):
        access.check_queue()


@pytest.mark.parametrize(
    ("value", "said"),
    [(999_885_952, "1 B"), (134_515_008, "135 M"), (4_884_480, "4,884,480"), (8_190_735_360, "8.19 B")],
)
def test_counts_are_said_as_people_say_them(value, said):
    assert forms.format_count(value) == said


def test_a_name_that_can_be_no_model_is_refused_at_once():
    with pytest.raises(StudioError, match="no model “banana-9000”"):
        access.check_model("banana-9000")


def test_a_task_with_too_few_columns_says_which_is_missing():
    told, *_ = data_tab.change_task("sample:support-tone", "prefer", [], ENGLISH)
    assert told["kind"] == "bad"
    assert "no column “rejected”" in told["text"]


@pytest.mark.parametrize("sent", ["", "[1]", "nonsense", None, "[" * 9999, '{"a": {}}'])
def test_columns_from_a_browser_may_be_anything(sent):
    assert isinstance(forms.unpack(sent), dict)
    told = train_tab.start_run(
        "sample:support-tone", "chat", sent, "smollm2-135m", "lora", "", [], ENGLISH, **DEFAULTS, **TRAINING
    )[0]
    assert told["kind"] == "bad"
    assert runs.all_runs() == []


@pytest.mark.parametrize(
    ("task", "chosen", "before", "model"),
    [
        ("classify", "lora", None, "minilm-l6"),
        ("classify", "lora", "qwen3-0.6b", "minilm-l6"),
        ("classify", "lora", "bert-base-chinese", "bert-base-chinese"),
        ("complete", "full", "minilm-l6", "smollm2-135m"),
        ("prefer", "rlhf", "qwen3-0.6b", "qwen3-0.6b"),
    ],
)
def test_a_task_brings_a_model_and_keeps_a_method_that_trains_it_and_a_model_made_for_it(
    task, chosen, before, model
):
    models, name = method_tab.change_task(task, chosen, before)
    assert (models["value"], name) == (model, chosen)
    assert model in [value for _, value in models["choices"]]


@pytest.mark.parametrize("task", ["chat", "complete", "classify", "prefer", "prompts"])
def test_a_method_that_does_not_go_with_the_task_says_why_and_what_does(task):
    found = shape.from_config(presets.models()["smollm2-135m"].config)
    for row in shown("zh", task=task, source="").values():
        refused = compatibility.find_incompatibility(row["id"], task, found)
        assert row["refused"] == (
            f"{refused.reason.render('zh')} {refused.alternative.render('zh')}" if refused else ""
        )
        assert row["open"] == (refused is None)
    name = method_tab.change_task(task, "lora", None)[1]
    if any(task in item.tasks for item in methods.METHODS):
        assert task in methods.get(name).tasks


def test_a_model_that_only_reads_is_told_in_every_row():
    assert all("only reads" in row["refused"] for row in shown(model="minilm-l6").values())


def test_rounds_and_portions_follow_the_amount_of_data_unless_moved():
    columns = '{"prompt": "customer", "response": "reply"}'
    epochs, batch, tested, told = method_tab.suggest_training_values(
        "sample:support-tone", "chat", columns, "full", {}, 0.1, 0, "", ENGLISH
    )
    # 140 examples, a tenth aside: 126; portions of 8, the most rounds for answers: 3; 16 steps a round
    assert (epochs, batch, tested) == (3.0, 8, 0.0)
    assert (
        told["text"]
        == "Suggested for 126 training examples: epochs 3, 8 examples at a time, 48 steps in all."
    )
    epochs, batch, *_ = method_tab.suggest_training_values(
        "sample:support-tone",
        "chat",
        columns,
        "full",
        {"source": "sample:support-tone", "names": ["epochs"]},
        0.1,
        0,
        "",
        ENGLISH,
    )
    assert (epochs, batch) == (forms.gr.skip(), 8)
    assert (
        method_tab.suggest_training_values("", "chat", columns, "full", {}, 0.1, 0, "", ENGLISH)[3]["text"]
        == ""
    )
    labels = '{"text": "text", "label": "label"}'
    # 240 texts: a tenth is left for the verdict alone
    assert (
        method_tab.suggest_training_values(
            "sample:ticket-triage", "classify", labels, "full", {}, 0.1, 0, "", ENGLISH
        )[2]
        == 0.1
    )
    assert (
        method_tab.suggest_training_values(
            "sample:ticket-triage", "classify", labels, "full", {}, 0.1, 0, "dataset:own", ENGLISH
        )[2]
        == 0.0
    )


def test_a_setting_of_one_choice_alone_is_hidden_and_left_out_under_the_others():
    said = Message("x")
    way, rank = (
        Setting("way", said, said, "dora", "str", high=9),
        Setting("rank", said, said, 4, "int", 1, 9, depends_on=("way", "dora")),
    )
    assert rank.applies({"way": "dora"})
    assert not rank.applies({"way": "ia3"})
    assert way.applies({})
    own = SimpleNamespace(name="peft", knobs=(way, rank))
    assert forms.read_method_settings(own, {"peft_way": "ia3", "peft_rank": 4}) == {"way": "ia3"}
    assert forms.read_method_settings(own, {"peft_way": "dora", "peft_rank": 4}) == {"way": "dora", "rank": 4}
    assert [item["visible"] for item in method_tab.show_dependent_fields(("dora", "ia3"), "ia3")] == [
        False,
        True,
    ]
    assert method_tab.show_dependent_fields(("dora",), "dora")["visible"]


def test_every_setting_has_a_field_of_its_own():
    page = app.build_page()
    names = [
        item.elem_id for item in page.blocks.values() if str(getattr(item, "elem_id", "")).startswith("knob-")
    ]
    assert sorted(names) == sorted(
        f"knob-{item.name}-{knob.name}" for item in methods.METHODS for knob in item.settings
    )


STAGED = (
    {"stage": "sft", "step": 1, "loss": 2.0},
    {"stage": "reward", "step": 1, "eval_accuracy": 0.5},
    {"stage": "rl", "step": 1, "kl": 0.1},
)


def staged(make_plan, name="rlhf", task="prefer"):
    """A run of several stages, as its worker would have written it."""
    found = make_plan("lora", "chat")
    columns = {role: role for role in REQUIRED_ROLES[task]}
    choice = MethodChoice(name=name)
    run = runs.create(
        found.model_copy(
            update={"task": task, "method": choice, "data": Data(source="x.csv", columns=columns)}
        )
    )
    for point in STAGED:
        runs.add_point(run, epoch=0.0, **point)
    return run


def test_each_stage_has_its_charts_in_order(make_plan):
    run = staged(make_plan)
    found = live_view.poll([run.id, 0, "en"])
    assert [point[0] for point in found["points"]] == ["sft", "reward", "rl"]
    if "rlhf" not in {item.name for item in methods.METHODS}:
        pytest.skip("RLHF is not built yet")
    shown = [(chart["stage"], [curve["key"] for curve in chart["curves"]]) for chart in found["charts"]]
    assert shown[:6] == [
        ("sft", ["loss", "eval_loss"]),
        ("reward", ["loss", "eval_loss"]),
        ("reward", ["eval_accuracy"]),
        ("rl", ["reward"]),
        ("rl", ["kl"]),
        ("rl", ["completion_length"]),
    ]
    assert [chart["title"] for chart in found["charts"]][:4] == [
        "Learning from the good answers (SFT)",
        "Learning which answers are better (reward model)",
        "",
        "Practising and being scored (RL)",
    ]


def test_one_stage_needs_no_title_and_classes_have_an_accuracy(finished):
    assert [
        (chart["id"], chart["title"]) for chart in live_view.poll([finished().id, 0, "en"])["charts"]
    ] == [("train-loss", "")]
    found = live_view.poll([finished("lora", "classify").id, 0, "zh"])
    assert [chart["id"] for chart in found["charts"]] == ["train-loss", "train-accuracy"]
    assert any("eval_accuracy" in measured for _, _, measured in found["points"])


def test_a_run_that_goes_on_is_sent_anew(make_plan):
    run = runs.create(make_plan())
    for step in range(6):
        runs.add_point(run, "train", step, 0.0, loss=float(step))
    first = live_view.poll([run.id, 0, "en", "", 0])
    assert not first["restart"]
    runs.rewind(run, "train", 2)
    for step in (3, 4, 5, 6):
        runs.add_point(run, "train", step, 0.0, loss=float(step))
    again = live_view.poll([run.id, first["offset"], "en", first["file"], 0])
    assert again["restart"]
    assert [point[1] for point in again["points"]] == [0, 1, 2, 3, 4, 5, 6]
    after = live_view.poll([run.id, again["offset"], "en", again["file"], 0])
    assert (after["restart"], after["points"]) == (False, [])


def test_an_answer_stays_small(finished):
    run = finished("lora", "classify")
    first = live_view.poll([run.id, 0, "en", "", 0])
    later = live_view.poll([run.id, first["offset"], "en", first["file"], first["sampled"]])
    assert len(json.dumps(later)) < 2500


def test_the_latest_answers_of_practice_are_sent_once_and_shortened(make_plan):
    run = staged(make_plan)
    (run.folder / "stages").mkdir()
    rows = [
        {"step": step, "question": "<b>q</b>", "answer": "a" * 999, "reward": step / 3}
        for step in (1, 1, 2, 2, 2, 2, 2)
    ]
    (run.folder / "stages" / "samples.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows) + '{"step": 3, "ans', encoding="utf-8"
    )
    found = live_view.poll([run.id, 0, "en", "", 0])
    assert len(found["samples"]) == run_results.MAX_SAMPLES
    assert found["samples"][0] == {
        "question": "<b>q</b>",
        "answer": "a" * run_results.MAX_SAMPLE_CHARS + "…",
        "reward": "0.67",
    }
    assert live_view.poll([run.id, 0, "en", "", found["sampled"]])["samples"] is None


NOTES = {
    "reward_model": {
        "pairs": {"held_out": 10},
        "before": {"accuracy": 0.5},
        "after": {"accuracy": 0.9},
        "the_longer_one_is_better": 0.6,
    },
    "rl": {
        "questions": {"held_out": 8},
        "before": {"reward": -0.25},
        "after": {"reward": 1.5},
        "samples": [{"question": "q", "before": "b", "after": "<a>", "reward": 1.234}],
    },
    "dpo": {"pairs": {"held_out": 10}, "before": {"preferred": 0.4}, "after": {"preferred": 0.8}},
    "quantisation": {
        "full_precision": {"loss": 1.0, "bytes": 500_000_000},
        "quantised_afterwards": None,
        "quantised_while_training": {"loss": 1.25, "bytes": 100_000_000},
    },
}


def test_what_came_out_is_said_in_sentences_and_tables(make_plan):
    run = staged(make_plan)
    report = {
        "before": {"loss": 2.0, "answer_accuracy": 0.25},
        "after": {"loss": 2.5, "answer_accuracy": 0.5, "n_questions": 8.0},
        "seconds": 65,
        "method": NOTES,
    }
    text = run_results.describe_results(run, report, "en")
    for said in (
        "It answers 50% of 8 kept-aside questions rightly; the base, 25%.",
        "ranks 90% of the 10 kept-aside pairs as people did; its simple start (a linear fit) 50%, guessing 50%.",
        "Always taking the longer answer would be right on 60%.",
        "score 1.5 on average; before practice, -0.25.",
        "likelier in 80% of the 10 kept-aside pairs; before, 40%.",
        "was 2.000 and is 2.500; this method does not aim at it",
    ):
        assert said in text
    rounded, answers = run_results.build_tables(report, "en")
    assert rounded["heads"] == ["", "full precision", "rounded while training"]
    assert rounded["rows"] == [
        ["validation loss", "1.000", "1.250"],
        ["size of the file", "500.0 MB", "100.0 MB"],
    ]
    assert answers["rows"] == [["q", "b", "<a>", "1.23"]]


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"before": {}, "after": {}},
        {"before": None, "after": {"loss": "x"}, "method": "none", "texts": []},
        {
            "method": {
                "rl": {"samples": [None, {"question": {"a": 1}}], "before": 3},
                "quantisation": {"full_precision": {}},
                "openings": [1],
            }
        },
    ],
)
def test_a_report_may_lack_anything(make_plan, report):
    run = runs.create(make_plan())
    assert isinstance(run_results.describe_results(run, report, "zh"), str)
    assert isinstance(run_results.build_tables(report, "zh"), list)


def test_what_a_method_finds_out_on_the_way_is_shown_while_the_run_goes_on_and_afterwards(
    make_job, make_plan
):
    run = runs.create(make_plan())
    job = make_job("lora", "chat", rows=4, folder=run.folder)
    assert live_view.poll([run.id, 0, "en"])["more"] == ""
    job.note(
        "first", 1, Message("One.", translations={"zh": "一。"}), Message("Two.", translations={"zh": "二。"})
    )
    job.note("second", 2, Message("Three.", translations={"zh": "三。"}))
    assert live_view.poll([run.id, 0, "zh"])["more"] == "一。二。三。"
    job.note("first", 3)
    assert live_view.poll([run.id, 0, "en"])["more"] == "Three."
    assert (job.notes["first"], job.notes["second"]) == (3, 2)
    assert run_results.describe_results(run, {}, "en") == "Three."


def test_a_stopped_run_can_go_on_from_the_page(make_plan, monkeypatch):
    started = []
    monkeypatch.setattr(launcher, "start", lambda run: started.append(run.id))
    run = runs.create(make_plan())
    runs.set_status(run, "stopped", "after", step=3, steps=9)
    assert not live_view.poll([run.id, 0, "en"])["resumable"]
    told, *_ = train_tab.resume_run(run.id, [], SimpleNamespace(id=run.id), ENGLISH)
    assert "cannot go on" in told["text"]
    kept = run.folder / "checkpoints" / "train" / "checkpoint-3"
    kept.mkdir(parents=True)
    (kept / "watch.json").write_text("{}")
    assert live_view.poll([run.id, 0, "en"])["resumable"]
    told, live, _ = train_tab.resume_run(run.id, [], SimpleNamespace(id=run.id), ENGLISH)
    assert told["text"] == "“lora on toys” goes on from where it was."
    assert (live["run"], started) == (run.id, [run.id])
    for sent in ("../../x", {"no": 1}, None):
        assert train_tab.resume_run("", [], SimpleNamespace(id=sent), ENGLISH)[0]["kind"] == "bad"


def test_a_method_that_begins_a_stage_again_says_so_beforehand(monkeypatch):
    said = train_tab.summarise(*TONE, "lora", "", ENGLISH, **DEFAULTS, **TRAINING)
    assert said["more"].startswith("It should take ")
    assert "begins the unfinished stage again" not in said["more"]
    forgetful = [
        replace(item, supports_resume=False) if item.name == "lora" else item for item in methods.METHODS
    ]
    monkeypatch.setattr(methods, "METHODS", tuple(forgetful))
    said = train_tab.summarise(*TONE, "lora", "", ENGLISH, **DEFAULTS, **TRAINING)
    assert "After a stop this method begins the unfinished stage again" in said["more"]


@pytest.mark.parametrize("state", ["preparing", "training", "evaluating"])
@pytest.mark.parametrize(
    "stage",
    [
        "alike",
        "openings",
        "bottom",
        "asking",
        "sft",
        "reward",
        "rl",
        "dpo",
        "full_precision",
        "train",
        "unheard of",
        "",
    ],
)
def test_every_stage_of_a_run_is_said(make_plan, state, stage):
    run = runs.create(make_plan())
    runs.add_point(run, stage, 2, 0.5, loss=1.0, tokens_per_second=10.0, memory_gb=1.0)
    runs.claim(run, os.getpid())
    for step, steps in ((0, 0), (0, 9), (2, 9)):
        runs.set_status(run, state, stage, step=step, steps=steps, seconds_left=5.0)
        for lang in ("en", "zh"):
            line = live_view.poll([run.id, 0, lang])["line"]
            assert "{" not in line
            if step and stage in live_view.STAGE_MESSAGES:
                assert "2" in line


@pytest.mark.parametrize(
    "state", [None, [], "x", {"source": "other", "names": ["epochs"]}, {"source": "a", "names": 3}]
)
def test_what_a_browser_claims_to_remember_is_checked(state):
    assert saved_settings.read_moved_names("a", state) == ()


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [
        ("lora_rank", 8, True),
        ("lora_rank", 0, False),
        ("lora_rank", "8", False),
        ("lora_targets", "attention", True),
        ("lora_targets", "<b>", False),
        ("epochs", 2.5, True),
        ("epochs", -1, False),
        ("learning_rate", 0, True),
        ("learning_rate", 5, False),
        ("validation_share", 0.2, True),
        ("validation_share", 7, False),
        ("no_such", 1, False),
    ],
)
def test_only_a_value_its_field_can_take_is_put_back(name, value, good):
    assert saved_settings.is_valid_saved_value(name, value) == good


def test_fields_that_travel_as_text_say_what_the_fields_say():
    own = fields(lora_rank=32, epochs=5)
    texts = {
        "now_lora": json.dumps({"lora_rank": 32}),
        "now_training": json.dumps({**TRAINING, "epochs": 5, "gradient_checkpointing": False}),
    }
    sent = {name: value for name, value in own.items() if name not in DEFAULTS and name not in TRAINING}
    assert table_estimates.read_form(**{**sent, **texts})[:2] == table_estimates.read_form(**own)[:2], (
        "plan and settings"
    )


@pytest.mark.parametrize(
    "text", [None, 7, "", "{", "[1]", '"x"', "[" * 100_000, '{"source": "b", "no_such": 1, "__class__": 2}']
)
def test_a_text_that_is_no_fields_changes_nothing(text):
    assert saved_settings.unpack_fields({"source": "a", "now_lora": text}) == {"source": "a", **DEFAULTS}


def test_there_is_more_to_refine_only_while_something_is_untraced(monkeypatch):
    assert isinstance(method_tab.refresh_after_change(ENGLISH, **fields())[-1], int)
    monkeypatch.setattr(table_estimates, "find_unrefined_methods", lambda found: [])
    monkeypatch.setattr(table_estimates, "_has_guessed_tokens", lambda found: False)
    assert method_tab.refresh_after_change(ENGLISH, **fields())[-1] == forms.gr.skip()


@pytest.mark.parametrize("lang", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_elsewhere_shows_machines_and_services_and_own_names_as_text(lang):
    (home() / "machines.yaml").write_text(
        "machines:\n  mine: {name: '<img src=x>', card: t4, price: {per_hour: 0.001}}\n", encoding="utf-8"
    )
    told = elsewhere_panel.render_tables(lang, **fields())
    assert "&lt;img src=x&gt;" in told
    assert "<img" not in told
    assert "RunPod" in told
    assert "OpenAI" in told
    assert "$" in told


def test_elsewhere_without_data_says_what_to_do_and_no_price():
    told = elsewhere_panel.render_tables(ENGLISH, **fields(source=""))
    assert "Choose data" in told
    assert "$" not in told


def test_a_section_that_is_put_away_is_not_worked_out():
    assert elsewhere_panel.toggle_tables("tables", ENGLISH, **fields()) == ""
    assert elsewhere_panel.refresh_tables("", ENGLISH, **fields()) == forms.gr.skip()


def test_refining_ends_when_the_fields_have_changed(monkeypatch):
    asked = []

    def sharpen(plan, method, *rest):
        asked.append(method.name)
        table_estimates.next_revision(ENGLISH)  # somebody moves a slider
        return True

    monkeypatch.setattr(table_estimates.costs, "trace_missing", sharpen)
    monkeypatch.setattr(
        table_estimates.load, "measure_lengths", lambda plan, folder, wait=False: measure_lengths(plan, None)
    )
    table_estimates.next_revision(ENGLISH)
    assert list(table_estimates.refine(None, ENGLISH, **fields())) == [1.0]
    assert asked == ["lora"], "the chosen method first, and no other"


def test_a_sentence_on_the_cost_names_the_machine_it_is_for():
    told = Estimate("lora", memory_gb=range_around(2, 1.1), minutes=range_around(10, 1.2))
    other = next(iter(catalogue.load_machines().values()))
    assert "this machine" in table_estimates.format_expected_cost(told, "en")
    assert other.name in table_estimates.format_expected_cost(replace(told, machine=other.id), "en")
    assert "this machine" not in table_estimates.format_expected_cost(replace(told, machine=other.id), "en")
