"""Estimates of whole runs: what they consist of, that they move the right way, and that nothing is shown that nobody knows."""

import dataclasses
import itertools

import pytest

from studio import methods, presets
from studio.estimate import all_methods, dataset_lengths, estimate_one
from studio.estimate.analytic import formula
from studio.estimate.analytic import memory as memory_model
from studio.estimate.analytic import time as time_model
from studio.estimate.dataset_lengths import DatasetLengths
from studio.estimate.machines import catalogue, rates
from studio.estimate.machines.rates import Rates
from studio.estimate.op_counts import OpCounts, total
from studio.estimate.types import MEMORY_PARTS, Range, range_around
from studio.i18n import Message
from studio.methods import compatibility, workload
from studio.methods.workload import MicroBatch, Phase, RowTokens, Workload
from studio.models import shape
from studio.plan import Data, MethodChoice, Plan, Training

PLACES = catalogue.load_machines()
T4, H200, HOME = PLACES["hf-t4-small"], PLACES["hf-h200"], PLACES["hf-cpu-basic"]
ROWS = tuple(RowTokens(40 + 3 * number, 60 + 5 * number, 50) for number in range(40))
NAMES = [method.name for method in methods.METHODS]


def shaped(model):
    return shape.from_config(presets.models()[model].config)


def given(name, model="smollm2-135m", rows=ROWS, count=400, **training):
    task = {"rlhf": "prefer", "upft": "prompts"}.get(name, "chat")
    filled = {"epochs": 2.0, "batch_size": 8, "learning_rate": 1e-3, "max_length": 256, **training}
    return Workload(task, rows, count, 0.1, Training(**filled), shaped(model), 0)


def quoted(name, place=HOME, model="smollm2-135m", settings=None, rows=ROWS, count=400, **training):
    method = methods.get(name)
    return estimate_one.estimate_method(
        method, method.resolve_settings(settings or {}), given(name, model, rows, count, **training), place
    )


def test_a_test_set_of_its_own_costs_its_time_and_no_example_to_learn_from(make_plan, toys):
    asked = make_plan()
    more = asked.model_copy(update={"data": asked.data.model_copy(update={"test": asked.data.source})})
    alone, beside = dataset_lengths.measure_lengths(asked, None), dataset_lengths.measure_lengths(more, None)
    assert (alone.n_test, beside.n_test) == (0, alone.count)
    method, shape = methods.get("lora"), shaped("smollm2-135m")
    one, two = (
        dataset_lengths.build_workload(plan, method, method.resolve_settings({}), shape, found)
        for plan, found in ((asked, alone), (more, beside))
    )
    assert two.n_train == one.n_train
    verdict = next(
        phase for phase in method.build_phases(method.resolve_settings({}), two) if phase.name == "verdict"
    )
    assert sum(portion.rows * portion.repeats for portion in verdict.micro_batches) >= beside.n_test


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tested", [0.0, 0.1])
def test_learning_is_counted_whether_or_not_examples_are_kept_for_the_verdict(name, tested):
    method, load = methods.get(name), dataclasses.replace(given(name), test_share=tested)
    found = method.build_phases(method.resolve_settings({}), load)
    assert any(phase.with_gradients for phase in found)
    assert any(phase.name == "verdict" for phase in found) == (tested > 0)


@pytest.mark.parametrize(
    ("name", "settings", "most"),
    [
        ("lora", {}, 512),
        ("prefix", {"virtual_tokens": 100}, 412),
        ("peft", {"type": "prompt_tuning", "prompt_tuning_num_virtual_tokens": 60}, 452),
        ("peft", {"type": "p_tuning", "p_tuning_num_virtual_tokens": 30}, 482),
        ("peft", {"type": "ia3"}, 512),
    ],
)
def test_texts_are_as_long_as_virtual_tokens_leave_them_room(name, settings, most):
    made = Plan(
        task="classify",
        model="minilm-l6",
        data=Data(source="-"),
        method=MethodChoice(name=name, settings=settings),
        training=Training(max_length=1024),
    )
    method, found = (
        methods.get(name),
        DatasetLengths((RowTokens(40), RowTokens(430), RowTokens(2000)), 90, 0, 3, is_exact=True),
    )
    given = dataset_lengths.build_workload(
        made, method, method.resolve_settings(settings), shaped("minilm-l6"), found
    )
    assert (
        max(
            portion.tokens
            for phase in method.build_phases(method.resolve_settings(settings), given)
            for portion in phase.micro_batches
        )
        == most
    )


