"""A page that strangers share: each has one run, so many rows, minutes and megabytes, and a day."""

import os
import re
import time
from types import SimpleNamespace

import pytest
from form_fields import form_fields
from refusals import assert_message

from studio import runs, space
from studio.data import store
from studio.errors import NotPossible
from studio.hub import account
from studio.training import launcher
from studio.ui import access, cleaning, space_note, visitors
from studio.ui.data import tab as data_tab
from studio.ui.train import more_data
from studio.ui.train import tab as train_tab

pytestmark = pytest.mark.usefixtures("untraced_start")


def visitor_at(address, **headers):
    return SimpleNamespace(
        headers={"accept-language": "en", **headers},
        query_params={},
        session_hash="s",
        client=SimpleNamespace(host=address),
    )


ADA, BOB = visitor_at("93.184.216.5"), visitor_at("93.184.216.6")


@pytest.fixture
def public(monkeypatch):
    monkeypatch.setenv(visitors.PUBLIC_ENV, "1")
    monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")
    monkeypatch.setenv(space.SPACE_ID_ENV, "ada/studio")


@pytest.fixture
def started(monkeypatch):
    """The runs that were started; none of them trains."""
    started_runs = []
    monkeypatch.setattr(launcher, "start", started_runs.append)
    return started_runs


def start(visitor, **changed):
    return train_tab.start_run(visitor, browser_runs=[], **form_fields(**changed))[0]


def test_everyone_has_one_run_at_a_time_and_others_are_not_in_the_way(public, started):
    assert start(ADA)["kind"] == "good"
    refused = start(ADA)
    assert refused["kind"] == "bad"
    assert refused["text"] == visitors.ONE_RUN.render(name=started[0].plan.name)
    assert "spaces/ada/studio?duplicate=true" in refused["more"]
    assert start(BOB)["kind"] == "good"
    runs.set_status(started[0], "done", "")
    assert start(ADA)["kind"] == "good"
    assert len(started) == 3


def test_a_run_stops_after_the_minutes_that_a_visitor_has(public, started):
    start(ADA)
    start(BOB, max_minutes=3)
    assert [run.plan.training.max_minutes for run in started] == [visitors.MAX_MINUTES, 3]


def test_only_models_of_the_list_are_fetched_for_a_stranger(public, started):
    access.check_model("smollm2-135m")
    for model in ("owner/name", "x" * 500):
        with pytest.raises(NotPossible) as caught:
            access.check_model(model)
        assert_message(caught.value, visitors.NOT_LISTED, model=model[: visitors.MAX_SHOWN_CHARS])
    assert start(ADA, model="owner/name")["kind"] == "bad"
    assert started == []


def test_elsewhere_nothing_is_limited(started, monkeypatch):
    for _ in range(2):
        assert start(ADA)["kind"] == "good"
    assert started[0].plan.training.max_minutes is None
    assert not (started[0].folder / visitors.VISITOR_FILE).exists()


def test_a_data_set_with_too_many_rows_is_not_taken_in(public, monkeypatch, tmp_path):
    monkeypatch.setattr(visitors, "MAX_ROWS", 2)
    path = tmp_path / "rows.csv"
    path.write_text("text,label\nfirst,a\nsecond,b\nthird,c\n", encoding="utf-8")
    *_, last = data_tab.upload(str(path), ADA)
    assert last[0]["text"] == visitors.TOO_MANY_ROWS.render(limit=2, name="rows.csv", count=3)
    assert store.list_datasets() == []


