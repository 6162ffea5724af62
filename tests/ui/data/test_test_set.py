"""A separate test set on the Data tab: remembered with its data set, chosen, refused, and private."""

import json

import gradio as gr
import pytest
from data_tab_steps import ROLES, TEXTS_CSV, delete_rows
from form_fields import ENGLISH
from plain_words import WORDS

from studio.data import store
from studio.ui import access
from studio.ui.data import details as dataset_details
from studio.ui.data import messages, row_browser
from studio.ui.data import test_set as test_set_panel
from studio.ui.form import packing

SAMPLE = "sample:support-tone"


def data_fields(source):
    return {"source": source, "task": "chat", "columns": packing.pack_mapping(ROLES)}


def import_test_set(source, path, browser_datasets):
    """The last values of an import: test sets, data sets and a notice."""
    *_, last_values = test_set_panel.import_test_set(
        str(path), {}, browser_datasets, ENGLISH, **data_fields(source)
    )
    return last_values


def choose_test_set(test, source, test_sets, browser_datasets):
    return test_set_panel.choose_test_set(test, test_sets, browser_datasets, ENGLISH, **data_fields(source))


def refresh_test_set(source, test_sets, browser_datasets):
    return test_set_panel.refresh_test_set(source, test_sets, browser_datasets, ENGLISH)


@pytest.fixture
def judge_csv(tmp_path):
    """A test set of nine rows."""
    path = tmp_path / "judge.csv"
    rows = [f"ask {word},tell {word}\n" for word in WORDS[:9]]
    path.write_text("prompt,response\n" + "".join(rows), encoding="utf-8")
    return path


def test_a_separate_test_set_stays_with_its_data_set(dataset, judge_csv):
    test_sets, datasets, _ = import_test_set(dataset.source, judge_csv, [dataset.source])
    test, dropdown = refresh_test_set(dataset.source, test_sets, datasets)
    assert store.find(test).name == "judge.csv"
    assert dropdown["value"] == test
    assert dropdown["choices"][0] == (messages.TEST_FROM_EXAMPLES.render(), "")
    assert dataset.source not in [source for _, source in dropdown["choices"]]
    assert refresh_test_set(SAMPLE, test_sets, datasets)[0] == "", "gone with other data"
    reloaded = json.loads(json.dumps(test_sets))
    assert refresh_test_set(dataset.source, reloaded, datasets)[0] == test, "back with its own"
    split_fields = {"validation_share": 0.2, "test_share": 0.1, "seed": 7}
    notice = dataset_details.describe_split(
        **data_fields(dataset.source), test=test, request=ENGLISH, **split_fields
    )
    assert messages.SPLIT_CUSTOM_TEST.render(test=9, name="judge.csv") in notice["text"]


def test_a_test_set_is_dropped_and_chosen_again(dataset, judge_csv):
    source = dataset.source
    test_sets, datasets, _ = import_test_set(source, judge_csv, [source])
    test = test_sets[source]
    without_test, _, _ = choose_test_set("", source, test_sets, datasets)
    assert test_set_panel.get_test_source(source, without_test, datasets) == ""
    with_test, _, _ = choose_test_set(test, source, without_test, datasets)
    assert test_set_panel.get_test_source(source, with_test, datasets) == test
    store.delete(store.find(test))
    assert refresh_test_set(source, with_test, datasets)[0] == "", "a deleted one is no longer used"


def test_a_sample_that_was_copied_for_changes_keeps_its_test_set(judge_csv):
    test_sets, datasets, _ = import_test_set(SAMPLE, judge_csv, [SAMPLE])
    row_browser.show_page(SAMPLE, "", 1, ENGLISH)
    source, *_ = delete_rows(SAMPLE, "1", browser_datasets=datasets)
    assert test_set_panel.get_test_source(source, test_sets, datasets) == test_sets[SAMPLE]
    without_test, _, _ = choose_test_set("", source, test_sets, datasets)
    assert test_set_panel.get_test_source(source, without_test, datasets) == ""


def test_where_others_reach_the_page_a_test_set_is_its_owner_s_alone(dataset, judge_csv, monkeypatch):
    test_sets, datasets, _ = import_test_set(dataset.source, judge_csv, [dataset.source])
    test = test_sets[dataset.source]
    monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")
    assert test_set_panel.get_test_source(dataset.source, test_sets, datasets) == test
    stranger_test, stranger_dropdown = refresh_test_set(dataset.source, test_sets, [])
    assert stranger_test == ""
    assert stranger_dropdown["choices"] == [(messages.TEST_FROM_EXAMPLES.render(), "")]
    stranger_test_sets, notice, _ = choose_test_set(test, dataset.source, {}, [])
    assert (stranger_test_sets, notice["kind"]) == (gr.skip(), "bad")


@pytest.mark.parametrize("remembered", [None, [], "x", {SAMPLE: 3}, {SAMPLE: "/etc/passwd"}])
def test_a_browser_may_remember_any_test_set(remembered):
    assert test_set_panel.get_test_source(SAMPLE, remembered, []) == ""


def test_a_test_set_without_the_columns_is_refused_and_deleted(dataset, tmp_path):
    path = tmp_path / "other.csv"
    path.write_text(TEXTS_CSV, encoding="utf-8")
    test_sets, datasets, notice = import_test_set(dataset.source, path, [])
    assert (test_sets, datasets, notice["kind"]) == (gr.skip(), gr.skip(), "bad")
    assert "prompt" in notice["text"]
    assert [saved_dataset.source for saved_dataset in store.list_datasets()] == [dataset.source]
