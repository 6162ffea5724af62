"""What the Data tab's handlers say and do, called as plain functions; reading and checking run in their own process, as on the page."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pandas as pd
import pytest
import xlsxwriter
from form_fields import form_fields

from studio import methods, presets, processes, runs
from studio.data import import_job, store
from studio.data.quality.fixes import Change
from studio.data.readers import read as readers
from studio.errors import BadData
from studio.i18n import Message
from studio.plan import required_column_roles
from studio.storage import home
from studio.ui import access
from studio.ui.data import (
    details as dataset_details,
)
from studio.ui.data import (
    health as health_panel,
)
from studio.ui.data import (
    row_browser,
    saved_datasets,
)
from studio.ui.data import (
    tab as data_tab,
)
from studio.ui.data import (
    test_set as test_set_panel,
)
from studio.ui.data.tab import FIELD_COUNT, REQUIRED_FIELDS
from studio.ui.form import packing, plan_form
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
ROLES = {"prompt": "prompt", "response": "response"}
PAIRS = "prompt,chosen,rejected\n" + "".join(f"where is {n},It is here {n}.,no idea {n}\n" for n in range(20))
ASKED = "question,answer\n" + "".join(f"What is {n} + {n}?,{2 * n}\n" for n in range(20))
PLAIN = "text\n" + "".join(f"Once upon a time there was number {n}.\n" for n in range(20))
TALKS = "".join(
    json.dumps(
        {"messages": [{"role": "user", "content": f"hi {n}"}, {"role": "assistant", "content": "hello"}]}
    )
    + "\n"
    for n in range(20)
)
FOR_ALPACA = [
    {"instruction": f"sort list {n}", "input": "b, a" if n % 4 == 0 else "", "output": f"a, b and {n}"}
    for n in range(20)
]


def shown(values):
    """What the tab shows, by name; only what was yielded last."""
    told, *rest = values
    fields, (columns, task, sheet, source) = rest[:FIELD_COUNT], rest[FIELD_COUNT : FIELD_COUNT + 4]
    return SimpleNamespace(
        notice=told,
        fields=fields,
        columns=packing.unpack_mapping(columns),
        task=task,
        sheet=sheet,
        source=source,
    )


def upload(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    *_, last = data_tab.upload(str(path), ENGLISH)
    return shown(last)


@pytest.fixture
def own(chat_csv):
    """A data set of 40 rows (prompt, response) that was brought."""
    return store.add(chat_csv)


def test_every_sample_is_understood_at_once():
    for name, card in presets.samples().items():
        found = shown(data_tab.open_sample(name, ENGLISH))
        assert (found.notice["kind"], found.task["value"], found.source) == (
            "good",
            card.task,
            f"sample:{name}",
        ), name
        assert found.columns == card.columns
        assert [field["visible"] for field in found.fields[:REQUIRED_FIELDS]].count(True) == len(
            required_column_roles(card.task, card.columns)
        )


def test_an_upload_says_how_far_it_is_and_its_cache_copy_is_removed(chat_csv):
    first, *_, last = data_tab.upload(str(chat_csv), ENGLISH)
    assert "chat.csv" in first[0]["text"]
    assert first[-1]["visible"], "it can be called off"
    assert not last[-1]["visible"]
    assert not chat_csv.exists()
    found = shown(last)
    assert found.notice["kind"] == "good"
    assert shown(data_tab.restore(found.source, ENGLISH)).notice["text"] == found.notice["text"]


def test_a_bad_upload_says_what_and_what_next_and_changes_nothing(tmp_path, studio_home):
    found = upload(tmp_path, "leads.csv", b"")
    assert found.notice["kind"] == "bad"
    assert "leads.csv" in found.notice["text"]
    assert found.notice["more"]
    assert all(item == gr.skip() for item in (*found.fields, found.task, found.source))
    assert upload(tmp_path, "list.csv", "name,age\nAnna,\n,3\n,\nBen,\n,5\n").notice["kind"] == "bad"
    assert store.list_datasets() == []


def test_an_intake_that_is_called_off_leaves_nothing(chat_csv):
    going = data_tab.upload(str(chat_csv), ENGLISH)
    next(going)
    next(going)  # the process is at work
    going.close()
    assert store.list_datasets() == []
    assert list((home() / "datasets").iterdir()) == []
    assert not chat_csv.exists()
    assert "Nothing was kept" in data_tab.cancel_import(ENGLISH)[0]["text"]


@pytest.mark.parametrize(
    ("name", "text", "task", "columns", "said"),
    [
        ("a.csv", PAIRS, "prefer", ["prompt", "chosen", "rejected"], "prefer “chosen” over “rejected”"),
        ("a.csv", ASKED, "prompts", ["question", "answer"], "“answer” is never learned"),
        ("a.csv", PLAIN, "complete", ["text"], "write texts like those in “text”"),
        ("a.jsonl", TALKS, "chat", ["messages"], "every answer of the conversations in “messages”"),
        (
            "a.json",
            json.dumps(FOR_ALPACA),
            "chat",
            ["instruction", "output", "input"],
            "“input” is put after the question",
        ),
    ],
    ids=["prefer", "prompts", "complete", "messages", "alpaca"],
)
def test_every_task_is_understood_and_shows_as_many_columns_as_it_has(
    tmp_path, name, text, task, columns, said
):
    found = upload(tmp_path, name, text)
    assert found.task["value"] == task
    assert list(found.columns.values()) == columns
    assert [field["value"] for field in found.fields if field["visible"] and field["value"]] == columns
    assert said in found.notice["more"]
    able = next((item.name for item in methods.METHODS if task in item.tasks), None)
    if able:
        fields = form_fields(source=found.source, task=task, columns=found.columns, method=able)
        assert "16 examples" in train_tab.summarise(ENGLISH, **fields)["text"]


def test_damaged_rows_are_listed_with_line_and_reason_and_the_rest_is_counted(tmp_path):
    rows = "".join(
        f"where is parcel {n}?,It is on its way {n}.{',one too many' if n % 2 else ''}\n" for n in range(60)
    )
    found = upload(tmp_path, "a.csv", "prompt,response\n" + rows)
    assert "30 damaged rows left out." in found.notice["more"]
    assert len(found.notice["list"]) == 21
    assert found.notice["list"][0] == "Row 3 has more or fewer fields than the header (3 instead of 2)."
    assert found.notice["list"][-1] == "… and 10 more"


def test_one_damaged_row_is_said_at_once_and_beside_what_else_is_wrong(tmp_path):
    rows = [
        f"where is parcel {n}?,It is on its way {n}.{',one too many' if n == 3 else ''}\n" for n in range(12)
    ]
    found = upload(tmp_path, "a.csv", "prompt,response\n" + "".join(rows))
    said = "1 damaged row left out. Row 5 has more or fewer fields than the header (3 instead of 2)."
    assert "list" not in found.notice
    assert found.notice["more"].endswith(said)
    few = upload(tmp_path, "b.csv", "prompt,response\n" + "".join(rows[:6]))
    assert few.notice["kind"] == "bad"
    assert few.notice["more"].endswith(said)


@pytest.mark.parametrize(
    ("sign", "said"), [("^", "divided by “^”"), ("\x01", "divided by “\\x01”"), (",", "")]
)
def test_an_unusual_delimiter_is_said_also_when_the_set_is_opened_again(tmp_path, sign, said):
    found = upload(
        tmp_path,
        "a.csv",
        f"prompt{sign}response\n" + "".join(f"where is {n}?{sign}It is here {n}.\n" for n in range(12)),
    )
    assert said in found.notice["text"]
    assert ("divided" in found.notice["text"]) == bool(said)
    assert data_tab.restore(found.source, ENGLISH)[0] == found.notice


def test_a_first_row_that_may_be_an_example_is_said_to_have_been_taken_for_names(tmp_path):
    rows = [f"怎么办理第{n}项业务,到第{n}号窗口办理" for n in "一二三四五六七八九十"]
    found = upload(tmp_path, "a.csv", "\n".join(rows) + "\n")
    assert found.notice["kind"] == "check"
    assert (
        "The first row was taken for the names of the columns: “怎么办理第一项业务 | 到第一号窗口办理”."
        in found.notice["more"]
    )
    assert "第一行被当作列名" in data_tab.restore(found.source, CHINESE)[0]["more"]
    named = upload(tmp_path, "b.csv", "问题,回答\n" + "\n".join(rows) + "\n")
    assert "taken for the names" not in named.notice["more"]


def test_pasted_rows_of_a_spreadsheet_are_taken_in():
    text = "question\tanswer\n" + "".join(
        f"how do I reset item {n}\tpress the button {n} times and wait\n" for n in range(12)
    )
    *_, last = data_tab.paste(text, ENGLISH)
    found = shown(last)
    assert (found.notice["kind"], found.task["value"]) == ("good", "chat")
    assert store.find(found.source).card["source"] == "paste"


def test_two_who_paste_at_once_get_what_each_has_pasted():
    texts = [
        "question\tanswer\n" + "".join(f"ask {name} {n}?\tI am {name}, number {n}.\n" for n in range(9))
        for name in ("Ann", "Bob")
    ]
    going = [data_tab.paste(text, ENGLISH) for text in texts]
    for one in going:
        next(one), next(one)
    first, second = (shown(list(one)[-1]).source for one in going)
    assert store.find(first).table().rows[0]["answer"] == "I am Ann, number 0."
    assert store.find(second).table().rows[0]["answer"] == "I am Bob, number 0."
    assert {path.name for path in (home() / "datasets").iterdir()} == {
        source.partition(":")[2] for source in (first, second)
    }


def test_an_intake_shows_a_bar_of_what_is_read(chat_csv):
    _, *going, _ = data_tab.upload(str(chat_csv), ENGLISH)
    shares = [values[0]["bar"]["share"] for values in going]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 100)
    assert "Reading the rows… 0%" in going[0][0]["text"]
    assert "Keeping a copy" in going[-1][0]["text"]


@pytest.mark.parametrize(
    ("done", "seconds", "left"),
    [
        (0, 9, ""),
        (1, 9, ""),
        (20, 1, ""),
        (20, 10, "about 15 s left"),
        (49, 10, ""),
        (10, 60, "about 4 min left"),
    ],
)
def test_the_time_left_of_an_intake_is_told_where_it_is_known_and_long(done, seconds, left):
    said = data_tab.progress_notice("fetch", done, 50, seconds, "en")["text"]
    assert said == f"Fetching from the hub… {2 * done}% of 50.0 MB" + (f" · {left}" if left else "")


def test_nothing_pasted_says_so():
    *_, last = data_tab.paste("  ", ENGLISH)
    assert shown(last).notice["kind"] == "bad"


def test_a_known_answer_may_be_left_out(tmp_path):
    found = upload(tmp_path, "a.csv", ASKED)
    told, *rest = change(found.source, "prompts", found.columns, "question")
    optional, columns = rest[REQUIRED_FIELDS], packing.unpack_mapping(rest[-1])
    assert (optional["value"], optional["choices"][0]) == ("", ("none", ""))
    assert columns == {"prompt": "question"}
    assert "never learned" not in told["more"]


def fix_finding(source, task, columns, test, browser_datasets, revision, content, event, request):
    fields = {"source": source, "task": task, "columns": columns, "test": test, "content": content}
    return health_panel.fix_finding(browser_datasets, revision, event, request, **fields)


def choose_test_set(test, source, task, columns, test_sets, browser_datasets, request):
    fields = {"source": source, "task": task, "columns": columns}
    return test_set_panel.choose_test_set(test, test_sets, browser_datasets, request, **fields)


def import_test_set(path, source, task, columns, test_sets, browser_datasets, request):
    fields = {"source": source, "task": task, "columns": columns}
    return test_set_panel.import_test_set(path, test_sets, browser_datasets, request, **fields)


def change(source, task, columns, *fields):
    """Other columns in the first fields, the rest empty."""
    return data_tab.change_columns(
        source,
        task,
        [source],
        packing.pack_mapping(columns),
        ENGLISH,
        *fields,
        *(None,) * (FIELD_COUNT - len(fields)),
    )


def test_the_same_column_twice_is_refused(own):
    assert "twice" in change(own.source, "chat", ROLES, "response", "response")[0]["text"]


def test_another_column_than_conversations_asks_for_its_answers(tmp_path):
    text = TALKS.replace('{"messages"', '{"ask": "who?", "reply": "nobody", "messages"')
    found = upload(tmp_path, "a.jsonl", text)
    _, first, second, *_, packed = change(found.source, "chat", {"messages": "messages"}, "ask")
    assert (first["value"], second["visible"]) == ("ask", True)
    assert packing.unpack_mapping(packed)["prompt"] == "ask"
    told, *_, packed = change(
        found.source, "chat", {"prompt": "ask", "response": "reply"}, "messages", "reply"
    )
    assert packing.unpack_mapping(packed) == {"messages": "messages"}
    assert told["kind"] == "good"


def test_what_a_person_chose_is_found_again_and_outlives_a_fix_and_its_undo(own):
    turned = {"prompt": "response", "response": "prompt"}
    assert change(own.source, "chat", ROLES, "response", "prompt")[0]["more"].endswith("As you chose.")
    list(
        fix_finding(
            own.source,
            "chat",
            packing.pack_mapping(turned),
            "",
            [own.source],
            0,
            {},
            SimpleNamespace(id="duplicates"),
            ENGLISH,
        )
    )
    row_browser.show_page(own.source, "", 1, ENGLISH)
    row_browser.delete_rows(own.source, [own.source], "1", 0, ENGLISH)
    health_panel.undo_change(own.source, [own.source], 0, ENGLISH)
    found = shown(data_tab.restore(own.source, ENGLISH))
    assert (found.task["value"], found.columns, found.notice["kind"]) == ("chat", turned, "good")
    assert "As you chose." in found.notice["more"]


def test_a_chosen_task_is_found_again_with_columns_that_are_still_a_guess(own):
    told = data_tab.change_task(own.source, "complete", [own.source], ENGLISH)[0]
    found = shown(data_tab.restore(own.source, ENGLISH))
    assert (found.task["value"], list(found.columns)) == ("complete", ["text"])
    assert found.notice == told
    assert "As you chose" not in told["more"]


def test_where_others_reach_the_page_nobody_chooses_for_another(own, monkeypatch):
    monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")
    assert data_tab.change_task(own.source, "complete", [], ENGLISH)[0]["kind"] == "bad"
    assert (
        data_tab.change_columns(
            own.source,
            "chat",
            [],
            packing.pack_mapping(ROLES),
            ENGLISH,
            "response",
            *(None,) * (FIELD_COUNT - 1),
        )[0]["kind"]
        == "bad"
    )
    assert own.chosen == (None, {})


def reports(source, columns=ROLES, task="chat", test=""):
    return list(
        health_panel.run_checks(
            ENGLISH,
            **form_fields(
                source=source,
                task=task,
                columns=packing.pack_mapping(columns),
                model="",
                max_length=256,
                method="lora",
                test=test,
            ),
        )
    )


def kinds(report):
    return [finding["kind"] for finding in report["findings"]]


@pytest.fixture
def untidy(tmp_path):
    """Thirty rows: three repeated, one empty, one with tags in it."""
    rows = [
        f"why is the {word} on shelf {n} so {word}?,Because the {word} stood in the rain all night {n}."
        for n, word in enumerate(WORDS)
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
    assert reports(untidy) == [found[-1] | {"wait": found[-1].get("wait", "")}] or kinds(
        reports(untidy)[-1]
    ) == kinds(found[-1])


def test_a_fix_takes_the_finding_away_and_can_be_taken_back(untidy):
    kept = store.find(untidy)
    before, original = kept.table(), kept.path.read_bytes()
    event = SimpleNamespace(id="duplicates")
    report = reports(untidy)[-1]
    *going, (source, touched, told, after) = fix_finding(
        untidy, "chat", packing.pack_mapping(ROLES), "", [untidy], 0, report, event, ENGLISH
    )
    assert (going[-1][:3], going[-1][3]["halt"], after["wait"]) == ((gr.skip(),) * 3, "Stop", "")
    assert (source, touched, told["kind"]) == (untidy, 1, "good")
    assert len(kept.table().rows) == len(before.rows) - 3
    report = reports(untidy)[-1]
    assert "duplicates" not in kinds(report)
    assert report["undo"].startswith("Undo: ")
    assert kept.path.read_bytes() == original
    touched, told = health_panel.undo_change(untidy, [untidy], touched, ENGLISH)
    assert (touched, told["text"][:6]) == (2, "Undone")
    assert kept.table() == before
    assert (
        health_panel.undo_change(untidy, [untidy], touched, ENGLISH)[1]["text"] == "There is nothing to undo."
    )


def test_a_fix_is_refused_where_rows_were_changed_in_another_window_meanwhile(untidy):
    kept = store.find(untidy)
    going = fix_finding(
        untidy,
        "chat",
        packing.pack_mapping(ROLES),
        "",
        [untidy],
        3,
        {},
        SimpleNamespace(id="duplicates"),
        ENGLISH,
    )
    next(going)
    store.apply_change(kept, Change("edit", drop=(0,)))
    before = kept.table()
    *_, (source, touched, told, report) = going
    assert (source, touched, told["kind"], report["wait"]) == (gr.skip(), 4, "bad", "")
    assert "changed in another window" in told["text"]
    assert "choose the fix again" in told["more"]
    assert (kept.table(), len(kept.changes())) == (before, 1)


def test_an_undo_that_cannot_be_done_has_the_report_shown_anew(untidy, monkeypatch):
    store.apply_change(store.find(untidy), Change("edit", drop=(0,)))
    first = reports(untidy)[-1]

    def refuse(_kept):
        raise BadData(Message("The disk is away."), Message("Bring it back."))

    monkeypatch.setattr(store, "undo", refuse)
    touched, told = health_panel.undo_change(untidy, [untidy], 1, ENGLISH)
    assert (touched, told["kind"]) == (2, "bad")
    again = reports(untidy)[-1]
    assert again != first, "the browser hears of it, so that the button can be pressed again"
    assert {**again, "turn": 0} == {**first, "turn": 0}


def test_rows_that_stand_in_the_test_set_too_are_taken_out_of_the_examples(own, tmp_path):
    rows = own.table().rows
    path = tmp_path / "judge.csv"
    lines = [(row["prompt"], row["response"]) for row in rows[:2]] + [
        (f"ask {word}", f"tell {word}") for word in WORDS[:9]
    ]
    pd.DataFrame(lines, columns=["prompt", "response"]).to_csv(path, index=False)
    test = store.add(path)
    assert "leak" in kinds(reports(own.source, test=test.source)[-1])
    event = SimpleNamespace(id="leak")
    *_, (_, _, told, _) = fix_finding(
        own.source, "chat", packing.pack_mapping(ROLES), test.source, [own.source], 0, {}, event, ENGLISH
    )
    assert told["kind"] == "good"
    assert "leak" not in kinds(reports(own.source, test=test.source)[-1])
    assert (len(test.table().rows), test.changes()) == (11, [])
    health_panel.undo_change(own.source, [own.source], 1, ENGLISH)
    assert own.table().rows == rows


def test_a_fix_that_finds_nothing_left_changes_nothing(own):
    *_, (source, _, told, _) = fix_finding(
        own.source,
        "chat",
        packing.pack_mapping(ROLES),
        "",
        [own.source],
        0,
        {},
        SimpleNamespace(id="html"),
        ENGLISH,
    )
    assert (source, told["text"]) == (gr.skip(), "There is nothing left to change.")
    assert own.changes() == []


def test_another_method_has_only_what_hangs_on_it_checked(untidy, monkeypatch):
    first, asked, answers = reports(untidy)[-1], [], processes.stream_replies
    monkeypatch.setattr(
        processes,
        "stream_replies",
        lambda module, told, *more: asked.append(told["limits"]) or answers(module, told, *more),
    )
    again = list(
        health_panel.run_checks(
            ENGLISH,
            **form_fields(
                source=untidy,
                task="chat",
                columns=packing.pack_mapping(ROLES),
                model="",
                max_length=256,
                method="full",
                test="",
            ),
        )
    )[-1]
    assert asked == [True]
    before, after = ({one["kind"]: one for one in report["findings"]} for report in (first, again))
    assert (again["whole"], set(after)) == (True, set(before))
    assert {kind for kind in after if after[kind] != before[kind]} == {"few"}, (
        "full fine-tuning wants more than thirty"
    )


def test_a_check_that_is_called_off_keeps_what_was_found_and_says_what_was_not(untidy):
    going = health_panel.run_checks(
        ENGLISH,
        **form_fields(
            source=untidy,
            task="chat",
            columns=packing.pack_mapping(ROLES),
            model="",
            max_length=256,
            method="lora",
            test="",
        ),
    )
    shown = next(report for report in going if "headline" in report)
    assert (shown["halt"], "wait" in shown) == ("Stop", True)
    going.close()
    report = health_panel.finish_report(shown, ENGLISH)
    assert (report["wait"], report["findings"]) == ("", shown["findings"])
    assert "nearly the same were not looked for" in report["halted"]
    whole = reports(untidy)[-1]
    assert health_panel.finish_report(whole, ENGLISH) == gr.skip()
    assert health_panel.finish_report({**whole, "wait": "a fix"}, ENGLISH) == {**whole, "wait": ""}, (
        "a fix that is called off leaves the report as it was"
    )


def test_changes_to_a_sample_are_made_to_a_copy():
    first = store.find("sample:support-tone").table().rows[0]
    row_browser.show_page("sample:support-tone", "", 1, ENGLISH)
    source, _, told, _ = row_browser.delete_rows("sample:support-tone", [], "1", 0, ENGLISH)
    assert source.startswith("dataset:")
    assert told["more"] == "The sample was copied for your changes."
    assert first not in store.find(source).table().rows
    assert store.find("sample:support-tone").table().rows[0] == first


@pytest.mark.parametrize("asked", ["nonsense", "", None, "../../x"])
def test_a_fix_that_is_none_is_refused(own, asked):
    *_, (_, _, told, _) = fix_finding(
        own.source,
        "chat",
        packing.pack_mapping(ROLES),
        "",
        [own.source],
        0,
        {},
        SimpleNamespace(id=asked),
        ENGLISH,
    )
    assert told["kind"] == "bad"
    assert own.changes() == []


def test_rows_are_paged_searched_and_numbered(own):
    rows, said, number = row_browser.show_page(own.source, "", 2, ENGLISH)
    assert (said, number["value"], number["maximum"]) == ("Rows 21–40 of 40", 2, 2)
    assert [row[0] for row in rows["value"]["data"]] == list(range(21, 41))
    wanted = own.table().rows[7]["prompt"]
    rows, said, _ = row_browser.show_page(own.source, wanted.upper(), 1, ENGLISH)
    assert 8 in [row[0] for row in rows["value"]["data"]]
    assert (
        row_browser.show_page(own.source, "nowhere to be found", 9, ENGLISH)[1]
        == "No row contains “nowhere to be found”."
    )


def test_a_cell_changed_in_place_is_kept_and_the_rest_stays(own):
    before = own.table().rows
    page = frame(own.source)
    assert row_browser.save_edits(own.source, [own.source], page, 0, ENGLISH) == (gr.skip(),) * 3
    page.loc[4, "response"] = "Another answer."
    _, touched, told = row_browser.save_edits(own.source, [own.source], page, 0, ENGLISH)
    assert (touched, told["kind"]) == (1, "good")
    after = own.table().rows
    assert after[4] == {**before[4], "response": "Another answer."}
    assert after[:4] + after[5:] == before[:4] + before[5:]


@pytest.fixture
def workbook(tmp_path):
    """A workbook of two sheets with the same columns and other answers."""
    with xlsxwriter.Workbook(tmp_path / "tickets.xlsx") as book:
        for name in ("May", "June"):
            page = book.add_worksheet(name)
            page.write_row(0, 0, ["prompt", "response"])
            for n in range(20):
                page.write_row(n + 1, 0, [f"where is parcel {n}?", f"It came in {name}, number {n}."])
    return store.add(tmp_path / "tickets.xlsx")


def frame(source):
    page = row_browser.show_page(source, "", 1, ENGLISH)[0]["value"]
    return pd.DataFrame(page["data"], columns=page["headers"])


def test_another_sheet_shows_its_own_rows_and_takes_no_edit_of_the_old_ones(workbook):
    source, old = workbook.source, frame(workbook.source)
    *values, touched = data_tab.choose_sheet(source, "June", [source], 3, ENGLISH)
    assert (shown(values).sheet["value"], touched) == ("June", 4)
    before = store.find(source).table().rows
    old.loc[0, "response"] = "Edited on the rows of May."
    _, touched, told = row_browser.save_edits(source, [source], old, touched, ENGLISH)
    assert (touched, told["kind"]) == (5, "bad")
    assert "another sheet was chosen" in told["text"]
    assert row_browser.delete_rows(source, [source], "1", 5, ENGLISH)[2]["kind"] == "bad"
    assert store.find(source).table().rows == before
    assert before[0]["response"] == "It came in June, number 0."
    new = frame(source)
    new.loc[0, "response"] = "Edited on the rows of June."
    assert row_browser.save_edits(source, [source], new, 5, ENGLISH)[2]["kind"] == "good"
    assert store.find(source).table().rows[0]["response"] == "Edited on the rows of June."


def test_rows_changed_in_another_window_take_no_edit_of_what_they_were(own):
    other = SimpleNamespace(**{**vars(ENGLISH), "session_hash": "another window"})
    here = frame(own.source)
    row_browser.show_page(own.source, "", 1, other)
    assert row_browser.delete_rows(own.source, [own.source], "1", 0, other)[2]["kind"] == "good"
    here.loc[4, "response"] = "Another answer."
    before = own.table().rows
    assert row_browser.save_edits(own.source, [own.source], here, 0, ENGLISH)[2]["kind"] == "bad"
    assert own.table().rows == before


def test_edits_in_quick_succession_are_all_kept(own):
    page = frame(own.source)
    for place in (4, 5):
        page.loc[place, "response"] = "Another answer."
        assert row_browser.save_edits(own.source, [own.source], page, 0, ENGLISH)[2]["kind"] == "good"
    assert [own.table().rows[place]["response"] for place in (4, 5)] == ["Another answer."] * 2


@pytest.mark.parametrize(
    ("text", "places"),
    [("3", [2]), ("3, 7-9", [2, 6, 7, 8]), ("9-9；1", [0, 8]), ("3、7", [2, 6]), (" 2 2 ", [1])],
)
def test_row_numbers_are_read_as_people_write_them(text, places):
    assert row_browser.parse_row_numbers(text, 9) == places


@pytest.mark.parametrize("text", ["", "0", "10", "3-1", "a", "1-99", "-1", "1e3"])
def test_row_numbers_that_are_none_are_told(text):
    with pytest.raises(BadData, match="Write numbers such as"):
        row_browser.parse_row_numbers(text, 9)


def test_the_last_row_is_not_deleted(own):
    row_browser.show_page(own.source, "", 1, ENGLISH)
    told = row_browser.delete_rows(own.source, [own.source], "1-40", 0, ENGLISH)[2]
    assert "would leave no row" in told["text"]
    assert len(own.table().rows) == 40


def test_what_the_model_sees_is_marked_where_it_is_learned(own):
    found = row_browser.preview_examples(
        ENGLISH,
        **form_fields(
            source=own.source,
            task="chat",
            columns=packing.pack_mapping(ROLES),
            model="",
            max_length=256,
            method="lora",
        ),
    )
    row = own.table().rows[0]
    parts = found["examples"][0]["sides"][0]["parts"]
    assert [part["learned"] for part in parts] == [False, True]
    assert parts[1]["text"] == row["response"].strip()
    assert parts[0]["text"].strip() == row["prompt"].strip()


def test_under_the_model_s_own_template_only_the_answer_and_its_end_are_marked(own, tiny_chat):
    found = row_browser.preview_examples(
        ENGLISH,
        **form_fields(
            source=own.source,
            task="chat",
            columns=packing.pack_mapping(ROLES),
            model=str(tiny_chat),
            max_length=256,
            method="lora",
        ),
    )
    parts = found["examples"][0]["sides"][0]["parts"]
    row = own.table().rows[0]
    assert "chat template" in found["said"]
    assert parts[0]["text"].startswith("<|user|>")
    assert [part["learned"] for part in parts] == [False, True]
    assert parts[1]["text"].rstrip().endswith("</s>")
    assert row["response"].split()[0].lower() in parts[1]["text"].lower()


def test_texts_are_said_to_be_cut_where_the_model_and_what_stands_before_them_leave_no_room(
    classify_csv, tmp_path, tiny_bert
):
    found = upload(
        tmp_path,
        "long.csv",
        classify_csv.read_text(encoding="utf-8") + f"{'the parcel is late ' * 13},delivery\n",
    )

    def said(chosen, **moved):
        told = health_panel.run_checks(
            ENGLISH,
            **form_fields(
                source=found.source,
                task="classify",
                columns=packing.pack_mapping({"text": "text", "label": "label"}),
                model=str(tiny_bert),
                max_length=512,
                method=chosen,
                test="",
                **moved,
            ),
        )
        return [one["said"] for one in [*told][-1]["findings"] if one["kind"] == "cut"]

    assert said("lora") == []
    assert said("prefix", prefix_virtual_tokens=4) == []
    assert "44 tokens" in said("prefix", prefix_virtual_tokens=20)[0]
    assert "34 tokens" in said("peft", peft_type="prompt_tuning", peft_prompt_tuning_num_virtual_tokens=30)[0]


def test_the_bars_count_every_example_and_labels_that_look_like_numbers_stay_names(tmp_path):
    rows = "".join(f"text number {n} {'long ' * (n % 30)},{1 if n % 3 else 5}\n" for n in range(600))
    found = upload(tmp_path, "stars.csv", "text,label\n" + rows)
    lengths, classes = row_browser.draw_charts(
        ENGLISH,
        **form_fields(
            source=found.source,
            task="classify",
            columns=packing.pack_mapping(found.columns),
            model="",
            max_length=256,
            method="lora",
        ),
    )
    bars = lengths["value"].data[0]
    assert len(bars.y) < 600
    assert sum(bars.y) == pytest.approx(600)
    assert "sample" in lengths["value"].layout.title.subtitle.text
    assert (classes["value"].layout.yaxis.type, list(classes["value"].data[0].y)) == ("category", ["5", "1"])
    assert list(classes["value"].data[0].x) == [200, 400]


def test_few_examples_are_counted_without_a_sample_and_of_many_classes_the_largest_are_shown(tmp_path):
    rows = "".join(
        f"text number {n} and {m},{'very ' * 10}long name {n}\n" for n in range(45) for m in range(2)
    )
    found = upload(tmp_path, "kinds.csv", "text,label\n" + rows)
    lengths, classes = row_browser.draw_charts(
        ENGLISH,
        **form_fields(
            source=found.source,
            task="classify",
            columns=packing.pack_mapping(found.columns),
            model="",
            max_length=256,
            method="lora",
        ),
    )
    assert list(lengths["value"].data[0].y) == [1] * 90
    assert "sample" not in lengths["value"].layout.title.subtitle.text
    assert len(set(classes["value"].data[0].y)) == row_browser.MAX_CLASS_BARS, (
        "alike in their first letters, yet bars of their own"
    )
    assert "40 largest of 45" in classes["value"].layout.title.subtitle.text


SHARES = {"validation_share": 0.2, "test_share": 0.1, "seed": 7}


@pytest.mark.parametrize(
    ("tested", "said"),
    [
        (
            0.1,
            "28 are learned, 8 are checked on while training (validation), 4 are kept for the final test after training (test)",
        ),
        (
            0,
            "32 are learned, 8 are checked on while training (validation), none are kept for a final test, so the results after training are",
        ),
    ],
)
def test_the_split_is_said_with_its_seed_and_what_the_final_test_is_made_with(own, tested, said):
    told = dataset_details.describe_split(
        own.source,
        "chat",
        packing.pack_mapping(ROLES),
        "",
        **{**SHARES, "test_share": tested},
        request=ENGLISH,
    )["text"]
    assert f"Of 40 examples, {said}" in told
    assert "(seed 7)" in told


def test_many_examples_are_compared_beside_the_page_and_divided_all_the_same(own, monkeypatch):
    from studio.data import split

    here = dataset_details.describe_split(
        own.source, "chat", packing.pack_mapping(ROLES), "", **SHARES, request=ENGLISH
    )["text"]
    plan_form._load_grouped_examples.cache_clear()
    monkeypatch.setattr(plan_form, "MAX_INLINE_GROUPING", 1)
    monkeypatch.setattr(split, "duplicate_groups", lambda _: pytest.fail("not in the page's process"))
    assert (
        dataset_details.describe_split(
            own.source, "chat", packing.pack_mapping(ROLES), "", **SHARES, request=ENGLISH
        )["text"]
        == here
    )
    plan_form._load_grouped_examples.cache_clear()


def bring_test(source, path, tests=None, mine=None):
    """A test set is brought: what the browser then remembers."""
    path.write_text(
        "prompt,response\n" + "".join(f"ask {word},tell {word}\n" for word in WORDS[:9]), encoding="utf-8"
    )
    *_, (tests, mine, _) = import_test_set(
        str(path), source, "chat", packing.pack_mapping(ROLES), tests or {}, mine or [source], ENGLISH
    )
    return tests, mine


def test_a_test_set_of_its_own_stays_with_the_data_it_is_for(own, tmp_path):
    tests, mine = bring_test(own.source, tmp_path / "judge.csv")
    test, listed = test_set_panel.refresh_test_set(own.source, tests, mine, ENGLISH)
    assert store.find(test).name == "judge.csv"
    assert (listed["value"], listed["choices"][0]) == (test, ("a part of my examples", ""))
    assert own.source not in [source for _, source in listed["choices"]]
    assert test_set_panel.refresh_test_set("sample:support-tone", tests, mine, ENGLISH)[0] == "", (
        "gone with other data"
    )
    assert (
        test_set_panel.refresh_test_set(own.source, json.loads(json.dumps(tests)), mine, ENGLISH)[0] == test
    ), "back with its own"
    said = dataset_details.describe_split(
        own.source, "chat", packing.pack_mapping(ROLES), test, **SHARES, request=ENGLISH
    )["text"]
    assert "the final test after training uses the 9 of “judge.csv”" in said


def test_a_test_set_is_given_up_and_taken_again(own, tmp_path):
    tests, mine = bring_test(own.source, tmp_path / "judge.csv")
    test = tests[own.source]
    without, _, _ = choose_test_set("", own.source, "chat", packing.pack_mapping(ROLES), tests, mine, ENGLISH)
    assert test_set_panel.get_test_source(own.source, without, mine) == ""
    again, _, _ = choose_test_set(
        test, own.source, "chat", packing.pack_mapping(ROLES), without, mine, ENGLISH
    )
    assert test_set_panel.get_test_source(own.source, again, mine) == test
    store.delete(store.find(test))
    assert test_set_panel.refresh_test_set(own.source, again, mine, ENGLISH)[0] == "", (
        "one that was deleted is none"
    )


def test_a_sample_that_was_copied_for_changes_keeps_its_test_set(tmp_path):
    tests, mine = bring_test("sample:support-tone", tmp_path / "judge.csv")
    row_browser.show_page("sample:support-tone", "", 1, ENGLISH)
    source, *_ = row_browser.delete_rows("sample:support-tone", mine, "1", 0, ENGLISH)
    assert test_set_panel.get_test_source(source, tests, mine) == tests["sample:support-tone"]
    without, _, _ = choose_test_set("", source, "chat", packing.pack_mapping(ROLES), tests, mine, ENGLISH)
    assert test_set_panel.get_test_source(source, without, mine) == ""


def test_where_others_reach_the_page_a_test_set_is_its_owner_s_alone(own, tmp_path, monkeypatch):
    tests, mine = bring_test(own.source, tmp_path / "judge.csv")
    monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")
    assert test_set_panel.get_test_source(own.source, tests, mine) == tests[own.source]
    stranger = test_set_panel.refresh_test_set(own.source, tests, [], ENGLISH)
    assert (stranger[0], stranger[1]["choices"]) == ("", [("a part of my examples", "")])
    kept, told, _ = choose_test_set(
        tests[own.source], own.source, "chat", packing.pack_mapping(ROLES), {}, [], ENGLISH
    )
    assert (kept, told["kind"]) == (gr.skip(), "bad")


@pytest.mark.parametrize(
    "claimed", [None, [], "x", {"sample:support-tone": 3}, {"sample:support-tone": "/etc/passwd"}]
)
def test_a_browser_may_remember_any_test_set(claimed):
    assert test_set_panel.get_test_source("sample:support-tone", claimed, []) == ""


def test_a_test_set_without_the_columns_is_refused_and_forgotten(own, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text(PLAIN, encoding="utf-8")
    *_, (tests, mine, told) = import_test_set(
        str(other), own.source, "chat", packing.pack_mapping(ROLES), {}, [], ENGLISH
    )
    assert (tests, mine, told["kind"]) == (gr.skip(), gr.skip(), "bad")
    assert "prompt" in told["text"]
    assert [kept.source for kept in store.list_datasets()] == [own.source]


def test_a_data_set_is_renamed_and_deleted_unless_a_run_waits_for_it(own, make_plan):
    listing, told = saved_datasets.save_description(
        own.source, [own.source], "Tickets of May", "CC-BY", ENGLISH
    )
    assert told["text"] == "Saved as “Tickets of May”."
    assert "Tickets of May" in listing["choices"][0][0]
    assert store.find(own.source).card["licence"] == "CC-BY"
    plan = make_plan()
    run = runs.create(plan.model_copy(update={"data": plan.data.model_copy(update={"source": own.source})}))
    assert "still needs it" in saved_datasets.delete_dataset(own.source, [own.source], ENGLISH)[1]["text"]
    runs.set_status(run, "stopped", "before")
    source, told = saved_datasets.delete_dataset(own.source, [own.source], ENGLISH)
    assert (source, told["kind"]) == ("", "good")
    assert store.list_datasets() == []


def test_where_others_reach_the_page_nobody_changes_another_s_data(own, monkeypatch):
    monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")
    assert access.visible_datasets([]) == []
    assert saved_datasets.delete_dataset(own.source, [], ENGLISH)[1]["kind"] == "bad"
    assert row_browser.delete_rows(own.source, [], "1", 0, ENGLISH)[2]["kind"] == "bad"
    assert health_panel.undo_change(own.source, [], 0, ENGLISH)[1]["kind"] == "bad"
    assert [kept.source for kept in access.visible_datasets([own.source])] == [own.source]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
@pytest.mark.parametrize("task", ["chat", "classify", "complete", "prefer", "prompts"])
def test_a_template_comes_back_as_the_task_it_is_for_in_the_language_it_was_asked_in(task, kind, lang):
    from studio.data import templates
    from studio.data.schema import infer_roles

    table = readers.read_table(Path(saved_datasets.write_template(task, kind, lang)))
    assert (len(table.rows), table.columns) == (2, templates.header_row(task, lang))
    assert infer_roles.guess_roles(table, task).columns == dict(
        zip(templates.header_row(task), table.columns, strict=True)
    )
    assert all(
        any("\u4e00" <= sign <= "\u9fff" for sign in "".join(row.values())) == (lang == "zh")
        for row in table.rows
    )


@pytest.mark.parametrize("source", ["/etc/passwd", "../secrets.csv", "dataset:../../x", "", None])
def test_a_browser_cannot_look_at_a_file_of_this_machine(source):
    assert row_browser.show_page(source, "", 1, ENGLISH)[1] == ""
    assert (
        row_browser.preview_examples(
            ENGLISH,
            **form_fields(source=source, task="chat", columns="{}", model="", max_length=256, method="lora"),
        )
        == {}
    )
    assert [
        *health_panel.run_checks(
            ENGLISH,
            **form_fields(
                source=source, task="chat", columns="{}", model="", max_length=256, method="lora", test=""
            ),
        )
    ] == [{}]
    assert shown(data_tab.restore(source, ENGLISH)).notice["kind"] in ("info", "bad")


def test_nor_by_way_of_the_test_set(own, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("salary\n90000\n", encoding="utf-8")
    assert [
        *health_panel.run_checks(
            ENGLISH,
            **form_fields(
                source=own.source,
                task="chat",
                columns=packing.pack_mapping(ROLES),
                model="",
                max_length=256,
                method="lora",
                test=str(secret),
            ),
        )
    ] == [{}]


@pytest.mark.parametrize(
    ("base", "examples", "tokens"),
    [
        (
            "tiny_chat",
            [{"prompt": "cat", "response": "dog"}, {}],
            lambda count: [count("cat\ndog") + import_job.CHAT_TEMPLATE_TOKENS, 0],
        ),
        ("tiny_chat", [{"prompt": "cat"}], lambda count: [count("cat") + import_job.CHAT_TEMPLATE_TOKENS]),
        (
            "tiny_chat",
            [
                {"prompt": "cat", "chosen": "no", "rejected": "a long, long answer"},
                {"prompt": "cat", "chosen": "a long, long answer", "rejected": "no"},
            ],
            lambda count: [count("cat\na long, long answer") + import_job.CHAT_TEMPLATE_TOKENS] * 2,
        ),
        ("tiny_bert", [{"text": "cat", "label": "pet"}], lambda count: [count("cat")]),
    ],
    ids=["chat", "prompts", "either answer of a pair", "a text to sort has no template"],
)
def test_tokens_are_counted_of_what_the_model_reads(base, examples, tokens, request, monkeypatch):
    from tokenizers import Tokenizer

    monkeypatch.setattr(import_job, "_report_progress", lambda *_: None)
    folder = request.getfixturevalue(base)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert import_job.count_tokens(examples, str(folder)) == tokens(
        lambda text: len(tokenizer.encode(text).ids)
    )


def test_without_the_model_the_report_says_that_lengths_were_not_checked(own, tiny_chat):
    assert "uncounted" in kinds(reports(own.source)[-1])
    *_, report = health_panel.run_checks(
        ENGLISH,
        **form_fields(
            source=own.source,
            task="chat",
            columns=packing.pack_mapping(ROLES),
            model=str(tiny_chat),
            max_length=256,
            method="lora",
            test="",
        ),
    )
    assert "uncounted" not in kinds(report)


def test_a_chinese_visitor_is_told_in_chinese(own):
    assert (
        "的样本" in data_tab.restore("", CHINESE)[0]["text"]
        or "还没有样本" in data_tab.restore("", CHINESE)[0]["text"]
    )
    *_, report = health_panel.run_checks(
        CHINESE,
        **form_fields(
            source=own.source,
            task="chat",
            columns=packing.pack_mapping(ROLES),
            model="",
            max_length=256,
            method="lora",
            test="",
        ),
    )
    assert report["headline"].startswith("健康分")


def test_an_unknown_error_while_reading_speaks_of_the_data_and_of_no_run(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({"do": "judge"})))
    assert import_job.main() == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "does not know" in said["problem"]["text"]
    assert Message.from_json(said["to_do"]).text == import_job.TRY_SMALLER_PART.text


def test_a_task_with_too_few_columns_says_which_is_missing():
    notice, *_ = data_tab.change_task("sample:support-tone", "prefer", [], ENGLISH)
    assert notice["kind"] == "bad"
    assert "no column “rejected”" in notice["text"]
