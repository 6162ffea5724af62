"""A step on meta tensors counts what the same step does with real ones; the closed form comes close to it."""

import pytest
import torch
from ways import mark_sample

from studio import methods, presets
from studio.estimate.analytic import formula
from studio.estimate.analytic.formula import AttachedModel
from studio.estimate.benchmark.calibrate import truncate_config
from studio.estimate.op_counts import total
from studio.estimate.tracing.meta_step import MetaStep, ModelSpec, PassSpec
from studio.estimate.tracing.trace import Trace
from studio.methods import compatibility
from studio.methods.workload import MicroBatch, Phase
from studio.models import shape as model_shapes

LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 640,
    "tie_word_embeddings": True,
}
BERT = {
    "model_type": "bert",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 640,
    "max_position_embeddings": 128,
    "type_vocab_size": 2,
}
MIXTURE = {
    **{key: value for key, value in LLAMA.items() if key != "tie_word_embeddings"},
    **{"model_type": "qwen3_moe", "moe_intermediate_size": 96, "num_experts": 4, "num_experts_per_tok": 2},
}
CONFIGS = {"llama": LLAMA, "bert": BERT, "mixture": MIXTURE}


def can_train(method_name, config):
    """Whether a method goes with a model and the task that is traced for it."""
    shape = model_shapes.from_config(config)
    task = "classify" if shape.encoder else "chat"
    return not compatibility.find_incompatibility(method_name, task, shape)


# bitsandbytes quantizes real weights only; tests/bench/estimator.md holds its stand-in against real runs.
TRACED_METHODS = [method for method in methods.METHODS if method.weights != "nf4"]
STEPS = mark_sample(
    [
        (method.name, family)
        for method in TRACED_METHODS
        for family, config in CONFIGS.items()
        if can_train(method.name, config)
    ]
)
CLOSED_FORMS = mark_sample(
    [
        (method.name, model)
        for method in methods.METHODS
        for model in ("smollm2-135m", "qwen3-0.6b", "minilm-l6", "olmoe-1b-7b")
        if can_train(method.name, presets.models()[model].config)
    ]
)


def run_step(family, method_name, tensor_device):
    settings = methods.get(method_name).resolve_settings({"group": "16"} if method_name == "qat" else {})
    task, num_labels = ("classify", 3) if family == "bert" else ("chat", 0)
    spec = ModelSpec(
        CONFIGS[family], method_name, settings, task, num_labels, "cpu", tensor_device=tensor_device
    )
    return MetaStep(spec).run(PassSpec(2, 24, 8, padded=True)).phases


@pytest.mark.thorough
@pytest.mark.parametrize("way", STEPS)
def test_a_step_on_meta_tensors_takes_the_bytes_and_the_arithmetic_of_the_same_step_on_real_ones(way):
    method_name, family = way
    torch.manual_seed(0)
    meta, real = (run_step(family, method_name, tensor_device) for tensor_device in ("meta", "cpu"))
    for phase in ("forward", "backward"):
        assert meta[phase].peak == pytest.approx(real[phase].peak, rel=0.01), phase
        assert meta[phase].flop_32 == pytest.approx(real[phase].flop_32, rel=0.01), phase
        assert abs(meta[phase].operations - real[phase].operations) <= 16, (
            "but for a few that look at the mask"
        )


def test_a_matrix_product_is_counted_as_two_operations_a_number():
    trace = Trace("cpu")
    with trace, trace.record_phase("forward", "activations"):
        product = torch.ones(3, 4, device="meta") @ torch.ones(4, 5, device="meta")
    counts = trace.phases["forward"]
    assert counts.flop_32 == 2 * 3 * 4 * 5
    assert product.shape == (3, 5)
    assert counts.peak == 64 * (1 + 2 + 1), "48, 80 and 60 bytes, each rounded up to 64"


def test_a_product_that_is_added_in_place_is_counted_as_any_other():
    """The studio's LoRA layers add theirs so; torch's own counter passes over it."""
    trace = Trace("cpu")
    with trace, trace.record_phase("forward", "activations"):
        total_of_both = torch.ones(3, 5, device="meta")
        total_of_both.addmm_(torch.ones(3, 4, device="meta"), torch.ones(4, 5, device="meta"))
    counts = trace.phases["forward"]
    assert counts.flop_32 == 2 * 3 * 4 * 5
    assert counts.moved_by_products > 0


