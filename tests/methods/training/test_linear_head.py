"""A classifier's head starts from the linear fit on the frozen base's embeddings."""

import dataclasses

import numpy as np
import pytest
import torch
from method_helpers import TOY_LABELS, changed_names, parameters

from studio import methods
from studio.methods.training import linear_head
from studio.models import linear_fit, load
from studio.models.head import can_hold, find_head
from studio.storage import no_progress

CLASSIFIERS = [method.name for method in methods.METHODS if "classify" in method.tasks]


def loss_of_the_untrained(job):
    return job.measure(job.model, job.train)["loss"]


@pytest.mark.parametrize("method", CLASSIFIERS)
def test_the_start_is_better_than_an_untrained_head_and_changes_the_head_alone(method, make_job):
    job = make_job(method, "classify")
    before, untrained = parameters(job.model), loss_of_the_untrained(job)
    baseline = linear_head.start(job, job.train).scores
    after = job.measure(job.model, job.train)
    assert max(after["loss"], baseline["loss"]) < untrained
    assert baseline["accuracy"] > 0.6
    head = find_head(job.model)
    ids = {id(parameter) for parameter in head.parameters()}
    names = {name for name, parameter in job.model.named_parameters() if id(parameter) in ids}
    assert changed_names(job.model, before) == names
    assert {"loss", "accuracy", "f1", "seconds"} <= set(baseline)


@pytest.mark.parametrize("stays", [True, False])
def test_a_head_that_sorts_into_these_classes_already_stays_where_steps_follow(stays, make_job, monkeypatch):
    monkeypatch.setattr(linear_head, "is_trained_for", lambda folder, names: True)
    job = make_job("full", "classify")
    head = find_head(job.model).weight.clone()
    linear_head.start(job, job.train, keeps_head=stays)
    assert torch.equal(find_head(job.model).weight, head) == stays
    assert job.notes["own_head"], "what the training adds is told against that head"


def test_the_features_are_what_the_head_reads_in_the_order_of_the_rows(make_job):
    job = make_job("full", "classify")
    features = linear_head.compute_features(job.model, job.train, job.tokenizer, no_progress)
    head = find_head(job.model)
    row = job.train[3]
    with torch.no_grad():
        input_ids = torch.tensor([row.input_ids], device=job.model.device)
        expected = job.model.eval()(input_ids=input_ids).logits[0]
        actual = head(torch.from_numpy(features[3]).to(job.model.device))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_a_stop_ends_it_while_it_reads(make_job):
    from studio.methods.spec import StopRequested

    def stop(stage, done, total):
        assert stage == "linear"
        raise StopRequested

    job = dataclasses.replace(make_job("lora", "classify"), report_progress=stop)
    with pytest.raises(StopRequested):
        linear_head.start(job, job.validation)


@pytest.mark.parametrize("has_bias", [True, False])
def test_classes_that_lie_apart_are_all_found_and_one_without_rows_never(has_bias):
    features = np.repeat(np.eye(3, 5, dtype=np.float32), 8, axis=0)
    targets = np.repeat([0, 1, 3], 8)  # of four classes
    weight, bias = linear_fit.fit_linear(features, targets, 4, has_bias)
    assert ((features @ weight.T + bias).argmax(axis=1) == targets).all()
    assert has_bias or not bias.any()


@pytest.mark.parametrize("has_bias", [True, False])
def test_two_classes_get_the_probabilities_of_the_logistic_regression(has_bias):
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(40, 4)).astype(np.float32), rng.integers(0, 2, 40)
    weight, bias = linear_fit.fit_linear(features, targets, 2, has_bias)
    scores = torch.from_numpy(features @ weight.T + bias).softmax(dim=1)
    reference = LogisticRegression(C=linear_fit.INVERSE_REGULARIZATION, fit_intercept=has_bias)
    np.testing.assert_allclose(scores, reference.fit(features, targets).predict_proba(features), atol=1e-4)


def test_several_labels_and_numbers_are_fitted_too():
    features = np.repeat(np.eye(2, 3, dtype=np.float32), 10, axis=0)
    label_sets = np.repeat([[1.0, 0.0], [1.0, 1.0]], 10, axis=0)
    weight, bias = linear_fit.fit_linear(features, label_sets, 2)
    assert (((features @ weight.T + bias) > 0) == (label_sets > 0.5)).all()
    numbers = np.repeat([2.0, 5.0], 10)
    weight, bias = linear_fit.fit_linear(features, numbers, 1)
    np.testing.assert_allclose((features @ weight.T + bias)[:, 0], numbers, atol=0.1)


def test_the_head_of_a_decoder_that_has_no_bias_starts_from_the_fit_too(tiny_chat, make_job):
    job = make_job("full", "classify")
    model = load.base_model(tiny_chat, "classify", TOY_LABELS)
    job = dataclasses.replace(job, model=model, tokenizer=load.tokenizer(tiny_chat))
    untrained = loss_of_the_untrained(job)
    assert model.score.bias is None
    assert linear_head.start(job, job.train).scores["loss"] < untrained


@pytest.mark.parametrize(
    ("dtype", "mean", "deviation", "is_held"),
    [
        (torch.bfloat16, 3.0, 1.4, True),  # stars
        (torch.bfloat16, 85.0, 6.0, True),  # half a point between two numbers
        (torch.bfloat16, 1990.0, 10.0, False),  # years: it counts in eights there
        (torch.float32, 1990.0, 10.0, True),
        (torch.float16, 100_000.0, 60_000.0, False),  # more than it has numbers for
    ],
)
def test_numbers_that_a_format_cannot_tell_apart_are_known(dtype, mean, deviation, is_held):
    assert can_hold(dtype, mean, deviation) == is_held
