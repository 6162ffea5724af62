"""What each column is for is guessed by its name first, and by what stands in it."""

import pytest

from studio import presets
from studio.data import columns
from studio.data.read import Table, read
from studio.errors import BadData


def table(**cells):
    """A table of 12 rows; a list of fewer values is repeated."""
    rows = [{name: values[number % len(values)] for name, values in cells.items()} for number in range(12)]
    return Table("t.csv", tuple(cells), tuple(rows))


LONG = [f"This is the long text number {number} that somebody wrote, about a parcel." for number in range(12)]
LABELS = ["billing", "delivery", "returns"]


@pytest.mark.parametrize(
    ("names", "task"),
    [
        (("prompt", "response"), "chat"),
        (("question", "answer"), "chat"),
        (("Instruction", "Output"), "chat"),
        (("customer_message", "agent reply"), "chat"),
        (("问题", "回答"), "chat"),
        (("text", "label"), "classify"),
        (("Review", "Sentiment"), "classify"),
        (("文本", "标签"), "classify"),
    ],
    ids="-".join,
)
def test_columns_are_taken_by_their_names_in_any_order(names, task):
    first, second = names
    found = columns.guess(table(**{"id": LONG, second: LABELS, first: LONG}))
    assert (found.task, list(found.columns.values()), found.sure) == (task, [first, second], True)


@pytest.mark.parametrize("name", list(presets.samples()))
def test_the_samples_are_guessed_as_their_cards_say(name):
    card = presets.samples()[name]
    found = columns.guess(read(card.path))
    assert (found.task, found.columns) == (card.task, card.columns)


def test_unknown_names_are_guessed_by_content_and_marked_unsure():
    found = columns.guess(table(x=LONG, y=LABELS))
    assert (found.task, found.columns, found.sure) == ("classify", {"text": "x", "label": "y"}, False)


def test_two_long_columns_are_a_question_and_its_answer():
    found = columns.guess(table(x=LONG, y=LONG[::-1]))
    assert (found.task, found.columns, found.sure) == ("chat", {"prompt": "x", "response": "y"}, False)


def test_a_column_that_is_mostly_empty_is_not_taken():
    found = columns.guess(table(prompt=LONG, response=["", "", "", "only here"], answer=LONG))
    assert found.columns == {"prompt": "prompt", "response": "answer"}


@pytest.mark.parametrize("cells", [{"text": LONG}, {"text": LONG, "label": [""]}], ids=["one column", "an empty one"])
def test_no_usable_column_is_told_with_those_there_are(cells):
    with pytest.raises(BadData) as caught:
        columns.guess(table(**cells))
    what, to_do = caught.value.sentences()
    assert what == "“t.csv” has 1 usable column(s): text."
    assert to_do.startswith("Two are needed")


def test_an_id_or_a_time_is_not_taken_for_a_text():
    found = columns.guess(table(**{"customer_id": LONG, "message": LONG, "response_time": LONG, "reply": LONG}))
    assert "customer_id" not in found.columns.values()
    assert "response_time" not in found.columns.values()


def test_numbers_and_channels_beside_two_long_texts_are_left_aside():
    rows = {"Ticketnr": [f"T-{n}" for n in range(40)], "Kundenfrage": [f"where is my order and when will it come {n}" for n in range(40)]}
    rows |= {"Unsere Rückmeldung": [f"where is my order and when will it come {n}!" for n in range(40)], "Kanal": ["Chat", "Mail"] * 20}
    names = tuple(rows)
    found = Table("tickets.csv", names, tuple(dict(zip(names, values, strict=True)) for values in zip(*rows.values(), strict=True)))
    assert columns.guess(found) == columns.Guess("chat", {"prompt": "Kundenfrage", "response": "Unsere Rückmeldung"}, False)
    assert columns.guess(found, "classify") == columns.Guess("classify", {"text": "Unsere Rückmeldung", "label": "Kanal"}, False)
