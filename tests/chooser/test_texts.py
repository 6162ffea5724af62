"""The chooser's words: six questions, and amounts, times and prices as sentences say them."""

import pytest
from chooser_cases import CHOICES

from studio import chooser
from studio.chooser import texts
from studio.chooser.texts import TEXTS
from studio.estimate.types import range_around
from studio.i18n import Message


def test_there_are_six_questions_of_six_choices_at_most_and_each_choice_stands_in_a_sentence_too():
    assert list(CHOICES) == ["change", "have", "many", "where", "budget", "apart"]
    for question in chooser.QUESTIONS:
        assert 2 <= len(question.choices) <= 6
        assert list(TEXTS.questions[question.id].short) == CHOICES[question.id]


@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        (0.2, "a minute"),
        (12, "12 minutes"),
        (100, "2 hours"),
        (3_000, "2 days"),
        (90_000, "62 days"),
    ],
)
def test_a_time_is_said_in_one_unit(minutes, text):
    assert texts.format_duration(minutes).render() == text


def test_a_price_below_a_cent_is_said_as_such():
    assert texts.format_price(range_around(0.001, 2), "USD").render() == "under $0.01"
    assert texts.format_price(range_around(12.5, 2), "CNY").render() == "about ¥12.50"


def test_chinese_sets_a_space_where_scripts_meet():
    sentence = texts.fill_sentence(Message("{a} b", translations={"zh": "用{a}训练"}), a="LoRA")
    assert sentence.render("zh") == "用 LoRA 训练"
    assert sentence.render() == "LoRA b"
