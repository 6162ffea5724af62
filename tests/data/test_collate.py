"""The learned tokens and their loss can be added up by hand, and equal the plain full computation."""

import math
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from method_helpers import on_device

from studio.data import collate
from studio.data.examples import IGNORE_INDEX
from studio.models import load

X = IGNORE_INDEX  # short, so that rows of labels can be read


@pytest.fixture(scope="module")
def model(tiny_chat):
    return load.base_model(tiny_chat, "chat")


@pytest.fixture(scope="module")
def tokenizer(tiny_chat):
    return load.tokenizer(tiny_chat)


ROWS = [
    {"input_ids": [2, 40, 1, 3, 50, 51, 1], "labels": [X, X, X, X, 50, 51, 1]},
    {
        "input_ids": [2, 40, 41, 42, 43, 1, 3, 60, 1],
        "labels": [X, X, X, X, X, X, X, 60, 1],
    },
    {"input_ids": [2, 3, 70, 1], "labels": [X, X, 70, 1]},
]


def full_loss(model, rows):
    """The sum of -log p(token | the tokens before it) over learned tokens, and their count."""
    total, count = 0.0, 0
    for row in rows:
        with torch.no_grad():
            log_probs = (
                model(input_ids=torch.tensor([row["input_ids"]], device=model.device))
                .logits[0]
                .log_softmax(-1)
            )
        for position, token in enumerate(row["labels"]):
            if token != X:
                total -= float(log_probs[position - 1, token])
                count += 1
    return total, count


def test_what_is_learned_by_hand():
    #                       position: 0  1  2  3  4
    batch = collate.select_labelled_positions(torch.tensor([[X, X, 7, 8, X], [X, X, X, 9, X]]))
    assert batch["logits_to_keep"].tolist() == [1, 2]  # the positions before 7 | and before 8 and 9
    assert batch["labels"].tolist() == [[X, 7, 8], [X, X, 9]]


def test_a_first_token_is_never_learned_because_nothing_stands_before_it():
    assert collate.select_labelled_positions(torch.tensor([[5, 6]]))["labels"].tolist() == [[X, 6]]


def test_a_batch_is_padded_on_the_right_and_says_so(tokenizer):
    batch = collate.build_collator("chat", tokenizer)(ROWS[:2])
    assert batch["input_ids"].tolist() == [[2, 40, 1, 3, 50, 51, 1, 0, 0], ROWS[1]["input_ids"]]
    assert batch["attention_mask"].tolist() == [[1] * 7 + [0] * 2, [1] * 9]
    assert batch["logits_to_keep"].tolist() == [3, 4, 5, 6, 7]
    assert batch["labels"].tolist() == [
        [X, 50, 51, 1, X, X],
        [X, X, X, X, 60, 1],
    ]


def test_a_batch_of_texts_has_one_label_each(tokenizer):
    batch = collate.build_collator("classify", tokenizer)(
        [{"input_ids": [5, 6], "labels": [2]}, {"input_ids": [5], "labels": [0]}]
    )
    assert batch["labels"].tolist() == [2, 0]
    assert batch["attention_mask"].tolist() == [[1, 1], [1, 0]]


def test_the_loss_of_even_odds_is_the_logarithm_of_the_choices():
    even = SimpleNamespace(logits=torch.zeros(1, 3, 8))
    assert float(collate.token_loss(even, torch.tensor([[X, 1, X, 5]]))) == pytest.approx(math.log(8))
    assert float(
        collate.classification_loss(SimpleNamespace(logits=torch.zeros(4, 3)), torch.tensor([0, 1, 2, 0]))
    ) == pytest.approx(math.log(3))


def test_the_loss_of_two_tokens_by_hand():
    # The first is given a share of 3/4, the second of 1/4; the third is not learned.
    logits = torch.tensor([[[math.log(3), 0.0], [math.log(3), 0.0], [9.0, 0.0]]])
    loss = float(collate.token_loss(SimpleNamespace(logits=logits), torch.tensor([[X, 0, 1, X]])))
    assert loss == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


def test_a_portion_of_a_step_is_divided_by_the_tokens_of_the_whole_step():
    even = SimpleNamespace(logits=torch.zeros(1, 2, 8))
    assert float(collate.token_loss(even, torch.tensor([[X, 1, 2]]), 10)) == pytest.approx(
        2 * math.log(8) / 10
    )


