"""UPFT asks for the first step in the language of the questions."""

import pytest

from studio.methods.training import first_step


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("How many apples are left?", "Please provide the initial step towards resolving the question."),
        ("Wie viele Äpfel bleiben übrig?", "Please provide the initial step towards resolving the question."),
        ("小明有 12 个苹果，吃了 5 个，还剩几个？", "请给出解决这个问题的第一步。"),
    ],
)
def test_the_first_step_is_asked_for_in_the_language_of_the_questions(question, sentence):
    request = first_step.choose_request([{"prompt": question}] * 300)
    assert request.strip().startswith(sentence)
