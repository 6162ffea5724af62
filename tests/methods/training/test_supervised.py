"""Supervised training: what suits the machine and the model, micro batches, and 16-bit bases."""

import dataclasses
import functools
import itertools
import json
import math
import shutil
import statistics
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch
from sampling import sample
from silent_monitor import SilentMonitor
from torch.utils._python_dispatch import TorchDispatchMode

from studio import methods, runs
from studio.errors import NotPossible
from studio.evaluate.predictions import Measured
from studio.methods.training import supervised
from studio.models import device, load
from studio.training import worker

# (compute capability, parameters, trained ones, 4-bit base) and the arguments that follow.
GPU_CASES = {
    "small": ((8, 0), 135e6, 135e6, False, "adamw_torch_fused", False),
    "large adapter": ((8, 0), 1.7e9, 5e6, False, "adamw_torch_fused", True),
    "large, all trained": ((8, 0), 1.7e9, 1.7e9, False, "paged_adamw_8bit", True),
    "4 bits": ((8, 0), 135e6, 5e6, True, "adamw_torch_fused", False),
    "large in 4 bits": ((8, 0), 1.7e9, 5e6, True, "adamw_torch_fused", True),
    "P100": ((6, 0), 135e6, 135e6, False, "adamw_torch_fused", False),
    "T4": ((7, 5), 135e6, 135e6, False, "adamw_torch_fused", False),
}


class Params4bit(torch.nn.Parameter):
    """As bitsandbytes stores 4-bit weights: two of them in each element."""