def test_a_range_reaches_as_far_down_as_up_by_a_factor():
    assert range_around(8.0, 2.0) == Range(4.0, 8.0, 16.0)
    assert Range(1, 2, 3).scaled(10) == Range(10, 20, 30)
    assert Range(1, 2, 3).contains(3)
    assert not Range(1, 2, 3).contains(3.01)


def test_time_is_arithmetic_and_traffic_and_operations_one_after_the_other():
    own = Rates(flop_16=100.0, flop_32=10.0, bandwidth=4.0, operation=0.5, runtime=0.0)
    assert own.estimate_seconds(OpCounts(flop_16=200, flop_32=30, moved=8, operations=6)) == 2 + 3 + 2 + 3
    slow = dataclasses.replace(own, draw=2.0, unpack=0.5)
    assert slow.estimate_seconds(OpCounts(moved=8, drawn=5, unpacked=4)) == 2 + 10 + 2, (
        "chance is drawn number by number, and so is a 4-bit number read"
    )


@pytest.mark.parametrize("trl", [True, False])
def test_in_trl_nothing_is_dropped_and_every_position_is_scored(trl):
    phase, small = (
        Phase("x", (MicroBatch(2, 10, 4, False, 3),), with_gradients=True, uses_trl=trl),
        shaped("smollm2-135m"),
    )
    footprint = methods.get("full").count_parameters(shaped("smollm2-135m"), {}, 0)
    found = time_model.count_phase(phase, given("full"), footprint, "processor", lambda *_: OpCounts(drawn=7))
    positions = 3 * 2 * (10 - 4 + 2 * 10 - 4) if trl else 0
    assert found.drawn == (0 if trl else 21)
    assert found.flop_32 == 2 * positions * small.vocabulary * small.hidden


def test_what_follows_each_other_adds_up_but_memory_is_that_of_the_highest_moment():
    found = total(
        [
            OpCounts(1, 2, 3, 4, peak=10, parts={"scores": 10}),
            OpCounts(1, 2, 3, 4, peak=7, parts={"activations": 7}),
        ]
    )
    assert (found.flop_16, found.flop_32, found.moved, found.operations, found.peak) == (2, 4, 6, 8, 10)
    assert found.parts == {"scores": 10}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", [HOME, T4, H200], ids=lambda place: place.id)
def test_every_figure_has_a_range_around_it_and_its_parts_add_up(name, place):
    found = quoted(name, place)
    for amount in (found.memory_gb, found.minutes):
        assert 0 < amount.low < amount.likely < amount.high
    assert sum(found.parts.values()) == pytest.approx(found.memory_gb.likely)
    assert sum(found.stretches.values()) == pytest.approx(found.minutes.likely)
    assert set(found.parts) <= set(MEMORY_PARTS)
    assert found.fits in ("yes", "tight", "no")
    assert found.trainable and found.total and found.disk_mb > 0
    assert found.level == "formula"


@pytest.mark.parametrize("name", NAMES)
def test_every_stretch_of_time_and_part_of_memory_has_a_name_on_the_page(name):
    from studio.ui.method import table_messages

    found = quoted(name)
    assert set(found.stretches) <= set(table_messages.PHASE_LABELS), "said as “the rest”"


def test_full_fine_tuning_in_32_bits_holds_sixteen_bytes_for_every_number():
    load, method = given("full"), methods.get("full")
    held = memory_model.resident_bytes(method, load, method.count_parameters(load.shape, {}, 0), HOME)
    assert held == {"model": 4.0 * 134_515_008, "optimiser": 8.0 * 134_515_008}
    found = quoted(
        "full", rows=(RowTokens(8, 8),), batch_size=1
    )  # so short that the end of the way back is the peak
    assert found.parts["gradients"] == pytest.approx(4 * 0.134515008)


def test_a_base_in_4_bits_takes_half_a_byte_a_number_and_its_scales_a_64th():
    load, method = given("qlora"), methods.get("qlora")
    footprint = method.count_parameters(load.shape, method.resolve_settings({}), 0)
    small = load.shape.layers * sum(one.n_in * one.n_out for one in load.shape.linears)
    rest = footprint.total - footprint.trainable - small
    expected = 4 * footprint.trainable + 4 * rest + small * (0.5 + 1 / 64 + 4 / (64 * 256))
    assert memory_model.resident_bytes(method, load, footprint, HOME)["model"] == pytest.approx(expected)


