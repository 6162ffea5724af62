"""The scores on held-out examples do not depend on how they were batched."""

import math

import pytest

from studio.data import examples as data_examples
from studio.data.readers.read import read_table
from studio.evaluate import held_out, label_scores
from studio.models import load


@pytest.fixture(scope="module")
def chat(tiny_chat, toys):
    tokenizer = load.tokenizer(tiny_chat)
    examples, _ = data_examples.build_examples(
        read_table(toys["chat"]), "chat", {"prompt": "prompt", "response": "response"}
    )
    uneven = [
        {**example, "response": " ".join(example["response"].split()[: 1 + index % 7])}
        for index, example in enumerate(examples)
    ]
    return (
        load.base_model(tiny_chat, "chat"),
        tokenizer,
        data_examples.encode_examples(uneven[:15], "chat", tokenizer, 64, ()),
    )


@pytest.fixture(scope="module")
def classifier(tiny_bert, toys):
    tokenizer = load.tokenizer(tiny_bert)
    examples, _ = data_examples.build_examples(
        read_table(toys["classify"]), "classify", {"text": "text", "label": "label"}
    )
    labels = data_examples.collect_labels(examples)
    rows = data_examples.encode_examples(examples[::4], "classify", tokenizer, 64, labels)
    return load.base_model(tiny_bert, "classify", labels, 1), tokenizer, rows


@pytest.mark.parametrize("batch_size", [2, 7, 64])
def test_every_learned_token_counts_once_however_the_batches_fall(chat, batch_size):
    model, tokenizer, rows = chat
    expected = held_out.evaluate(model, rows, tokenizer, "chat", 1).scores
    scores = held_out.evaluate(model, rows, tokenizer, "chat", batch_size).scores
    assert scores["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert scores["perplexity"] == pytest.approx(math.exp(scores["loss"]))


@pytest.mark.parametrize("batch_size", [2, 7, 64])
def test_every_text_counts_once_however_the_batches_fall(classifier, batch_size):
    model, tokenizer, rows = classifier
    expected = held_out.evaluate(model, rows, tokenizer, "classify", 1).scores
    scores = held_out.evaluate(model, rows, tokenizer, "classify", batch_size).scores
    assert scores["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert (scores["accuracy"], scores["f1"]) == (expected["accuracy"], expected["f1"])


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_in_the_mode_it_came_in(chat, training):
    model, tokenizer, rows = chat
    model.train(training)
    held_out.evaluate(model, rows[:2], tokenizer, "chat", 2)
    assert model.training is training
    model.eval()


def test_macro_f1_by_hand():
    # label 0: 2 texts, predicted 3 times, 2 hits -> 4/5; label 1: 2, 1, 1 -> 2/3; label 2: 1, 1, 1 -> 1
    assert label_scores.macro_f1([0, 0, 0, 1, 2], [0, 0, 1, 1, 2]) == pytest.approx((4 / 5 + 2 / 3 + 1) / 3)


def test_a_class_that_is_said_but_never_meant_counts_as_nought():
    assert label_scores.macro_f1([0, 1], [0, 0]) == pytest.approx((2 / 3 + 0) / 2)


def test_a_class_that_does_not_occur_does_not_count():
    assert label_scores.macro_f1([0, 2], [0, 2]) == 1.0
