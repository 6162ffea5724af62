"""The tracing server's replies, without a process in between."""

import json

import pytest
from estimate_cases import H200, T4
from sampling import sample

from studio import methods
from studio.estimate import all_methods
from studio.estimate.op_counts import OpCounts
from studio.estimate.tracing import server

MIB = 2**20
LLAMA = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 8192,
    "tie_word_embeddings": True,
}


def trace(method_name, **model_options):
    """The counts of a pass of 4 texts of 256 tokens, as they come over the pipe."""
    model = {
        "config": LLAMA,
        "method_name": method_name,
        "settings": methods.get(method_name).resolve_settings({}),
        "task": "chat",
        "num_labels": 0,
        **model_options,
    }
    micro_batch = {"rows": 4, "tokens": 256, "scored": 128, "padded": True}
    request = {"what": "trace", "model": model, "pass": micro_batch, "states": True}
    response = json.loads(json.dumps(server.handle_request(json.loads(json.dumps(request)))))
    assert "problem" not in response, response
    return OpCounts(**response["counts"])


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "dtype"),
    sample(
        [(name, dtype) for name in ("full", "lora", "qlora") for dtype in ("bfloat16", "float16", "")],
        [("qlora", "float16")],
    ),
)
def test_a_step_traced_for_a_gpu_tells_what_the_allocator_reserves_beyond_its_need(name, dtype):
    counts = trace(name, device="cuda", autocast_dtype=dtype)
    assert counts.peak > 10 * MIB
    assert counts.flop_16 + counts.flop_32 > 1e9
    assert (counts.flop_16 > counts.flop_32) == bool(dtype)
    # Of three reserved bytes hardly more than one lies idle, in a model whose tensors are as small as these.
    assert 0 < counts.parts["slack"] < 0.6 * counts.peak
    assert 0 <= counts.spare <= counts.parts["slack"]
    assert not set(server.RESIDENT_PARTS) & set(counts.parts)


def test_a_step_traced_for_a_cpu_knows_no_allocator():
    counts = trace("lora", device="cpu")
    assert "slack" not in counts.parts
    assert counts.spare == 0
    assert counts.flop_16 == 0 < counts.flop_32


def test_a_request_that_cannot_be_answered_says_why():
    response = server.handle_request({"what": "trace", "model": {"config": {}}, "pass": {}, "states": True})
    assert set(response) == {"problem"}


def test_a_trace_in_bfloat16_holds_2_bytes_of_weight_gradient_and_averages_as_the_formula_says():
    from studio.estimate.tracing.meta_step import MetaStep, ModelSpec, PassSpec

    settings = {"weights_precision": "bfloat16"}
    step = MetaStep(ModelSpec(LLAMA, "full", settings, "chat", 0, "cuda", autocast_dtype="bfloat16"))
    n_trained = sum(parameter.numel() for parameter in step.trainable_parameters)
    parts = step.run(PassSpec(1, 8, 4, padded=False)).phases["update"].parts
    for part in ("weights", "gradients", "optimiser"):
        assert parts[part] == pytest.approx(2 * n_trained, rel=0.01), part


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("name", ["full", "frozen", "qat", "lora"])
def test_attention_meets_in_the_format_of_autocast_with_padding_and_without(name, padded):
    from studio.estimate.op_counts import total
    from studio.estimate.tracing.meta_step import MetaStep, ModelSpec, PassSpec

    settings = methods.get(name).resolve_settings({})
    step = MetaStep(ModelSpec(LLAMA, name, settings, "chat", 0, "cuda", autocast_dtype="bfloat16"))
    counts = total(step.run(PassSpec(2, 16, 8, padded)).phases.values())
    assert counts.flop_32 < 0.01 * counts.flop_16


@pytest.mark.thorough
@pytest.mark.parametrize(
    "machine", [T4, pytest.param(H200, marks=pytest.mark.exhaustive)], ids=lambda machine: machine.id
)
def test_an_estimate_for_a_gpu_is_refined_by_a_trace(machine, make_plan):
    """A trace that fails would leave the formula's estimate: the level says which it is."""
    plan = make_plan(batch_size=64)
    rough = all_methods.estimate_chosen_method(plan, machine)
    refined = all_methods.estimate_chosen_method(plan, machine, wait=True)
    assert (rough.level, refined.level) == ("formula", "traced")
    assert refined.missing == ()
    assert refined.fits == "yes"
    # The allocator of a tiny model holds a few segments of 2 and 20 MiB that are not in use.
    assert 0 < refined.parts["slack"] < 0.1
    assert refined.memory_gb.likely == pytest.approx(rough.memory_gb.likely, abs=0.1)