def test_paged_averages_lie_outside_the_card():
    assert memory_model.uses_paged_optimizer(methods.get("qlora"), 1_000, T4)
    assert memory_model.uses_paged_optimizer(methods.get("full"), int(1e9), H200)
    assert not memory_model.uses_paged_optimizer(methods.get("lora"), 5_000_000, H200)
    assert not memory_model.uses_paged_optimizer(methods.get("full"), int(1e9), HOME)


@pytest.mark.parametrize("name", NAMES)
def test_more_to_do_never_takes_less(name):
    plain = quoted(name)
    assert quoted(name, count=800).minutes.likely > plain.minutes.likely
    assert quoted(name, batch_size=16).memory_gb.likely >= plain.memory_gb.likely
    longer = tuple(
        RowTokens(row.prompt_tokens * 2, row.completion_tokens * 2, row.rejected_tokens * 2) for row in ROWS
    )
    long = quoted(name, rows=longer, max_length=2048)
    assert long.memory_gb.likely > plain.memory_gb.likely
    assert long.minutes.likely > plain.minutes.likely


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("rlhf", "prefix")])
def test_computing_twice_takes_less_memory_and_more_time(name):
    assert methods.get(name).supports_gradient_checkpointing or name in ("frozen",)
    if not methods.get(name).supports_gradient_checkpointing:
        pytest.skip("does not bear gradient checkpointing")
    plain, again = (
        quoted(name, T4, "qwen3-0.6b", gradient_checkpointing=value, max_length=1024)
        for value in (False, True)
    )
    assert again.memory_gb.likely < plain.memory_gb.likely
    assert again.minutes.likely > plain.minutes.likely


def test_a_frozen_bottom_with_its_output_kept_is_quicker_than_run_in_every_round():
    kept, plain = (quoted("frozen", settings={"reuse": value}, epochs=10.0) for value in (True, False))
    assert kept.minutes.likely < 0.7 * plain.minutes.likely


def test_a_large_model_does_not_fit_a_small_card_and_says_by_how_much():
    found = quoted("full", T4, "qwen3-8b")
    assert found.fits == "no"
    said = found.why_not.render("en")
    assert f"{found.memory_gb.likely:.1f} GB" in said
    assert f"{found.room_gb:.1f} GB are free" in said
    assert f"{found.memory_gb.likely - found.room_gb:.1f} GB too much" in said
    assert found.why_not.render("zh") != said
    assert quoted("qlora", T4, "qwen3-0.6b").fits == "yes"


def test_money_is_the_time_at_the_price_and_none_where_there_is_no_price():
    found = quoted("lora", T4)
    assert found.money.high == pytest.approx(catalogue.cost_of_minutes(T4, found.minutes.high))
    assert quoted("lora", dataclasses.replace(T4, price_per_hour=None, billed=None)).money is None
    assert quoted("lora", HOME).money == Range(0, 0, 0)
    assert quoted("lora", HOME).watt_hours is None, "nobody knows its power"
    assert found.watt_hours.likely == pytest.approx(0.7 * 1.2 * 70 * found.minutes.likely / 60)


def test_what_earlier_runs_say_moves_time_and_memory_and_is_told():
    method = methods.get("lora")
    plain = quoted("lora")
    moved = estimate_one.estimate_method(
        method,
        method.resolve_settings({}),
        given("lora"),
        HOME,
        corrections={"minutes": 1.5, "memory_gb": 1.1},
    )
    assert moved.minutes.likely == pytest.approx(1.5 * plain.minutes.likely)
    assert moved.memory_gb.likely == pytest.approx(1.1 * plain.memory_gb.likely)
    assert moved.corrected == {"minutes": 1.5, "memory_gb": 1.1}


def test_portions_are_of_like_length_and_the_last_is_the_longest_of_all():
    lengths = [(tokens, 5) for tokens in range(10, 90)]
    found = workload.build_micro_batches(lengths, 8, 800)
    assert sum(one.repeats for one in found) == 100
    assert [one.tokens for one in found] == sorted(one.tokens for one in found)
    assert found[-1].tokens == 89
    assert found[-1].repeats == 1
    mean = sum(one.tokens * one.repeats for one in found) / 100
    assert mean == pytest.approx(49.5 + 4, abs=2), "padded to the longest of eight neighbours"
    assert workload.build_micro_batches(lengths, 8, 3) == (MicroBatch(3, 89, 7, True, 1.0),)
    assert workload.build_micro_batches([], 8, 3) == ()


