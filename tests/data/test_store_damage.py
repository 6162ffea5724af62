"""A damaged data set costs itself alone, and changes that are made at once are all made."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from studio.data import store
from studio.data.quality.fixes import Change
from studio.data.store import ROWS_MADE_AGAIN
from studio.errors import BadData


@pytest.fixture
def dataset(chat_csv):
    return store.add(chat_csv)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("created", "text"),
        ("created", 1e308),
        ("rows", {}),
        ("rows", True),
        ("sheets", None),
        ("sheet", -1),
        ("name", 5),
        ("name", ""),
        ("bad", [5]),
        ("notes", [{"x": 1}]),
        ("chosen", {"": 7}),
        ("columns", "text"),
    ],
)
def test_a_damaged_value_of_a_card_costs_that_value_alone(dataset, key, value):
    card_path = dataset.folder / store.CARD_FILE
    card_path.write_text(json.dumps({**dataset.card, key: value}))
    (listed,) = store.list_datasets()
    assert len(listed.table().rows) == 40
    assert listed.chosen == (None, {})
    assert key not in listed.card


@pytest.mark.parametrize("content", ["", "[", "[1]", '{"a":' * 3000, None])
def test_a_card_that_cannot_be_read_leaves_the_rows(dataset, content):
    card_path = dataset.folder / store.CARD_FILE
    if content is None:
        card_path.unlink()
    else:
        card_path.write_text(content)
    (listed,) = store.list_datasets()
    assert listed.name == f"data {dataset.folder.name[:8]}"
    assert len(listed.table().rows) == 40


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "folder"])
def test_damaged_rows_are_made_again_from_the_original_and_its_changes(dataset, damage):
    store.apply_change(dataset, Change("edit", cells=((0, "response", "changed"),)))
    path = dataset.folder / store.PREPARED_FILE
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "folder":
        path.mkdir()
    table = store.find(dataset.source).table()
    assert table.rows[0]["response"] == "changed"
    assert len(table.rows) == 40
    assert table.notes[-1] == ROWS_MADE_AGAIN


def test_a_data_set_whose_file_leads_to_itself_is_none(dataset):
    dataset.path.unlink()
    dataset.path.symlink_to(dataset.path)
    assert store.list_datasets() == []
    with pytest.raises(BadData):
        store.find(dataset.source)


def test_a_damaged_change_is_left_out(dataset):
    store.apply_change(dataset, Change("edit", cells=((0, "response", "changed"),)))
    (file,) = (dataset.folder / "changes").rglob("*.json")
    file.write_text('{"kind": 5}')
    assert dataset.changes() == []


def test_of_twenty_edits_at_once_all_are_made(dataset):
    def edit(row):
        change = Change("edit", cells=((row, "response", f"new {row}"),))
        store.apply_change(store.find(dataset.source), change)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(edit, range(20)))
    assert len(dataset.changes()) == 20
    rows = store.find(dataset.source).table().rows
    assert [row["response"] for row in rows[:20]] == [f"new {row}" for row in range(20)]


def test_a_deleted_data_set_is_not_changed(dataset):
    store.delete(dataset)
    with pytest.raises(BadData):
        store.update_card(dataset, name="x")
    assert not dataset.folder.exists()