def test_a_full_share_of_the_disk_refuses_more(public, monkeypatch, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\nfirst,a\nsecond,b\n", encoding="utf-8")
    list(data_tab.upload(str(path), ADA))
    (dataset,) = store.list_datasets()
    assert (dataset.folder / visitors.VISITOR_FILE).is_file()
    monkeypatch.setattr(visitors, "MAX_DISK_MB", 0)
    with pytest.raises(NotPossible) as caught:
        access.check_queue(ADA)
    assert_message(caught.value, visitors.TOO_MUCH_DISK, limit=0)
    access.check_queue(BOB)


def test_several_runs_at_once_are_not_started(public, started):
    with pytest.raises(NotPossible) as caught:
        visitors.check_several()
    assert_message(caught.value, visitors.ONE_AT_A_TIME)
    assert more_data.start("x", [], ADA)
    assert started == []


def test_a_visitor_is_known_by_the_address_that_the_proxy_added_and_no_number_tells_it():
    ada = visitors.identify(visitor_at("10.0.0.1", **{"x-forwarded-for": "1.2.3.4, 93.184.216.5"}))
    assert ada == visitors.identify(visitor_at("10.0.0.2", **{"x-forwarded-for": "9.9.9.9, 93.184.216.5"}))
    assert ada == visitors.identify(visitor_at("10.0.0.2", **{"x-forwarded-for": "93.184.216.5, 10.1.2.3"}))
    assert ada == visitors.identify(ADA)
    assert ada != visitors.identify(BOB)
    household = [visitors.identify(visitor_at(f"2001:db8:1:2::{last}")) for last in (1, 2)]
    assert household[0] == household[1]
    assert household[0] != visitors.identify(visitor_at("2001:db8:1:3::1"))
    assert re.fullmatch("[0-9a-f]{32}", ada)


def test_what_nobody_changed_for_a_day_is_removed_and_a_run_that_trains_is_not(
    make_plan, studio_home, monkeypatch
):
    ended, training, fresh = (runs.create(make_plan()) for _ in range(3))
    runs.set_status(ended, "done", "")
    runs.set_status(fresh, "done", "")
    runs.set_status(training, "training", "train")
    monkeypatch.setattr(runs, "is_alive", lambda run: True)
    downloads = studio_home / "downloads" / ended.id
    downloads.mkdir(parents=True)
    old_sheet, new_sheet = (studio_home / "downloads" / "sheets" / name for name in ("old", "new"))
    for folder in (old_sheet, new_sheet, studio_home / "models" / "base"):
        folder.mkdir(parents=True)
    now = time.time()
    old = now - cleaning.MAX_AGE_SECONDS - 60
    for folder in (ended.folder, training.folder, downloads, old_sheet, studio_home / "models" / "base"):
        for path in [*folder.rglob("*"), folder]:
            os.utime(path, (old, old))
    assert set(cleaning.remove_old(now)) == {ended.folder, downloads, old_sheet}
    assert {run.id for run in runs.all_runs()} == {training.id, fresh.id}
    assert (studio_home / "models" / "base").is_dir(), "models are for everyone"


def test_a_space_says_what_is_lost_and_who_else_is_there(public, monkeypatch, tmp_path):
    monkeypatch.setattr(space, "VOLUME", tmp_path / "none")
    texts = [note.text for note in space_note.notes()]
    assert texts == [space_note.SHARED.text, space_note.NO_VOLUME.text]
    assert "ada/studio?duplicate=true" in space_note.notes()[0].render("zh")
    monkeypatch.setattr(space, "VOLUME", tmp_path)
    assert [note.text for note in space_note.notes()] == [space_note.SHARED.text]
    monkeypatch.delenv(visitors.PUBLIC_ENV)
    assert space_note.notes() == []


def test_files_and_cache_lie_on_the_volume_if_there_is_one(monkeypatch, tmp_path):
    for name in ("STUDIO_HOME", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(space, "VOLUME", tmp_path)
    space.choose_folders()
    assert "STUDIO_HOME" not in os.environ, "this is no Space"
    monkeypatch.setenv(space.SPACE_ID_ENV, "ada/studio")
    space.choose_folders()
    assert os.environ["STUDIO_HOME"] == str(tmp_path / "studio")
    assert os.environ["HF_HOME"] == str(tmp_path / "huggingface")
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("STUDIO_HOME", "elsewhere")
    space.choose_folders()
    assert os.environ["STUDIO_HOME"] == "elsewhere"
    monkeypatch.delenv("HF_HOME")


@pytest.mark.parametrize(
    ("space_id", "is_visible", "has_password", "said", "expected"),
    [
        ("", True, False, "", False),
        ("ada/studio", True, False, "", True),
        ("ada/studio", False, False, "", False),
        ("ada/studio", True, True, "", False),
        ("ada/studio", True, False, "0", False),
        ("", True, True, "1", True),
    ],
)
def test_strangers_share_a_space_that_everyone_sees(
    space_id, is_visible, has_password, said, expected, monkeypatch
):
    monkeypatch.setattr(account, "is_visible_to_all", lambda repo, kind: is_visible)
    monkeypatch.setenv(space.SPACE_ID_ENV, space_id)
    monkeypatch.setenv(visitors.PUBLIC_ENV, said)
    assert visitors.is_for_strangers(has_password) is expected
