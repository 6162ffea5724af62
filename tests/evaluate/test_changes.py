"""What got better and worse is counted as the verdict counts it, and what changed most stands first."""

from studio.evaluate import changes, predictions, verdict
from studio.evaluate.predictions import Answered, Prediction


def rows_of(found):
    return [row.row for row in found.better], [row.row for row in found.worse]


def test_ratings_are_ordered_by_how_much_nearer_they_came():
    wanted, base, tuned = 3.0, (1.0, 3.0, 2.0, 2.5), (2.0, 5.0, 3.0, 2.5)
    rows = [
        Prediction(index, {"text": "t", "rating": str(wanted)}, {"value": after}, linear={"value": before})
        for index, (before, after) in enumerate(zip(base, tuned, strict=True))
    ]
    assert rows_of(changes.find(Answered("test", rows))) == ([0, 2], [1])


def test_labels_that_are_found_or_lost_count():
    pairs = [(["a"], ["a", "b"]), (["a", "b"], []), (["a"], ["a"])]
    rows = [
        Prediction(index, {"text": "t", "labels": '["a", "b"]'}, {"labels": tuned}, linear={"labels": linear})
        for index, (linear, tuned) in enumerate(pairs)
    ]
    answered = Answered("test", rows)
    (comparison,) = verdict.judge(answered, {}).comparisons
    found = changes.find(answered)
    assert rows_of(found) == ([0], [1])
    assert (comparison.difference.n_better, comparison.difference.n_worse) == (1, 1)


def test_where_nothing_answered_before_nothing_is_compared():
    rows = [Prediction(0, {"prompt": "p", "chosen": "a", "rejected": "b"}, {"margin": 1.0})]
    assert rows_of(changes.find(Answered("test", rows))) == ([], [])
    assert predictions.expected_text(rows[0].example) == "a"
