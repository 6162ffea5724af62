"""What the page's handlers say, called as plain functions."""

import json
import shutil
from types import SimpleNamespace

import pytest

from studio import methods, presets, runs
from studio.errors import StudioError
from studio.models import shape
from studio.tabs import charts, data, forms, method, playground, table, train, visitor

ENGLISH = SimpleNamespace(headers={"accept-language": "en-GB,en"}, query_params={})
CHINESE = SimpleNamespace(headers={"accept-language": "zh-CN,zh;q=0.9"}, query_params={})
DEFAULTS = {f"{found.name}_{knob.name}": knob.default for found in methods.METHODS for knob in found.knobs}
TRAINING = {"epochs": 2, "batch_size": 4, "learning_rate": 0, "max_length": 64, "validation_share": 0.2, "patience": 0, "seed": 1}
TONE = ("sample:support-tone", "chat", "customer", "reply", "smollm2-135m")


@pytest.mark.parametrize(
    ("name", "task", "roles"), [("support-tone", "chat", ["customer", "reply"]), ("ticket-triage", "classify", ["text", "label"])]
)
def test_a_sample_is_understood_at_once(name, task, roles):
    told, first, second, preview, tasks, source = data.sample(name, ENGLISH)
    assert (told["kind"], tasks["value"], source) == ("good", task, f"sample:{name}")
    assert [first["value"], second["value"]] == roles
    assert len(preview["value"]["data"]) == data.SHOWN_ROWS


def test_an_upload_is_copied_and_its_cache_copy_removed(chat_csv):
    told, *_, source = data.upload(str(chat_csv), ENGLISH)
    assert told["kind"] == "good"
    assert not chat_csv.exists()
    assert data.restore(source, ENGLISH)[0]["text"] == told["text"]


def test_a_bad_upload_says_what_and_what_next_and_changes_nothing(tmp_path):
    empty = tmp_path / "leads.csv"
    empty.touch()
    told, *rest = data.upload(str(empty), ENGLISH)
    assert told["kind"] == "bad"
    assert "leads.csv" in told["text"]
    assert told["more"]
    assert all(item == forms.gr.skip() for item in rest)


def test_the_same_column_twice_is_refused():
    assert "twice" in data.change_columns("sample:support-tone", "chat", "reply", "reply", ENGLISH)["text"]


def test_the_table_holds_all_ten_and_opens_those_that_are_built():
    found = shape.of(presets.models()["smollm2-135m"].config)
    settings = {item.name: forms.settings(item, DEFAULTS) for item in methods.METHODS}
    rows = table.content(found, "chat", 0, "lora", settings, "en")["rows"]
    assert len(rows) == 10
    built = {item.name for item in methods.METHODS if "chat" in item.tasks}
    assert {row["id"] for row in rows if row["open"]} == built
    assert {row["badge"] for row in rows if row["id"] not in {item.name for item in methods.METHODS}} <= {"coming"}
    # 30 layers x rank 16 x the widths of SmolLM2's seven matrices: 2·576 + 2·(576+192) + 2·576 + 3·(576+1536) = 10,176
    assert next(row for row in rows if row["id"] == "lora")["exact"].startswith(f"{30 * 16 * 10176:,} of 139,399,488")


def test_a_method_that_is_not_built_cannot_be_picked():
    assert method.pick("lora", SimpleNamespace(id="rlhf"))[0] == "lora"
    assert method.pick("lora", SimpleNamespace(id="full"))[0] == "full"
    assert method.pick("lora", SimpleNamespace(id={"no": 1}))[0] == "lora"


def test_the_summary_is_counted_on_the_real_data():
    text = train.summarise(*TONE, "lora", "", ENGLISH, **DEFAULTS, **TRAINING)["text"]
    # 140 examples, a fifth aside: 112 to train on, 28 to check on; 112 / 4 = 28 steps a round, 56 in two
    assert "112 examples" in text
    assert "56 steps" in text
    assert "28 more" in text


def test_what_is_wrong_with_the_page_s_fields_is_said_before_anything_starts():
    values = {**DEFAULTS, **TRAINING, "lora_rank": 5000, "batch_size": 0}
    told = train.start(*TONE, "lora", "", [], ENGLISH, **values)[0]
    assert told["kind"] == "bad"
    assert "rank" in told["text"]
    assert "batch_size" in told["text"]
    assert runs.all_runs() == []
    assert train.start("", *TONE[1:], "lora", "", [], ENGLISH, **DEFAULTS, **TRAINING)[0]["text"].startswith("Bring examples")


def test_a_full_disk_is_said_before_a_run_starts(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000, total=1, used=1))
    told = train.start(*TONE, "lora", "", [], ENGLISH, **DEFAULTS, **TRAINING)[0]
    assert "GB free" in told["text"]
    assert runs.all_runs() == []


