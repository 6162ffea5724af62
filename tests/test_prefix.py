"""A prefix steers a model that stays as it is; the network it was learned through is not saved."""

import threading

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from studio import methods
from studio.methods import prefix
from studio.models import load, shape
from studio.playground import server as model_server


def answers(model, job):
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([job.train[0].input_ids])).logits


def learned(make_job, folder, **training):
    job = make_job("prefix", "chat", **training)
    methods.get("prefix").train(job)
    methods.get("prefix").save(job.model, folder, "someone/base")
    return job


def test_several_prefixes_take_turns_on_one_loaded_base(make_job, bases, tmp_path):
    one = learned(make_job, tmp_path / "one")
    two = learned(make_job, tmp_path / "two", learning_rate=3e-2)
    base = load.base_model(bases("chat"), "chat")
    both = PeftModel.from_pretrained(base, tmp_path / "one")
    both.load_adapter(tmp_path / "two", "second")
    for _ in range(2):
        both.set_adapter("default")
        torch.testing.assert_close(answers(both, one), answers(one.model, one), rtol=0, atol=1e-5)
        both.set_adapter("second")
        torch.testing.assert_close(answers(both, one), answers(two.model, one), rtol=0, atol=1e-5)


def test_what_is_saved_is_the_vectors_alone(make_job, tmp_path):
    learned(make_job, tmp_path / "one")
    kept = load_file(tmp_path / "one" / "adapter_model.safetensors")
    # 20 tokens, 2 layers, keys and values of 16 numbers each
    assert [tuple(value.shape) for value in kept.values()] == [(20, 2 * 2 * 16)]


def test_leaving_the_network_out_changes_no_answer(make_job, monkeypatch):
    from studio.methods.training import prefix_vectors

    job = make_job("prefix", "chat")
    before = answers(job.model, job)
    torch.testing.assert_close(
        answers(prefix_vectors.flatten_prefix_encoder(job.model), job), before, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(
    ("projection", "expected"), [(False, 5 * 2 * 2 * 16), (True, 5 * 16 + 17 * 32 + 33 * 64)]
)
def test_counted_by_hand(bases, projection, expected):
    found = prefix.count_parameters(
        shape.from_folder(bases("chat")), {"virtual_tokens": 5, "projection": projection}, 0
    )
    assert found.trainable == expected


def test_the_default_learning_rate_is_smaller_through_the_projection(bases):
    small = shape.from_folder(bases("chat"))
    assert prefix.learning_rate(small, {"projection": True}, "chat") == 3e-3
    assert prefix.learning_rate(small, {"projection": False}, "chat") == 3e-2


def test_more_virtual_tokens_than_half_of_what_the_model_reads_are_refused(bases):
    small, check = shape.from_folder(bases("classify")), methods.get("prefix").check
    assert check({"virtual_tokens": 32}, small, "classify") == []
    (problem,) = check({"virtual_tokens": 33}, small, "classify")
    assert (problem.key, problem.message.render()) == (
        "virtual_tokens",
        "the model reads 64 tokens in all; expected at most half of them, but got 33",
    )
    assert check({"virtual_tokens": 33}, None, "classify") == []


def test_a_prefix_stands_in_the_way_of_an_answer_on_its_own_side_alone(finished):
    sides = model_server.ModelPair(finished("prefix", "chat"))
    told = []
    asked = {"prompt": "where is my lamp", "temperature": 0.0, "seed": 0, "length": 1}
    for length in (1, 256 - len(model_server.encode_prompt("chat", asked["prompt"], sides.tokenizer)) - 19):
        model_server.answer_both(sides, {**asked, "length": length}, told.append, threading.Event())
    assert {event["side"] for event in told if "error" in event} == {"tuned"}
