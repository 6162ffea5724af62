"""Generated answers end where the model says so, and are right by their last number or by their words."""

import pytest
import torch

from studio.evaluate import answers, known_answers, measures
from studio.evaluate.answers import Answer
from studio.models import load


def test_an_answer_ends_where_the_model_s_own_settings_stop_and_no_padding_is_learned(tiny_chat, monkeypatch):
    """Gemma's turns end in a token that is not its tokenizer's end; what follows it is padding."""
    model, tokenizer = load.base_model(tiny_chat, "chat", [], 1), load.tokenizer(tiny_chat)
    turn, end, pad = 7, tokenizer.eos_token_id, tokenizer.pad_token_id
    model.generation_config.eos_token_id = [end, turn]
    rows = [[3, 5, turn, pad, pad], [3, 6, 6, 6, 6], [3, turn, 5, end, pad], [3, 5, 5, end, pad]]
    monkeypatch.setattr(model, "generate", lambda **_: torch.tensor(rows))
    completions = answers.generate(model, tokenizer, [[3]] * 4, 4)
    assert completions == [[5, turn], [6, 6, 6, 6], [turn], [5, 5, end]]
    assert answers.stop_token_ids(model, tokenizer) == {turn, end}


@pytest.mark.parametrize(
    ("answer", "expected", "is_correct"),
    [
        ("So 3 + 4 = 7", "7", True),
        ("The answer is 1,200.", "#### 1200", True),
        ("It is 7 or 8", "7", False),
        ("seven", "7", False),
        ("A lamp, of course", "lamp", True),
        ("I do not know.", "no", False),
        ("No, sorry", "no", True),
        ("It is A because it is best", "B", False),
        ("A lamp is a lamp", "A", True),
        ("it is a lamp", "A", False),  # an article and no choice
        ("答案是B。", "B", True),
        ("请选择红色", "红", True),
        ("7.0", "7", True),
        ("", "7", False),
    ],
)
def test_an_answer_is_right_by_its_last_number_or_by_its_words(answer, expected, is_correct):
    assert known_answers.is_correct(answer, expected) is is_correct


CHAT_ROWS = [{"prompt": f"case {n}", "response": "Thank you for writing."} for n in range(70)]


def test_at_most_so_many_questions_are_asked_and_known_answers_come_first():
    chosen = answers.choose_questions(CHAT_ROWS, "chat")
    assert len(chosen) == len(set(chosen)) == measures.MAX_QUESTIONS
    assert chosen[-1] >= len(CHAT_ROWS) * (1 - 1 / measures.MAX_QUESTIONS) - 1, "from all of the rows"
    assert answers.choose_questions(CHAT_ROWS, "prefer") == []
    with_answers = [{"prompt": "1 + 1"}, {"prompt": "2 + 2", "answer": "4"}]
    assert answers.choose_questions(with_answers, "prompts") == [1]


def test_an_answer_gets_as_many_tokens_as_the_longest_wanted_one_needs():
    def tokenizer(text):
        return {"input_ids": text.split()}

    # 4 words: 1.25 * 4 + 16
    assert answers.max_new_tokens(tokenizer, CHAT_ROWS) == 21
    long_rows = [{"prompt": "q", "response": "word " * 400}]
    assert answers.max_new_tokens(tokenizer, long_rows) == answers.MAX_NEW_TOKENS
    json_rows = [{"prompt": "q", "response": '{"a": "' + "word " * 400 + '"}'}]
    assert answers.max_new_tokens(tokenizer, json_rows) > answers.MAX_NEW_TOKENS
    assert answers.max_new_tokens(tokenizer, [{"prompt": "q", "answer": "4"}]) == answers.MAX_NEW_TOKENS


def test_the_share_of_known_answers_by_hand():
    questions = [{"prompt": "1 + 1", "answer": "2"}, {"prompt": "2 + 2", "answer": "4"}, {"prompt": "why"}]
    written = [Answer("It is 2.", False), Answer("It is 5.", False), Answer("because", False)]
    assert answers.score_accuracy(written, questions) == {"answer_accuracy": 0.5, "n_questions": 2}
    assert answers.score_accuracy(written[2:], questions[2:]) == {}


def test_an_answer_that_was_cut_is_wrong_although_its_last_number_is_right():
    questions = [{"prompt": "1 + 1", "answer": "2"}]
    assert answers.score_accuracy([Answer("1 + 1 = 2", True)], questions)["answer_accuracy"] == 0
    assert not measures.KNOWN_ANSWER.score(Answer("1 + 1 = 2", True).to_outcome(), questions[0])
    assert measures.KNOWN_ANSWER.score(Answer("1 + 1 = 2", False).to_outcome(), questions[0])
