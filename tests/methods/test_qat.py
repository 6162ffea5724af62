"""Weights in few bits: what the files hold bit by bit, that they open elsewhere and say the same, and what
the comparison tells.
"""

import copy
import dataclasses
import math

import pytest
import torch
from safetensors.torch import load_file
from silent_monitor import SilentMonitor

from studio import methods, runs
from studio.errors import NotPossible
from studio.methods import qat
from studio.methods.training import fake_quantization
from studio.models import device, load, shape
from studio.training import callback as run_callback
from studio.training import launcher, worker

BITS = (8, 4, 3, 2)
COLUMNS = ("full_precision", "quantised_afterwards", "quantised_while_training")
WIDTH_48 = {
    "model_type": "llama",
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "vocab_size": 10,
}
# Each matrix of the tiny models' blocks has 32 or 64 columns: 7 in a decoder's block, 6 in an encoder's.
MATRICES = {"chat": 14, "classify": 12}


def settings(**chosen):
    return qat.METHOD.resolve_settings({"bits": "4", **chosen})


def one_layer(weights, bits, group=32):
    """A model with one block of one layer with these weights, made ready to be rounded."""
    layer = torch.nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    layer.weight.data = weights
    model = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([torch.nn.ModuleDict({"up": layer})])})
    return fake_quantization.prepare(model, ("up",), bits, group)


def scores(model, job):
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([job.train[0].input_ids])).logits


def plainly(folder, task):
    """A folder opened with nothing but transformers (and compressed-tensors, which it asks for)."""
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    return (
        (AutoModelForSequenceClassification if task == "classify" else AutoModelForCausalLM)
        .from_pretrained(folder)
        .eval()
    )


def notes(job):
    return job.notes["quantisation"]


class Stopping(SilentMonitor):
    """A watch that stops its stage at the first step."""

    def on_step_end(self, args, state, control, **_):
        self.stopped = control.should_training_stop = True


