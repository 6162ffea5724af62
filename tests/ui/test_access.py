"""What a visitor may see and name, on a private page and on one that others can reach."""

import pytest
from form_fields import ENGLISH, form_fields

from studio import runs
from studio.errors import NotPossible, StudioError
from studio.models import fetch
from studio.ui import access
from studio.ui.data import tab as data_tab
from studio.ui.method import tab as method_tab
from studio.ui.playground import tab as playground_tab
from studio.ui.train import runs_table
from studio.ui.train import tab as train_tab


@pytest.fixture
def open_page(monkeypatch):
    """`open_page()`: from then on others can reach the page."""
    return lambda: monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")


def test_where_others_reach_the_page_a_folder_is_not_looked_into(tiny_chat, open_page):
    fields = form_fields(model=str(tiny_chat), method="frozen", frozen_blocks=99)
    assert "blocks" in str(method_tab.refresh(ENGLISH, **fields)[2]), (
        "a private page tells how many there are"
    )
    open_page()
    assert "blocks" not in str(method_tab.refresh(ENGLISH, **fields)[2])


def test_where_others_reach_the_page_nobody_sees_another_s_runs(finished, open_page):
    run = finished()
    assert [visible.id for visible in access.visible_runs([])] == [run.id]
    open_page()
    assert access.visible_runs([]) == []
    assert access.visible_runs("nonsense") == []
    assert [visible.id for visible in access.visible_runs([run.id, 7])] == [run.id]
    assert runs_table.list_runs([], ENGLISH)[0]["rows"] == []
    assert playground_tab.update_run_choices(None, "", [], ENGLISH)["choices"] == []


@pytest.mark.parametrize("source", ["/etc/passwd", "../secrets.csv", "dataset:../../x", "", None])
def test_a_browser_cannot_name_a_file_of_this_machine(source):
    assert data_tab.restore(source, ENGLISH)[0]["kind"] in ("info", "bad")
    notice, *_ = train_tab.start_run(ENGLISH, browser_runs=[], **form_fields(source=source))
    assert notice["kind"] == "bad"
    assert runs.all_runs() == []


def test_where_others_reach_the_page_a_model_is_no_folder_of_the_machine(tiny_chat, open_page):
    access.check_model(str(tiny_chat))
    open_page()
    access.check_model("smollm2-135m")
    access.check_model("owner/name")
    for folder in (str(tiny_chat), "../models/x", "models", "."):
        with pytest.raises(NotPossible) as refusal:
            access.check_model(folder)
        assert "cannot be a folder" in refusal.value.message.text


def test_where_others_reach_the_page_the_machine_is_not_measured(open_page):
    access.check_owner()
    open_page()
    with pytest.raises(NotPossible):
        access.check_owner()


def test_an_open_page_takes_no_more_runs_than_it_can_work_off(make_plan, open_page):
    for _ in range(access.MAX_UNFINISHED_RUNS):
        runs.create(make_plan())
    access.check_queue(ENGLISH)
    open_page()
    with pytest.raises(StudioError, match="10 runs are waiting"):
        access.check_queue(ENGLISH)


def test_a_name_that_can_be_no_model_is_refused_at_once():
    with pytest.raises(StudioError) as refusal:
        access.check_model("banana-9000")
    assert refusal.value.message.text == fetch.unknown_model("banana-9000").message.text
