"""The health report on the Data tab: checks in stages, fixes, their undo, and what is cancelled."""

import gradio as gr
import pandas as pd
import pytest
from data_tab_steps import (
    ROLES,
    data_fields,
    delete_rows,
    finding_kinds,
    fix_finding,
    run_checks,
    upload,
)
from form_fields import ENGLISH
from plain_words import WORDS

from studio import processes
from studio.data import store
from studio.data.quality.fixes import Change
from studio.errors import BadData
from studio.i18n import Message
from studio.ui.data import health as health_panel
from studio.ui.data import messages, row_browser


def test_a_report_without_near_duplicates_comes_first_and_then_the_complete_one(untidy):
    reports = [report for report in run_checks(untidy) if "headline" in report]
    assert [reports[0]["whole"], reports[-1]["whole"]] == [False, True]
    assert {"duplicates", "empty", "html"} <= set(finding_kinds(reports[-1]))
    assert finding_kinds(run_checks(untidy)[-1]) == finding_kinds(reports[-1])


def test_a_fix_removes_the_finding_and_can_be_undone(untidy):
    dataset = store.find(untidy)
    before, original = dataset.table(), dataset.path.read_bytes()
    report = run_checks(untidy)[-1]
    *progress, (source, revision, notice, report_after) = fix_finding(untidy, "duplicates", report=report)
    assert progress[-1][:3] == (gr.skip(),) * 3
    assert progress[-1][3]["halt"] == messages.HEALTH_STOP.render()
    assert report_after["wait"] == ""
    assert (source, revision, notice["kind"]) == (untidy, 1, "good")
    assert len(dataset.table().rows) == len(before.rows) - 3
    report = run_checks(untidy)[-1]
    assert "duplicates" not in finding_kinds(report)
    assert report["undo"].startswith("Undo: ")
    assert dataset.path.read_bytes() == original
    revision, notice = health_panel.undo_change(untidy, [untidy], revision, ENGLISH)
    assert revision == 2
    assert notice["text"] == f"Undone: {report['undo'].removeprefix('Undo: ')}."
    assert dataset.table() == before
    _, notice = health_panel.undo_change(untidy, [untidy], revision, ENGLISH)
    assert notice["text"] == messages.NOTHING_TO_UNDO.render()


def test_a_fix_is_refused_where_rows_were_changed_in_another_window_meanwhile(untidy):
    dataset = store.find(untidy)
    updates = fix_finding(untidy, "duplicates", revision=3)
    next(updates)
    store.apply_change(dataset, Change("edit", drop=(0,)))
    before = dataset.table()
    *_, (source, revision, notice, report) = updates
    assert (source, revision, notice["kind"], report["wait"]) == (gr.skip(), 4, "bad", "")
    assert notice["text"] == messages.ROWS_CHANGED.render()
    assert health_panel.RECHECK_ADVICE.render() in notice["more"]
    assert (dataset.table(), len(dataset.changes())) == (before, 1)


def test_an_undo_that_fails_renders_the_report_again(untidy, monkeypatch):
    store.apply_change(store.find(untidy), Change("edit", drop=(0,)))
    first = run_checks(untidy)[-1]

    def refuse(_dataset):
        raise BadData(Message("The disk is away."), Message("Bring it back."))

    monkeypatch.setattr(store, "undo", refuse)
    revision, notice = health_panel.undo_change(untidy, [untidy], 1, ENGLISH)
    assert (revision, notice["kind"]) == (2, "bad")
    second = run_checks(untidy)[-1]
    assert second != first, "the browser is told, so that the button can be pressed again"
    assert {**second, "turn": 0} == {**first, "turn": 0}


def test_rows_that_are_also_in_the_test_set_are_removed_from_the_examples(dataset, tmp_path):
    rows = dataset.table().rows
    leaked = [(row["prompt"], row["response"]) for row in rows[:2]]
    others = [(f"ask {word}", f"tell {word}") for word in WORDS[:9]]
    path = tmp_path / "judge.csv"
    pd.DataFrame([*leaked, *others], columns=["prompt", "response"]).to_csv(path, index=False)
    test = store.add(path)
    assert "leak" in finding_kinds(run_checks(dataset.source, test=test.source)[-1])
    *_, (_, _, notice, _) = fix_finding(dataset.source, "leak", test=test.source)
    assert notice["kind"] == "good"
    assert "leak" not in finding_kinds(run_checks(dataset.source, test=test.source)[-1])
    assert (len(test.table().rows), test.changes()) == (11, [])
    health_panel.undo_change(dataset.source, [dataset.source], 1, ENGLISH)
    assert dataset.table().rows == rows


