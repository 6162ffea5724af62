"""What a plan leaves to the machine is decided by what fits there, and the run trains with that."""

from types import SimpleNamespace

import pytest
from estimate_cases import CPU, H200, METHOD_NAMES, T4, make_context, make_plan_for, make_run

from studio import methods
from studio.estimate import all_methods, automatic_settings, estimate_one
from studio.methods.workload import RowTokens
from studio.plan import Training
from studio.storage import write_json
from studio.training import setup

LONG_ROWS = tuple(RowTokens(400 + index, 1500, 0) for index in range(20))


def chosen(run, machine):
    run = automatic_settings.choose_gradient_checkpointing(run, machine)
    return run.workload.training.gradient_checkpointing


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_a_card_with_room_keeps_what_it_has_computed_and_is_faster_for_it(name):
    run = make_run(name, "llama3.2-1b", rows=LONG_ROWS, max_length=2048)
    if not run.method.supports_gradient_checkpointing:
        assert chosen(run, H200) is None
        return
    assert chosen(run, H200) is False
    minutes = {}
    for value in (False, True):
        variant = make_run(name, "llama3.2-1b", rows=LONG_ROWS, max_length=2048, gradient_checkpointing=value)
        minutes[value] = estimate_one.estimate_method(variant, H200).minutes.likely
    assert minutes[False] < minutes[True]


def test_a_card_without_room_computes_twice_whatever_the_size_of_the_model():
    run = make_run("lora", "qwen3-0.6b", rows=LONG_ROWS, max_length=2048, batch_size=8)
    assert chosen(run, T4) is True
    assert chosen(run, H200) is False


@pytest.mark.parametrize("value", [True, False])
def test_what_a_plan_says_stays(value):
    run = make_run("lora", "qwen3-0.6b", rows=LONG_ROWS, max_length=2048, gradient_checkpointing=value)
    assert chosen(run, T4) is value
    assert chosen(run, H200) is value


def test_a_processor_keeps_what_it_has_computed():
    assert chosen(make_run("lora"), CPU) is None


@pytest.mark.parametrize("machine", [T4, H200])
def test_the_estimate_says_what_was_chosen(machine):
    plan = make_plan_for("llama3.2-1b", batch_size=8, max_length=256)
    context = make_context(plan, machine)
    estimate = all_methods.estimate_all_methods(context, "lora", use_traces=False)["lora"]
    run = context.run_of(methods.get("lora"))
    assert estimate.gradient_checkpointing is run.workload.training.gradient_checkpointing


@pytest.mark.parametrize(
    ("in_plan", "in_estimate", "on_cpu", "used"),
    [
        (None, True, False, True),
        (None, False, False, False),
        (True, False, False, True),
        (None, True, True, None),
        (None, None, False, None),
    ],
)
def test_a_run_trains_with_what_its_estimate_chose(tmp_path, monkeypatch, in_plan, in_estimate, on_cpu, used):
    monkeypatch.setattr(setup.device, "uses_cpu", lambda: on_cpu)
    if in_estimate is not None:
        write_json(tmp_path / "estimate.json", {"gradient_checkpointing": in_estimate})
    plan = make_plan_for().model_copy(update={"training": Training(gradient_checkpointing=in_plan)})
    filled = setup._fill_gradient_checkpointing(SimpleNamespace(folder=tmp_path), plan)
    assert filled.training.gradient_checkpointing is used
