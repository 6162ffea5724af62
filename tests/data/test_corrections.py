"""Held-out rows of a run are found in the person's data, corrected there, and added to it."""

import pytest

from studio.data import corrections, examples, store
from studio.errors import BadData

CLASSIFY = {"text": "text", "label": "label"}
CHAT = {"prompt": "prompt", "response": "response"}


@pytest.fixture
def tickets(classify_csv):
    return store.add(classify_csv)


def test_a_wrong_label_is_corrected_in_its_row_and_can_be_undone(tickets):
    before = tickets.table()
    example = examples.build_row_examples(before, "classify", CLASSIFY)[3]
    other = next(row["label"] for row in before.rows if row["label"] != example["label"])
    store.apply_change(tickets, corrections.correct_label(before, CLASSIFY, example, other))
    after = tickets.table().rows
    assert after[3] == {**before.rows[3], "label": other}
    assert after[:3] + after[4:] == before.rows[:3] + before.rows[4:]
    store.undo(tickets)
    assert tickets.table() == before


def test_a_row_that_repeats_is_corrected_everywhere(tmp_path):
    path = tmp_path / "twice.csv"
    rows = ["late,delivery", "late,delivery", *(f"paid {n},billing" for n in range(8))]
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    table = store.add(path).table()
    change = corrections.correct_label(table, CLASSIFY, {"text": "late", "label": "delivery"}, "billing")
    assert change.cells == ((0, "label", "billing"), (1, "label", "billing"))


def test_a_row_that_was_changed_since_is_not_guessed_at(tickets):
    table = tickets.table()
    with pytest.raises(BadData) as refusal:
        corrections.correct_label(table, CLASSIFY, {"text": "not there", "label": "x"}, "x")
    assert refusal.value.message.text == corrections.ROW_IS_GONE.text


def test_a_label_that_the_data_does_not_have_is_refused(tickets):
    table = tickets.table()
    example = examples.build_row_examples(table, "classify", CLASSIFY)[0]
    with pytest.raises(BadData) as refusal:
        corrections.correct_label(table, CLASSIFY, example, "nonsense")
    assert refusal.value.message.text == corrections.UNKNOWN_LABEL.text


def test_a_new_example_stands_at_the_end_and_can_be_undone(chat_csv):
    dataset = store.add(chat_csv)
    before = dataset.table()
    store.apply_change(dataset, corrections.add_example("chat", CHAT, "Where is it?", "On its way."))
    table = store.find(dataset.source).table()
    assert table.rows[-1] == {"prompt": "Where is it?", "response": "On its way."}
    assert table.rows[:-1] == before.rows
    assert examples.build_examples(table, "chat", CHAT)[0][-1] == table.rows[-1]
    store.undo(dataset)
    assert dataset.table() == before


def test_an_example_of_conversations_is_added_as_one():
    change = corrections.add_example("chat", {"messages": "talk"}, "Where?", "Here.")
    ((column, text),) = change.added[0]
    assert column == "talk"
    assert examples.to_messages({"messages": text})[-1] == {"role": "assistant", "content": "Here."}


@pytest.mark.parametrize(
    ("task", "columns", "question", "answer", "message"),
    [
        ("chat", CHAT, " ", "On its way.", corrections.NOTHING_TO_ADD),
        ("chat", CHAT, "Where?", "", corrections.NOTHING_TO_ADD),
        ("prefer", {"prompt": "q", "chosen": "a", "rejected": "b"}, "q", "a", corrections.CANNOT_ADD),
    ],
)
def test_what_cannot_be_added_is_refused(task, columns, question, answer, message):
    with pytest.raises(BadData) as refusal:
        corrections.add_example(task, columns, question, answer)
    assert refusal.value.message.text == message.text