def test_a_fix_that_finds_nothing_to_change_changes_nothing(dataset):
    *_, (source, _, notice, _) = fix_finding(dataset.source, "html")
    assert (source, notice["text"]) == (gr.skip(), messages.NOTHING_TO_FIX.render())
    assert dataset.changes() == []


@pytest.mark.parametrize("kind", ["nonsense", "", None, "../../x"])
def test_an_unknown_fix_is_refused(dataset, kind):
    *_, (_, _, notice, _) = fix_finding(dataset.source, kind)
    assert notice["kind"] == "bad"
    assert dataset.changes() == []


def test_for_another_method_only_what_depends_on_it_is_checked(untidy, monkeypatch):
    first = run_checks(untidy)[-1]
    limits_only = []
    stream_replies = processes.stream_replies

    def record_request(module, request, *arguments):
        limits_only.append(request["limits"])
        return stream_replies(module, request, *arguments)

    monkeypatch.setattr(processes, "stream_replies", record_request)
    second = run_checks(untidy, method="full")[-1]
    assert limits_only == [True]
    before = {finding["kind"]: finding for finding in first["findings"]}
    after = {finding["kind"]: finding for finding in second["findings"]}
    assert (second["whole"], set(after)) == (True, set(before))
    changed = {kind for kind, finding in after.items() if finding != before[kind]}
    assert changed == {"few"}, "full fine-tuning wants more than thirty"


@pytest.mark.thorough
@pytest.mark.usefixtures("jobs_in_child_processes")
def test_a_cancelled_check_keeps_its_findings_and_names_what_was_not_checked(untidy):
    updates = health_panel.run_checks(ENGLISH, **data_fields(untidy, test=""))
    partial = next(report for report in updates if "headline" in report)
    assert (partial["halt"], "wait" in partial) == (messages.HEALTH_STOP.render(), True)
    updates.close()
    report = health_panel.finish_report(partial, ENGLISH)
    assert (report["wait"], report["findings"]) == ("", partial["findings"])
    assert report["halted"] == messages.HEALTH_STOPPED.render()


def test_a_complete_report_stays_as_it_is_when_its_check_or_a_fix_ends(dataset):
    report = run_checks(dataset.source)[-1]
    assert report["whole"]
    assert health_panel.finish_report(report, ENGLISH) == gr.skip()
    during_fix = {**report, "wait": "a fix"}
    assert health_panel.finish_report(during_fix, ENGLISH) == {**report, "wait": ""}, (
        "a cancelled fix leaves the report as it was"
    )


def test_changes_to_a_sample_are_made_to_a_copy():
    sample = store.find("sample:support-tone")
    first_row = sample.table().rows[0]
    row_browser.show_page(sample.source, "", 1, ENGLISH)
    source, _, notice, _ = delete_rows(sample.source, "1", browser_datasets=[])
    assert source.startswith("dataset:")
    assert notice["more"] == messages.SAMPLE_COPIED.render()
    assert first_row not in store.find(source).table().rows
    assert sample.table().rows[0] == first_row


def test_texts_are_reported_as_cut_where_the_model_and_its_virtual_tokens_do_not_fit_them(
    classify_csv, tmp_path, tiny_bert
):
    long_row = f"{'the parcel is late ' * 13},delivery\n"
    source = upload(tmp_path, "long.csv", classify_csv.read_text(encoding="utf-8") + long_row).source

    def cut_texts(method, **settings):
        report = run_checks(
            source,
            {"text": "text", "label": "label"},
            "classify",
            model=str(tiny_bert),
            max_length=512,
            method=method,
            **settings,
        )[-1]
        return [finding["said"] for finding in report["findings"] if finding["kind"] == "cut"]

    assert cut_texts("lora") == []
    assert cut_texts("prefix", prefix_virtual_tokens=4) == []
    assert "44 tokens" in cut_texts("prefix", prefix_virtual_tokens=20)[0]
    prompt_tuning = {"peft_type": "prompt_tuning", "peft_prompt_tuning_num_virtual_tokens": 30}
    assert "34 tokens" in cut_texts("peft", **prompt_tuning)[0]


def test_without_the_model_the_report_says_that_lengths_were_not_checked(dataset, tiny_chat):
    assert "uncounted" in finding_kinds(run_checks(dataset.source)[-1])
    assert "uncounted" not in finding_kinds(run_checks(dataset.source, ROLES, model=str(tiny_chat))[-1])
