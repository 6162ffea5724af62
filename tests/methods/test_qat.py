"""Training with rounded weights: what the comparison tells, what a stop leaves, which plans are refused."""

import dataclasses
import math

import pytest
import torch
from safetensors.torch import load_file
from silent_monitor import SilentMonitor

from studio import methods, runs
from studio.errors import NotPossible
from studio.methods import qat
from studio.methods.training import fake_quantization, linear_head, supervised
from studio.models import device, load, shape
from studio.training import callback as run_callback
from studio.training import launcher, worker

COLUMNS = (qat.FULL_PRECISION, qat.QUANTIZED_AFTERWARDS, qat.QUANTIZED_WHILE_TRAINING)
WIDTH_48 = {
    "model_type": "llama",
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "vocab_size": 10,
}
QUERIES = "self_attn.q_proj"


def settings_of(**chosen):
    return qat.METHOD.resolve_settings({"bits": "4", **chosen})


def comparison(job):
    return job.notes["quantisation"]


def missing_columns(job):
    return [comparison(job)[name] is None for name in COLUMNS]


def tensor_bytes(path):
    return sum(value.numel() * value.element_size() for value in load_file(path).values())


class StoppingMonitor(SilentMonitor):
    """A monitor that stops its stage at the first step."""

    def on_step_end(self, args, state, control, **_):
        self.stopped = control.should_training_stop = True


@pytest.mark.parametrize("bits", ["8", "3"])
def test_a_model_trained_on_a_gpu_comes_back_the_same_in_16_bits(
    bits, make_job, monkeypatch, bases, tmp_path
):
    monkeypatch.setattr(device, "weights_dtype", lambda: torch.bfloat16)
    job = make_job("qat", "chat", {"bits": bits, "compare": False}, rows=8)
    job.model.float()
    model = qat.train(job).to(torch.bfloat16)
    qat.METHOD.save(model, tmp_path / "model", "someone/base")
    reloaded = qat.METHOD.load(load.base_model(bases("chat"), "chat"), tmp_path / "model")
    assert reloaded.dtype == torch.bfloat16
    assert load.fingerprint(reloaded) == load.fingerprint(model)
    n_bytes = tensor_bytes(tmp_path / "model" / "model.safetensors")
    assert comparison(job)[qat.QUANTIZED_WHILE_TRAINING]["bytes"] == n_bytes


@pytest.mark.thorough
def test_the_second_training_on_a_gpu_starts_from_all_digits_of_the_base_again(make_job, monkeypatch):
    """The base's file has 32 bits where the device holds a base in 16."""
    job = make_job("qat", "chat", rows=8)
    monkeypatch.setattr(device, "weights_dtype", lambda: torch.bfloat16)
    starts = []
    fit = supervised.fit

    def note_start(context, *arguments, **options):
        starts.append([value.clone() for value in context.model.parameters()])
        fit(context, *arguments, **options)

    monkeypatch.setattr(supervised, "fit", note_start)
    qat.train(job)
    first, second = starts
    assert all(map(torch.equal, first, second))


def test_a_group_that_does_not_divide_a_width_is_refused_with_those_that_do():
    config = shape.from_config({**WIDTH_48, "hidden_size": 64, "intermediate_size": 192})
    (problem,) = qat.check(settings_of(group="128"), config, "chat")
    assert problem.render() == f"group: 128 does not divide 64, the width of {QUERIES}; choose 32 or 64"
    assert qat.check(settings_of(group="64"), config, "chat") == []
    assert qat.check(settings_of(), None, "chat") == []
    (problem,) = qat.check(settings_of(), shape.from_config(WIDTH_48), "chat")
    expected = qat.GROUP_DOES_NOT_DIVIDE.format(group=32, width=48, part=QUERIES, do=qat.NO_GROUP_SIZE_FITS)
    assert (problem.key, problem.message) == ("group", expected)


