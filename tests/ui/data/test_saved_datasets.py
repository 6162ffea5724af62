"""Saved data sets: renamed and deleted by those who brought them; and templates to fill in."""

from pathlib import Path

import pytest
from data_tab_steps import delete_rows
from form_fields import ENGLISH

from studio import runs
from studio.data import store, templates
from studio.data.readers import read as readers
from studio.data.schema import infer_roles
from studio.ui import access
from studio.ui.data import health as health_panel
from studio.ui.data import messages, saved_datasets


def test_a_data_set_is_renamed_and_deleted_unless_a_run_waits_for_it(dataset, make_plan):
    source = dataset.source
    dropdown, notice = saved_datasets.save_description(source, [source], "Tickets of May", "CC-BY", ENGLISH)
    assert notice["text"] == messages.DATASET_SAVED.render(name="Tickets of May")
    assert "Tickets of May" in dropdown["choices"][0][0]
    assert store.find(source).card["licence"] == "CC-BY"
    plan = make_plan()
    run = runs.create(plan.model_copy(update={"data": plan.data.model_copy(update={"source": source})}))
    _, notice = saved_datasets.delete_dataset(source, [source], ENGLISH)
    assert notice["text"] == messages.DATASET_IN_USE.render(name="Tickets of May")
    runs.set_status(run, "stopped", "before")
    open_source, notice = saved_datasets.delete_dataset(source, [source], ENGLISH)
    assert (open_source, notice["kind"]) == ("", "good")
    assert store.list_datasets() == []


def test_where_others_reach_the_page_nobody_changes_another_s_data(dataset, monkeypatch):
    monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")
    assert access.visible_datasets([]) == []
    assert saved_datasets.delete_dataset(dataset.source, [], ENGLISH)[1]["kind"] == "bad"
    assert delete_rows(dataset.source, "1", browser_datasets=[])[2]["kind"] == "bad"
    assert health_panel.undo_change(dataset.source, [], 0, ENGLISH)[1]["kind"] == "bad"
    visible = access.visible_datasets([dataset.source])
    assert [visible_dataset.source for visible_dataset in visible] == [dataset.source]


def is_chinese(row):
    return any("\u4e00" <= character <= "\u9fff" for character in "".join(row.values()))


@pytest.mark.thorough
def test_a_template_is_read_again_as_its_task_in_the_language_of_the_page():
    failures = {}
    for task in messages.TASKS:
        for file_format in ("csv", "xlsx"):
            for lang in ("en", "zh"):
                table = readers.read_table(Path(saved_datasets.write_template(task, file_format, lang)))
                header = templates.header_row(task, lang)
                expected_roles = dict(zip(templates.header_row(task), header, strict=True))
                result = (
                    len(table.rows),
                    table.columns,
                    infer_roles.guess_roles(table, task).columns,
                    [is_chinese(row) for row in table.rows],
                )
                expected = (2, header, expected_roles, [lang == "zh"] * 2)
                if result != expected:
                    failures[task, file_format, lang] = result, expected
    assert not failures