def test_one_very_long_text_decides_the_memory():
    lengths = [(50, 10)] * 99 + [(1000, 900)]
    found = workload.build_micro_batches(lengths, 4, 100)
    assert found[-1] == MicroBatch(4, 1000, 960, True, 1.0)
    assert {one.tokens for one in found[:-1]} == {50}


@pytest.mark.parametrize("counted", [True, False])
def test_among_thousands_the_one_longest_text_is_never_missed(counted, make_plan, tiny_chat, tmp_path):
    from studio.estimate.tracing import client as tracing_client

    rows = [f"what is number {row}?,it is one less than number {row + 1}" for row in range(5000)]
    rows[4321] = f"what is number 4321?,{'it is a lamp ' * 60}"
    (tmp_path / "many.csv").write_text("prompt,response\n" + "\n".join(rows), encoding="utf-8")
    plan = make_plan()
    plan = plan.model_copy(
        update={"data": plan.data.model_copy(update={"source": str(tmp_path / "many.csv")})}
    )
    try:
        found = dataset_lengths.measure_lengths(plan, tiny_chat if counted else None, wait=True)
    finally:
        tracing_client.stop_server()
    assert (found.count, found.is_exact, len(found.rows)) == (5000, counted, dataset_lengths.MAX_ROWS)
    assert found.rows[-1].tokens > 4 * found.rows[-2].tokens
    assert sum(row.tokens for row in found.rows[:-1]) / (dataset_lengths.MAX_ROWS - 1) == pytest.approx(
        found.rows[64].tokens, rel=0.1
    )


def test_scores_are_counted_wherever_one_text_of_a_portion_learns():
    # 20 tokens of which the last 5 are learned, beside 30 of which the last 5 are: from place 15 to place 30
    assert workload.build_micro_batches([(20, 5), (30, 5)], 2, 2) == (MicroBatch(2, 30, 15, True, 1.0),)


def test_the_closed_form_of_a_matrix_is_two_operations_a_number_and_token():
    small = shaped("smollm2-135m")
    block = sum(one.n_in * one.n_out for one in small.linears)
    phase, portion = Phase("x", (), "full", with_gradients=False, head="none"), MicroBatch(1, 1, 0, False, 1)
    touch = methods.get("full").cost_profile(small, {})
    found = formula.count_pass(
        small, phase, portion, touch, "cpu", gradient_checkpointing=False, trainable_params=0
    )
    assert found.flop_32 == pytest.approx(
        small.layers * (2 * block + 4 * small.attention_width) + 2 * small.hidden**2
    )


def test_writing_reads_every_weight_for_every_token():
    load = given("lora")
    one = OpCounts(flop_32=1e9, moved=5e8, operations=100)
    found = time_model.count_generation(
        Phase("ask", (), new_tokens=10), MicroBatch(4, 50, 0, False, 1), load, lambda phase, portion: one
    )
    assert found.moved > 10 * one.moved
    assert found.operations == 10 * (100 + time_model.GENERATION_OPERATIONS)
    each = 2 * 4 * load.shape.layers * 3 * 64  # keys and values of three heads of 64, in 32 bits
    assert found.parts["written"] == pytest.approx(1.5 * 4 * (50 + 10) * each)


def plan(model="smollm2-135m", task="chat", name="lora", **training):
    return Plan(
        task=task,
        model=model,
        data=Data(source="-"),
        method=MethodChoice(name=name),
        training=Training(**training),
    )


LENGTHS = DatasetLengths(ROWS, 400, 0, 0, is_exact=True)


@pytest.mark.parametrize("model", list(presets.models()))
def test_the_table_knows_every_method_that_goes_with_a_model_and_no_other(model):
    task = presets.models()[model].tasks[0]
    known = all_methods.find_base_model(model)
    lengths = (
        dataclasses.replace(LENGTHS, rows=tuple(RowTokens(row.tokens) for row in ROWS), n_labels=3)
        if task == "classify"
        else LENGTHS
    )
    found = all_methods.estimate_all_methods(plan(model, task), H200, {}, known, lengths)
    assert set(found) == {
        name for name in NAMES if not compatibility.find_incompatibility(name, task, known.shape)
    }
    for one in found.values():
        assert one.memory_gb.likely > 4e-9 * 0.1 * one.total
        assert one.minutes.likely > 0


