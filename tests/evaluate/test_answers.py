"""Generated answers end where the model says so, and are right by their last number or by their words."""

import pytest
import torch

from studio.evaluate import answers
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
        ("7.0", "7", True),
        ("", "7", False),
    ],
)
def test_an_answer_is_right_by_its_last_number_or_by_its_words(answer, expected, is_correct):
    assert answers.is_correct(answer, expected) is is_correct