@pytest.mark.thorough
@pytest.mark.parametrize("model", ["smollm2-135m", "qwen3-0.6b"])
@pytest.mark.parametrize(("dtype", "most_traffic", "most_kept"), [("", 1.05, 1.2), ("bfloat16", 1.15, 1.2)])
def test_the_closed_form_counts_the_studios_lora_layers_and_not_pefts(model, dtype, most_traffic, most_kept):
    """PEFT's move a tenth more in 32 bits, and on a card a quarter more."""
    method, config = methods.get("lora"), truncate_config(presets.models()[model].config)
    shape, settings = model_shapes.from_config(config), method.resolve_settings({})
    step = MetaStep(ModelSpec(config, "lora", settings, "chat", 0, "cuda" if dtype else "cpu", dtype))
    phases = step.run(PassSpec(4, 256, 128, padded=False)).phases
    traced = total([phases["forward"], phases["backward"]])
    trainable = method.count_parameters(shape, settings, 0).trainable
    profile = method.cost_profile(shape, settings)
    attached = AttachedModel(shape, profile, trainable, dtype, on_gpu=bool(dtype))
    phase = Phase("train", (), "lora", with_gradients=True, head="words")
    analytic = formula.count_pass(attached, phase, MicroBatch(4, 256, 128, False, 1))
    flop = traced.flop_16 + traced.flop_32
    assert analytic.flop_16 + analytic.flop_32 == pytest.approx(flop, rel=0.02)
    assert 0.95 < analytic.moved / traced.moved < most_traffic
    assert 0.95 < analytic.parts["activations"] / phases["forward"].parts["activations"] < most_kept


def test_memory_is_given_back_when_the_last_holder_releases_it():
    trace = Trace("cuda")
    with trace, trace.record_phase("forward", "activations"):
        for _ in range(5):
            torch.empty(1000, device="meta")
    assert trace.live_bytes == 0
    assert trace.phases["forward"].peak == 4096, "one at a time, 4000 bytes rounded up to blocks of 512"


@pytest.mark.parametrize(
    ("method_name", "recomputes"),
    [
        ("lora", False),
        ("full", True),
        *(
            pytest.param(*way, marks=pytest.mark.exhaustive)
            for way in (("lora", True), ("full", False), ("frozen", False), ("frozen", True))
        ),
    ],
)
def test_packed_texts_are_traced_and_the_closed_form_knows_what_moving_them_takes(method_name, recomputes):
    method, config = methods.get(method_name), truncate_config(presets.models()["smollm2-135m"].config)
    settings, shape = method.resolve_settings({}), model_shapes.from_config(config)
    spec = ModelSpec(config, method_name, settings, "chat", 0, "cuda", "bfloat16", recomputes)
    step, phase = MetaStep(spec), Phase("train", (), method_name, with_gradients=True, head="words")
    trainable = method.count_parameters(shape, settings, 0).trainable
    model = AttachedModel(shape, method.cost_profile(shape, settings), trainable, "bfloat16", on_gpu=True)
    traced, analytic = [], []
    for longest in (0, 256):
        passed = PassSpec(8, 200, 100, padded=False, packed_longest=longest)
        traced.append(total(step.run(passed).phases.values()))
        batch = MicroBatch(8, 200, 100, False, 1, longest)
        analytic.append(formula.count_pass(model, phase, batch, recomputes))
    for unmoved, moved in (traced, analytic):
        assert moved.flop_16 > unmoved.flop_16
        assert moved.moved > unmoved.moved
    extra_operations = [moved.operations - unmoved.operations for unmoved, moved in (traced, analytic)]
    assert extra_operations[1] == pytest.approx(extra_operations[0], rel=0.2)
    assert analytic[1].flop_16 - analytic[0].flop_16 == pytest.approx(
        traced[1].flop_16 - traced[0].flop_16, rel=0.05
    )
    assert analytic[1].peak - analytic[0].peak == pytest.approx(
        traced[1].peak - traced[0].peak, abs=0.05 * traced[0].peak
    )


@pytest.mark.thorough
@pytest.mark.parametrize("way", CLOSED_FORMS)
def test_the_closed_form_stays_close_to_the_trace(way):
    """Arithmetic within 8 %, memory that comes and goes within 15 %, traffic within 25 %.

    That is what the range of a first estimate allows for. Of a deep model four layers stand for all, since
    its blocks are alike.
    """
    method_name, model = way
    method, config = methods.get(method_name), dict(presets.models()[model].config)
    if config["num_hidden_layers"] > 12:
        config = truncate_config(config)
    shape, settings = model_shapes.from_config(config), method.resolve_settings({})
    task, num_labels = ("classify", 6) if shape.encoder else ("chat", 0)
    meta_step = MetaStep(ModelSpec(config, method_name, settings, task, num_labels, "cpu"))
    traced = total(meta_step.run(PassSpec(4, 256, 128, padded=True)).phases.values())
    transient_bytes = traced.peak - traced.parts.get("frozen", 0) - traced.parts.get("weights", 0)
    trainable = method.count_parameters(shape, settings, num_labels).trainable
    attached = AttachedModel(shape, method.cost_profile(shape, settings), trainable, "")
    phase = Phase("train", (), method_name, with_gradients=True, head="classes" if num_labels else "words")
    analytic = formula.count_pass(attached, phase, MicroBatch(4, 256, 0 if num_labels else 128, True, 1))
    assert analytic.flop_32 == pytest.approx(traced.flop_32, rel=0.08)
    assert analytic.drawn == pytest.approx(traced.drawn, rel=0.05)
    assert analytic.unpacked == pytest.approx(traced.unpacked, rel=0.05)
    assert analytic.peak == pytest.approx(transient_bytes, rel=0.15)
    assert analytic.moved == pytest.approx(traced.moved, rel=0.25)
