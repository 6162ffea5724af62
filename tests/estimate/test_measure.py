"""The measurement of this machine: in a child process, kept when it is done, and never beside a run."""

import io
import json
import os
from dataclasses import replace

import pytest
import torch

from studio import runs
from studio.errors import ModelUnavailable, NotPossible, StudioError
from studio.estimate.benchmark import measure
from studio.estimate.machines import catalogue, hardware, rates
from studio.estimate.machines.rates import Rates
from studio.estimate.op_counts import OpCounts
from studio.models import device

TINY = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 640,
    "tie_word_embeddings": True,
}


def test_the_rates_that_explain_times_follow_from_the_times():
    from studio.estimate.benchmark.calibrate import fit_rates

    true_rates = Rates(1e12, 2e11, 3e10, 5e-6, 0.0)
    initial_rates = Rates(1e12, 1.4e11, 2e10, 1e-5, 0.0)
    points = [
        OpCounts(flop_32=gflop * 1e9, moved=gigabytes * 1e9, operations=operations)
        for gflop, gigabytes, operations in (
            (40, 1, 900),
            (300, 6, 900),
            (60, 9, 2000),
            (500, 60, 2000),
            (10, 3, 400),
        )
    ]
    seconds = [true_rates.estimate_seconds(counts) for counts in points]
    fitted = fit_rates(points, seconds, initial_rates)
    for counts, duration in zip(points, seconds, strict=True):
        assert fitted.estimate_seconds(counts) == pytest.approx(duration, rel=0.12)
    slow = fit_rates(points, [3 * duration for duration in seconds], initial_rates)
    assert slow.flop_32 == pytest.approx(fitted.flop_32 / 3, rel=0.01), (
        "a machine three times as slow is seen as such"
    )


def test_the_rates_of_a_gpu_follow_from_times_in_which_one_hides_another():
    from studio.estimate.benchmark.calibrate import fit_rates

    true_rates = Rates(2e14, 4e13, 1e12, 4e-5, 0.0, overlaps=True)
    initial_rates = Rates(3e14, 2e13, 2e12, 1e-5, 0.0, overlaps=True)
    points = [
        OpCounts(flop_16=tflop * 1e12, moved=gigabytes * 1e9, operations=operations)
        for tflop, gigabytes, operations in ((0.1, 1, 4000), (40, 10, 4000), (1, 300, 4000), (0.2, 2, 9000))
    ]
    seconds = [true_rates.estimate_seconds(counts) for counts in points]
    fitted = fit_rates(points, seconds, initial_rates)
    for counts, duration in zip(points, seconds, strict=True):
        assert fitted.estimate_seconds(counts) == pytest.approx(duration, rel=0.15)
    assert fitted.flop_32 == pytest.approx(initial_rates.flop_32, rel=0.05), "of which no point says anything"


def test_six_points_are_measured_three_methods_with_short_and_long_texts():
    assert len(measure.MEASUREMENT_POINTS) == 6
    assert {name for name, _ in measure.MEASUREMENT_POINTS} == {"lora", "peft", "full"}
    assert {batch for _, batch in measure.MEASUREMENT_POINTS} == {measure.SHORT_BATCH, measure.LONG_BATCH}


@pytest.mark.thorough
def test_this_machine_is_measured_and_its_rates_are_kept(monkeypatch):
    """Two of the six points, by a real child process."""
    monkeypatch.setattr(measure, "MEASUREMENT_POINTS", (("lora", (2, 16)), ("full", (2, 48))))
    monkeypatch.setattr(measure, "MIN_CORE_SHARE", 0.0)  # other tests run beside this one
    local = catalogue.local_machine()
    replies = list(measure.measure_machine(TINY, False, local))
    shares = [share for share, _ in replies]
    assert shares == sorted(shares)
    assert len(shares) == 1 + 2 + 1
    measured = replies[-1][1]
    assert rates.load_rates(local) == measured
    assert measured.is_measured
    assert measured.flop_32 > 1e8
    assert 0.1e9 < measured.runtime < 2e9
    assert 1 < measured.start < 120
    assert 1e-11 < measured.draw < 1e-6
    assert 1e-11 < measured.unpack < 1e-6
    assert 1e8 < measured.few_rows < 1e12


def test_a_measurement_that_is_cancelled_leaves_no_rates_and_no_process():
    local = catalogue.local_machine()
    measurement = measure.measure_machine(TINY, False, local)
    next(measurement)
    measurement.close()
    assert not rates.load_rates(local).is_measured


