"""What a plan leaves to the machine is decided by what fits there, and the run trains with that."""

import dataclasses
import random
from types import SimpleNamespace

import pytest
from estimate_cases import CPU, H200, METHOD_NAMES, T4, make_context, make_plan_for, make_run

from studio import methods
from studio.estimate import all_methods, automatic_settings, estimate_one
from studio.methods import find_plan_problems
from studio.methods.workload import RowTokens
from studio.plan import Training
from studio.storage import write_json
from studio.training import setup

LONG_ROWS = tuple(RowTokens(400 + index, 1500, 0) for index in range(20))


def choose(run, machine):
    """The training as the machine computes it."""
    return automatic_settings.choose_step_settings(run, machine, run.workload.training).workload.training


def chosen(run, machine):
    return choose(run, machine).gradient_checkpointing


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
    at_once = {"batch_size": 8, "gradient_accumulation_steps": 1}
    run = make_run("lora", "qwen3-0.6b", rows=LONG_ROWS, max_length=2048, **at_once)
    assert chosen(run, T4) is True
    assert chosen(run, H200) is False


@pytest.mark.parametrize("value", [True, False])
def test_what_a_plan_says_stays(value):
    run = make_run("lora", "qwen3-0.6b", rows=LONG_ROWS, max_length=2048, gradient_checkpointing=value)
    assert chosen(run, T4) is value
    assert chosen(run, H200) is value


def test_a_processor_keeps_what_it_has_computed():
    assert chosen(make_run("lora"), CPU) is None


def test_a_card_computes_a_step_at_once_where_that_fits():
    run = make_run("lora", "qwen3-0.6b", rows=LONG_ROWS, max_length=2048, batch_size=16)
    assert choose(run, H200).accumulation_steps == 1
    in_eight = make_run(
        "lora", "qwen3-0.6b", rows=LONG_ROWS, max_length=2048, batch_size=16, gradient_accumulation_steps=8
    )
    assert choose(in_eight, H200).accumulation_steps == 8
    at_once = automatic_settings.choose_step_settings(run, H200, run.workload.training)
    minutes = [estimate_one.estimate_method(variant, H200).minutes.likely for variant in (at_once, in_eight)]
    assert minutes[0] < minutes[1]


def with_room(machine, gb):
    return dataclasses.replace(machine, usable_bytes=gb * 1e9)


def test_less_memory_costs_time_and_what_is_chosen_fits():
    run = make_run("lora", "qwen3-0.6b", rows=LONG_ROWS, max_length=2048, batch_size=16)
    minutes, ways = [], set()
    for gb in (120, 40, 20, 10):
        machine = with_room(H200, gb)
        fitting = automatic_settings.choose_step_settings(run, machine, run.workload.training)
        estimate = estimate_one.estimate_method(fitting, machine)
        assert estimate.memory_gb.high <= gb
        minutes.append(estimate.stretches["train"])
        training = fitting.workload.training
        ways.add((training.accumulation_steps, training.gradient_checkpointing))
    assert minutes == sorted(minutes)
    assert {(1, False), (1, True)} < ways


def test_several_gpus_compute_a_step_at_once_together():
    run = make_run("lora", "qwen3-0.6b", rows=LONG_ROWS, max_length=2048, batch_size=16)
    run = dataclasses.replace(run, cards=4)
    assert choose(run, H200).accumulation_steps == 4
    card = automatic_settings.choose_step_settings(run, H200, run.workload.training).card_workload
    assert (card.micro_batch_size, card.training.accumulation_steps) == (4, 1)


def test_where_nothing_fits_the_least_memory_is_told():
    run = make_run("full", "qwen3-8b", rows=LONG_ROWS, max_length=2048, batch_size=8)
    training = choose(run, T4)
    assert (training.accumulation_steps, training.gradient_checkpointing) == (8, True)


def test_a_processor_computes_less_at_once_only_where_memory_asks_for_it():
    run = make_run("lora", rows=LONG_ROWS, max_length=2048, batch_size=8, gradient_accumulation_steps=2)
    left_open = Training(batch_size=8)
    counts = [
        automatic_settings.choose_step_settings(
            run, with_room(CPU, gb), left_open
        ).workload.training.accumulation_steps
        for gb in (64, 8)
    ]
    assert counts[0] == 2
    assert counts[1] > 2


@pytest.mark.parametrize("machine", [T4, H200, CPU])
def test_weights_on_the_disk_are_read_again_on_the_way_back_wherever_it_runs(machine):
    plan = make_plan_for("smollm2-1.7b", batch_size=8, max_length=256, disk_offload=True)
    run = make_context(plan, machine).run_of(methods.get("lora"))
    assert run.workload.training.gradient_checkpointing is True


@pytest.mark.parametrize("machine", [T4, H200])
def test_the_estimate_says_what_was_chosen(machine):
    plan = make_plan_for("llama3.2-1b", batch_size=8, max_length=256)
    context = make_context(plan, machine)
    estimate = all_methods.estimate_all_methods(context, "lora", use_traces=False)["lora"]
    run = context.run_of(methods.get("lora"))
    assert estimate.gradient_checkpointing is run.workload.training.gradient_checkpointing
    assert estimate.gradient_accumulation_steps == run.workload.training.accumulation_steps


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
    write_json(tmp_path / "estimate.json", {"gradient_checkpointing": in_estimate})
    plan = make_plan_for(gradient_checkpointing=in_plan)
    filled = setup._fill_step_settings(SimpleNamespace(folder=tmp_path, plan=plan), plan)
    assert filled.training.gradient_checkpointing is used


