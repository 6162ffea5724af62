"""What a run needs whose weights are read from the disk, and where that is offered."""

from dataclasses import replace

import pytest
from estimate_cases import CPU, H200, estimate, make_context, make_plan_for, make_run, shape_of

from studio import methods
from studio.estimate import all_methods, estimate_one, fitting_changes
from studio.estimate.analytic import memory as memory_model
from studio.estimate.machines import disk, hardware, rates
from studio.estimate.machines.catalogue import LOCAL_ID

MODEL = "smollm2-1.7b"


def offloaded(name="lora", machine=CPU, read_rate=1e9):
    run = make_run(name, MODEL, disk_offload=True, gradient_checkpointing=True)
    return estimate_one.estimate_method(run, machine, replace(rates.load_rates(machine), disk_read=read_rate))


def in_memory(name="lora"):
    return estimate(name, CPU, MODEL, gradient_checkpointing=True)


@pytest.mark.parametrize(("name", "bytes_per_parameter"), [("lora", 4.0), ("qlora", memory_model.NF4_BYTES)])
def test_all_blocks_but_two_are_gone_from_memory(name, bytes_per_parameter):
    shape = shape_of(MODEL)
    saved = (1 - 2 / shape.layers) * shape.blocks * bytes_per_parameter / 1e9
    parts, expected = offloaded(name).parts, in_memory(name).parts
    assert parts["model"] == pytest.approx(expected["model"] - saved, rel=0.01)
    assert {**parts, "model": 0} == {**expected, "model": 0}


def test_a_slow_disk_decides_how_long_it_takes_and_a_fast_one_nothing():
    small = replace(CPU, usable_bytes=int(4e9))
    slow, fast = (offloaded(machine=small, read_rate=rate) for rate in (1e7, 1e12))
    assert fast.stretches["train"] == in_memory().stretches["train"]
    run = make_run("lora", MODEL, disk_offload=True)
    phase = next(phase for phase in run.phases if phase.name == "train")
    n_batches = phase.passes * sum(batch.repeats for batch in phase.micro_batches)
    # Forward and back, two bytes a number: 3.2 GB each time at 0.01 GB a second.
    seconds = 2 * n_batches * 2.0 * shape_of(MODEL).blocks / 1e7
    assert slow.stretches["train"] == pytest.approx(seconds / 60, rel=1e-3)


def test_files_that_fit_beside_the_run_are_read_from_memory():
    small = replace(CPU, usable_bytes=int(4e9))
    large = replace(CPU, usable_bytes=int(40e9))
    ratio = offloaded(machine=small, read_rate=1e7).minutes.likely / offloaded(machine=large).minutes.likely
    assert ratio > 3


def test_beside_a_gpu_main_memory_holds_the_files_and_elsewhere_nobody_knows_of_any(monkeypatch):
    """3.2 GB of blocks: 2 GB of main memory do not hold them, whatever the GPU has."""
    here, minutes = replace(H200, id=LOCAL_ID), {}
    for free_gb in (2, 64):
        monkeypatch.setattr(hardware, "free_memory", lambda gb=free_gb: gb * 10**9)
        minutes[free_gb] = offloaded(machine=here, read_rate=1e7).minutes.likely
    assert minutes[2] > 3 * minutes[64]
    assert offloaded(machine=H200, read_rate=1e7).minutes.likely == pytest.approx(minutes[2], rel=0.05)


def test_it_is_offered_where_the_plan_does_not_fit_and_nowhere_else():
    plan = make_plan_for(MODEL, batch_size=8, max_length=256)
    small, large = (make_context(plan, replace(CPU, usable_bytes=int(gb * 1e9))) for gb in (4.5, 40))
    is_offload = {"training.disk_offload": True}
    offer = next(
        change for change in fitting_changes.find_for_row(small, {}) if change.plan_changes == is_offload
    )
    without = all_methods.estimate_all_methods(small, "lora")["lora"]
    factor = offer.estimate.minutes.likely / without.minutes.likely
    assert f"about {factor:.1f} × as slow" in offer.label.render()
    assert offer.estimate.fits == "yes"
    assert all_methods.estimate_all_methods(large, "lora")["lora"].fits == "yes"
    changes = fitting_changes.find_changes(small, ("en",))
    assert any(change.plan_changes == is_offload for change in changes.offered)


def test_methods_that_cannot_ignore_it():
    plan = make_plan_for(MODEL, batch_size=8, max_length=256, disk_offload=True)
    context = make_context(plan, CPU)
    for method in methods.METHODS:
        run = context.run_of(method)
        assert run.workload.training.disk_offload == (method.name in ("lora", "qlora"))


def test_a_disk_is_measured_once_by_a_file_that_is_large_enough(tmp_path, monkeypatch, studio_home):
    studio_home.mkdir(exist_ok=True)
    assert disk.known_read_rate() == disk.DISK_READ_RATE
    (tmp_path / "model.safetensors").write_bytes(bytes(10_000_000))
    assert disk.measure_read_rate(tmp_path) == disk.DISK_READ_RATE
    assert not disk.is_measured()
    monkeypatch.setattr(disk, "MIN_READ_BYTES", 1_000_000)
    measured = disk.measure_read_rate(tmp_path)
    assert measured > 1e7
    assert disk.known_read_rate() == measured