def test_the_live_view_sends_only_what_is_new(finished):
    run = finished()
    first = charts.poll([run.id, 0, "en"])
    assert first["kind"] == "done"
    assert first["offset"] == run.points.stat().st_size
    assert next(point[2] is not None for point in first["points"])
    assert charts.poll([run.id, first["offset"], "en"])["points"] == []
    with run.points.open("ab") as file:
        file.write(json.dumps({"stage": "train", "step": 99, "loss": 1.0}).encode())
    assert charts.poll([run.id, first["offset"], "en"])["points"] == []
    with run.points.open("ab") as file:
        file.write(b"\n")
    assert charts.poll([run.id, first["offset"], "en"])["points"] == [[99, 1.0, None]]


@pytest.mark.parametrize("asked", [None, [], ["../../etc", 0, "en"], ["a" * 32, 0, "en"], [{}, "x", 3], [1], "text"])
def test_the_live_view_trusts_nothing_a_browser_sends(asked):
    assert charts.poll(asked) == {"gone": True}


def test_the_live_view_speaks_the_browser_s_language(finished):
    run = finished()
    assert charts.poll([run.id, 0, "en"])["state"] == "Done"
    assert charts.poll([run.id, 0, "zh"])["state"] == "已完成"


def test_a_reload_finds_the_run_in_the_address_or_in_the_browser_s_memory(finished):
    run = finished()
    assert train.attach(run.id, [], ENGLISH)[1] == run.id
    address = SimpleNamespace(headers={}, query_params={"run": run.id})
    assert train.attach("", [], address)[1] == run.id
    assert train.attach("nonsense", [], ENGLISH)[1] == ""


def test_asking_without_a_run_or_a_question_says_so(finished):
    assert next(playground.ask(None, "hello", 0, 10, 0, ENGLISH))[0]["text"].startswith("No finished run")
    assert next(playground.ask(finished().id, "  ", 0, 10, 0, ENGLISH))[0]["text"] == "Type a question first."
    assert next(playground.ask(None, "hello", 0, 10, 0, CHINESE))[0]["text"].startswith("还没有")


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_times_are_said_as_people_say_them(seconds, said):
    assert forms.duration(seconds, "en") == said


def test_where_others_reach_the_page_nobody_sees_another_s_runs(finished, monkeypatch):
    run = finished()
    assert [found.id for found in visitor.visible([])] == [run.id]
    monkeypatch.setenv(visitor.OPEN, "1")
    assert visitor.visible([]) == []
    assert visitor.visible("nonsense") == []
    assert [found.id for found in visitor.visible([run.id, 7])] == [run.id]
    assert train.attach("", [], ENGLISH)[2]["choices"] == []
    assert playground.choices(None, "", [], ENGLISH)["choices"] == []


@pytest.mark.parametrize("source", ["/etc/passwd", "../secrets.csv", "dataset:../../x", "", None])
def test_a_browser_cannot_name_a_file_of_this_machine(source):
    assert data.restore(source, ENGLISH)[0]["kind"] in ("info", "bad")
    assert train.start(source, *TONE[1:], "lora", "", [], ENGLISH, **DEFAULTS, **TRAINING)[0]["kind"] == "bad"
    assert runs.all_runs() == []


def test_where_others_reach_the_page_a_model_is_no_folder_of_the_machine(tiny_chat, monkeypatch):
    visitor.check_model(str(tiny_chat))
    monkeypatch.setenv(visitor.OPEN, "1")
    visitor.check_model("smollm2-135m")
    visitor.check_model("owner/name")
    for folder in (str(tiny_chat), "../models/x", "models", "."):
        with pytest.raises(StudioError, match="cannot be a folder"):
            visitor.check_model(folder)


def test_an_upload_of_no_use_leaves_nothing_behind(tmp_path, studio_home):
    path = tmp_path / "list.csv"
    path.write_text("name\nAnna\nBen\n")
    assert data.upload(str(path), ENGLISH)[0]["kind"] == "bad"
    assert list((studio_home / "datasets").iterdir()) == []


def test_a_run_stopped_before_it_learned_does_not_say_that_it_kept_anything(make_plan):
    run = runs.create(make_plan())
    runs.set_status(run, "stopped", "before")
    assert charts.poll([run.id, 0, "en"])["state"] == "Stopped before it had learned anything"
    assert charts.poll([run.id, 0, "en"])["percent"] == 0


def test_a_run_chosen_by_hand_is_the_one_to_come_back_to(finished):
    one, other = finished("lora"), finished("full")
    assert playground.remember(one.id) == one.id
    assert playground.choices(other.id, one.id, [], ENGLISH)["value"] == one.id


def test_an_open_page_takes_no_more_runs_than_it_can_work_off(make_plan, monkeypatch):
    for _ in range(visitor.MOST_WAITING):
        runs.create(make_plan())
    visitor.check_queue()
    monkeypatch.setenv(visitor.OPEN, "1")
    with pytest.raises(StudioError, match="10 runs are waiting"):
        visitor.check_queue()


@pytest.mark.parametrize(
    ("value", "said"), [(999_885_952, "1 B"), (134_515_008, "135 M"), (4_884_480, "4,884,480"), (8_190_735_360, "8.19 B")]
)
def test_counts_are_said_as_people_say_them(value, said):
    assert forms.number(value) == said


def test_a_name_that_can_be_no_model_is_refused_at_once():
    with pytest.raises(StudioError, match="no model “banana-9000”"):
        visitor.check_model("banana-9000")
