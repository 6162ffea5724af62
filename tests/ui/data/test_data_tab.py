"""The handlers of the Data tab, called as plain functions: imports, samples, tasks and columns."""

import gradio as gr
import pytest
from data_tab_steps import (
    ALPACA_JSON,
    CONVERSATIONS_JSONL,
    PAIRS_CSV,
    QUESTIONS_CSV,
    ROLES,
    TEXTS_CSV,
    change_columns,
    data_fields,
    delete_rows,
    fix_finding,
    read_outputs,
    run_checks,
    upload,
)
from form_fields import CHINESE, ENGLISH, form_fields

from studio import methods, presets
from studio.data import import_job, store
from studio.plan import required_column_roles
from studio.storage import home
from studio.ui import access
from studio.ui.data import health as health_panel
from studio.ui.data import messages, row_browser
from studio.ui.data import tab as data_tab
from studio.ui.data.tab import REQUIRED_FIELDS
from studio.ui.form import packing
from studio.ui.train import tab as train_tab


def test_every_sample_is_understood_at_once():
    for name, card in presets.samples().items():
        result = read_outputs(data_tab.open_sample(name, ENGLISH))
        expected = ("good", card.task, f"sample:{name}")
        assert (result.notice["kind"], result.task["value"], result.source) == expected, name
        assert result.columns == card.columns
        visible_fields = [field for field in result.fields[:REQUIRED_FIELDS] if field["visible"]]
        assert len(visible_fields) == len(required_column_roles(card.task, card.columns))


@pytest.mark.usefixtures("jobs_in_child_processes")
def test_an_upload_shows_its_progress_and_its_cache_copy_is_removed(chat_csv):
    opening, *progress, last = data_tab.upload(str(chat_csv), ENGLISH)
    assert opening[0]["text"] == messages.OPENING_FILE.render(name="chat.csv")
    assert opening[-1]["visible"], "it can be cancelled"
    shares = [values[0]["bar"]["share"] for values in progress]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 100)
    assert "Reading rows… 0%" in progress[0][0]["text"]
    assert messages.SAVING_COPY.render() in progress[-1][0]["text"]
    assert not last[-1]["visible"]
    assert not chat_csv.exists()
    result = read_outputs(last)
    assert result.notice["kind"] == "good"
    restored = read_outputs(data_tab.restore(result.source, ENGLISH))
    assert restored.notice["text"] == result.notice["text"]


def test_a_bad_upload_names_the_problem_and_the_next_step_and_changes_nothing(tmp_path, studio_home):
    result = upload(tmp_path, "leads.csv", b"")
    assert result.notice["kind"] == "bad"
    assert "leads.csv" in result.notice["text"]
    assert result.notice["more"]
    assert all(item == gr.skip() for item in (*result.fields, result.task, result.source))
    assert upload(tmp_path, "list.csv", "name,age\nAnna,\n,3\n,\nBen,\n,5\n").notice["kind"] == "bad"
    assert store.list_datasets() == []


@pytest.mark.usefixtures("jobs_in_child_processes")
def test_a_cancelled_import_leaves_nothing(chat_csv):
    updates = data_tab.upload(str(chat_csv), ENGLISH)
    next(updates)
    next(updates)  # the process is at work
    updates.close()
    assert store.list_datasets() == []
    assert list((home() / "datasets").iterdir()) == []
    assert not chat_csv.exists()
    assert data_tab.cancel_import(ENGLISH)[0]["text"] == messages.IMPORT_CANCELLED.render()


@pytest.mark.parametrize(
    ("name", "content", "task", "columns", "summary"),
    [
        (
            "a.csv",
            PAIRS_CSV,
            "prefer",
            ["prompt", "chosen", "rejected"],
            messages.TASK_SUMMARIES["prefer"].format(first="prompt", second="chosen", third="rejected"),
        ),
        (
            "a.csv",
            QUESTIONS_CSV,
            "prompts",
            ["question", "answer"],
            messages.ANSWER_COLUMN.format(column="answer"),
        ),
        ("a.csv", TEXTS_CSV, "complete", ["text"], messages.TASK_SUMMARIES["complete"].format(first="text")),
        (
            "a.jsonl",
            CONVERSATIONS_JSONL,
            "chat",
            ["messages"],
            messages.TASK_SUMMARIES["messages"].format(first="messages"),
        ),
        (
            "a.json",
            ALPACA_JSON,
            "chat",
            ["instruction", "output", "input"],
            messages.CONTEXT_COLUMN.format(column="input"),
        ),
    ],
    ids=["prefer", "prompts", "complete", "messages", "alpaca"],
)
def test_every_task_is_understood_and_shows_as_many_columns_as_it_has(
    tmp_path, name, content, task, columns, summary
):
    result = upload(tmp_path, name, content)
    assert result.task["value"] == task
    assert list(result.columns.values()) == columns
    assert [field["value"] for field in result.fields if field["visible"] and field["value"]] == columns
    assert summary.render() in result.notice["more"]
    method = next((method.name for method in methods.METHODS if task in method.tasks), None)
    if method:
        fields = form_fields(source=result.source, task=task, columns=result.columns, method=method)
        assert "16 examples" in train_tab.summarise(ENGLISH, **fields)["text"]