@pytest.mark.parametrize(
    ("in_plan", "in_estimate", "used"), [(None, 4, 4), (2, 4, 2), (None, 3, 1), (None, None, 1)]
)
def test_a_run_computes_in_the_micro_batches_its_estimate_chose(tmp_path, in_plan, in_estimate, used):
    write_json(tmp_path / "estimate.json", {"gradient_accumulation_steps": in_estimate})
    plan = make_plan_for(batch_size=8, gradient_accumulation_steps=in_plan)
    default = plan.training.model_copy(update={"gradient_accumulation_steps": in_plan or 1})
    filled_plan = plan.model_copy(update={"training": default})
    filled = setup._fill_step_settings(SimpleNamespace(folder=tmp_path, plan=plan), filled_plan)
    assert filled.training.accumulation_steps == used


CHANCE = random.Random(0)
SHORT_ROWS = tuple(RowTokens(20, 20 + index % 50, 0) for index in range(200))
MIXED_ROWS = tuple(RowTokens(CHANCE.randint(50, 500), CHANCE.randint(200, 2000), 0) for _ in range(200))


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_a_card_packs_texts_where_that_is_predicted_to_be_faster(name):
    run = make_run(name, "llama3.2-1b", rows=MIXED_ROWS, max_length=2048, batch_size=8)
    decided = automatic_settings.decide(run, T4, run.workload.training)
    padded, packed = (
        dataclasses.replace(decided, workload=dataclasses.replace(decided.workload, packs_texts=packs_texts))
        for packs_texts in (False, True)
    )
    minutes = [estimate_one.estimate_method(variant, T4).minutes.likely for variant in (padded, packed)]
    can_pack = run.cost_profile.virtual_tokens == 0 and run.workload.task != "classify"
    is_faster = minutes[1] <= (1 - automatic_settings.MIN_PACKING_GAIN) * minutes[0]
    assert decided.workload.packs_texts == (can_pack and is_faster)
    assert estimate_one.estimate_method(decided, T4).packs_texts == decided.workload.packs_texts


def test_where_starting_operations_takes_the_time_a_card_pads_and_where_computing_does_it_packs():
    frozen = make_run("frozen", "llama3.2-1b", rows=MIXED_ROWS, max_length=2048, batch_size=8)
    assert automatic_settings.decide(frozen, T4, frozen.workload.training).workload.packs_texts
    lora = make_run("lora", "smollm2-135m", rows=SHORT_ROWS, max_length=128, batch_size=8)
    assert not automatic_settings.decide(lora, H200, lora.workload.training).workload.packs_texts


@pytest.mark.parametrize("machine", [T4, CPU], ids=["card", "processor"])
@pytest.mark.parametrize("padding_free", [True, False])
def test_a_plan_that_says_whether_texts_are_padded_is_followed(padding_free, machine):
    run = make_run("lora", rows=MIXED_ROWS, max_length=2048, batch_size=8, padding_free=padding_free)
    decided = automatic_settings.decide(run, machine, run.workload.training)
    assert decided.workload.packs_texts == padding_free


def test_texts_that_need_padding_are_not_packed_on_demand(make_plan):
    for method, task in (("lora", "classify"), ("prefix", "chat")):
        raw = make_plan(method, task, padding_free=True).model_dump()
        assert [problem.key for problem in find_plan_problems(raw)] == ["training.padding_free"]
    assert find_plan_problems(make_plan("lora", "chat", padding_free=True).model_dump()) == []


@pytest.mark.parametrize(
    ("method", "machine", "changes", "replays"),
    [
        ("lora", H200, {}, True),
        ("full", H200, {}, True),
        ("lora", H200, {"cuda_graphs": False}, False),
        ("lora", H200, {"gradient_checkpointing": True}, False),
        ("lora", H200, {"padding_free": True}, False),
        ("lora", T4, {}, False),  # computes in float16
        ("lora", CPU, {}, False),
        ("prefix", H200, {}, False),  # its padding needs a mask
        ("frozen", H200, {}, False),  # reads its inputs from the main memory
    ],
)
def test_an_nvidia_gpu_replays_steps_where_it_is_to_and_can(method, machine, changes, replays):
    training = {"max_length": 128, "batch_size": 8, "cuda_graphs": True, **changes}
    run = make_run(method, "smollm2-135m", rows=SHORT_ROWS, **training)
    decided = automatic_settings.decide(run, machine, run.workload.training)
    assert any(map(decided.workload.replays, decided.phases)) == replays


def test_replayed_steps_take_less_time_where_starting_operations_does():
    run = make_run("lora", "smollm2-135m", rows=SHORT_ROWS, max_length=128, batch_size=8)
    minutes = []
    for cuda_graphs in (True, False):
        requested = run.workload.training.model_copy(update={"cuda_graphs": cuda_graphs})
        decided = automatic_settings.decide(run, H200, requested)
        minutes.append(estimate_one.estimate_method(decided, H200).minutes.likely)
    assert minutes[0] < 0.8 * minutes[1]
