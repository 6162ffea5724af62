"""A held-out row mends the data: its label is corrected, or an example like it added; undo takes it back."""

import json

import pytest
from form_fields import ENGLISH

from studio import runs
from studio.data import store
from studio.evaluate import predictions
from studio.plan import Data
from studio.ui import access
from studio.ui.train import corrections, verdict_card

TEXTS = [{"text": f"text {n}", "label": ("card", "cash")[n % 2]} for n in range(30)]
CHATS = [{"prompt": f"question {n}", "response": f"answer {n}"} for n in range(30)]


class Press:
    """An event as the browser sends it."""

    def __init__(self, **values):
        self.__dict__.update(values)


def finish(run, rows, outcomes):
    """Give a run held-out rows and what was answered to them."""
    (run.folder / "data").mkdir()
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (run.folder / "data" / "test.jsonl").write_text(text, encoding="utf-8")
    predictions.write(run.folder, "test", outcomes)


def add_dataset(rows, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return store.copy(store.find(str(path)))


@pytest.fixture
def sorted_run(make_plan, tmp_path):
    """A run that took the first text, whose label is card, for cash."""
    dataset = add_dataset(TEXTS, tmp_path)
    data = Data(source=dataset.source, columns={"text": "text", "label": "label"})
    run = runs.create(make_plan(task="classify").model_copy(update={"data": data}))
    outcomes = {n: {"label": "cash", "probability": 0.9} for n in range(10)}
    finish(run, TEXTS[:10], {"base": {}, "tuned": outcomes})
    return run


@pytest.fixture
def chat_run(make_plan, tmp_path):
    dataset = add_dataset(CHATS, tmp_path)
    data = Data(source=dataset.source, columns={"prompt": "prompt", "response": "response"})
    run = runs.create(make_plan(task="chat").model_copy(update={"data": data}))
    outcomes = {n: {"text": f"answer {n}", "loss": 1.0} for n in range(10)}
    finish(run, CHATS[:10], {"base": outcomes, "tuned": outcomes})
    return run


def rows_of(run):
    return store.find(run.plan.data.source).table().rows


def test_a_wrong_label_is_corrected_and_can_be_undone(sorted_run):
    source = sorted_run.plan.data.source
    press = Press(id=sorted_run.id, row=0, label="cash")
    notice, opened, revision = corrections.correct_label([source], source, 3, press, ENGLISH)
    assert notice["text"] == "The label of 1 row of “rows.jsonl” is now “cash”."
    assert (opened, revision) == (source, 4)
    assert rows_of(sorted_run)[0]["label"] == "cash"
    store.undo(store.find(source))
    assert rows_of(sorted_run)[0]["label"] == "card"


def test_an_example_is_added_at_the_end(chat_run):
    source = chat_run.plan.data.source
    press = Press(id=chat_run.id, row=2, question="a new question", answer="its answer")
    notice, _, _ = corrections.add_example([source], "sample:support-tone", 0, press, ENGLISH)
    assert notice["text"] == "The example is now a row of “rows.jsonl”."
    assert rows_of(chat_run)[-1] == {"prompt": "a new question", "response": "its answer"}
    assert len(rows_of(chat_run)) == 31


def test_other_data_that_is_open_stays_open(chat_run):
    press = Press(id=chat_run.id, row=2, question="a", answer="b")
    _, opened, _ = corrections.add_example([], "sample:support-tone", 0, press, ENGLISH)
    assert opened != chat_run.plan.data.source
    assert "sample" not in str(opened)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"row": 99, "label": "cash"}, "This row is none of the run's held-out rows."),
        ({"row": "0", "label": "cash"}, "This row is none of the run's held-out rows."),
        ({"row": None, "label": "cash"}, "This row is none of the run's held-out rows."),
        ({"row": 0, "label": "gold"}, "“gold” is not a label of “rows.jsonl”."),
        ({"row": 0, "label": ["cash"]}, "“” is not a label of “rows.jsonl”."),
        ({"row": 0, "label": "cash", "id": "../../etc"}, "There is no run"),
        ({"row": 0, "label": "cash", "id": 3}, "There is no run"),
    ],
)
def test_what_a_browser_makes_up_changes_nothing(sorted_run, values, text):
    before = rows_of(sorted_run)
    press = Press(**{"id": sorted_run.id, **values})
    notice, _, _ = corrections.correct_label([], "", 0, press, ENGLISH)
    assert notice["text"].startswith(text)
    assert notice["bad"]
    assert rows_of(sorted_run) == before


