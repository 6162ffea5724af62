"""bfloat16 on a processor is chosen where it was measured to be faster, or asked for; never otherwise."""

import json
import subprocess

import pytest
import torch
from estimate_cases import make_run

from studio.errors import NotPossible
from studio.estimate import estimate_one
from studio.estimate.machines import catalogue, hardware
from studio.models import cpu_precision, device


@pytest.fixture(autouse=True)
def bf16_processor(monkeypatch):
    """A processor that has the instructions, without a GPU, and nobody has asked for a precision."""
    monkeypatch.delenv("STUDIO_PRECISION", raising=False)
    monkeypatch.setenv("STUDIO_DEVICE", "cpu")
    monkeypatch.setattr(cpu_precision, "_processor_flags", lambda: {"sse2", "avx512_bf16"})
    monkeypatch.setattr(hardware, "query_gpu", lambda: None)
    cpu_precision._load_or_measure.cache_clear()
    yield
    cpu_precision._load_or_measure.cache_clear()


@pytest.fixture
def measured(monkeypatch):
    """`measured(2.0)`: what the measurement will show; returns the list of measurements made."""
    calls = []

    def use(speedup, returncode=0, stderr=""):
        def run_module(module, timeout):
            calls.append(module)
            return subprocess.CompletedProcess([], returncode, json.dumps({"speedup": speedup}), stderr)

        monkeypatch.setattr(cpu_precision.processes, "run_module", run_module)
        return calls

    return use


@pytest.mark.parametrize(("speedup", "dtype"), [(2.0, torch.bfloat16), (1.05, None), (0.1, None)])
def test_it_computes_in_bfloat16_where_that_is_measurably_faster(speedup, dtype, measured):
    measured(speedup)
    assert device.autocast_dtype() is dtype
    assert device.weights_dtype() is torch.float32  # answers, checksums and exports stay the same
    machine = catalogue.local_machine()
    assert machine.autocast_dtype == ("bfloat16" if dtype else "")
    assert machine.weights_dtype == ""
    assert machine.tflops_16 == pytest.approx(machine.tflops_32 * speedup)


def test_it_is_measured_once_a_machine_and_again_with_another_torch(measured, monkeypatch):
    calls = measured(2.0)
    assert [cpu_precision.bf16_speedup() for _ in range(2)] == [2.0, 2.0]
    cpu_precision._load_or_measure.cache_clear()  # another process
    assert cpu_precision.bf16_speedup() == 2.0
    assert len(calls) == 1
    cpu_precision._load_or_measure.cache_clear()
    monkeypatch.setattr(cpu_precision, "version", lambda name: "99.0")
    cpu_precision.bf16_speedup()
    assert len(calls) == 2


def test_a_processor_without_the_instructions_is_not_measured(measured, monkeypatch):
    calls = measured(2.0)
    monkeypatch.setattr(cpu_precision, "_processor_flags", lambda: {"sse2", "avx512f"})
    assert device.autocast_dtype() is None
    assert not calls


def test_a_plan_that_asks_such_a_processor_for_bfloat16_is_told_how_slow_that_is(monkeypatch):
    monkeypatch.setattr(cpu_precision, "_processor_flags", lambda: {"avx2"})
    machine, run = catalogue.local_machine(), make_run("lora")
    slow, fast = (
        estimate_one.estimate_method(run, machine.with_precision(precision))
        for precision in ("bfloat16", "float32")
    )
    assert slow.minutes.likely > 3 * fast.minutes.likely


def test_the_plan_decides_before_the_environment_and_that_before_the_measurement(measured, monkeypatch):
    calls = measured(2.0)
    monkeypatch.setenv("STUDIO_PRECISION", "float32")
    assert device.autocast_dtype() is None
    assert catalogue.local_machine().autocast_dtype == ""
    assert not calls
    device.set_precision("bfloat16")
    assert device.autocast_dtype() is torch.bfloat16
    assert catalogue.local_machine().with_precision("bfloat16").autocast_dtype == "bfloat16"
    monkeypatch.setenv("STUDIO_PRECISION", "bfloat16")
    device.set_precision("float32")
    assert device.autocast_dtype() is None
    assert catalogue.local_machine().with_precision("float32").autocast_dtype == ""


def test_an_unknown_precision_is_refused_with_those_there_are(monkeypatch):
    monkeypatch.setenv("STUDIO_PRECISION", "int4")
    with pytest.raises(NotPossible) as caught:
        device.autocast_dtype()
    assert caught.value.sentences() == (
        "STUDIO_PRECISION is “int4”, and there is no such precision.",
        "Set it to one of auto, float32, bfloat16, or leave it out to let the studio choose.",
    )


def test_where_it_cannot_be_measured_it_computes_in_32_bits_and_says_so(measured, capsys, studio_home):
    measured(0, returncode=1, stderr="RuntimeError: could not create a primitive")
    assert device.autocast_dtype() is None
    assert catalogue.local_machine().autocast_dtype == ""
    assert "bfloat16 could not be measured on this processor" in capsys.readouterr().err
    assert not (studio_home / "cpu_precision.json").exists()  # the next process tries again


def test_a_home_that_cannot_be_written_costs_no_more_than_the_memory_of_it(measured, monkeypatch):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    measured(2.0)
    monkeypatch.setattr(cpu_precision, "write_json", refuse)
    assert cpu_precision.bf16_speedup() == 2.0


def test_the_measurement_itself_gives_a_ratio_of_two_times(monkeypatch):
    monkeypatch.setattr(cpu_precision, "TOKENS", 8)  # a processor without the instructions takes long
    assert 0.001 < cpu_precision.measure_speedup() < 1000