def test_such_a_plan_is_refused_before_it_runs(make_plan):
    (problem,) = methods.find_plan_problems(make_plan("qat", "chat", {"group": "64"}).model_dump())
    assert problem.key == "method.settings.group"
    assert problem.message.text == qat.GROUP_DOES_NOT_DIVIDE.text
    assert (problem.message.values["group"], problem.message.values["width"]) == (64, 32)


def test_a_model_whose_widths_are_only_known_once_it_is_there_is_refused_too():
    from transformers import LlamaConfig, LlamaForCausalLM

    arguments = {name: value for name, value in WIDTH_48.items() if name != "model_type"}
    with pytest.raises(NotPossible, match="32 does not divide 48"):
        qat.attach(LlamaForCausalLM(LlamaConfig(**arguments)), settings_of(), "chat")


@pytest.mark.thorough
@pytest.mark.parametrize("task", ["chat", pytest.param("classify", marks=pytest.mark.exhaustive)])
def test_the_comparison_leaves_the_training_that_counts_untouched(task, make_job):
    results = []
    for compare in (True, False):
        job = make_job("qat", task, {"compare": compare})
        assert qat.train(job) is job.model
        results.append((load.fingerprint(job.model), comparison(job)[qat.QUANTIZED_WHILE_TRAINING]))
        assert len(job.notes["monitors"]) == 1 + compare
    assert results[0] == results[1]


def test_a_head_of_an_earlier_training_is_not_fitted_anew(make_job, monkeypatch):
    fitted = []
    monkeypatch.setattr(linear_head, "fit", lambda context, model: fitted.append(model))
    for has_own_head in (False, True):
        job = make_job("qat", "classify", {"compare": False}, rows=8)
        job.notes["own_head"] = has_own_head
        qat.train(job)
        assert len(fitted) == 1


def test_without_the_comparison_its_columns_stay_empty(make_job):
    job = make_job("qat", "chat", {"compare": False}, rows=8)
    qat.train(job)
    assert tuple(comparison(job)) == COLUMNS
    assert missing_columns(job) == [True, True, False]


@pytest.mark.thorough
@pytest.mark.parametrize("task", ["chat", pytest.param("classify", marks=pytest.mark.exhaustive)])
def test_the_full_precision_column_is_an_ordinary_full_training(task, make_job):
    job, full_job = make_job("qat", task), make_job("full", task)
    qat.train(job)
    methods.get("full").train(full_job)
    expected = full_job.measure(full_job.model, full_job.validation)
    full_bytes = 4 * load.count_parameters(full_job.model)
    assert comparison(job)[qat.FULL_PRECISION] == {**expected, "bytes": full_bytes}
    # Rounding that model gives the second column.
    rounded = fake_quantization.convert(qat.attach(full_job.model, settings_of(), task))
    expected = full_job.measure(rounded, full_job.validation)
    _, packed_bytes = fake_quantization.disk_sizes(rounded)
    assert comparison(job)[qat.QUANTIZED_AFTERWARDS] == pytest.approx(
        {**expected, "bytes": packed_bytes}, abs=1e-5
    )


@pytest.mark.parametrize(("task", "metric"), [("chat", "perplexity"), ("classify", "accuracy")])
def test_the_report_shows_three_columns_of_loss_and_size(task, metric, finished):
    run = finished("qat", task)
    report = runs.report(run)
    columns = report["method"]["quantisation"]
    assert tuple(columns) == COLUMNS
    for column in columns.values():
        assert {"loss", metric, "bytes"} <= set(column)
        assert math.isfinite(column["loss"])
    while_training = columns[qat.QUANTIZED_WHILE_TRAINING]
    assert while_training["loss"] == pytest.approx(report["after"]["loss"], abs=1e-5)
    n_bytes = tensor_bytes(run.model / "model.safetensors")
    assert while_training["bytes"] == columns[qat.QUANTIZED_AFTERWARDS]["bytes"] == n_bytes
    assert columns[qat.FULL_PRECISION]["bytes"] == 4 * report["parameters"]["total"]


