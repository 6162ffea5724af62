"""A model is right where it finds the right answer the likeliest beginning of its reply."""

import pytest
import torch

from studio.data import examples
from studio.evaluate.retention import scoring, suites
from studio.evaluate.retention.suites import Item
from studio.models import load


@pytest.fixture(scope="module")
def model_and_tokenizer(tiny_chat):
    return load.base_model(tiny_chat, "chat"), load.tokenizer(tiny_chat)


def answer_loss(model, tokenizer, question, answer):
    """The loss of an answer but for its end token, computed alone and without padding."""
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    encoded = examples.encode_chat(messages, tokenizer, 512)
    with torch.no_grad():
        input_ids = torch.tensor([encoded.input_ids], device=model.device)
        logits = model.eval()(input_ids=input_ids).logits[0].log_softmax(-1)
    scored = [place for place, label in enumerate(encoded.labels) if label != examples.IGNORE_INDEX][:-1]
    return -sum(float(logits[place - 1, encoded.labels[place]]) for place in scored)


def test_batches_give_what_every_answer_gives_alone(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    items = suites.choose_items("en", 3)
    by_hand = {
        name: [
            min(item.answers, key=lambda answer: answer_loss(model, tokenizer, item.question, answer))
            == item.right
            for item in part
        ]
        for name, part in items.items()
    }
    assert scoring.score_suites(model, tokenizer, items) == by_hand


def test_the_answer_a_model_likes_best_is_right_wherever_it_stands(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    answers = ("sunny", "rain and wind", "snow")
    best = min(answers, key=lambda answer: answer_loss(model, tokenizer, "How is it?", answer))
    items = [
        Item(question="How is it?", right=answer, wrong=tuple(other for other in answers if other != answer))
        for answer in answers
    ]
    assert scoring.score_suites(model, tokenizer, {"weather": items}) == {
        "weather": [answer == best for answer in answers]
    }


def test_it_tells_how_far_it_is_and_can_be_stopped(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    model.train()
    steps = []
    items = suites.choose_items("en", 2)
    n_answers = sum(len(item.answers) for part in items.values() for item in part)
    scoring.score_suites(model, tokenizer, items, lambda done, of: steps.append((done, of)))
    assert steps == [(done, n_answers) for done in range(0, n_answers, scoring.BATCH_SIZE)]

    def stop(done, of):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        scoring.score_suites(model, tokenizer, items, stop)
    assert model.training