def test_the_loss_of_three_tokens_is_that_of_the_full_computation(model, tokenizer):
    total, count = full_loss(model, ROWS[:1])
    tensors = on_device(collate.build_collator("chat", tokenizer)(ROWS[:1]), model)
    labels = tensors.pop("labels")
    with torch.no_grad():
        loss = collate.get_loss("chat")(model(**tensors), labels)
    assert count == 3
    assert float(loss) == pytest.approx(total / 3, rel=1e-5)


def test_padding_never_counts(model, tokenizer):
    total, count = full_loss(model, ROWS)
    tensors = on_device(collate.build_collator("chat", tokenizer)(ROWS), model)
    labels = tensors.pop("labels")
    with torch.no_grad():
        loss = collate.get_loss("chat")(model(**tensors), labels)
    assert count == 7
    assert float(loss) == pytest.approx(total / 7, rel=1e-5)


def test_what_stands_in_the_padding_does_not_matter(model, tokenizer):
    tensors = on_device(collate.build_collator("chat", tokenizer)(ROWS), model)
    labels = tensors.pop("labels")
    with torch.no_grad():
        loss_before = collate.get_loss("chat")(model(**tensors), labels)
        tensors["input_ids"] = torch.where(tensors["attention_mask"] == 0, 99, tensors["input_ids"])
        loss_after = collate.get_loss("chat")(model(**tensors), labels)
    assert float(loss_before) == pytest.approx(float(loss_after), rel=1e-6)


def test_the_gradient_is_that_of_the_full_computation(model, tokenizer):
    tensors = on_device(collate.build_collator("chat", tokenizer)(ROWS), model)
    labels = tensors.pop("labels")
    weight = model.model.layers[0].mlp.up_proj.weight
    (gradient,) = torch.autograd.grad(collate.get_loss("chat")(model(**tensors), labels), weight)
    total = 0.0
    for row in ROWS:
        logits = model(input_ids=torch.tensor([row["input_ids"]], device=model.device)).logits[0, :-1]
        total = total + torch.nn.functional.cross_entropy(
            logits, torch.tensor(row["labels"][1:], device=model.device), ignore_index=X, reduction="sum"
        )
    (full_gradient,) = torch.autograd.grad(total / 7, weight)
    assert torch.allclose(gradient, full_gradient, rtol=1e-4, atol=1e-7)


def test_class_weights_change_what_is_learned_and_not_the_loss_that_is_shown():
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 3.0]], requires_grad=True)
    labels, weights = torch.tensor([0, 1, 1]), (0.5, 2.0)
    plain = collate.classification_loss(SimpleNamespace(logits=logits), labels)
    loss = collate.with_class_weights(weights)(SimpleNamespace(logits=logits), labels)
    assert loss.item() == pytest.approx(plain.item())
    (gradient,) = torch.autograd.grad(loss, logits)
    (plain_gradient,) = torch.autograd.grad(plain, logits)
    torch.testing.assert_close(gradient, plain_gradient * torch.tensor([[0.5], [2.0], [2.0]]))


def test_without_the_mask_of_their_padding_texts_give_the_same_loss_and_gradients(model, tokenizer):
    batch = on_device(collate.build_collator("chat", tokenizer)(ROWS), model)
    labels, results = batch.pop("labels"), []
    for context in (nullcontext(), collate.without_padding_mask(model, "chat")):
        with context:
            loss = collate.token_loss(model(**batch), labels)
        loss.backward()
        results.append([loss.detach(), *(value.grad.clone() for value in model.parameters())])
        model.zero_grad()
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "task", "keeps"),
    [("lora", "chat", False), ("lora", "classify", True), ("prefix", "chat", True)],
)
def test_who_looks_behind_a_text_or_puts_something_before_it_keeps_the_mask(method, task, keeps, make_job):
    model = make_job(method, task, rows=4).model
    reached = []
    with collate.without_padding_mask(model, task):
        model.register_forward_pre_hook(
            lambda module, args, kwargs: reached.append("attention_mask" in kwargs), with_kwargs=True
        )
        batch = {"input_ids": torch.tensor([[2, 3, 0]]), "attention_mask": torch.tensor([[1, 1, 0]])}
        model(**on_device(batch, model))
    assert reached == [keeps]