def test_a_row_of_known_numbers_is_packed_into_the_bytes_counted_by_hand(tmp_path):
    # Largest 7.5, and there are 7.5 steps from the middle to the end of 4 bits (-8 to 7): the scale is 1, and
    # 7.5 itself becomes 7.
    row = [7.5, *range(-7, 8), *range(-7, 8), 0.0]
    found = fake_quantization.packed_tensors(one_layer(torch.tensor([row]), bits=4))
    numbers = [7, *range(-7, 8), *range(-7, 8), 0]
    halves = [number + 8 for number in numbers]
    wanted = bytes(low | high << 4 for low, high in zip(halves[::2], halves[1::2], strict=True))
    assert bytes(found["layers.0.up.weight_packed"].view(torch.uint8).flatten().tolist()) == wanted
    assert len(wanted) == 16
    assert found["layers.0.up.weight_scale"].tolist() == [[1.0]]
    assert found["layers.0.up.weight_shape"].tolist() == [1, 32]
    assert set(found) == {f"layers.0.up.weight_{part}" for part in ("packed", "scale", "shape")}


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("group", [32, 64])
def test_every_weight_takes_its_bits_and_every_group_one_scale(bits, group):
    torch.manual_seed(0)
    found = fake_quantization.packed_tensors(one_layer(torch.randn(5, 128), bits, group))
    packed, scale = found["layers.0.up.weight_packed"], found["layers.0.up.weight_scale"]
    assert packed.numel() * packed.element_size() == 5 * 128 * bits / 8
    assert scale.shape == (5, 128 // group)


@pytest.mark.parametrize("bits", BITS)
def test_rounding_is_to_the_nearest_of_the_few_values_there_are(bits):
    torch.manual_seed(0)
    before = torch.randn(3, 64)
    layer = fake_quantization.convert(one_layer(before.clone(), bits))["layers"][0]["up"]
    whole, steps = layer.int_weights(), layer.scale.repeat_interleave(32, dim=1)
    assert (int(whole.min()), int(whole.max())) == (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    assert torch.equal(layer.weight, whole * steps)
    inside = whole.float().abs() < 2 ** (bits - 1) - 1
    assert bool(((layer.weight - before).abs() <= steps / 2 + 1e-6)[inside].all())


@pytest.mark.parametrize("bits", BITS)
def test_weights_held_in_16_bits_on_a_card_come_back_as_the_same_whole_numbers(bits, monkeypatch):
    monkeypatch.setattr(device, "weights_dtype", lambda: torch.bfloat16)
    torch.manual_seed(0)
    model = fake_quantization.convert(one_layer(torch.randn(64, 256), bits))
    layer = model["layers"][0]["up"]
    before = layer.int_weights()
    model.to(torch.bfloat16)
    assert torch.equal(layer.int_weights(), before)
    assert torch.equal(layer.weight, before.to(torch.bfloat16) * layer.scale.repeat_interleave(32, dim=1))


@pytest.mark.parametrize("bits", ["8", "3"])
def test_a_model_trained_on_a_card_comes_back_the_same_in_16_bits(
    bits, make_job, monkeypatch, bases, tmp_path
):
    monkeypatch.setattr(device, "weights_dtype", lambda: torch.bfloat16)
    job = make_job("qat", "chat", {"bits": bits, "compare": False})
    job.model.float()
    model = qat.train(job).to(torch.bfloat16)
    qat.METHOD.save(model, tmp_path / "model", "someone/base")
    found = qat.METHOD.load(load.base_model(bases("chat"), "chat"), tmp_path / "model")
    assert found.dtype == torch.bfloat16
    assert load.fingerprint(found) == load.fingerprint(model)
    size = sum(
        value.numel() * value.element_size()
        for value in load_file(tmp_path / "model" / "model.safetensors").values()
    )
    assert notes(job)["quantised_while_training"]["bytes"] == size


@pytest.mark.parametrize("task", ["chat", "classify"])
@pytest.mark.parametrize("bits", BITS)
def test_rounded_converted_and_reloaded_models_say_the_same(bits, task, make_job, tmp_path):
    job = make_job("qat", task, {"bits": str(bits)})
    plain = scores(job.model, job)
    rounded = scores(fake_quantization.set_rounding(job.model, enabled=True), job)
    assert not torch.allclose(rounded, plain, atol=1e-6)
    fake_quantization.convert(job.model)
    torch.testing.assert_close(scores(job.model, job), rounded, rtol=0, atol=1e-5)
    qat.METHOD.save(job.model, tmp_path / "model", "someone/base")
    found = plainly(tmp_path / "model", task)
    torch.testing.assert_close(scores(found, job), rounded, rtol=0, atol=1e-5)
    assert load.fingerprint(found) == load.fingerprint(job.model)


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
    model = qat.attach(ModernBertForSequenceClassification(config).eval(), settings(bits=bits), "classify")
    ids = torch.arange(3, 20).reshape(1, -1)
    fake_quantization.convert(model)
    qat.METHOD.save(model, tmp_path / "model", "someone/base")
    kept = load_file(tmp_path / "model" / "model.safetensors")
    assert len([name for name in kept if name.endswith("weight_packed")]) == 2 * 4
    with torch.no_grad():
        torch.testing.assert_close(
            plainly(tmp_path / "model", "classify")(input_ids=ids).logits, model(input_ids=ids).logits
        )


@pytest.mark.parametrize("task", ["chat", "classify"])
def test_only_the_matrices_of_the_blocks_are_rounded(task, make_job, bases, tmp_path):
    job = make_job("qat", task, {"bits": "2"})
    fake_quantization.convert(job.model)
    base = dict(
        load.base_model(
            bases(task), task, ["a", "b", "c"] if task == "classify" else (), job.plan.training.seed
        ).named_parameters()
    )
    moved = {name for name, value in job.model.named_parameters() if not torch.equal(value, base[name])}
    names = [linear.name for linear in shape.from_folder(bases(task)).linears]
    assert len(moved) == MATRICES[task]
    assert all(any(name.endswith(f".{inner}.weight") for inner in names) for name in moved)
    qat.METHOD.save(job.model, tmp_path / "model", "someone/base")
    found = plainly(tmp_path / "model", task)
    if task == "chat":
        assert found.lm_head.weight is found.model.embed_tokens.weight
        assert "lm_head.weight" not in load_file(tmp_path / "model" / "model.safetensors")


@pytest.mark.parametrize("task", ["chat", "classify"])
def test_the_file_is_as_small_as_its_bits(task, make_job, tmp_path):
    size = {}
    for bits in BITS:
        job = make_job("qat", task, {"bits": str(bits)})
        folder = tmp_path / str(bits)
        whole, packed = fake_quantization.disk_sizes(job.model)
        qat.METHOD.save(job.model, folder, "someone/base")
        kept = load_file(folder / "model.safetensors")
        assert packed == sum(value.numel() * value.element_size() for value in kept.values())
        assert whole == 4 * load.count_parameters(job.model)
        header = int.from_bytes((folder / "model.safetensors").read_bytes()[:8], "little")
        assert (folder / "model.safetensors").stat().st_size == 8 + header + packed
        size[bits] = packed
    rounded = (
        sum(
            layer.size - (layer.n_out if layer.bias else 0)
            for layer in shape.from_config(job.model.config.to_dict()).linears
        )
        * 2
    )
    assert (size[8] - size[4], size[4] - size[3], size[3] - size[2]) == (
        rounded / 2,
        rounded / 8,
        rounded / 8,
    )
    # in 4 bits a weight takes half a byte, its share of a 4-byte scale an eighth, and each matrix its two
    # lengths
    assert whole - size[4] == rounded * (4 - 1 / 2 - 4 / 32) - 16 * MATRICES[task]


def test_the_size_does_not_depend_on_whether_the_model_is_converted_yet(make_job):
    job = make_job("qat", "chat")
    before = fake_quantization.disk_sizes(job.model)
    assert fake_quantization.disk_sizes(fake_quantization.convert(job.model)) == before


def test_a_group_that_does_not_divide_a_width_is_refused_with_those_that_do():
    config = shape.from_config({**WIDTH_48, "hidden_size": 64, "intermediate_size": 192})
    assert [problem.render() for problem in qat.check(settings(group="128"), config, "chat")] == [
        "group: 128 does not divide 64, the width of self_attn.q_proj; choose 32 or 64"
    ]
    assert qat.check(settings(group="64"), config, "chat") == []
    assert qat.check(settings(), None, "chat") == []
    (said,) = qat.check(settings(), shape.from_config(WIDTH_48), "chat")
    assert (
        said.render()
        == "group: 32 does not divide 48, the width of self_attn.q_proj; no size on offer does, so choose "
        "another model"
    )


def test_such_a_plan_is_refused_before_it_runs(make_plan):
    found = make_plan("qat", "chat", {"group": "64"}).model_dump()
    (said,) = methods.find_plan_problems(found)
    assert (
        said.render()
        == "method.settings.group: 64 does not divide 32, the width of self_attn.q_proj; choose 32"
    )


def test_a_model_whose_widths_are_only_known_once_it_is_there_is_refused_too():
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(
        LlamaConfig(**{name: value for name, value in WIDTH_48.items() if name != "model_type"})
    )
    with pytest.raises(NotPossible, match="32 does not divide 48"):
        qat.attach(model, settings(), "chat")


@pytest.mark.thorough
@pytest.mark.parametrize("task", ["chat", "classify"])
def test_the_comparison_leaves_the_training_that_counts_untouched(task, make_job):
    found = []
    for compare in (True, False):
        job = make_job("qat", task, {"compare": compare})
        assert qat.train(job) is job.model
        found.append((load.fingerprint(job.model), notes(job)["quantised_while_training"]))
        assert len(job.notes["monitors"]) == 1 + compare
    assert found[0] == found[1]


def test_without_the_comparison_its_columns_stay_empty(make_job):
    job = make_job("qat", "chat", {"compare": False})
    qat.train(job)
    assert tuple(notes(job)) == COLUMNS
    assert [notes(job)[name] is None for name in COLUMNS] == [True, True, False]


@pytest.mark.thorough
@pytest.mark.parametrize("task", ["chat", "classify"])
def test_the_full_precision_column_is_an_ordinary_full_training(task, make_job):
    job, ordinary = make_job("qat", task), make_job("full", task)
    qat.train(job)
    methods.get("full").train(ordinary)
    wanted = ordinary.measure(ordinary.model, ordinary.validation)
    assert notes(job)["full_precision"] == {**wanted, "bytes": 4 * load.count_parameters(ordinary.model)}
    # rounding that model in earnest gives the second column
    rounded = qat.attach(ordinary.model, settings(), task)
    found = ordinary.measure(fake_quantization.convert(rounded), ordinary.validation)
    assert notes(job)["quantised_afterwards"] == pytest.approx(
        {**found, "bytes": fake_quantization.disk_sizes(rounded)[1]}, abs=1e-5
    )


def test_the_report_shows_three_columns_of_loss_and_size(finished):
    for task, share in (("chat", "perplexity"), ("classify", "accuracy")):
        run = finished("qat", task)
        found, told = runs.report(run)["method"]["quantisation"], runs.report(run)
        assert tuple(found) == COLUMNS
        assert all({"loss", share, "bytes"} <= set(column) for column in found.values())
        assert all(math.isfinite(column["loss"]) for column in found.values())
        assert found["quantised_while_training"]["loss"] == pytest.approx(told["after"]["loss"], abs=1e-5)
        kept = load_file(run.model / "model.safetensors")
        size = sum(value.numel() * value.element_size() for value in kept.values())
        assert found["quantised_while_training"]["bytes"] == found["quantised_afterwards"]["bytes"] == size
        assert found["full_precision"]["bytes"] == 4 * told["parameters"]["total"]


def test_at_2_bits_training_with_the_rounding_beats_rounding_afterwards(make_plan):
    run = runs.create(make_plan("qat", "chat", {"bits": "2"}))
    worker.run(run.id)
    found = runs.report(run)["method"]["quantisation"]
    assert (
        found["full_precision"]["loss"]
        < found["quantised_while_training"]["loss"]
        < found["quantised_afterwards"]["loss"]
    )


def test_the_base_is_scored_as_it_is_and_not_rounded(finished):
    one, other = (runs.report(finished(name, "chat")) for name in ("qat", "full"))
    assert one["before"] == other["before"]
    first = next(iter(runs.read_points(finished("qat", "chat"))))
    assert (first["stage"], first["step"]) == ("train", 0)


def test_stopped_while_comparing_the_model_so_far_is_rounded_and_the_third_column_stays_empty(make_job):
    job = make_job("qat", "chat", {"bits": "3"})
    stopped = dataclasses.replace(job, create_monitor=lambda stage, model, measure: Stopping())
    model = qat.train(stopped)
    assert [notes(job)[name] is None for name in COLUMNS] == [False, False, True]
    found = job.measure(model, job.validation)
    assert notes(job)["quantised_afterwards"]["loss"] == pytest.approx(found["loss"], abs=1e-5)
    assert notes(job)["full_precision"]["loss"] != pytest.approx(found["loss"], abs=1e-5)
    assert not (job.folder / "checkpoints" / "full_precision.json").exists()
    assert any(isinstance(module, fake_quantization.RoundedLinear) for module in model.modules())


@pytest.mark.thorough
def test_a_run_stopped_in_its_second_training_goes_on_without_repeating_the_first(make_plan, monkeypatch):
    found = make_plan("qat", "chat", epochs=2)
    whole, run = runs.create(found), runs.create(found)
    worker.run(whole.id)
    real = run_callback.MonitorCallback.on_step_begin

    def stop(self, args, state, control, **values):
        if self.run.id == run.id and self.stage == "train" and state.global_step == 2:
            launcher.stop(self.run)
        real(self, args, state, control, **values)

    monkeypatch.setattr(run_callback.MonitorCallback, "on_step_begin", stop)
    worker.run(run.id)
    assert runs.status(run).state == "stopped"
    assert runs.report(run)["method"]["quantisation"]["quantised_while_training"]
    monkeypatch.setattr(run_callback.MonitorCallback, "on_step_begin", real)
    launcher.requeue(run)
    worker.run(run.id)
    for stage in ("full_precision", "train"):
        steps = [
            [point["step"] for point in runs.read_points(one) if point["stage"] == stage and "loss" in point]
            for one in (run, whole)
        ]
        assert steps[0] == steps[1]
    one, other = (runs.report(item)["method"]["quantisation"] for item in (run, whole))
    for name in COLUMNS:
        assert one[name] == pytest.approx(other[name], abs=1e-4)


def test_a_low_bit_model_is_copied_and_writes(make_job, tmp_path):
    job = make_job("qat", "chat")
    fake_quantization.convert(job.model)
    twin = copy.deepcopy(job.model)
    ids = torch.tensor([job.train[0].input_ids[:6]])
    asked = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "max_new_tokens": 5,
        "do_sample": False,
    }
    assert torch.equal(twin.generate(**asked), job.model.generate(**asked))
    qat.METHOD.save(twin, tmp_path / "model", "someone/base")
    assert torch.equal(plainly(tmp_path / "model", "chat").generate(**asked), job.model.generate(**asked))


def test_a_plan_names_its_bits_as_a_choice(make_plan):
    for bits in ("3", 3):  # in a plan's YAML the number stands without quotes
        assert methods.find_plan_problems(make_plan("qat", "chat", {"bits": bits}).model_dump()) == []
        assert settings(bits=bits)["bits"] == "3"
    (said,) = methods.find_plan_problems(make_plan("qat", "chat", {"bits": 5}).model_dump())
    assert said.render() == "method.settings.bits: expected one of 8, 4, 3, 2, but got 5"
