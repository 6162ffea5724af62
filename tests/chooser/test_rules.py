"""The rules: every condition names answers that exist, and what a card leaves out costs that piece alone."""

import pytest
from chooser_cases import CHOICES, GRID_SAMPLE, METHOD_NAMES, TONE, fixed_estimates
from chooser_cases import CPU as MACHINE

from studio import chooser, presets
from studio.chooser import rules
from studio.chooser.texts import TEXTS
from studio.presets import ChooserCard, NotWithCard

FACTS = {"base": {"reader", "writer"}, "won": set(METHOD_NAMES)}
FACTS |= {"judged": {"pairs", "thumbs"}, "results": {"known", "open"}}
FACTS |= {f"{name}.room": {"enough", "short", "open"} for name in METHOD_NAMES}
FACTS |= {f"{name}.state": {"able", "out"} for name in METHOD_NAMES}


@pytest.fixture
def change_cards(monkeypatch):
    """`change_cards(**values)`: every method's card with these values."""

    def change(**values):
        cards = {name: card.model_copy(update=values) for name, card in presets.methods().items()}
        monkeypatch.setattr(presets, "methods", lambda: cards)

    return change


def test_every_condition_names_questions_with_their_choices_or_facts():
    conditions = [advice.when for advice in rules.ADVICE]
    for name in METHOD_NAMES:
        conditions += [reason.when for reason in rules.method_reasons(name)]
        conditions += [rejection.when for rejection in rules.method_rejections(name)]
    allowed = FACTS | {question: set(choices) for question, choices in CHOICES.items()}
    wrong = [
        (name, choices)
        for condition in conditions
        for name, choices in condition.items()
        if not set(choices) <= allowed.get(name, set())
    ]
    assert wrong == []


def test_every_shared_sentence_is_named_by_a_card_and_every_name_has_its_sentence():
    cards = [card.chooser for card in presets.methods().values()]
    assert {reason.shared for card in cards for reason in card.reasons} - {""} == set(TEXTS.reasons)
    shared_rejections = {rejection.shared for card in cards for rejection in card.rejections} - {""}
    assert shared_rejections | {"other"} == set(TEXTS.rejections)
    advice = {advice.name for advice in rules.ADVICE} - {""}
    measured = {f"enough_{name}" for name in ("base", "few_shot", "linear")}
    assert advice | measured | {"short", "budget", "room", "refused", "undecided"} == set(TEXTS.advice)


def test_a_loser_is_never_left_without_a_line_of_its_own_card():
    without = [
        name
        for name, card in presets.methods().items()
        if not any(not rejection.when and rejection.text for rejection in card.chooser.rejections)
    ]
    assert without == []


def test_of_two_methods_with_the_same_points_the_first_of_the_table_wins():
    answers = {**TONE, "change": "knowledge", "many": "lots", "budget": "large", "apart": "far"}
    facts = {**answers, "base": "writer", "lora.room": "enough"}
    scores = {
        name: sum(reason.points for reason in rules.matching_reasons(name, facts)) for name in METHOD_NAMES
    }
    assert scores["full"] == scores["adapter"] == max(scores.values())
    assert chooser.choose(answers, "", MACHINE, fixed_estimates()).method == "full"


def test_a_card_without_why_nots_has_a_neutral_line(change_cards):
    cards = presets.methods()
    change_cards(chooser=ChooserCard(reasons=cards["lora"].chooser.reasons))
    choice = chooser.choose(TONE, "", MACHINE, fixed_estimates())
    assert set(choice.rejections) == set(METHOD_NAMES) - {choice.method}
    rejection = choice.rejections["prefix"]
    assert rejection.text == TEXTS.rejections["other"].text.text
    assert rejection.values["winner"] == cards[choice.method].name_in_sentence


def test_where_nothing_speaks_for_a_method_it_is_advised_to_choose_by_hand(change_cards):
    change_cards(chooser=ChooserCard())
    for answers in GRID_SAMPLE:
        choice = chooser.choose(answers, "", MACHINE, fixed_estimates())
        assert choice.method is None
        assert choice.advice.render()
    undecided = chooser.choose(TONE, "", MACHINE, fixed_estimates())
    assert undecided.reasons[0].text == TEXTS.advice["undecided"].why.text


def test_cards_that_say_nothing_but_their_tasks_still_give_an_answer_to_all_answers(change_cards):
    change_cards(chooser=ChooserCard(), minimum_examples={}, not_with=NotWithCard(), in_sentence=None)
    for answers in GRID_SAMPLE:
        choice = chooser.choose(answers, "", MACHINE, fixed_estimates())
        assert all(message.render("zh") for message in [*choice.reasons, *choice.rejections.values()])
