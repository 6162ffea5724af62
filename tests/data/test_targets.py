"""What a text to classify is to get: several labels, or a number, and how both are told from classes."""

import json

import pytest

from studio.data import examples, split, targets
from studio.data.readers.read import Table
from studio.data.schema import infer_roles
from studio.errors import BadData
from studio.plan import Data

TAGS = ("billing", "delivery", "returns")
COMBINATIONS = (
    ("billing",),
    ("billing", "delivery"),
    ("delivery",),
    ("delivery", "returns"),
    ("billing", "returns"),
    ("returns",),
)


def table_of(cells, name="tags"):
    rows = [{"text": f"The parcel number {n} is not here yet.", name: cell} for n, cell in enumerate(cells)]
    return Table("toys", ("text", name), rows)


def joined(sign):
    return [sign.join(names) for names in COMBINATIONS * 4]


@pytest.mark.parametrize("sign", ["; ", ";", ", ", "|", "\n", "，", "、", "；"])
def test_labels_with_a_sign_between_are_read_and_proposed(sign):
    table = table_of(joined(sign))
    guess = infer_roles.guess_roles(table)
    assert (guess.task, guess.columns) == ("classify", {"text": "text", "labels": "tags"})
    rows, n_incomplete = examples.build_examples(table, "classify", guess.columns)
    assert [targets.labels_of(row) for row in rows] == [list(names) for names in COMBINATIONS * 4]
    assert n_incomplete == 0
    assert examples.collect_labels(rows) == list(TAGS)


@pytest.mark.parametrize("dump", [json.dumps, str], ids=["json", "python"])
def test_lists_as_programs_write_them_are_read_and_proposed(dump):
    table = table_of([dump(list(names)) for names in COMBINATIONS * 4])
    assert infer_roles.guess_roles(table).columns["labels"] == "tags"
    rows, _ = examples.build_examples(table, "classify", {"text": "text", "labels": "tags"})
    assert targets.labels_of(rows[1]) == ["billing", "delivery"]


@pytest.mark.parametrize(
    "cells",
    [
        ["Travel, leisure", "Food, drink", "Sports"] * 8,
        ["New York, NY", "Albany, NY", "Boston, MA", "Salem, MA"] * 6,
        ["billing", "delivery", "returns"] * 8,
        ["yes", "no"] * 12,
    ],
    ids=["names with commas", "places", "one class each", "yes and no"],
)
def test_a_name_with_a_comma_stays_one_class(cells):
    assert not targets.has_several_labels(cells)
    assert "label" in infer_roles.guess_roles(table_of(cells, "category"), "classify").columns


def test_a_person_can_take_several_labels_for_one_class():
    rows, _ = examples.build_examples(table_of(joined("; ")), "classify", {"text": "text", "label": "tags"})
    assert len(examples.collect_labels(rows)) == len(COMBINATIONS)


def test_an_empty_cell_is_incomplete_and_an_empty_list_says_that_no_label_applies():
    table = table_of([*joined("; "), "", "[]"])
    rows, n_incomplete = examples.build_examples(table, "classify", {"text": "text", "labels": "tags"})
    assert n_incomplete == 1
    assert targets.labels_of(rows[-1]) == []
    assert targets.describe(rows[-1]) == "–"


class CountingTokenizer:
    eos_token_id = 0

    def __call__(self, text, **_):
        return {"input_ids": [1, 2]}


def test_several_labels_are_learned_as_ones_and_noughts_in_the_order_of_the_classes():
    rows, _ = examples.build_examples(table_of(joined("; ")), "classify", {"text": "text", "labels": "tags"})
    encoded = examples.encode_examples(rows, "classify", CountingTokenizer(), 8, TAGS)
    assert [row.labels for row in encoded[:4]] == [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1]]


@pytest.mark.parametrize(
    ("cell", "rating"),
    [
        ("4", 4),
        ("4.5", 4.5),
        ("4,5", 4.5),
        ("4/5", 4),
        ("4 stars", 4),
        ("1 star", 1),
        ("★★★", 3),
        ("★★★☆☆", 3),
        ("4★", 4),
        ("4分", 4),
        ("-2", -2),
        (" 3 ", 3),
        ("four", None),
        ("", None),
        ("4 of us", None),
    ],
)
def test_numbers_are_read_as_people_write_them(cell, rating):
    assert targets.parse_rating(cell) == rating


def test_stars_are_proposed_as_a_number_where_the_name_says_so_and_else_as_classes():
    stars = [str(1 + n % 5) for n in range(30)]
    assert infer_roles.guess_roles(table_of(stars, "stars"), "classify").columns["rating"] == "stars"
    assert infer_roles.guess_roles(table_of(stars, "label"), "classify").columns["label"] == "label"
    few = [str(n % 3) for n in range(30)]
    assert infer_roles.guess_roles(table_of(few, "rating"), "classify").columns["label"] == "rating"


def test_a_row_whose_number_cannot_be_read_is_incomplete():
    table = table_of([*(str(1 + n % 5) for n in range(20)), "n/a"], "stars")
    rows, n_incomplete = examples.build_examples(table, "classify", {"text": "text", "rating": "stars"})
    assert (len(rows), n_incomplete) == (20, 1)
    assert examples.collect_labels(rows) == [targets.RATING_LABEL]


def test_one_number_alone_cannot_be_learned():
    with pytest.raises(BadData) as error:
        examples.build_examples(
            table_of(["3"] * 20, "stars"), "classify", {"text": "text", "rating": "stars"}
        )
    assert error.value.message == examples.ONE_RATING_ONLY.format(rating="3")


def test_the_scale_of_numbers_by_hand():
    rows = [{"text": "a", "rating": value} for value in ("1", "2", "4", "5")]
    scale = targets.fit_scale(rows, has_bias=True)
    assert (scale.mean, scale.median, scale.step) == (3, 3, 1)
    assert scale.deviation == pytest.approx(2.5**0.5)
    assert float(scale.standardize(rows[3])["rating"]) == pytest.approx(2 / 2.5**0.5)
    assert targets.fit_scale(rows, has_bias=False).mean == 0


def test_numbers_of_which_nearly_all_differ_have_no_steps():
    rows = [{"text": "a", "rating": str(value)} for value in range(50)]
    assert targets.fit_scale(rows, has_bias=True).step == 0


def test_every_label_is_in_both_splits():
    rows, _ = examples.build_examples(
        table_of([*joined("; "), *["billing"] * 40]), "classify", {"text": "text", "labels": "tags"}
    )
    splits = split.split_examples(rows, Data(source="x", validation_share=0.3), 1, range(len(rows)))
    for part in (splits.train, splits.validation):
        assert examples.collect_labels(part) == list(TAGS)
