"""Of two answers to a question the one that won is learned, never just the first."""

import csv

import pytest

from studio.data import examples as data_examples
from studio.data import store
from studio.data.readers.read import read_table
from studio.data.schema import infer_roles
from studio.errors import BadData

ASKED = [f"How do I reset the lamp number {number}?" for number in range(12)]
FIRST = [f"Hold the button of lamp {number} for five seconds." for number in range(12)]
SECOND = [f"I do not know about lamp {number}, ask somebody." for number in range(12)]


def table(tmp_path, names, verdicts, *beside):
    """A file of 12 rows: a question, two answers and what is said of them; fewer values are repeated."""
    path = tmp_path / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = (
            [*texts, *(cells[n % len(cells)] for cells in (verdicts, *beside))]
            for n, texts in enumerate(zip(ASKED, FIRST, SECOND, strict=True))
        )
        csv.writer(file).writerows([names, *rows])
    return read_table(path)


ARENA = ("prompt", "response_a", "response_b", "winner")


@pytest.mark.parametrize(
    ("names", "verdicts"),
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
def test_the_answer_that_won_is_the_better_one(tmp_path, names, verdicts):
    read_in = table(tmp_path, names, verdicts)
    found = infer_roles.guess_roles(read_in)
    assert (found.task, found.columns["prompt"], found.is_confident) == ("prefer", names[0], True)
    examples, incomplete = data_examples.build_examples(read_in, "prefer", found.columns)
    assert incomplete == 0
    for number, example in enumerate(examples):
        better, worse = (FIRST, SECOND) if number % 2 == 0 else (SECOND, FIRST)
        assert example == {"prompt": ASKED[number], "chosen": better[number], "rejected": worse[number]}
    assert f"“{names[3]}” says which of “{names[1]}” and “{names[2]}” is better" in read_in.notes[0].render()


@pytest.mark.parametrize("tie", ["tie", "both", "tie (bothbad)", "neither", "平局", "A=B", ""])
def test_rows_in_which_no_answer_won_are_left_out_and_counted(tmp_path, tie):
    read_in = table(tmp_path, ARENA, ("A", "B", tie))
    assert [row["prompt"] for row in read_in.rows] == [
        text for number, text in enumerate(ASKED) if number % 3 < 2
    ]
    assert read_in.notes[1].render() == f"4 rows where no answer is better (such as “{tie or '–'}”) left out."
    assert read_in.notes[1].render("zh") == f"4 行没有更好的回答（例如“{tie or '–'}”），已忽略。"


def test_a_winner_may_be_named_by_the_model_that_answered(tmp_path):
    read_in = table(tmp_path, [*ARENA, "model_a", "model_b"], ["gpt"], ["gpt", "llama"], ["llama", "gpt"])
    assert [row["chosen"] for row in read_in.rows] == [(FIRST, SECOND)[n % 2][n] for n in range(12)]
    assert read_in.columns == ("prompt", "chosen", "rejected")


def test_points_and_marks_for_each_answer_say_which_is_better(tmp_path):
    scored = table(tmp_path, [*ARENA[:3], "labels", "score_a", "score_b"], ["1", "0"], ["5", "1"], ["3", "2"])
    assert [row["chosen"] for row in scored.rows] == [(FIRST, SECOND)[n % 2][n] for n in range(12)]
    marked = table(
        tmp_path, [*ARENA[:3], "winner_model_a", "winner_model_b", "winner_tie"], "100", "010", "001"
    )
    assert [row["chosen"] for row in marked.rows] == [
        (FIRST, SECOND)[n % 3][n] for n in range(12) if n % 3 < 2
    ]


@pytest.mark.parametrize(
    ("names", "verdicts"),
    [
        (ARENA, ["1"]),
        (ARENA, ["0", "1", "2"]),
        (ARENA, ["x", "y"]),
        ((*ARENA[:3], "a_is_better"), ["1", "0"]),
        ((*ARENA[:3], "label"), ["1", "0"]),
    ],
    ids=str,
)
def test_where_no_winner_can_be_told_the_data_is_refused_with_what_stands_there(tmp_path, names, verdicts):
    with pytest.raises(BadData) as caught:
        infer_roles.guess_roles(table(tmp_path, names, verdicts))
    what, to_do = caught.value.sentences()
    assert what == (
        f"“t.csv” holds two answers to compare, “response_a” and “response_b”, but “{names[3]}” does not say which is better: "
        f"{', '.join(verdicts)}."
    )
    assert to_do.startswith("Write “response_a” or “response_b” there in every row")
    assert "看不出哪个更好" in caught.value.render("zh")


def test_one_of_two_answers_is_never_taken_for_sure(tmp_path):
    found = infer_roles.guess_roles(table(tmp_path, [*ARENA[:3], "category"], ["lamps", "tables"]))
    assert (found.task, found.is_confident) == ("chat", False)


def test_two_sentences_and_a_class_are_no_answers_to_compare(tmp_path):
    read_in = table(tmp_path, ["id", "sentence1", "sentence2", "label"], ["0", "1"])
    assert read_in.columns == ("id", "sentence1", "sentence2", "label")
    assert infer_roles.guess_roles(read_in).task == "classify"


def test_what_was_made_of_two_answers_is_remembered_with_the_data(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    read_in = table(tmp_path, ARENA, ("A", "B"))
    assert store.add(tmp_path / "t.csv").table().notes == read_in.notes
