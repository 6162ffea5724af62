"""An upload is kept under a name nobody can guess, and its cache copy is removed."""

import gzip
import os
import stat
import subprocess
from hashlib import sha256

import pytest
import xlsxwriter

from studio import presets
from studio.data import store
from studio.data.quality.fixes import Change
from studio.errors import BadData
from studio.storage import home


def test_an_upload_is_kept_byte_for_byte_and_found_again(chat_csv):
    content = chat_csv.read_bytes()
    dataset = store.add(chat_csv)
    reopened = store.find(dataset.source)
    assert reopened == dataset
    assert reopened.path.read_bytes() == content
    assert reopened.sha256 == sha256(content).hexdigest()
    assert (reopened.name, len(reopened.table().rows)) == ("chat.csv", 40)


def test_the_cache_copy_is_removed_whether_it_could_be_read_or_not(chat_csv, tmp_path):
    store.add(chat_csv)
    bad = tmp_path / "bad.csv"
    bad.write_bytes(b"")
    with pytest.raises(BadData):
        store.add(bad)
    assert not chat_csv.exists()
    assert not bad.exists()
    assert len(list((home() / "datasets").iterdir())) == 1


def test_a_kept_data_set_is_its_owners_alone(chat_csv):
    assert stat.S_IMODE(store.add(chat_csv).path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["<b>x</b>.csv", "a\nb.csv", "“quoted” `x`|.csv", "x" * 180 + ".csv"])
def test_a_name_is_made_harmless_and_keeps_its_ending(chat_csv, name):
    dataset = store.add(chat_csv.rename(chat_csv.with_name(name.replace("/", "_"))))
    assert not set(dataset.name) & set('<>\n`|"/')
    assert len(dataset.name) <= 120
    assert dataset.name.endswith(".csv")
    assert store.find(dataset.source).table().rows


@pytest.mark.parametrize("name", list(presets.samples()))
def test_a_sample_is_found_by_its_name(name):
    assert store.find(f"sample:{name}").path == presets.samples()[name].path


def test_a_file_is_found_by_its_path(chat_csv):
    assert store.find(str(chat_csv)).path == chat_csv


@pytest.mark.parametrize(
    "source",
    ["sample:none", "dataset:none", "dataset:../../etc", "dataset:" + "0" * 32, "sample:", "dataset:"],
)
def test_a_data_set_that_is_not_there_is_told_with_the_samples(source):
    with pytest.raises(BadData, match="sample:support-tone"):
        store.find(source)


def test_a_change_is_taken_back_from_a_set_that_was_given_another_name(chat_csv):
    dataset = store.add(chat_csv)
    before = dataset.table().rows
    store.apply_change(dataset, Change("duplicates", drop=(0, 1)))
    store.update_card(dataset, name="My support data")
    renamed = store.find(dataset.source)
    assert len(renamed.table().rows) == len(before) - 2
    store.undo(renamed)
    assert store.find(dataset.source).table().rows == before


def write_workbook(path, **sheets):
    with xlsxwriter.Workbook(path) as book:
        for name, lines in sheets.items():
            sheet = book.add_worksheet(name)
            for index, line in enumerate(lines):
                sheet.write_row(index, 0, line)
    return path


LINES = [["prompt", "response"], ["where?", "here"], ["when?", "soon"]]


def test_two_sheets_of_one_file_are_two_data_sets_with_damaged_rows_of_their_own(tmp_path):
    file = write_workbook(tmp_path / "two.xlsx", May=LINES, June=[*LINES, LINES[0]])
    dataset = store.add(file, sheet="May")
    checksum, version, n_bad_lines = dataset.sha256, dataset.version, len(dataset.table().bad_lines)
    other = store.choose_sheet(dataset, "June")
    assert (n_bad_lines, len(other.table().bad_lines)) == (0, 1)
    assert other.sha256 != checksum
    assert other.version != version
    assert store.choose_sheet(other, "May").sha256 == checksum


def test_changes_of_a_sheet_come_back_with_it_and_are_taken_back_there(tmp_path):
    may = store.add(write_workbook(tmp_path / "two.xlsx", May=[*LINES, ["who?", "we"]], June=LINES))
    store.apply_change(may, Change("edit", cells=((0, "response", "in May"),)))
    store.apply_change(may, Change("edit", drop=(1,)))
    changed, checksum = may.table().rows, may.sha256
    june = store.choose_sheet(may, "June")
    assert (june.changes(), june.table().rows[0]["response"]) == ([], "here")
    assert store.undo(june) is None
    store.apply_change(june, Change("edit", cells=((1, "response", "in June"),)))
    reopened = store.find(store.choose_sheet(june, "May").source)
    assert (reopened.table().rows, reopened.sha256, len(reopened.changes())) == (changed, checksum, 2)
    store.undo(reopened)
    assert [row["response"] for row in reopened.table().rows] == ["in May", "soon", "we"]
    assert store.choose_sheet(reopened, "June").table().rows[1]["response"] == "in June"


