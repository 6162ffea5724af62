"""More scores of a run, beside those of what there was before."""

import pytest

from studio.evaluate import detail_scores
from studio.evaluate.predictions import Answered, Prediction


def compute(rows):
    scores = detail_scores.compute(Answered("test", rows))
    return {score.name.text: (score.before, score.tuned) for score in scores}


def text_row(index, wanted, base, tuned):
    example = {"prompt": "q", "response": wanted}
    return Prediction(index, example, {"text": tuned, "loss": 1.0}, {"text": base, "loss": 2.0})


def test_texts_are_scored_by_overlap_exact_match_and_length():
    found = compute([text_row(0, "good morning", "zzzz", "good morning"), text_row(1, "yes", "zz", "no")])
    before, tuned = found[detail_scores.CHRF.text]
    assert before == 0
    assert 50 < tuned < 100
    assert found[detail_scores.EXACT_MATCH.text] == (0, 0.5)
    assert found[detail_scores.LENGTH.text] == (3, 7)
    assert found[detail_scores.LOSS.text] == (2.0, 1.0)
    assert detail_scores.VALID_JSON.text not in found


def test_the_same_text_has_the_highest_overlap():
    found = compute([text_row(0, "good morning", "", "good morning")])
    assert found[detail_scores.CHRF.text] == (0, pytest.approx(100))


def test_valid_json_is_counted_where_json_is_wanted():
    found = compute([text_row(n, '{"a": 1}', "a: 1", '{"a": 2}') for n in range(4)])
    assert found[detail_scores.VALID_JSON.text] == (0, 1)


def test_a_result_is_no_text_to_compare_by_characters():
    row = Prediction(0, {"prompt": "1 + 1", "answer": "2"}, {"text": "It is 2."}, {"text": "3"})
    assert compute([row]) == {}


def test_the_loss_alone_waits_behind_a_click():
    scores = detail_scores.compute(Answered("test", [text_row(0, "yes", "no", "yes")]))
    assert [score.name for score in scores if score.is_detail] == [detail_scores.LOSS]


def test_classes_are_scored_by_macro_f1_beside_the_linear_model():
    rows = [
        Prediction(0, {"text": "t", "label": "a"}, {"label": "a"}, linear={"label": "a"}),
        Prediction(1, {"text": "t", "label": "b"}, {"label": "b"}, linear={"label": "a"}),
    ]
    # the linear model: F1 of a is 2/3, of b 0
    assert compute(rows) == {detail_scores.MACRO_F1.text: (pytest.approx(1 / 3), 1)}


def test_pairs_and_numbers_have_no_other_score():
    rows = [Prediction(0, {"prompt": "q", "chosen": "a", "rejected": "b"}, {"margin": 1.0})]
    assert compute(rows) == {}
