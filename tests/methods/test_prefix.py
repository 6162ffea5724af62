"""A prefix steers a model that stays as it is; the network it was learned through is not saved."""

import threading

import pytest
import torch
from method_helpers import load_base, logits
from peft import PeftModel
from safetensors.torch import load_file

from studio.methods import prefix
from studio.methods.training import peft_adapter, prefix_vectors
from studio.models import shape
from studio.playground import server as model_server


@pytest.mark.thorough
def test_several_prefixes_take_turns_on_one_loaded_base(trained_job, bases):
    first, second = trained_job("prefix", "chat"), trained_job("prefix", "chat", learning_rate=3e-2)
    job = first.job
    swapping = PeftModel.from_pretrained(load_base(job, bases), first.folder)
    swapping.load_adapter(second.folder, "second")
    for _ in range(2):
        for name, trained in (("default", first), ("second", second)):
            swapping.set_adapter(name)
            torch.testing.assert_close(logits(swapping, job), logits(trained.model, job), rtol=0, atol=1e-5)


def test_what_is_saved_is_the_vectors_alone(trained_job):
    tensors = load_file(trained_job("prefix", "chat").folder / "adapter_model.safetensors")
    # 20 virtual tokens; in 2 layers keys and values of width 16
    assert [tuple(value.shape) for value in tensors.values()] == [(20, 2 * 2 * 16)]


def test_leaving_the_network_out_changes_no_answer(make_job):
    job = make_job("prefix", "chat")
    before = logits(job.model, job)
    flattened = prefix_vectors.flatten_prefix_encoder(job.model)
    torch.testing.assert_close(logits(flattened, job), before, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("projection", "expected"), [(False, 5 * 2 * 2 * 16), (True, 5 * 16 + 17 * 32 + 33 * 64)]
)
def test_counted_by_hand(bases, projection, expected):
    settings = {"virtual_tokens": 5, "projection": projection}
    counted = prefix.count_parameters(shape.from_folder(bases("chat")), settings, 0)
    assert counted.trainable == expected


def test_the_default_learning_rate_is_smaller_through_the_projection(bases):
    tiny = shape.from_folder(bases("chat"))
    assert prefix.learning_rate(tiny, {"projection": True}, "chat") == 3e-3
    assert prefix.learning_rate(tiny, {"projection": False}, "chat") == 3e-2


def test_more_virtual_tokens_than_half_of_what_the_model_reads_are_refused(bases):
    tiny = shape.from_folder(bases("classify"))
    assert prefix.check({"virtual_tokens": 32}, tiny, "classify") == []
    (problem,) = prefix.check({"virtual_tokens": 33}, tiny, "classify")
    assert problem.key == "virtual_tokens"
    assert problem.message == peft_adapter.TOO_MANY_VIRTUAL_TOKENS.format(context=64, got=33)
    assert prefix.check({"virtual_tokens": 33}, None, "classify") == []


def test_a_prefix_stands_in_the_way_of_an_answer_on_its_own_side_alone(finished):
    sides = model_server.ModelPair(finished("prefix", "chat"))
    events = []
    request = {"prompt": "where is my lamp", "temperature": 0.0, "seed": 0}
    n_prompt_tokens = len(model_server.encode_prompt("chat", request["prompt"], sides.tokenizer))
    for length in (1, 256 - n_prompt_tokens - 19):
        model_server.answer_both(sides, {**request, "length": length}, events.append, threading.Event())
    assert {event["side"] for event in events if "error" in event} == {"tuned"}
