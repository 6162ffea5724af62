"""Weights in few bits: what the files hold bit by bit, and that they open elsewhere and say the same."""

import copy

import pytest
import torch
from method_helpers import load_base, logits
from safetensors.torch import load_file

from studio.methods import qat
from studio.methods.training import fake_quantization
from studio.models import device, load, shape

BITS = (8, 4, 3, 2)
# Each matrix of the tiny models' blocks has 32 or 64 columns: 7 in a decoder's block, 6 in an encoder's.
N_MATRICES = {"chat": 14, "classify": 12}


def one_layer(weights, bits, group_size=32):
    """A model with one block of one layer with these weights, prepared to be rounded."""
    layer = torch.nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    layer.weight.data = weights
    block = torch.nn.ModuleDict({"up": layer})
    model = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([block])})
    return fake_quantization.prepare(model, ("up",), bits, group_size)


def open_plainly(folder, task):
    """A folder opened with nothing but transformers (and compressed-tensors, which it asks for)."""
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    model_class = AutoModelForSequenceClassification if task == "classify" else AutoModelForCausalLM
    return model_class.from_pretrained(folder).eval()


def tensor_bytes(path):
    return sum(value.numel() * value.element_size() for value in load_file(path).values())


def test_a_row_of_known_weights_is_packed_into_the_bytes_counted_by_hand():
    # Largest 7.5, and there are 7.5 steps from the middle to the end of 4 bits (-8 to 7): the scale is 1, and
    # 7.5 itself becomes 7.
    row = [7.5, *range(-7, 8), *range(-7, 8), 0.0]
    tensors = fake_quantization.packed_tensors(one_layer(torch.tensor([row]), bits=4))
    integers = [7, *range(-7, 8), *range(-7, 8), 0]
    halves = [integer + 8 for integer in integers]
    expected = bytes(low | high << 4 for low, high in zip(halves[::2], halves[1::2], strict=True))
    assert bytes(tensors["layers.0.up.weight_packed"].view(torch.uint8).flatten().tolist()) == expected
    assert len(expected) == 16
    assert tensors["layers.0.up.weight_scale"].tolist() == [[1.0]]
    assert tensors["layers.0.up.weight_shape"].tolist() == [1, 32]
    assert set(tensors) == {f"layers.0.up.weight_{part}" for part in ("packed", "scale", "shape")}


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("group_size", [32, 64])
def test_every_weight_takes_its_bits_and_every_group_one_scale(bits, group_size):
    torch.manual_seed(0)
    tensors = fake_quantization.packed_tensors(one_layer(torch.randn(5, 128), bits, group_size))
    packed, scale = tensors["layers.0.up.weight_packed"], tensors["layers.0.up.weight_scale"]
    assert packed.numel() * packed.element_size() == 5 * 128 * bits / 8
    assert scale.shape == (5, 128 // group_size)


@pytest.mark.parametrize("bits", BITS)
def test_rounding_is_to_the_nearest_of_the_few_values_there_are(bits):
    torch.manual_seed(0)
    before = torch.randn(3, 64)
    layer = fake_quantization.convert(one_layer(before.clone(), bits))["layers"][0]["up"]
    integers, scales = layer.int_weights(), layer.scale.repeat_interleave(32, dim=1)
    assert (int(integers.min()), int(integers.max())) == (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    assert torch.equal(layer.weight, integers * scales)
    is_inside = integers.float().abs() < 2 ** (bits - 1) - 1
    is_nearest = (layer.weight - before).abs() <= scales / 2 + 1e-6
    assert bool(is_nearest[is_inside].all())


@pytest.mark.parametrize("bits", BITS)
def test_weights_held_in_16_bits_on_a_gpu_come_back_as_the_same_integers(bits, monkeypatch):
    monkeypatch.setattr(device, "weights_dtype", lambda: torch.bfloat16)
    torch.manual_seed(0)
    model = fake_quantization.convert(one_layer(torch.randn(64, 256), bits))
    layer = model["layers"][0]["up"]
    before = layer.int_weights()
    model.to(torch.bfloat16)
    assert torch.equal(layer.int_weights(), before)
    assert torch.equal(layer.weight, before.to(torch.bfloat16) * layer.scale.repeat_interleave(32, dim=1))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("saved_dtype", [torch.bfloat16, torch.float16])
def test_on_a_gpu_a_training_rounds_to_what_the_file_will_hold(bits, saved_dtype, monkeypatch):
    """The file's scales have 16 bits, so they have them while the weights are trained in 32."""
    monkeypatch.setattr(device, "weights_dtype", lambda: saved_dtype)
    torch.manual_seed(0)
    weights = torch.randn(64, 256)
    weights[0] = 0.0
    model = one_layer(weights, bits)
    fake_quantization.set_rounding(model, enabled=True)
    rounding = model["layers"][0]["up"].weight_fake_quantizer
    in_training = rounding(weights)
    layer = fake_quantization.convert(model)["layers"][0]["up"]
    assert torch.equal(layer.weight, in_training)
    assert torch.equal(layer.scale, layer.scale.to(saved_dtype).float())
    assert torch.equal(layer.weight, layer.int_weights() * layer.scale.repeat_interleave(32, dim=1))
    assert torch.equal(layer.weight[0], weights[0])


@pytest.mark.parametrize("task", ["chat", "classify"])
@pytest.mark.parametrize("bits", BITS)
def test_rounded_converted_and_reloaded_models_say_the_same(bits, task, make_job, tmp_path):
    job = make_job("qat", task, {"bits": str(bits)})
    before = logits(job.model, job)
    rounded = logits(fake_quantization.set_rounding(job.model, enabled=True), job)
    assert not torch.allclose(rounded, before, atol=1e-6)
    fake_quantization.convert(job.model)
    torch.testing.assert_close(logits(job.model, job), rounded, rtol=0, atol=1e-5)
    fake_quantization.save(job.model, tmp_path / "model")
    reloaded = open_plainly(tmp_path / "model", task).to(job.model.device)
    torch.testing.assert_close(logits(reloaded, job), rounded, rtol=0, atol=1e-5)
    assert load.fingerprint(reloaded) == load.fingerprint(job.model)


@pytest.mark.parametrize("bits", ["4", "3"])
def test_modernbert_is_rounded_and_opens_again(bits, tmp_path):
    from transformers import ModernBertConfig, ModernBertForSequenceClassification

    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_labels=3,
        pad_token_id=0,
    )
    settings = qat.METHOD.resolve_settings({"bits": bits})
    model = qat.attach(ModernBertForSequenceClassification(config).eval(), settings, "classify")
    fake_quantization.convert(model)
    fake_quantization.save(model, tmp_path / "model")
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    assert len([name for name in tensors if name.endswith("weight_packed")]) == 2 * 4
    ids = torch.arange(3, 20).reshape(1, -1)
    with torch.no_grad():
        reopened = open_plainly(tmp_path / "model", "classify")
        torch.testing.assert_close(reopened(input_ids=ids).logits, model(input_ids=ids).logits)


@pytest.mark.parametrize("task", ["chat", "classify"])
def test_only_the_matrices_of_the_blocks_are_rounded(task, make_job, bases, tmp_path):
    job = make_job("qat", task, {"bits": "2"})
    fake_quantization.convert(job.model)
    base = dict(load_base(job, bases).named_parameters())
    changed = {name for name, value in job.model.named_parameters() if not torch.equal(value, base[name])}
    suffixes = tuple(f".{linear.name}.weight" for linear in shape.from_folder(bases(task)).linears)
    assert len(changed) == N_MATRICES[task]
    assert all(name.endswith(suffixes) for name in changed)
    fake_quantization.save(job.model, tmp_path / "model")
    reopened = open_plainly(tmp_path / "model", task)
    if task == "chat":
        assert reopened.lm_head.weight is reopened.model.embed_tokens.weight
        assert "lm_head.weight" not in load_file(tmp_path / "model" / "model.safetensors")


@pytest.mark.parametrize("task", ["chat", "classify"])
def test_the_file_is_as_small_as_its_bits(task, make_job, tmp_path):
    sizes = {}
    for bits in BITS:
        job = make_job("qat", task, {"bits": str(bits)})
        path = tmp_path / str(bits) / "model.safetensors"
        full_bytes, packed_bytes = fake_quantization.disk_sizes(job.model)
        fake_quantization.save(job.model, path.parent)
        assert packed_bytes == tensor_bytes(path)
        assert full_bytes == 4 * load.count_parameters(job.model)
        header_bytes = int.from_bytes(path.read_bytes()[:8], "little")
        assert path.stat().st_size == 8 + header_bytes + packed_bytes
        sizes[bits] = packed_bytes
    linears = shape.from_config(job.model.config.to_dict()).linears
    n_rounded = 2 * sum(linear.n_in * linear.n_out for linear in linears)
    steps = (sizes[8] - sizes[4], sizes[4] - sizes[3], sizes[3] - sizes[2])
    assert steps == (n_rounded / 2, n_rounded / 8, n_rounded / 8)
    # In 4 bits a weight takes half a byte, its share of a 4-byte scale an eighth, and each matrix its two
    # lengths.
    assert full_bytes - sizes[4] == n_rounded * (4 - 1 / 2 - 4 / 32) - 16 * N_MATRICES[task]


def test_the_size_does_not_depend_on_whether_the_model_is_converted_yet(make_job):
    job = make_job("qat", "chat")
    before = fake_quantization.disk_sizes(job.model)
    assert fake_quantization.disk_sizes(fake_quantization.convert(job.model)) == before


def test_a_low_bit_model_is_copied_and_writes(make_job, tmp_path):
    job = make_job("qat", "chat")
    fake_quantization.convert(job.model)
    twin = copy.deepcopy(job.model)
    ids = torch.tensor([job.train[0].input_ids[:6]], device=job.model.device)
    arguments = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "max_new_tokens": 5,
        "do_sample": False,
    }
    expected = job.model.generate(**arguments)
    assert torch.equal(twin.generate(**arguments), expected)
    fake_quantization.save(twin, tmp_path / "model")
    reopened = open_plainly(tmp_path / "model", "chat").to(job.model.device)
    assert torch.equal(reopened.generate(**arguments), expected)