def test_pasted_rows_of_a_spreadsheet_are_imported():
    rows = [f"how do I reset item {n}\tpress the button {n} times and wait\n" for n in range(12)]
    *_, last = data_tab.paste("question\tanswer\n" + "".join(rows), ENGLISH)
    result = read_outputs(last)
    assert (result.notice["kind"], result.task["value"]) == ("good", "chat")
    assert store.find(result.source).card["source"] == "paste"


@pytest.mark.thorough
@pytest.mark.usefixtures("jobs_in_child_processes")
def test_two_who_paste_at_once_get_what_each_has_pasted():
    texts = [
        "question\tanswer\n" + "".join(f"ask {name} {n}?\tI am {name}, number {n}.\n" for n in range(9))
        for name in ("Ann", "Bob")
    ]
    imports = [data_tab.paste(text, ENGLISH) for text in texts]
    for updates in imports:
        next(updates)
        next(updates)  # its process is at work
    first, second = [read_outputs(list(updates)[-1]).source for updates in imports]
    assert store.find(first).table().rows[0]["answer"] == "I am Ann, number 0."
    assert store.find(second).table().rows[0]["answer"] == "I am Bob, number 0."
    folders = {path.name for path in (home() / "datasets").iterdir()}
    assert folders == {source.partition(":")[2] for source in (first, second)}


@pytest.mark.parametrize(
    ("done_mb", "elapsed_seconds", "time_left"),
    [(0, 9, ""), (1, 9, ""), (20, 1, ""), (20, 10, "15 s"), (49, 10, ""), (10, 60, "4 min")],
)
def test_the_time_left_of_an_import_is_shown_where_it_is_certain_and_long(
    done_mb, elapsed_seconds, time_left
):
    expected = messages.IMPORT_PROGRESS.render(
        what=import_job.STAGE_LABELS["fetch"], share=done_mb / 50, of=50
    )
    if time_left:
        expected += " · " + messages.TIME_LEFT.render(time=time_left)
    assert data_tab.progress_notice("fetch", done_mb, 50, elapsed_seconds, "en")["text"] == expected


def test_pasting_nothing_is_an_error():
    *_, last = data_tab.paste("  ", ENGLISH)
    assert read_outputs(last).notice["kind"] == "bad"


def test_an_answer_column_is_optional(tmp_path):
    result = upload(tmp_path, "a.csv", QUESTIONS_CSV)
    notice, *updates = change_columns(result.source, "prompts", result.columns, "question")
    optional_field, columns = updates[REQUIRED_FIELDS], packing.unpack_mapping(updates[-1])
    assert (optional_field["value"], optional_field["choices"][0]) == ("", ("none", ""))
    assert columns == {"prompt": "question"}
    assert messages.ANSWER_COLUMN.render(column="answer") not in notice["more"]


def test_the_same_column_twice_is_refused(dataset):
    notice, *_ = change_columns(dataset.source, "chat", ROLES, "response", "response")
    assert "twice" in notice["text"]


def test_another_column_than_conversations_needs_its_answers(tmp_path):
    content = CONVERSATIONS_JSONL.replace('{"messages"', '{"ask": "who?", "reply": "nobody", "messages"')
    source = upload(tmp_path, "a.jsonl", content).source
    _, first, second, *_, packed = change_columns(source, "chat", {"messages": "messages"}, "ask")
    assert (first["value"], second["visible"]) == ("ask", True)
    assert packing.unpack_mapping(packed)["prompt"] == "ask"
    notice, *_, packed = change_columns(
        source, "chat", {"prompt": "ask", "response": "reply"}, "messages", "reply"
    )
    assert packing.unpack_mapping(packed) == {"messages": "messages"}
    assert notice["kind"] == "good"


def test_chosen_columns_are_restored_and_outlive_a_fix_and_its_undo(dataset):
    swapped = {"prompt": "response", "response": "prompt"}
    notice, *_ = change_columns(dataset.source, "chat", ROLES, "response", "prompt")
    assert notice["more"].endswith(messages.ROLES_CHOSEN.render())
    list(fix_finding(dataset.source, "duplicates", swapped))
    row_browser.show_page(dataset.source, "", 1, ENGLISH)
    delete_rows(dataset.source, "1")
    health_panel.undo_change(dataset.source, [dataset.source], 0, ENGLISH)
    result = read_outputs(data_tab.restore(dataset.source, ENGLISH))
    assert (result.task["value"], result.columns, result.notice["kind"]) == ("chat", swapped, "good")
    assert messages.ROLES_CHOSEN.render() in result.notice["more"]