def test_on_a_page_for_others_only_who_brought_the_data_changes_it(sorted_run, monkeypatch):
    monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")
    press = Press(id=sorted_run.id, row=0, label="cash")
    notice, _, _ = corrections.correct_label([], "", 0, press, ENGLISH)
    assert notice["text"] == "This data set was brought by someone else."
    assert rows_of(sorted_run)[0]["label"] == "card"


def test_a_sample_is_copied_and_the_copy_is_opened(make_plan):
    sample = store.find("sample:ticket-triage")
    columns = {"text": "text", "label": "label"}
    first = sample.table().rows[0]
    right_label = next(row["label"] for row in sample.table().rows if row["label"] != first["label"])
    data = Data(source=sample.source, columns=columns)
    run = runs.create(make_plan(task="classify").model_copy(update={"data": data}))
    finish(run, [first], {"base": {}, "tuned": {0: {"label": right_label, "probability": 0.9}}})
    press = Press(id=run.id, row=0, label=right_label)
    notice, opened, _ = corrections.correct_label([], sample.source, 0, press, ENGLISH)
    assert "copy of the sample" in notice["more"]
    assert store.find(opened).table().rows[0]["label"] == right_label
    assert sample.table().rows[0]["label"] == first["label"]


def test_a_second_change_of_a_sample_goes_into_the_same_copy(make_plan):
    sample = store.find("sample:ticket-triage")
    first, second = sample.table().rows[:2]
    label = next(row["label"] for row in sample.table().rows if row["label"] != first["label"])
    data = Data(source=sample.source, columns={"text": "text", "label": "label"})
    run = runs.create(make_plan(task="classify").model_copy(update={"data": data}))
    outcomes = {n: {"label": label, "probability": 0.9} for n in range(2)}
    finish(run, [first, second], {"base": {}, "tuned": outcomes})
    opened = sample.source
    for row in range(2):
        press = Press(id=run.id, row=row, label=label)
        _, opened, _ = corrections.correct_label([], opened, 0, press, ENGLISH)
    (copy,) = store.list_datasets()
    assert opened == copy.source
    assert [row["label"] for row in copy.table().rows[:2]] == [label, label]


def test_a_label_that_is_refused_leaves_no_copy_of_a_sample(make_plan):
    sample = store.find("sample:ticket-triage")
    data = Data(source=sample.source, columns={"text": "text", "label": "label"})
    run = runs.create(make_plan(task="classify").model_copy(update={"data": data}))
    first = sample.table().rows[0]
    finish(run, [first], {"base": {}, "tuned": {0: {"label": first["label"], "probability": 0.9}}})
    press = Press(id=run.id, row=0, label="gold")
    assert corrections.correct_label([], sample.source, 0, press, ENGLISH)[0]["bad"]
    assert store.list_datasets() == []


def test_every_mistake_offers_its_right_label_and_the_given_one_is_chosen(sorted_run):
    answered = predictions.read(sorted_run.folder)
    table = verdict_card._mistake_table(answered, "en")
    assert len(table["acts"]) == len(table["rows"]) == 5
    assert table["acts"][0]["labels"] == ["card", "cash"]
    assert table["acts"][0]["given"] == "cash"
    assert [act["row"] for act in table["acts"]] == [0, 2, 4, 6, 8]


def test_every_answer_offers_an_example_like_it(chat_run):
    answered = predictions.read(chat_run.folder)
    table = verdict_card._answer_table(answered, "en")
    assert table["acts"][0]["question"]["text"] == "question 0"
    assert table["acts"][0]["answer"]["text"] == "answer 0"