@pytest.mark.thorough
def test_at_2_bits_training_with_the_rounding_beats_rounding_afterwards(make_plan):
    run = runs.create(make_plan("qat", "chat", {"bits": "2"}))
    worker.run(run.id)
    columns = runs.report(run)["method"]["quantisation"]
    full, afterwards, while_training = (columns[name]["loss"] for name in COLUMNS)
    assert full < while_training < afterwards


def test_the_base_is_scored_as_it_is_and_not_rounded(finished):
    run = finished("qat", "chat")
    assert runs.report(run)["before"] == runs.report(finished("full", "chat"))["before"]
    # Each of the two trainings begins at the base: the first as it is, the second with its weights rounded.
    starts = {point["stage"]: point for point in runs.read_points(run) if point["step"] == 0}
    assert list(starts)[:2] == [qat.FULL_PRECISION, "train"]
    exact_loss, rounded_loss = (starts[stage]["eval_loss"] for stage in (qat.FULL_PRECISION, "train"))
    assert exact_loss == pytest.approx(runs.report(run)["before"]["loss"], abs=1e-5)
    assert abs(rounded_loss - exact_loss) > 1e-4


def test_stopped_while_comparing_the_model_so_far_is_rounded_and_the_third_column_stays_empty(make_job):
    job = make_job("qat", "chat", {"bits": "3"})
    stopping_job = dataclasses.replace(job, create_monitor=lambda *_: StoppingMonitor())
    model = qat.train(stopping_job)
    assert missing_columns(job) == [False, False, True]
    loss = job.measure(model, job.validation)["loss"]
    assert comparison(job)[qat.QUANTIZED_AFTERWARDS]["loss"] == pytest.approx(loss, abs=1e-5)
    assert comparison(job)[qat.FULL_PRECISION]["loss"] != pytest.approx(loss, abs=1e-5)
    assert not (job.folder / "checkpoints" / "full_precision.json").exists()
    assert any(isinstance(module, fake_quantization.RoundedLinear) for module in model.modules())


@pytest.mark.thorough
def test_a_run_stopped_in_its_second_training_goes_on_without_repeating_the_first(make_plan, monkeypatch):
    plan = make_plan("qat", "chat", epochs=2)
    unstopped, stopped = runs.create(plan), runs.create(plan)
    worker.run(unstopped.id)
    on_step_begin = run_callback.MonitorCallback.on_step_begin

    def stop_in_step_3(self, args, state, control, **values):
        if self.run.id == stopped.id and self.stage == "train" and state.global_step == 2:
            launcher.stop(self.run)
        on_step_begin(self, args, state, control, **values)

    monkeypatch.setattr(run_callback.MonitorCallback, "on_step_begin", stop_in_step_3)
    worker.run(stopped.id)
    assert runs.status(stopped).state == "stopped"
    assert runs.report(stopped)["method"]["quantisation"][qat.QUANTIZED_WHILE_TRAINING]
    monkeypatch.setattr(run_callback.MonitorCallback, "on_step_begin", on_step_begin)
    launcher.requeue(stopped)
    worker.run(stopped.id)
    for stage in (qat.FULL_PRECISION, "train"):
        assert training_steps(stopped, stage) == training_steps(unstopped, stage)
    columns, expected = (runs.report(run)["method"]["quantisation"] for run in (stopped, unstopped))
    for name in COLUMNS:
        assert columns[name] == pytest.approx(expected[name], abs=1e-4)


def training_steps(run, stage):
    points = runs.read_points(run)
    return [point["step"] for point in points if point["stage"] == stage and "loss" in point]


def test_a_plan_names_its_bits_as_a_choice(make_plan):
    for bits in ("3", 3):  # in a plan's YAML the number has no quotes
        assert methods.find_plan_problems(make_plan("qat", "chat", {"bits": bits}).model_dump()) == []
        assert settings_of(bits=bits)["bits"] == "3"
    (problem,) = methods.find_plan_problems(make_plan("qat", "chat", {"bits": 5}).model_dump())
    assert problem.render() == "method.settings.bits: expected one of 8, 4, 3, 2, but got 5"