@pytest.mark.parametrize("action", ["undo", "change", "other sheet"])
def test_changes_that_an_older_version_kept_of_the_chosen_sheet_are_still_its_own(tmp_path, action):
    dataset = store.add(write_workbook(tmp_path / "two.xlsx", May=LINES, June=LINES))
    store.apply_change(dataset, Change("edit", cells=((0, "response", "first"),)))
    store.apply_change(dataset, Change("edit", cells=((0, "response", "second"),)))
    checksum = dataset.sha256
    for change_file in (dataset.folder / "changes").glob("*/*.json"):
        change_file.rename(dataset.folder / "changes" / change_file.name)
    assert (len(dataset.changes()), dataset.sha256) == (2, checksum)
    if action == "undo":
        store.undo(dataset)
        assert dataset.table().rows[0]["response"] == "first"
    elif action == "change":
        store.apply_change(dataset, Change("edit", cells=((0, "response", "third"),)))
        assert [change.cells[0][2] for change in dataset.changes()] == ["first", "second", "third"]
    else:
        other = store.choose_sheet(dataset, "June")
        assert (other.changes(), other.table().rows[0]["response"]) == ([], "here")
        assert store.choose_sheet(other, "May").table().rows[0]["response"] == "second"


def test_a_workbook_of_one_sheet_has_the_checksum_of_its_file(tmp_path):
    file = write_workbook(tmp_path / "one.xlsx", May=LINES)
    content = file.read_bytes()
    assert store.add(file).sha256 == sha256(content).hexdigest()


def test_a_stamp_changes_with_the_rows_and_not_with_what_is_said_of_them(chat_csv):
    dataset = store.add(chat_csv)
    version = dataset.version
    store.update_card(dataset, name="Other", licence="CC-BY")
    store.save_choice(dataset, "complete")
    assert dataset.version == version
    store.apply_change(dataset, Change("duplicates", drop=(0,)))
    assert dataset.version != version


def drafts():
    return sorted(path.name for path in (home() / "datasets").glob(".*"))


def test_drafts_are_gone_at_the_next_start_unless_their_process_still_works(studio_home):
    with store.open_draft() as draft, store.open_draft() as other:
        assert draft != other
        running = draft.with_name(f".incoming-{os.getppid()}-0")
        draft.rename(running)
        ended = subprocess.Popen(["true"])
        ended.wait()
        for name in (".incoming", f".incoming-{ended.pid}-1", f".incoming-{os.getpid()}-2"):
            (running.with_name(name)).mkdir()
        store.remove_stale_drafts()
        assert drafts() == [running.name]


def test_a_foreign_folder_named_like_a_draft_stays_and_stops_no_start():
    foreign = [".incoming-abc", ".incoming-", ".incoming-1x-2", ".incomings"]
    for name in foreign:
        (home() / "datasets" / name).mkdir(parents=True)
    store.remove_stale_drafts()
    assert drafts() == sorted(foreign)


def test_what_cannot_be_used_leaves_nothing(tmp_path):
    for name, text in (("empty.csv", ""), ("list.csv", "name,age\nAnna,\n,3\n,\nBen,\n,5\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(BadData):
            store.add(tmp_path / name)
    assert list(home().glob("datasets/*")) == []
    assert list(tmp_path.glob("*.csv")) == []


def test_a_damaged_change_is_taken_back_and_one_before_another_is_told(chat_csv):
    dataset = store.add(chat_csv, "questions.csv")
    before = dataset.table().rows
    for text in ("first", "second"):
        store.apply_change(dataset, Change("edit", cells=((0, "prompt", text),)))
    first, second = sorted((dataset.folder / "changes").glob("*.json"))
    second.write_text("{", encoding="utf-8")
    assert store.undo(dataset).kind == store.DAMAGED_CHANGE
    assert dataset.table().rows[0]["prompt"] == "first"
    store.apply_change(dataset, Change("edit", cells=((0, "prompt", "third"),)))
    first.write_text("{", encoding="utf-8")
    with pytest.raises(BadData, match=r"0001\.json"):
        store.undo(dataset)
    assert dataset.table().rows[0]["prompt"] == "third" != before[0]["prompt"]


def test_undo_reads_a_packed_table_as_the_import_did(tmp_path):
    """A table without a name for its first column, as pandas writes it, is one by its inner ending alone."""
    lines = [",review,sentiment", *(f"{n},the lamp number {n} is fine,good" for n in range(30))]
    path = tmp_path / "reviews.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    dataset = store.add(path, "reviews.csv.gz")
    before = dataset.table()
    store.apply_change(dataset, Change("edit", drop=(0,)))
    store.undo(store.find(dataset.source))
    after = store.find(dataset.source).table()
    assert (after.columns, after.rows) == (before.columns, before.rows)
