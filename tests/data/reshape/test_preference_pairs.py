"""Of two answers to a question the one that won is learned, never just the first."""

import csv

import pytest

from studio.data import examples as data_examples
from studio.data import store
from studio.data.readers.read import read_table
from studio.data.reshape import preference_pairs
from studio.data.schema import infer_roles
from studio.errors import BadData

QUESTIONS = [f"How do I reset the lamp number {index}?" for index in range(12)]
FIRST_ANSWERS = [f"Hold the button of lamp {index} for five seconds." for index in range(12)]
SECOND_ANSWERS = [f"I do not know about lamp {index}, ask somebody." for index in range(12)]


def table(tmp_path, names, winners, *extra_cells):
    """A file of 12 rows: a question, two answers and what is said of them; fewer values are repeated."""
    path = tmp_path / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = (
            [*texts, *(cells[n % len(cells)] for cells in (winners, *extra_cells))]
            for n, texts in enumerate(zip(QUESTIONS, FIRST_ANSWERS, SECOND_ANSWERS, strict=True))
        )
        csv.writer(file).writerows([names, *rows])
    return read_table(path)


ARENA = ("prompt", "response_a", "response_b", "winner")


@pytest.mark.parametrize(
    ("names", "winners"),
    [
        (ARENA, ("A", "B")),
        (ARENA, ("response_a", "response_b")),
        (ARENA, ("model_a", "model_b")),
        (ARENA, ("Response A is better", "Response B is better")),
        (ARENA, ("A>B", "B>>A")),
        (ARENA, ("1", "2")),
        (ARENA, ("0", "1")),
        (ARENA, ("1.0", "2.0")),
        (("prompt", "responseA", "responseB", "winner"), ("a", "b")),
        (("prompt", "response_0", "response_1", "preference"), ("0", "1")),
        (("prompt", "response_0", "response_1", "better_response_id"), ("0", "1")),
        (("question", "answer_1", "answer_2", "better"), ("1", "2")),
        (("question", "answer_1", "answer_2", "better"), ("0", "1")),
        (("question", "answer_1", "answer_2", "better"), ("answer_1", "answer_2")),
        (("question", "model_a", "model_b", "winner"), ("model_a", "model_b")),
        (("question", "left answer", "right answer", "label"), ("left", "right")),
        (("问题", "回答A", "回答B", "更好"), ("A", "B")),
        (("问题", "回答A", "回答B", "更好"), ("回答A", "回答B")),
        (("问题", "回答一", "回答二", "哪个更好"), ("一", "二")),
    ],
    ids=str,
)
def test_the_answer_that_won_is_the_better_one(tmp_path, names, winners):
    parsed = table(tmp_path, names, winners)
    guess = infer_roles.guess_roles(parsed)
    assert (guess.task, guess.columns["prompt"], guess.is_confident) == ("prefer", names[0], True)
    examples, incomplete = data_examples.build_examples(parsed, "prefer", guess.columns)
    assert incomplete == 0
    for index, example in enumerate(examples):
        better, worse = (FIRST_ANSWERS, SECOND_ANSWERS) if index % 2 == 0 else (SECOND_ANSWERS, FIRST_ANSWERS)
        assert example == {"prompt": QUESTIONS[index], "chosen": better[index], "rejected": worse[index]}
    note = parsed.notes[0]
    assert note.text == preference_pairs.PAIRS_BUILT.text
    assert [note.values[name] for name in ("winner", "first", "second")] == [names[3], names[1], names[2]]


@pytest.mark.parametrize("tie", ["tie", "both", "tie (bothbad)", "neither", "平局", "A=B", ""])
def test_rows_in_which_no_answer_won_are_left_out_and_counted(tmp_path, tie):
    parsed = table(tmp_path, ARENA, ("A", "B", tie))
    assert [row["prompt"] for row in parsed.rows] == [
        text for index, text in enumerate(QUESTIONS) if index % 3 < 2
    ]
    assert parsed.notes[1] == preference_pairs.TIES_DROPPED.format(count=4, value=tie or "–")


def test_a_winner_may_be_named_by_the_model_that_answered(tmp_path):
    parsed = table(tmp_path, [*ARENA, "model_a", "model_b"], ["gpt"], ["gpt", "llama"], ["llama", "gpt"])
    assert [row["chosen"] for row in parsed.rows] == [
        (FIRST_ANSWERS, SECOND_ANSWERS)[n % 2][n] for n in range(12)
    ]
    assert parsed.columns == ("prompt", "chosen", "rejected")


def test_points_and_marks_for_each_answer_say_which_is_better(tmp_path):
    scored = table(tmp_path, [*ARENA[:3], "labels", "score_a", "score_b"], ["1", "0"], ["5", "1"], ["3", "2"])
    assert [row["chosen"] for row in scored.rows] == [
        (FIRST_ANSWERS, SECOND_ANSWERS)[n % 2][n] for n in range(12)
    ]
    marked = table(
        tmp_path, [*ARENA[:3], "winner_model_a", "winner_model_b", "winner_tie"], "100", "010", "001"
    )
    assert [row["chosen"] for row in marked.rows] == [
        (FIRST_ANSWERS, SECOND_ANSWERS)[n % 3][n] for n in range(12) if n % 3 < 2
    ]


@pytest.mark.parametrize(
    ("names", "winners"),
    [
        (ARENA, ["1"]),
        (ARENA, ["0", "1", "2"]),
        (ARENA, ["x", "y"]),
        ((*ARENA[:3], "a_is_better"), ["1", "0"]),
        ((*ARENA[:3], "label"), ["1", "0"]),
    ],
    ids=str,
)
def test_where_no_winner_can_be_told_the_data_is_refused_with_what_stands_there(tmp_path, names, winners):
    with pytest.raises(BadData) as caught:
        infer_roles.guess_roles(table(tmp_path, names, winners))
    assert caught.value.message == preference_pairs.NO_CLEAR_WINNER.format(
        name="t.csv", first="response_a", second="response_b", column=names[3], values=winners
    )


def test_one_of_two_answers_is_never_taken_for_sure(tmp_path):
    guess = infer_roles.guess_roles(table(tmp_path, [*ARENA[:3], "category"], ["lamps", "tables"]))
    assert (guess.task, guess.is_confident) == ("chat", False)


def test_two_sentences_and_a_class_are_no_answers_to_compare(tmp_path):
    parsed = table(tmp_path, ["id", "sentence1", "sentence2", "label"], ["0", "1"])
    assert parsed.columns == ("text", "id", "label")
    assert infer_roles.guess_roles(parsed).task == "classify"


def test_what_was_made_of_two_answers_is_remembered_with_the_data(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    parsed = table(tmp_path, ARENA, ("A", "B"))
    assert store.add(tmp_path / "t.csv").table().notes == parsed.notes
