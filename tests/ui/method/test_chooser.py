"""The six questions on the page: filled in from the data, kept where a person answered."""

import json

from form_fields import CHINESE, ENGLISH, form_fields

from studio.chooser import QUESTIONS
from studio.estimate.machines import catalogue
from studio.ui.form.form_state import read_form
from studio.ui.method import chooser as chooser_panel

TRIAGE = {"source": "sample:ticket-triage", "task": "classify", "model": "minilm-l6"}


def prefill(request=ENGLISH, prefilled="{}", answers=None, **fields):
    """The updates of the questions by their ids, and what was filled in."""
    *updates, filled_in = chooser_panel.prefill_answers(
        request, prefilled=prefilled, **form_fields(**fields), **(answers or {})
    )
    return {question.id: update for question, update in zip(QUESTIONS, updates, strict=True)}, filled_in


def test_what_the_data_says_is_filled_in():
    tone, _ = prefill()
    assert (tone["have"]["value"], tone["many"]["value"]) == ("answers", "some")
    assert tone["change"]["value"] is None
    triage, _ = prefill(**TRIAGE)
    assert (triage["have"]["value"], triage["change"]["value"]) == ("labels", "decisions")


def test_without_data_every_question_is_open_but_what_the_machine_says():
    questions, _ = prefill(source="", columns={})
    assert questions["have"]["value"] is None


def test_another_machine_and_other_data_leave_what_was_answered_and_fill_in_the_rest_anew():
    questions, filled_in = prefill()
    answers = {name: update["value"] for name, update in questions.items()}
    assert answers["apart"] is None
    by_hand = {"change": "format", "many": "lots", "budget": "any"}
    answers |= by_hand
    priced = next(name for name, machine in catalogue.load_machines().items() if machine.price_per_hour)
    elsewhere, _ = prefill(prefilled=filled_in, answers=answers, machine=priced)
    assert {name: elsewhere[name]["value"] for name in by_hand} == by_hand
    assert elsewhere["where"]["value"] == "cloud"
    labels, _ = prefill(prefilled=filled_in, answers=answers, **TRIAGE)
    assert (labels["have"]["value"], labels["change"]["value"]) == ("labels", "format")


def test_the_questions_are_asked_in_the_visitor_s_language():
    questions, _ = prefill(CHINESE)
    for question in QUESTIONS:
        assert questions[question.id]["label"] == question.text.render("zh")
        labels = [label for label, _ in questions[question.id]["choices"]]
        assert labels == [text.render("zh") for _, text in question.choices]


def read(packed="{}", prefilled="{}"):
    """The answers for the sample of replies, with what a browser sends."""
    fields = {chooser_panel.PACKED_ANSWERS: packed, "prefilled": prefilled}
    return chooser_panel.read_answers(read_form(form_fields()), fields, lambda plan: {})


def test_questions_that_nobody_answered_are_named_and_their_answer_is_assumed():
    answer_set = read()
    assert [question.id for question in answer_set.open_questions] == ["change", "apart"]
    assert answer_set.answers["apart"] == chooser_panel.ASSUMED_ANSWERS["apart"]
    answered = read(json.dumps({"change": "format", "apart": None}))
    assert [question.id for question in answered.open_questions] == ["apart"]
    assert answered.answers["change"] == "format"


def test_answers_that_a_browser_invents_count_as_none():
    for sent in ("", "[1]", "{broken", json.dumps({"change": "magic", "nothing": "x", "apart": {"a": 1}})):
        assert read(sent).answers == read().answers


def test_an_answer_the_studio_filled_in_for_other_data_is_not_the_person_s():
    stale = json.dumps({"have": "pairs"})
    assert read(stale, prefilled=stale).answers["have"] == "answers"