def test_a_chosen_task_is_restored_with_columns_that_are_still_a_guess(dataset):
    notice, *_ = data_tab.change_task(dataset.source, "complete", [dataset.source], ENGLISH)
    result = read_outputs(data_tab.restore(dataset.source, ENGLISH))
    assert (result.task["value"], list(result.columns)) == ("complete", ["text"])
    assert result.notice == notice
    assert messages.ROLES_CHOSEN.render() not in notice["more"]


def test_where_others_reach_the_page_nobody_chooses_for_another(dataset, monkeypatch):
    monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")
    assert data_tab.change_task(dataset.source, "complete", [], ENGLISH)[0]["kind"] == "bad"
    notice, *_ = change_columns(dataset.source, "chat", ROLES, "response", browser_datasets=[])
    assert notice["kind"] == "bad"
    assert dataset.chosen == (None, {})


def test_a_task_with_too_few_columns_names_the_missing_column():
    notice, *_ = data_tab.change_task("sample:support-tone", "prefer", [], ENGLISH)
    assert notice["kind"] == "bad"
    assert "no column “rejected”" in notice["text"]


def test_a_chinese_visitor_reads_chinese(dataset):
    notice, *_ = data_tab.restore("", CHINESE)
    assert notice["text"] == messages.NO_EXAMPLES.render("zh") != messages.NO_EXAMPLES.render()
    report = run_checks(dataset.source, visitor=CHINESE)[-1]
    assert report["headline"] == messages.HEALTH_SCORE.render("zh", score=report["score"])
    assert report["headline"].startswith("数据健康分")


@pytest.mark.parametrize("source", ["/etc/passwd", "../secrets.csv", "dataset:../../x", "", None])
def test_a_browser_cannot_look_at_a_file_of_this_machine(source):
    assert row_browser.show_page(source, "", 1, ENGLISH)[1] == ""
    assert row_browser.preview_examples(ENGLISH, **data_fields(source, columns="{}")) == {}
    assert run_checks(source, columns="{}") == [{}]
    assert read_outputs(data_tab.restore(source, ENGLISH)).notice["kind"] in ("info", "bad")


def test_a_browser_cannot_look_at_a_file_by_way_of_the_test_set(dataset, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("salary\n90000\n", encoding="utf-8")
    assert run_checks(dataset.source, test=str(secret)) == [{}]


TAGGED_CSV = "ticket,tags\n" + "".join(
    f"my parcel {n} has not come and I paid twice,{tags}\n"
    for n, tags in enumerate(["billing", "billing; delivery", "delivery", "returns; delivery"] * 6)
)


def choose_problem_type(result, role):
    return read_outputs(
        [
            *data_tab.change_problem_type(
                result.source,
                "classify",
                [result.source],
                packing.pack_mapping(result.columns),
                role,
                ENGLISH,
            ),
            *(None,) * 3,
        ]
    )


def test_several_labels_are_proposed_and_a_person_can_take_them_for_one_class(tmp_path):
    result = upload(tmp_path, "a.csv", TAGGED_CSV)
    assert result.columns == {"text": "ticket", "labels": "tags"}
    assert result.problem_type["visible"]
    assert [role for _, role in result.problem_type["choices"]] == ["label", "labels"]
    assert "several labels: 12" in result.notice["more"]
    changed = choose_problem_type(result, "label")
    assert changed.columns == {"text": "ticket", "label": "tags"}
    assert store.find(result.source).chosen == ("classify", changed.columns)
    again = read_outputs(data_tab.restore(result.source, ENGLISH))
    assert again.columns == changed.columns
    assert choose_problem_type(again, "labels").columns == result.columns


def test_numbers_can_be_learned_as_a_number_or_as_classes(tmp_path):
    rows = "".join(f"the parcel {n} came in {n} days,{1 + n % 5}\n" for n in range(30))
    result = upload(tmp_path, "a.csv", "review,score\n" + rows)
    assert result.columns == {"text": "review", "rating": "score"}
    assert (
        messages.RATINGS_SUMMARY.render(first="review", second="score", low=1, high=5, median=3)
        in (result.notice["more"])
    )
    assert [role for _, role in result.problem_type["choices"]] == ["label", "rating"]
    assert choose_problem_type(result, "label").columns == {"text": "review", "label": "score"}


def test_where_cells_leave_no_choice_none_is_shown(tmp_path):
    rows = "".join(f"the parcel {n} has not come,{'billing' if n % 2 else 'delivery'}\n" for n in range(30))
    assert not upload(tmp_path, "a.csv", "ticket,label\n" + rows).problem_type["visible"]
