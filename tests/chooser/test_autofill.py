"""What the data, the machine and the estimates answer already is filled in."""

import itertools

import pytest
from chooser_cases import CHOICES, CPU, T4, TONE, fixed_estimates

from studio import chooser
from studio.chooser import autofill
from studio.plan import REQUIRED_ROLES


def test_the_data_and_the_machine_answer_what_they_can():
    answers = {"have": "answers", "many": "some", "where": "unknown", "budget": "free"}
    assert chooser.prefill("sample:support-tone", CPU, estimator=fixed_estimates()) == answers, "most of six"
    triage = chooser.prefill("sample:ticket-triage", CPU, estimator=fixed_estimates())
    assert (triage["have"], triage["change"]) == ("labels", "decisions")
    assert chooser.prefill("", T4) == {"where": "cloud", "budget": "small"}


@pytest.mark.parametrize(
    ("minutes", "budget"),
    [(5, "free"), (70, "small"), (300, "large"), (10_000, "any")],
    ids=["minutes", "an hour", "hours", "days"],
)
def test_the_budget_that_is_filled_in_lets_at_least_one_method_run(minutes, budget):
    estimator = fixed_estimates(minutes)
    answers = chooser.prefill("sample:support-tone", CPU, estimator=estimator)
    assert answers["budget"] == budget
    assert chooser.choose({**TONE, **answers}, "sample:support-tone", CPU, estimator).method


@pytest.mark.parametrize(
    ("count", "many"), [(0, "few"), (49, "few"), (50, "some"), (500, "some"), (501, "many"), (5_001, "lots")]
)
def test_a_number_of_examples_has_its_choice(count, many):
    assert chooser.infer_answers("chat", count, 0, CPU)["many"] == many


def test_what_is_filled_in_is_a_choice_of_its_question():
    for task, machine in itertools.product(("", *REQUIRED_ROLES), (CPU, T4)):
        labels = 3 if task == "classify" else 0
        for question, choice in chooser.infer_answers(task, 100, labels, machine).items():
            assert choice in CHOICES[question]


def test_questions_alone_go_to_the_method_made_for_them():
    assert [autofill.first_method(task) for task in ("chat", "prefer", "prompts")] == ["full", "rlhf", "upft"]