@pytest.mark.parametrize("family", ["qwen3", "gemma3_text", "modernbert"])
def test_what_a_config_lists_layer_by_layer_is_cut_with_the_layers(family):
    from transformers import AutoConfig

    from studio.estimate.benchmark.calibrate import MAX_LAYERS, truncate_config

    config = AutoConfig.for_model(family, num_hidden_layers=8).to_dict()
    assert len(config["layer_types"]) == 8
    del config["transformers_version"]
    truncated = AutoConfig.for_model(**truncate_config(config))
    assert (truncated.num_hidden_layers, len(truncated.layer_types)) == (MAX_LAYERS, MAX_LAYERS)


def test_nothing_is_measured_beside_a_run(make_plan, monkeypatch):
    local = catalogue.local_machine()
    run = runs.create(make_plan())
    runs.claim(run, os.getpid())
    runs.set_status(run, "training", "train")
    with pytest.raises(NotPossible) as refusal:
        next(measure.measure_machine(TINY, False, local))
    assert refusal.value.message == measure.RUN_IN_PROGRESS.format(name="lora on toys")

    def measure_while_a_run_begins(*_):
        yield {"done": 1, "of": 1, "seconds": 0.1}
        runs.set_status(run, "training", "train")
        yield {"rates": vars(rates.rates_from_spec(local)) | {"when": 5.0}, "error": 0.0}

    monkeypatch.setattr(measure.processes, "stream_replies", measure_while_a_run_begins)
    runs.set_status(run, "waiting", "queue")
    with pytest.raises(NotPossible) as refusal:
        list(measure.measure_machine(TINY, False, local))
    assert refusal.value.message == measure.RUN_STARTED_MEANWHILE.format(name="lora on toys")
    assert not rates.load_rates(local).is_measured


@pytest.mark.parametrize(("core_share", "is_kept"), [(0.35, False), (0.69, False), (0.95, True)])
def test_what_was_measured_while_others_took_the_core_is_not_kept(core_share, is_kept, monkeypatch):
    local = catalogue.local_machine()
    reply = {
        "rates": vars(rates.rates_from_spec(local)) | {"when": 5.0},
        "error": 0.0,
        "core_share": core_share,
    }
    monkeypatch.setattr(measure.processes, "stream_replies", lambda *_: (reply for _ in range(1)))
    measurement = measure.measure_machine(TINY, False, local)
    if is_kept:
        list(measurement)
    else:
        with pytest.raises(NotPossible) as refusal:
            list(measurement)
        assert refusal.value.message == measure.MACHINE_IS_BUSY.format(taken=1 - core_share)
    assert rates.load_rates(local).is_measured is is_kept


def test_a_gpu_that_others_keep_busy_is_not_measured(monkeypatch):
    here = replace(catalogue.load_machines()["hf-t4-small"], id=catalogue.LOCAL_ID)
    for share in (0.97, 0.05):
        monkeypatch.setattr(hardware, "gpu_busy_share", lambda share=share: share)
        measurement = measure.measure_machine(TINY, False, here)
        if share > 0.3:
            with pytest.raises(NotPossible) as refusal:
                next(measurement)
            assert refusal.value.message == measure.GPU_IS_BUSY.format(share=share)
        else:
            assert next(measurement) == (0.0, None)
            measurement.close()


def test_what_other_programs_hold_of_a_gpu_is_no_part_of_a_run(monkeypatch):
    """Of 16 GB a display and a Playground take 3; a context has at most 0.7, and they are not free anyway."""
    from studio.estimate.benchmark import calibrate

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (13_000_000_000, 16_000_000_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 2_097_152)
    monkeypatch.setattr(calibrate.torch, "zeros", lambda *_, **__: None)
    assert calibrate._runtime_bytes("cuda") == device.MAX_CONTEXT_BYTES == 700_000_000


def test_a_measurement_that_cannot_be_done_says_why(monkeypatch):
    monkeypatch.setattr(measure, "CALIBRATE_MODULE", "studio.no_such_module")
    with pytest.raises(StudioError) as failure:
        list(measure.measure_machine(TINY, False, catalogue.local_machine()))
    assert failure.value.message.text == measure.NO_RESULT.text
    assert "no_such_module" in failure.value.message.render()


def test_a_model_that_nobody_knows_ends_the_measurement(monkeypatch):
    from studio.estimate.benchmark import calibrate

    request = {
        "config": {**TINY, "model_type": "no-such-thing"},
        "encoder": False,
        "start": vars(rates.rates_from_spec(catalogue.local_machine())),
        "points": measure.MEASUREMENT_POINTS,
    }
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(request)))
    with pytest.raises(ModelUnavailable, match="no-such-thing"):
        calibrate.main()
