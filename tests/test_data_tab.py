"""What the Data tab's handlers say and do, called as plain functions; reading and checking run in their own process, as on the page."""

import json
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pandas as pd
import pytest

from studio import methods, presets, runs
from studio.data import intake, keep, read
from studio.errors import BadData
from studio.tabs import data, draft, forms, health, inspect, look, own_test, sets, train, visitor
from studio.tabs.data import FIELDS, NEEDED

ENGLISH = SimpleNamespace(headers={"accept-language": "en-GB,en"}, query_params={}, session_hash="one")
CHINESE = SimpleNamespace(headers={"accept-language": "zh-CN,zh;q=0.9"}, query_params={}, session_hash="two")
DEFAULTS = {f"{found.name}_{knob.name}": knob.default for found in methods.METHODS for knob in found.knobs}
TRAINING = {"epochs": 2, "batch_size": 4, "learning_rate": 0, "max_length": 64, "validation_share": 0.2, "patience": 0, "seed": 1}
ROLES = {"prompt": "prompt", "response": "response"}
PAIRS = "prompt,chosen,rejected\n" + "".join(f"where is {n},It is here {n}.,no idea {n}\n" for n in range(20))
ASKED = "question,answer\n" + "".join(f"What is {n} + {n}?,{2 * n}\n" for n in range(20))
PLAIN = "text\n" + "".join(f"Once upon a time there was number {n}.\n" for n in range(20))
TALKS = "".join(
    json.dumps({"messages": [{"role": "user", "content": f"hi {n}"}, {"role": "assistant", "content": "hello"}]}) + "\n" for n in range(20)
)
FOR_ALPACA = [{"instruction": f"sort list {n}", "input": "b, a" if n % 4 == 0 else "", "output": f"a, b and {n}"} for n in range(20)]


def shown(values):
    """What the tab shows, by name; only what was yielded last."""
    told, *rest = values
    fields, (columns, task, sheet, source) = rest[:FIELDS], rest[FIELDS : FIELDS + 4]
    return SimpleNamespace(told=told, fields=fields, columns=forms.unpack(columns), task=task, sheet=sheet, source=source)