def fake_model(n_parameters, n_trainable, in_4_bits):
    n_frozen = int(n_parameters - n_trainable)
    trainable = torch.nn.Parameter(torch.empty(int(n_trainable), device="meta"), True)
    frozen = torch.nn.Parameter(torch.empty(n_frozen, device="meta"), False)
    if in_4_bits:
        frozen = Params4bit(torch.empty(n_frozen // 2, device="meta"), False)
    config = SimpleNamespace(quantization_config={} if in_4_bits else None)
    return SimpleNamespace(parameters=lambda: [trainable, frozen], config=config)


@pytest.mark.parametrize("case", GPU_CASES)
def test_a_gpu_gets_what_suits_it_and_the_model(case, make_job, monkeypatch):
    capability, n_parameters, n_trainable, in_4_bits, optimizer, checkpointing = GPU_CASES[case]
    model = fake_model(n_parameters, n_trainable, in_4_bits)
    job = dataclasses.replace(make_job("lora", "chat", rows=4), model=model)
    monkeypatch.delenv("STUDIO_PRECISION")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: capability >= (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(device, "cuda_memory_bytes", lambda: 24e9)
    arguments = supervised.training_arguments(job, "train")
    assert (arguments["bf16"], arguments["fp16"]) == (capability >= (8, 0), capability == (7, 5))
    assert arguments.get("optim") == optimizer
    assert arguments["activation_checkpointing"] == checkpointing
    assert not arguments["use_cpu"]


@pytest.mark.parametrize(("batch_size", "accumulation_steps"), [(8, 1), (8, 2), (8, 8)])
def test_a_step_sees_as_many_examples_as_the_plan_says_in_whatever_micro_batches(
    batch_size, accumulation_steps, make_job
):
    job = make_job("lora", "chat", batch_size=batch_size, gradient_accumulation_steps=accumulation_steps)
    job.model.train()
    methods.get("lora").train(job)
    assert len(job.notes["monitors"][0].losses) == 24 // batch_size


def test_batches_of_like_length_come_in_random_order_the_longest_first():
    lengths = [(37 * number) % 101 + 5 for number in range(803)]
    sampler = supervised.SeededLengthGroupedSampler(4, lengths, seed=1)
    places = list(sampler)
    assert sorted(places) == list(range(803))
    batches = [[lengths[place] for place in places[start : start + 4]] for start in range(0, 800, 4)]
    assert max(lengths) in batches[0]
    spreads = [max(batch) - min(batch) for batch in batches[1:]]
    assert statistics.mean(spreads) < 5, "of lengths from 5 to 105"
    # from long to short, nearly every batch would be shorter than the one before
    falls = [sum(first) > sum(second) for first, second in itertools.pairwise(batches)]
    assert 0.4 < statistics.mean(falls) < 0.6
    assert list(sampler) != places
    sampler.set_epoch(0)
    assert list(sampler) == places


@pytest.mark.parametrize("n_rows", [1, 3, 4, 5])
def test_few_rows_are_all_seen_once(n_rows):
    assert sorted(supervised.SeededLengthGroupedSampler(4, [7] * n_rows, seed=0)) == list(range(n_rows))


@pytest.mark.parametrize(("batch_size", "accumulation_steps"), [(8, 3), (2, 4)])
def test_micro_batches_that_do_not_divide_a_step_are_refused(batch_size, accumulation_steps, make_plan):
    with pytest.raises(ValueError, match=f"divides batch_size {batch_size}"):
        make_plan("lora", "chat", batch_size=batch_size, gradient_accumulation_steps=accumulation_steps)


def test_micro_batches_add_up_to_the_step(make_job):
    trained = []
    for accumulation_steps in (1, 4):
        job = make_job(
            "full", "chat", rows=8, gradient_accumulation_steps=accumulation_steps, learning_rate=1e-3
        )
        methods.get("full").train(job)
        trained.append(torch.cat([value.detach().flatten() for value in job.model.parameters()]))
    assert (trained[0] - trained[1]).abs().mean() < 1e-5


@pytest.mark.parametrize(("method", "settings"), [("peft", {"type": "ln_tuning"}), ("lora", {})])
def test_on_a_base_of_16_bits_the_steps_are_taken_in_32_and_the_result_is_saved_in_16(
    method, settings, make_job, monkeypatch
):
    job = make_job(method, "classify", settings, epochs=3)
    job.model.to(torch.bfloat16)
    before = {
        name: value.detach().clone() for name, value in job.model.named_parameters() if value.requires_grad
    }
    plain_arguments, dtypes = supervised.training_arguments, set()
    # What a GPU does: 16-bit weights under autocast. A CPU can do so too, slowly.
    monkeypatch.setattr(
        supervised, "training_arguments", lambda *args: {**plain_arguments(*args), "bf16": True}
    )

    class DtypeMonitor(SilentMonitor):
        def on_step_end(self, args, state, control, model=None, **_):
            dtypes.update(value.dtype for value in model.parameters() if value.requires_grad)

    supervised.fit(dataclasses.replace(job, create_monitor=lambda *_: DtypeMonitor()))
    after = dict(job.model.named_parameters())
    assert dtypes == {torch.float32}
    assert {value.dtype for value in after.values()} == {torch.bfloat16}
    assert all(not torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize(("n_validation", "n_checked"), [(8, 8), (40, 10)])
def test_a_training_is_checked_on_a_sample_of_many_validation_examples(
    n_validation, n_checked, make_job, monkeypatch
):
    monkeypatch.setattr(supervised, "MAX_CHECKED_EXAMPLES", 10)
    job, checked = make_job("lora", "classify"), []

    def create_monitor(stage, model, measure):
        checked.extend(measure() for _ in range(2))
        return SilentMonitor()

    supervised.fit(
        dataclasses.replace(
            job,
            validation=[dataclasses.replace(job.validation[0]) for _ in range(n_validation)],
            measure_rows=lambda model, rows: Measured(set(map(id, rows)), []),
            create_monitor=create_monitor,
        )
    )
    assert len(checked[0]) == n_checked
    assert checked[0] == checked[1], "the same ones each time"


def test_rows_are_padded_with_what_a_decoder_takes_for_padding(tiny_chat, tmp_path):
    folder = shutil.copytree(tiny_chat, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "pad_token_id": 7}))
    tokenizer, model = load.tokenizer(folder), load.base_model(folder, "classify", ("a", "b"), 0)
    ids, pad = [20, 21, 22], tokenizer.pad_token_id
    padded_ids = torch.tensor([ids + [pad] * 4], device=model.device)
    mask = torch.tensor([[1] * 3 + [0] * 4], device=model.device)
    alone = model(input_ids=padded_ids[:, :3]).logits
    padded = model(input_ids=padded_ids, attention_mask=mask).logits
    torch.testing.assert_close(padded, alone)


class ReadNumbers(TorchDispatchMode):
    """Counts the numbers that are read out of tensors: for each a GPU has to finish all that it was given."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("method", "packs_texts"), [("lora", True), ("lora", False), ("full", True), ("prefix", False)]
)
def test_no_number_is_read_in_a_step_but_those_that_are_logged(method, packs_texts, make_job, monkeypatch):
    plain_arguments = supervised.training_arguments
    monkeypatch.setattr(
        supervised, "training_arguments", lambda *args: {**plain_arguments(*args), "logging_steps": 1000}
    )
    counts = []
    for rows in (8, 24):
        job = make_job(method, "chat", rows=rows, batch_size=4, gradient_accumulation_steps=2)
        monitor = SilentMonitor()
        job = dataclasses.replace(job, packs_texts=packs_texts, create_monitor=lambda *_, made=monitor: made)
        with ReadNumbers() as read:
            methods.get(method).train(job)
        counts.append(read.count)
    assert counts[0] == counts[1], "no more of them in three times the steps"


@pytest.fixture
def float16_gpu(monkeypatch):
    """A stand-in for a T4: autocast to float16 with a scaled loss, computed by the CPU."""
    from accelerate import Accelerator

    plain_init = Accelerator.__init__

    def init(self, *args, **kwargs):
        plain_init(self, *args, **kwargs)
        self.native_amp, self.scaler = True, torch.amp.GradScaler("cpu", init_scale=2.0**24)

    monkeypatch.setattr(Accelerator, "__init__", init)
    monkeypatch.setattr(device, "autocast_dtype", lambda: torch.float16)
    monkeypatch.setattr(device, "weights_dtype", lambda: torch.float16)


class ScalerMonitor(SilentMonitor):
    """Collects what float16 with a scaled loss does: the formats, and the lengths of the gradients."""

    def __init__(self):
        super().__init__()
        self.dtypes, self.gradient_lengths = set(), []

    def on_step_end(self, args, state, control, model=None, **_):
        self.dtypes.update((value.requires_grad, value.dtype) for value in model.parameters())

    def on_log(self, args, state, control, logs=None, **_):
        super().on_log(args, state, control, logs=logs)
        if "grad_norm" in logs:
            self.gradient_lengths.append(float(logs["grad_norm"]))


# RLHF and UPFT train by the same arguments (trl_arguments).
IN_FLOAT16 = [method.name for method in methods.METHODS if method.name not in ("rlhf", "upft")]


@pytest.mark.thorough
@pytest.mark.parametrize(
    "method",
    sample(IN_FLOAT16, ["full", "qlora"]),
)
def test_in_float16_a_loss_that_was_scaled_too_far_costs_a_step_and_not_the_training(
    method, make_job, float16_gpu
):
    job, monitor = make_job(method, "chat", epochs=8), ScalerMonitor()
    methods.get(method).train(dataclasses.replace(job, create_monitor=lambda *_: monitor))
    assert {dtype for is_trained, dtype in monitor.dtypes if is_trained} == {torch.float32}
    # The scale begins at 2 ** 24, and halves until the gradients are numbers.
    assert not math.isfinite(monitor.gradient_lengths[0])
    assert math.isfinite(monitor.gradient_lengths[-1])
    assert all(map(math.isfinite, monitor.losses))
    assert monitor.losses[-1] < monitor.losses[0]


def test_a_run_in_float16_records_numbers_alone_and_saves_16_bits(make_plan, float16_gpu):
    def refuse(constant):
        raise AssertionError(f"{constant} is no number")

    run = runs.create(make_plan("full", "classify", epochs=3))
    worker.run(run.id)
    points = run.metrics_path.read_text(encoding="utf-8").splitlines()
    lengths = [json.loads(line, parse_constant=refuse).get("grad_norm") for line in points]
    losses = [json.loads(line).get("loss") for line in points]
    # Steps that were left out have a loss and no length of a gradient.
    assert 0 < sum(length is not None for length in lengths) < sum(loss is not None for loss in losses)
    weights = safetensors.torch.load_file(run.model / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}


@pytest.fixture
def bfloat16_gpu(monkeypatch):
    """A stand-in for a GPU with bfloat16: the CPU emulates it; nothing is compiled, which takes minutes."""
    monkeypatch.setattr(device, "can_train_in_bf16", lambda: True)
    torch.compiler.set_stance("force_eager")
    yield
    torch.compiler.set_stance("default")


def descend(build_optimizer, dtype):
    """8,192 weights of 1.0 after 100 steps of 1e-4 downhill."""
    torch.manual_seed(0)
    weights = torch.nn.Parameter(torch.ones(64, 128, dtype=dtype))
    optimizer = build_optimizer([weights], lr=1e-4, weight_decay=0)
    for _ in range(100):
        weights.grad = torch.ones_like(weights)
        optimizer.step()
    return weights.detach().float()


def test_small_steps_vanish_in_bfloat16_unless_they_are_rounded_stochastically(bfloat16_gpu):
    from torchao.optim import AdamW8bit

    # 100 steps of 1e-4 from 1.0: AdamW's first steps are as long as the learning rate.
    assert descend(torch.optim.AdamW, torch.float32).mean() == pytest.approx(0.99, abs=1e-4)
    # The next bfloat16 below 1.0 is 1 - 2 ** -8 = 0.996, so a step of 0.0001 is rounded back each time.
    assert (descend(torch.optim.AdamW, torch.bfloat16) == 1.0).all()
    stochastic = functools.partial(AdamW8bit, bf16_stochastic_round=True)
    # 8,192 weights, each off by 0.006 or so: their mean is off by 0.00007.
    assert descend(stochastic, torch.bfloat16).mean() == pytest.approx(0.99, abs=3e-4)


def full_training(make_job, precision, dtype):
    """The losses of a full fine-tuning with steps too small for bfloat16, and its model."""
    job = make_job(
        "full", "chat", {"weights_precision": precision}, epochs=20, learning_rate=2e-4, batch_size=24
    )
    job.model.to(dtype)
    job.model.train()
    supervised.fit(job)
    return job.notes["monitors"][0].losses, job.model


@pytest.mark.thorough
def test_weights_in_bfloat16_learn_as_those_in_32_bits_do(make_job, bfloat16_gpu, monkeypatch):
    exact, _ = full_training(make_job, "float32", torch.float32)
    stochastic, model = full_training(make_job, "bfloat16", torch.bfloat16)
    assert {value.dtype for value in model.parameters()} == {torch.bfloat16}
    plain_arguments = supervised.training_arguments
    monkeypatch.setattr(
        supervised, "training_arguments", lambda *args: {**plain_arguments(*args), "optim": "adamw_torch"}
    )
    plain, _ = full_training(make_job, "bfloat16", torch.bfloat16)
    progress = exact[0] - exact[-1]
    assert abs(stochastic[-1] - exact[-1]) < 0.1 * progress
    assert plain[-1] - exact[-1] > 0.3 * progress


@pytest.mark.parametrize(
    ("precision", "optimizer"), [("auto", "adamw_torch_8bit"), ("float32", "paged_adamw_8bit")]
)
def test_from_a_billion_parameters_on_a_gpu_trains_in_bfloat16(precision, optimizer, make_job, monkeypatch):
    job = make_job("full", "chat", {"weights_precision": precision}, rows=4)
    job = dataclasses.replace(job, model=fake_model(1.7e9, 1.7e9, in_4_bits=False))
    monkeypatch.setattr(device, "device_type", lambda: "cuda")
    monkeypatch.setattr(device, "can_train_in_bf16", lambda: True)
    monkeypatch.setattr(device, "cuda_memory_bytes", lambda: 24e9)
    arguments = supervised.training_arguments(job, "train")
    assert arguments["optim"] == optimizer
    assert arguments.get("optim_args") == ("bf16_stochastic_round=True" if precision == "auto" else None)
    small = fake_model(0.9e9, 0.9e9, in_4_bits=False)
    assert supervised.trained_dtype(job.settings, small) is torch.float32


def test_gradients_lie_in_the_buckets_that_gpus_send_each_other(make_job, monkeypatch):
    handlers = []

    def stop(trainer, **_):
        handlers.append(trainer.accelerator.ddp_handler)
        raise KeyboardInterrupt

    monkeypatch.setattr(supervised._LengthGroupedTrainer, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        methods.get("lora").train(make_job("lora", "chat", rows=4))
    assert handlers[0].gradient_as_bucket_view is True


@pytest.mark.parametrize(("precision", "dtype"), [("auto", torch.bfloat16), ("float32", torch.float32)])
def test_a_plan_in_32_bits_holds_its_weights_in_them_however_many_there_are(precision, dtype, monkeypatch):
    monkeypatch.delenv("STUDIO_PRECISION")
    monkeypatch.setattr(device, "has_native_bf16", lambda: True)
    monkeypatch.setattr(device, "_plan_precision", precision)
    model = fake_model(1.7e9, 1.7e9, in_4_bits=False)
    assert supervised.trained_dtype({"weights_precision": "auto"}, model) is dtype


def test_bfloat16_is_refused_where_it_cannot_be(monkeypatch):
    model, settings = fake_model(100, 100, in_4_bits=False), {"weights_precision": "bfloat16"}
    with pytest.raises(NotPossible, match=r"this device does not compute in it\. Set weights_precision to"):
        supervised.trained_dtype(settings, model)
    monkeypatch.setattr(device, "can_train_in_bf16", lambda: True)
    assert supervised.trained_dtype(settings, model) is torch.bfloat16
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(NotPossible, match=r"a C compiler \(cc, gcc, clang\), and none is installed"):
        supervised.trained_dtype(settings, model)


def test_all_of_a_model_is_in_training_whatever_the_adapter_around_it_says(make_job):
    job = make_job("lora", "chat", {"dropout": 0.5}, rows=4)
    job.model.get_base_model().eval()
    assert job.model.training, "which is why nobody may ask the outermost module alone"
    modes = []
    block = next(module for module in job.model.modules() if type(module).__name__ == "LlamaDecoderLayer")
    block.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    methods.get("lora").train(job)
    assert modes
    assert all(modes)
