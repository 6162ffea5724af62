"""A set of answers is checked as a whole before anything is decided."""

import pytest
from chooser_cases import CPU, TONE, fixed_estimates

from studio import chooser
from studio.errors import BadData


def test_wrong_answers_are_all_named_at_once():
    with pytest.raises(BadData) as caught:
        chooser.choose({**TONE, "change": "sing", "colour": "blue", "many": 3}, "", CPU, fixed_estimates())
    for problem in (
        "colour: is not a question",
        "change: expected one of knowledge, tone",
        "many: expected one of few",
    ):
        assert problem in caught.value.render()
    assert "colour：没有这个问题" in caught.value.render("zh")
    with pytest.raises(BadData, match=r"apart: is missing \(near, middle, far\)"):
        chooser.validate_answers({name: choice for name, choice in TONE.items() if name != "apart"})
    with pytest.raises(BadData, match="but got list"):
        chooser.validate_answers(["tone"])


def test_data_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadData, match=r"none\.csv"):
        chooser.choose(TONE, str(tmp_path / "none.csv"), CPU, fixed_estimates())
