"""Estimates in sentences."""

from dataclasses import replace

from studio.estimate.machines import catalogue
from studio.estimate.types import Estimate, range_around
from studio.ui.method import estimates
from studio.ui.method.machine import find_machine


def test_a_sentence_on_the_cost_names_the_machine_it_is_for():
    estimate = Estimate("lora", memory_gb=range_around(2, 1.1), minutes=range_around(10, 1.2))
    local_name = estimates.LOCAL_MACHINE_NAME.text
    assert local_name in estimates.format_expected_cost(estimate, "en")
    machine = next(iter(catalogue.load_machines().values()))
    text = estimates.format_expected_cost(replace(estimate, machine_id=machine.id), "en")
    assert machine.name in text
    assert local_name not in text


def test_without_time_or_memory_there_is_no_sentence_on_the_cost():
    estimate = Estimate("lora", memory_gb=range_around(2, 1.1))
    assert estimates.format_expected_cost(estimate, "en") == ""
    assert estimates.format_expected_cost(None, "en") == ""
    assert estimates.format_memory_and_time(estimate, "en")[1] == ""


def test_a_machine_that_is_not_listed_is_this_one():
    listed = next(iter(catalogue.load_machines().values()))
    assert find_machine(listed.id) == listed
    for name in ("", "here", "nonsense"):
        assert find_machine(name).id == catalogue.LOCAL_ID