def test_without_a_shape_nothing_is_shown_and_it_is_said_what_is_missing(tmp_path):
    (tmp_path / "config.json").write_text("{broken")
    for model in ("someone/unknown", str(tmp_path)):
        found = all_methods.estimate_all_methods(
            plan(model), HOME, {}, all_methods.find_base_model(model), LENGTHS
        )
        for one in found.values():
            assert (one.trainable, one.memory_gb, one.minutes, one.money, one.disk_mb, one.fits) == (
                None,
                None,
                None,
                None,
                None,
                "unknown",
            )
            assert one.missing == (all_methods.NO_SHAPE,)


def test_without_rows_the_counts_are_known_and_neither_time_nor_memory():
    found = all_methods.estimate_all_methods(
        plan(), HOME, {}, all_methods.find_base_model("smollm2-135m"), None
    )
    assert len(found) >= 8
    for one in found.values():
        assert one.trainable and one.disk_mb
        assert (one.memory_gb, one.minutes, one.fits) == (None, None, "unknown")
        assert one.missing == (all_methods.NO_EXAMPLES,)


def test_guessed_lengths_widen_every_range_and_say_so():
    known = all_methods.find_base_model("smollm2-135m")
    sure = all_methods.estimate_all_methods(plan(), T4, {}, known, LENGTHS)["lora"]
    guess = all_methods.estimate_all_methods(
        plan(), T4, {}, known, dataclasses.replace(LENGTHS, is_exact=False)
    )["lora"]
    for name in ("memory_gb", "minutes", "money"):
        assert getattr(guess, name).low < getattr(sure, name).low
        assert getattr(guess, name).high > getattr(sure, name).high
        assert getattr(guess, name).likely == getattr(sure, name).likely
    assert estimate_one.TOKENS_ESTIMATED in guess.missing


def test_a_text_is_guessed_by_its_letters_and_chinese_by_its_characters():
    assert dataset_lengths.estimate_tokens("word " * 20) == 25
    assert dataset_lengths.estimate_tokens("你" * 10) == 7
    assert dataset_lengths.estimate_tokens("") == 1


def test_lengths_that_a_tokenizer_counted_replace_the_guess(make_plan, tiny_chat):
    from studio.estimate.tracing import client as tracing_client

    asked = make_plan()
    guess = dataset_lengths.measure_lengths(asked, None)
    try:
        counted = dataset_lengths.measure_lengths(asked, tiny_chat, wait=True)
    finally:
        tracing_client.stop_server()
    assert (guess.is_exact, counted.is_exact) == (False, True)
    assert guess.count == counted.count == 40
    assert dataset_lengths.measure_lengths(asked, tiny_chat).rows == counted.rows, "remembered"
    tokenizer = __import__("transformers").AutoTokenizer.from_pretrained(tiny_chat)
    told = [
        {"role": "user", "content": "where is my lamp"},
        {"role": "assistant", "content": "Thanks for asking about the lamp. Yours, the shop."},
    ]
    whole = len(tokenizer.apply_chat_template(told)["input_ids"])
    assert whole in {row.tokens for row in counted.rows}


def test_measured_rates_hold_for_the_machine_they_were_measured_on_only():
    here = catalogue.local_machine()
    assert not rates.load_rates(here).is_measured
    found = dataclasses.replace(rates.rates_from_spec(here), flop_32=1e12, when=100.0)
    rates.save_rates(here, found)
    assert rates.load_rates(here) == found
    assert rates.load_rates(dataclasses.replace(here, name="another machine")) == rates.rates_from_spec(here)
    assert not rates.load_rates(T4).is_measured
    measured, plain = (
        estimate_one.estimate_method(
            methods.get("lora"), methods.get("lora").resolve_settings({}), given("lora"), here, one
        )
        for one in (found, rates.rates_from_spec(here))
    )
    assert (measured.is_measured, plain.is_measured) == (True, False)


def test_an_unknown_part_of_a_shape_stops_no_other_model():
    assert all_methods.find_base_model("").shape is None
    assert all_methods.find_base_model("no/such-model").config == {}
    assert isinstance(all_methods.NO_SHAPE, Message)
    assert len(list(itertools.islice(PLACES.values(), 5))) == 5