def upload(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    *_, last = data.upload(str(path), ENGLISH)
    return shown(last)


@pytest.fixture
def own(chat_csv):
    """A data set of 40 rows (prompt, response) that was brought."""
    return keep.keep(chat_csv)


def test_every_sample_is_understood_at_once():
    for name, card in presets.samples().items():
        found = shown(data.sample(name, ENGLISH))
        assert (found.told["kind"], found.task["value"], found.source) == ("good", card.task, f"sample:{name}"), name
        assert found.columns == card.columns
        assert [field["visible"] for field in found.fields[:NEEDED]].count(True) == len(forms.needed(card.task, card.columns))


def test_an_upload_says_how_far_it_is_and_its_cache_copy_is_removed(chat_csv):
    first, *_, last = data.upload(str(chat_csv), ENGLISH)
    assert "chat.csv" in first[0]["text"]
    assert first[-1]["visible"], "it can be called off"
    assert not last[-1]["visible"]
    assert not chat_csv.exists()
    found = shown(last)
    assert found.told["kind"] == "good"
    assert shown(data.restore(found.source, ENGLISH)).told["text"] == found.told["text"]


def test_a_bad_upload_says_what_and_what_next_and_changes_nothing(tmp_path, studio_home):
    found = upload(tmp_path, "leads.csv", b"")
    assert found.told["kind"] == "bad"
    assert "leads.csv" in found.told["text"]
    assert found.told["more"]
    assert all(item == gr.skip() for item in (*found.fields, found.task, found.source))
    assert upload(tmp_path, "list.csv", "name,age\nAnna,\n,3\n,\nBen,\n,5\n").told["kind"] == "bad"
    assert keep.all_sets() == []


def test_an_intake_that_is_called_off_leaves_nothing(chat_csv):
    going = data.upload(str(chat_csv), ENGLISH)
    next(going)
    going.close()
    assert keep.all_sets() == []
    assert "nothing was kept" in data.called_off(ENGLISH)[0]["text"]


@pytest.mark.parametrize(
    ("name", "text", "task", "columns", "said"),
    [
        ("a.csv", PAIRS, "prefer", ["prompt", "chosen", "rejected"], "prefer “chosen” over “rejected”"),
        ("a.csv", ASKED, "prompts", ["question", "answer"], "“answer” is never learned"),
        ("a.csv", PLAIN, "complete", ["text"], "write texts like those in “text”"),
        ("a.jsonl", TALKS, "chat", ["messages"], "every answer of the conversations in “messages”"),
        ("a.json", json.dumps(FOR_ALPACA), "chat", ["instruction", "output", "input"], "“input” is put after the question"),
    ],
    ids=["prefer", "prompts", "complete", "messages", "alpaca"],
)
def test_every_task_is_understood_and_shows_as_many_columns_as_it_has(tmp_path, name, text, task, columns, said):
    found = upload(tmp_path, name, text)
    assert found.task["value"] == task
    assert list(found.columns.values()) == columns
    assert [field["value"] for field in found.fields if field["visible"] and field["value"]] == columns
    assert said in found.told["more"]
    able = next((item.name for item in methods.METHODS if task in item.tasks), None)
    if able:
        given = (found.source, task, forms.pack(found.columns), "smollm2-135m", able, "", ENGLISH)
        assert "16 examples" in train.summarise(*given, **DEFAULTS, **TRAINING)["text"]


def test_pasted_rows_of_a_spreadsheet_are_taken_in():
    text = "question\tanswer\n" + "".join(f"how do I reset item {n}\tpress the button {n} times and wait\n" for n in range(12))
    *_, last = data.paste(text, ENGLISH)
    found = shown(last)
    assert (found.told["kind"], found.task["value"]) == ("good", "chat")
    assert keep.find(found.source).card["source"] == "paste"


def test_nothing_pasted_says_so():
    *_, last = data.paste("  ", ENGLISH)
    assert shown(last).told["kind"] == "bad"


def test_a_known_answer_may_be_left_out(tmp_path):
    found = upload(tmp_path, "a.csv", ASKED)
    told, *rest = change(found.source, "prompts", found.columns, "question")
    optional, columns = rest[NEEDED], forms.unpack(rest[-1])
    assert (optional["value"], optional["choices"][0]) == ("", ("none", ""))
    assert columns == {"prompt": "question"}
    assert "never learned" not in told["more"]


def change(source, task, columns, *fields):
    """Other columns in the first fields, the rest empty."""
    return data.change_columns(source, task, forms.pack(columns), *fields, *(None,) * (FIELDS - len(fields)), ENGLISH)


def test_the_same_column_twice_is_refused(own):
    assert "twice" in change(own.source, "chat", ROLES, "response", "response")[0]["text"]


def test_another_column_than_conversations_asks_for_its_answers(tmp_path):
    text = TALKS.replace('{"messages"', '{"ask": "who?", "reply": "nobody", "messages"')
    found = upload(tmp_path, "a.jsonl", text)
    _, first, second, *_, packed = change(found.source, "chat", {"messages": "messages"}, "ask")
    assert (first["value"], second["visible"]) == ("ask", True)
    assert forms.unpack(packed)["prompt"] == "ask"
    told, *_, packed = change(found.source, "chat", {"prompt": "ask", "response": "reply"}, "messages", "reply")
    assert forms.unpack(packed) == {"messages": "messages"}
    assert told["kind"] == "good"


def reports(source, columns=ROLES, task="chat", test=""):
    return list(health.examine(source, task, forms.pack(columns), "", 256, "lora", test, ENGLISH))


def kinds(report):
    return [finding["kind"] for finding in report["findings"]]


@pytest.fixture
def untidy(tmp_path):
    """Thirty rows: three repeated, one empty, one with tags in it."""
    rows = [
        f"why is the {word} on shelf {n} so {word}?,Because the {word} stood in the rain all night {n}." for n, word in enumerate(WORDS)
    ]
    rows += [*rows[:3], "only asked,", "is <b>this</b> bold,<p>No&nbsp;it is not bold at all</p>"]
    return upload(tmp_path, "untidy.csv", "prompt,response\n" + "\n".join(rows) + "\n").source


WORDS = [
    "amber",
    "birch",
    "cedar",
    "dusk",
    "ember",
    "frost",
    "grove",
    "haze",
    "iris",
    "jade",
    "kelp",
    "lark",
    "moss",
    "nettle",
    "oak",
    "pine",
    "quill",
    "reed",
    "sage",
    "thyme",
    "umber",
    "vetch",
    "wren",
    "yarrow",
    "zinnia",
]


def test_the_report_comes_first_without_near_duplicates_and_then_whole(untidy):
    found = [report for report in reports(untidy) if "headline" in report]
    assert [found[0]["whole"], found[-1]["whole"]] == [False, True]
    assert {"duplicates", "empty", "html"} <= set(kinds(found[-1]))
    assert reports(untidy) == [found[-1] | {"wait": found[-1].get("wait", "")}] or kinds(reports(untidy)[-1]) == kinds(found[-1])


def test_a_fix_takes_the_finding_away_and_can_be_taken_back(untidy):
    kept = keep.find(untidy)
    before, original = kept.table(), kept.path.read_bytes()
    event = SimpleNamespace(id="duplicates")
    report = reports(untidy)[-1]
    *going, (source, touched, told, after) = health.fix(untidy, "chat", forms.pack(ROLES), "", [untidy], 0, report, event, ENGLISH)
    assert (going[-1][:3], going[-1][3]["halt"], after["wait"]) == ((gr.skip(),) * 3, "Stop", "")
    assert (source, touched, told["kind"]) == (untidy, 1, "good")
    assert len(kept.table().rows) == len(before.rows) - 3
    report = reports(untidy)[-1]
    assert "duplicates" not in kinds(report)
    assert report["undo"].startswith("Undo: ")
    assert kept.path.read_bytes() == original
    touched, told = health.undo(untidy, [untidy], touched, ENGLISH)
    assert (touched, told["text"][:10]) == (2, "Taken back")
    assert kept.table() == before
    assert health.undo(untidy, [untidy], touched, ENGLISH)[1]["text"] == "There is nothing to take back."


def test_rows_that_stand_in_the_test_set_too_are_taken_out_of_the_examples(own, tmp_path):
    rows = own.table().rows
    path = tmp_path / "judge.csv"
    lines = [(row["prompt"], row["response"]) for row in rows[:2]] + [(f"ask {word}", f"tell {word}") for word in WORDS[:9]]
    pd.DataFrame(lines, columns=["prompt", "response"]).to_csv(path, index=False)
    test = keep.keep(path)
    assert "leak" in kinds(reports(own.source, test=test.source)[-1])
    event = SimpleNamespace(id="leak")
    *_, (_, _, told, _) = health.fix(own.source, "chat", forms.pack(ROLES), test.source, [own.source], 0, {}, event, ENGLISH)
    assert told["kind"] == "good"
    assert "leak" not in kinds(reports(own.source, test=test.source)[-1])
    assert (len(test.table().rows), test.changes()) == (11, [])
    health.undo(own.source, [own.source], 1, ENGLISH)
    assert own.table().rows == rows


def test_a_fix_that_finds_nothing_left_changes_nothing(own):
    *_, (source, _, told, _) = health.fix(
        own.source, "chat", forms.pack(ROLES), "", [own.source], 0, {}, SimpleNamespace(id="html"), ENGLISH
    )
    assert (source, told["text"]) == (gr.skip(), "There is nothing left to change.")
    assert own.changes() == []


def test_a_check_that_is_called_off_keeps_what_was_found_and_says_what_was_not(untidy):
    going = health.examine(untidy, "chat", forms.pack(ROLES), "", 256, "lora", "", ENGLISH)
    shown = next(report for report in going if "headline" in report)
    assert (shown["halt"], "wait" in shown) == ("Stop", True)
    going.close()
    report = health.settle(shown, ENGLISH)
    assert (report["wait"], report["findings"]) == ("", shown["findings"])
    assert "nearly the same were not looked for" in report["halted"]
    whole = reports(untidy)[-1]
    assert health.settle(whole, ENGLISH) == gr.skip()
    assert health.settle({**whole, "wait": "a fix"}, ENGLISH) == {**whole, "wait": ""}, (
        "a fix that is called off leaves the report as it was"
    )


def test_changes_to_a_sample_are_made_to_a_copy():
    first = keep.find("sample:support-tone").table().rows[0]
    source, _, told, _ = look.delete("sample:support-tone", [], "1", 0, ENGLISH)
    assert source.startswith("dataset:")
    assert told["more"] == "The sample was copied for your changes."
    assert first not in keep.find(source).table().rows
    assert keep.find("sample:support-tone").table().rows[0] == first


@pytest.mark.parametrize("asked", ["nonsense", "", None, "../../x"])
def test_a_fix_that_is_none_is_refused(own, asked):
    *_, (_, _, told, _) = health.fix(own.source, "chat", forms.pack(ROLES), "", [own.source], 0, {}, SimpleNamespace(id=asked), ENGLISH)
    assert told["kind"] == "bad"
    assert own.changes() == []


def test_rows_are_paged_searched_and_numbered(own):
    rows, said, number = look.page(own.source, "", 2, ENGLISH)
    assert (said, number["value"], number["maximum"]) == ("Rows 21–40 of 40", 2, 2)
    assert [row[0] for row in rows["value"]["data"]] == list(range(21, 41))
    wanted = own.table().rows[7]["prompt"]
    rows, said, _ = look.page(own.source, wanted.upper(), 1, ENGLISH)
    assert 8 in [row[0] for row in rows["value"]["data"]]
    assert look.page(own.source, "nowhere to be found", 9, ENGLISH)[1] == "No row holds “nowhere to be found”."


def test_a_cell_changed_in_place_is_kept_and_the_rest_stays(own):
    before = own.table().rows
    page = look.page(own.source, "", 1, ENGLISH)[0]["value"]
    frame = pd.DataFrame(page["data"], columns=page["headers"])
    assert look.edit(own.source, [own.source], frame, 0, ENGLISH) == (gr.skip(),) * 3
    frame.loc[4, "response"] = "Another answer."
    _, touched, told = look.edit(own.source, [own.source], frame, 0, ENGLISH)
    assert (touched, told["kind"]) == (1, "good")
    after = own.table().rows
    assert after[4] == {**before[4], "response": "Another answer."}
    assert after[:4] + after[5:] == before[:4] + before[5:]


@pytest.mark.parametrize(("text", "places"), [("3", [2]), ("3, 7-9", [2, 6, 7, 8]), ("9-9；1", [0, 8]), ("3、7", [2, 6]), (" 2 2 ", [1])])
def test_row_numbers_are_read_as_people_write_them(text, places):
    assert look.named(text, 9) == places


@pytest.mark.parametrize("text", ["", "0", "10", "3-1", "a", "1-99", "-1", "1e3"])
def test_row_numbers_that_are_none_are_told(text):
    with pytest.raises(BadData, match="Write numbers such as"):
        look.named(text, 9)


def test_the_last_row_is_not_deleted(own):
    told = look.delete(own.source, [own.source], "1-40", 0, ENGLISH)[2]
    assert "would leave no row" in told["text"]
    assert len(own.table().rows) == 40


def test_what_the_model_sees_is_marked_where_it_is_learned(own):
    found = look.see(own.source, "chat", forms.pack(ROLES), "", 256, ENGLISH)
    row = own.table().rows[0]
    parts = found["examples"][0]["sides"][0]["parts"]
    assert [part["learned"] for part in parts] == [False, True]
    assert parts[1]["text"] == row["response"].strip()
    assert parts[0]["text"].strip() == row["prompt"].strip()


def test_under_the_model_s_own_template_only_the_answer_and_its_end_are_marked(own, tiny_chat):
    found = look.see(own.source, "chat", forms.pack(ROLES), str(tiny_chat), 256, ENGLISH)
    parts = found["examples"][0]["sides"][0]["parts"]
    row = own.table().rows[0]
    assert "chat template" in found["said"]
    assert parts[0]["text"].startswith("<|user|>")
    assert [part["learned"] for part in parts] == [False, True]
    assert parts[1]["text"].rstrip().endswith("</s>")
    assert row["response"].split()[0].lower() in parts[1]["text"].lower()


def test_the_bars_count_every_example_and_labels_that_look_like_numbers_stay_names(tmp_path):
    rows = "".join(f"text number {n} {'long ' * (n % 30)},{1 if n % 3 else 5}\n" for n in range(600))
    found = upload(tmp_path, "stars.csv", "text,label\n" + rows)
    lengths, classes = look.charts(found.source, "classify", forms.pack(found.columns), "", 256, ENGLISH)
    bars = lengths["value"].data[0]
    assert len(bars.y) < 600
    assert sum(bars.y) == pytest.approx(600)
    assert "sample" in lengths["value"].layout.title.subtitle.text
    assert (classes["value"].layout.yaxis.type, list(classes["value"].data[0].y)) == ("category", ["5", "1"])
    assert list(classes["value"].data[0].x) == [200, 400]


def test_few_examples_are_counted_without_a_sample_and_of_many_classes_the_largest_are_shown(tmp_path):
    rows = "".join(f"text number {n} and {m},{'very ' * 10}long name {n}\n" for n in range(45) for m in range(2))
    found = upload(tmp_path, "kinds.csv", "text,label\n" + rows)
    lengths, classes = look.charts(found.source, "classify", forms.pack(found.columns), "", 256, ENGLISH)
    assert list(lengths["value"].data[0].y) == [1] * 90
    assert "sample" not in lengths["value"].layout.title.subtitle.text
    assert len(set(classes["value"].data[0].y)) == look.MOST_BARS, "alike in their first letters, yet bars of their own"
    assert "40 largest of 45" in classes["value"].layout.title.subtitle.text


SHARES = {"validation_share": 0.2, "test_share": 0.1, "seed": 7}


@pytest.mark.parametrize(
    ("tested", "said"),
    [
        (0.1, "28 are learned, 8 are checked on while training (validation), 4 are kept for the final test after training (test)"),
        (
            0,
            "32 are learned, 8 are checked on while training (validation), none are kept for a final test, so the results after training are",
        ),
    ],
)
def test_the_split_is_said_with_its_seed_and_what_the_final_test_is_made_with(own, tested, said):
    told = inspect.divide(own.source, "chat", forms.pack(ROLES), "", **{**SHARES, "test_share": tested}, request=ENGLISH)["text"]
    assert f"Of 40 examples, {said}" in told
    assert "(seed 7)" in told


def test_many_examples_are_compared_beside_the_page_and_divided_all_the_same(own, monkeypatch):
    from studio.data import split

    here = inspect.divide(own.source, "chat", forms.pack(ROLES), "", **SHARES, request=ENGLISH)["text"]
    draft._together.cache_clear()
    monkeypatch.setattr(draft, "MANY", 1)
    monkeypatch.setattr(split, "alike", lambda _: pytest.fail("not in the page's process"))
    assert inspect.divide(own.source, "chat", forms.pack(ROLES), "", **SHARES, request=ENGLISH)["text"] == here
    draft._together.cache_clear()


def bring_test(source, path, tests=None, mine=None):
    """A test set is brought: what the browser then remembers."""
    path.write_text("prompt,response\n" + "".join(f"ask {word},tell {word}\n" for word in WORDS[:9]), encoding="utf-8")
    *_, (tests, mine, _) = own_test.bring(str(path), source, "chat", forms.pack(ROLES), tests or {}, mine or [source], ENGLISH)
    return tests, mine


def test_a_test_set_of_its_own_stays_with_the_data_it_is_for(own, tmp_path):
    tests, mine = bring_test(own.source, tmp_path / "judge.csv")
    test, listed = own_test.show(own.source, tests, mine, ENGLISH)
    assert keep.find(test).name == "judge.csv"
    assert (listed["value"], listed["choices"][0]) == (test, ("a part of my examples", ""))
    assert own.source not in [source for _, source in listed["choices"]]
    assert own_test.show("sample:support-tone", tests, mine, ENGLISH)[0] == "", "gone with other data"
    assert own_test.show(own.source, json.loads(json.dumps(tests)), mine, ENGLISH)[0] == test, "back with its own"
    said = inspect.divide(own.source, "chat", forms.pack(ROLES), test, **SHARES, request=ENGLISH)["text"]
    assert "the final test after training uses the 9 of “judge.csv”" in said


def test_a_test_set_is_given_up_and_taken_again(own, tmp_path):
    tests, mine = bring_test(own.source, tmp_path / "judge.csv")
    test = tests[own.source]
    without, _, _ = own_test.choose("", own.source, "chat", forms.pack(ROLES), tests, mine, ENGLISH)
    assert own_test.of(own.source, without, mine) == ""
    again, _, _ = own_test.choose(test, own.source, "chat", forms.pack(ROLES), without, mine, ENGLISH)
    assert own_test.of(own.source, again, mine) == test
    keep.drop(keep.find(test))
    assert own_test.show(own.source, again, mine, ENGLISH)[0] == "", "one that was deleted is none"


def test_a_sample_that_was_copied_for_changes_keeps_its_test_set(tmp_path):
    tests, mine = bring_test("sample:support-tone", tmp_path / "judge.csv")
    source, *_ = look.delete("sample:support-tone", mine, "1", 0, ENGLISH)
    assert own_test.of(source, tests, mine) == tests["sample:support-tone"]
    without, _, _ = own_test.choose("", source, "chat", forms.pack(ROLES), tests, mine, ENGLISH)
    assert own_test.of(source, without, mine) == ""


def test_where_others_reach_the_page_a_test_set_is_its_owner_s_alone(own, tmp_path, monkeypatch):
    tests, mine = bring_test(own.source, tmp_path / "judge.csv")
    monkeypatch.setenv(visitor.OPEN, "1")
    assert own_test.of(own.source, tests, mine) == tests[own.source]
    stranger = own_test.show(own.source, tests, [], ENGLISH)
    assert (stranger[0], stranger[1]["choices"]) == ("", [("a part of my examples", "")])
    kept, told, _ = own_test.choose(tests[own.source], own.source, "chat", forms.pack(ROLES), {}, [], ENGLISH)
    assert (kept, told["kind"]) == (gr.skip(), "bad")


@pytest.mark.parametrize("claimed", [None, [], "x", {"sample:support-tone": 3}, {"sample:support-tone": "/etc/passwd"}])
def test_a_browser_may_remember_any_test_set(claimed):
    assert own_test.of("sample:support-tone", claimed, []) == ""


def test_a_test_set_without_the_columns_is_refused_and_forgotten(own, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text(PLAIN, encoding="utf-8")
    *_, (tests, mine, told) = own_test.bring(str(other), own.source, "chat", forms.pack(ROLES), {}, [], ENGLISH)
    assert (tests, mine, told["kind"]) == (gr.skip(), gr.skip(), "bad")
    assert "prompt" in told["text"]
    assert [kept.source for kept in keep.all_sets()] == [own.source]


def test_a_data_set_is_renamed_and_deleted_unless_a_run_waits_for_it(own, make_plan):
    listing, told = sets.describe(own.source, [own.source], "Tickets of May", "CC-BY", ENGLISH)
    assert told["text"] == "Saved as “Tickets of May”."
    assert "Tickets of May" in listing["choices"][0][0]
    assert keep.find(own.source).card["licence"] == "CC-BY"
    plan = make_plan()
    run = runs.create(plan.model_copy(update={"data": plan.data.model_copy(update={"source": own.source})}))
    assert "wanted by a run" in sets.delete(own.source, [own.source], ENGLISH)[1]["text"]
    runs.set_status(run, "stopped", "before")
    source, told = sets.delete(own.source, [own.source], ENGLISH)
    assert (source, told["kind"]) == ("", "good")
    assert keep.all_sets() == []


def test_where_others_reach_the_page_nobody_changes_another_s_data(own, monkeypatch):
    monkeypatch.setenv(visitor.OPEN, "1")
    assert visitor.sets([]) == []
    assert sets.delete(own.source, [], ENGLISH)[1]["kind"] == "bad"
    assert look.delete(own.source, [], "1", 0, ENGLISH)[2]["kind"] == "bad"
    assert health.undo(own.source, [], 0, ENGLISH)[1]["kind"] == "bad"
    assert [kept.source for kept in visitor.sets([own.source])] == [own.source]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
@pytest.mark.parametrize("task", ["chat", "classify", "complete", "prefer", "prompts"])
def test_a_template_comes_back_as_the_task_it_is_for(task, kind):
    from studio.data import columns

    table = read.read(Path(sets.template(task, kind)))
    assert len(table.rows) == 2
    assert columns.guess(table, task).columns == dict(zip(table.columns, table.columns, strict=True))


@pytest.mark.parametrize("source", ["/etc/passwd", "../secrets.csv", "dataset:../../x", "", None])
def test_a_browser_cannot_look_at_a_file_of_this_machine(source):
    assert look.page(source, "", 1, ENGLISH)[1] == ""
    assert look.see(source, "chat", "{}", "", 256, ENGLISH) == {}
    assert [*health.examine(source, "chat", "{}", "", 256, "lora", "", ENGLISH)] == [{}]
    assert shown(data.restore(source, ENGLISH)).told["kind"] in ("info", "bad")


def test_nor_by_way_of_the_test_set(own, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("salary\n90000\n", encoding="utf-8")
    assert [*health.examine(own.source, "chat", forms.pack(ROLES), "", 256, "lora", str(secret), ENGLISH)] == [{}]


@pytest.mark.parametrize(
    ("base", "examples", "tokens"),
    [
        ("tiny_chat", [{"prompt": "cat", "response": "dog"}, {}], lambda count: [count("cat\ndog") + intake.AROUND, 0]),
        ("tiny_chat", [{"prompt": "cat"}], lambda count: [count("cat") + intake.AROUND]),
        (
            "tiny_chat",
            [
                {"prompt": "cat", "chosen": "no", "rejected": "a long, long answer"},
                {"prompt": "cat", "chosen": "a long, long answer", "rejected": "no"},
            ],
            lambda count: [count("cat\na long, long answer") + intake.AROUND] * 2,
        ),
        ("tiny_bert", [{"text": "cat", "label": "pet"}], lambda count: [count("cat")]),
    ],
    ids=["chat", "prompts", "either answer of a pair", "a text to sort has no template"],
)
def test_tokens_are_counted_of_what_the_model_reads(base, examples, tokens, request, monkeypatch):
    from tokenizers import Tokenizer

    monkeypatch.setattr(intake, "_tell", lambda *_: None)
    folder = request.getfixturevalue(base)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert intake.counted(examples, str(folder)) == tokens(lambda text: len(tokenizer.encode(text).ids))


def test_without_the_model_the_report_says_that_lengths_were_not_checked(own, tiny_chat):
    assert "uncounted" in kinds(reports(own.source)[-1])
    *_, report = health.examine(own.source, "chat", forms.pack(ROLES), str(tiny_chat), 256, "lora", "", ENGLISH)
    assert "uncounted" not in kinds(report)


def test_a_chinese_visitor_is_told_in_chinese(own):
    assert "的样本" in data.restore("", CHINESE)[0]["text"] or "还没有样本" in data.restore("", CHINESE)[0]["text"]
    *_, report = health.examine(own.source, "chat", forms.pack(ROLES), "", 256, "lora", "", CHINESE)
    assert report["headline"].startswith("健康分")
