"""How fast a machine is, and how the time of work follows from its rates."""

import dataclasses

import pytest
from estimate_cases import T4, make_run

from studio.estimate import estimate_one
from studio.estimate.machines import catalogue, rates
from studio.estimate.machines.rates import Rates
from studio.estimate.op_counts import OpCounts
from studio.storage import home, read_json, write_json


def test_time_is_arithmetic_and_traffic_and_operations_one_after_the_other():
    plain = Rates(flop_16=100.0, flop_32=10.0, bandwidth=4.0, operation=0.5, runtime=0.0)
    assert plain.estimate_seconds(OpCounts(flop_16=200, flop_32=30, moved=8, operations=6)) == 2 + 3 + 2 + 3
    slow = dataclasses.replace(plain, draw=2.0, unpack=0.5)
    assert slow.estimate_seconds(OpCounts(moved=8, drawn=5, unpacked=4)) == 2 + 10 + 2, (
        "random numbers are drawn one by one, and 4-bit numbers are read so"
    )
    several = OpCounts(moved=8, moved_by_products=6, moved_by_few_rows=6)
    assert dataclasses.replace(plain, few_rows=1.0).estimate_seconds(several) == 0.5 + 6
    assert plain.estimate_seconds(several) == pytest.approx(0.5 + 1.5 / rates.FEW_ROWS_SHARE), "not measured"


def test_a_gpu_multiplies_and_moves_and_is_launched_at_once():
    gpu = Rates(flop_16=100.0, flop_32=10.0, bandwidth=4.0, operation=0.5, runtime=0.0, overlaps=True)

    def seconds(**work):
        return gpu.estimate_seconds(OpCounts(**work))

    assert seconds(flop_16=800) == 8
    assert seconds(flop_16=800, moved=4, moved_by_products=4) == pytest.approx(8, rel=1e-3)
    assert seconds(flop_16=100, moved=40, moved_by_products=40) == pytest.approx(10, rel=1e-3)
    assert seconds(flop_16=400, moved=24) == pytest.approx(4 + 6), "what no product moves comes after them"
    assert seconds(flop_16=400, operations=40) == pytest.approx(20, rel=1e-3), "the host is slower"
    assert seconds(flop_16=400, operations=8) == pytest.approx(4 * 2**0.25), "neither hides all of the other"


def test_this_machines_gpu_is_launched_as_fast_as_its_python_is(monkeypatch):
    monkeypatch.setattr(rates.hardware, "python_slowness", lambda: 3.0)
    here = dataclasses.replace(T4, id=catalogue.LOCAL_ID)
    listed = rates.rates_from_spec(T4).operation
    assert rates.rates_from_spec(here).operation == 3 * listed


def test_rates_that_added_up_what_overlaps_are_measured_again():
    here = dataclasses.replace(T4, id=catalogue.LOCAL_ID)
    measured = dataclasses.replace(rates.rates_from_spec(here), when=5.0)
    rates.save_rates(here, measured)
    assert rates.load_rates(here) == measured
    rates.save_rates(here, dataclasses.replace(measured, overlaps=False))
    assert not rates.load_rates(here).is_measured


def test_measured_rates_hold_for_the_machine_they_were_measured_on_only():
    local = catalogue.local_machine()
    from_spec = rates.rates_from_spec(local)
    assert not rates.load_rates(local).is_measured
    measured = dataclasses.replace(from_spec, flop_32=1e12, when=100.0)
    rates.save_rates(local, measured)
    assert rates.load_rates(local) == measured
    assert rates.load_rates(dataclasses.replace(local, name="another machine")) == from_spec
    assert not rates.load_rates(T4).is_measured
    run = make_run("lora")
    assert estimate_one.estimate_method(run, local, measured).is_measured
    assert not estimate_one.estimate_method(run, local, from_spec).is_measured


def test_what_an_earlier_studio_measured_is_measured_again():
    local = catalogue.local_machine()
    rates.save_rates(local, rates.rates_from_spec(local))
    stored = read_json(home() / "rates.json")
    del stored["rates"]["draw"]
    stored["rates"] |= {"flop_32": 7.0, "when": 5.0}
    write_json(home() / "rates.json", stored)
    assert rates.load_rates(local) == rates.rates_from_spec(local)
