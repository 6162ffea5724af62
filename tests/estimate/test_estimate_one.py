"""The estimate of one method: what it consists of, that it moves the right way, and when a run fits."""

import dataclasses

import pytest
from estimate_cases import CPU, H200, METHOD_NAMES, ROWS, T4, estimate, make_run, make_workload, shape_of

from studio import methods
from studio.estimate import automatic_settings, estimate_one
from studio.estimate.analytic import memory as memory_model
from studio.estimate.analytic import time as time_model
from studio.estimate.machines import catalogue
from studio.estimate.op_counts import OpCounts, total
from studio.estimate.types import MEMORY_PARTS, Range, range_around
from studio.methods.rlhf_stages import schedule
from studio.methods.workload import MicroBatch, Phase, RowTokens
from studio.models import device


@pytest.mark.parametrize("name", METHOD_NAMES)
@pytest.mark.parametrize("test_share", [0.0, 0.1])
def test_learning_is_counted_whether_or_not_examples_are_held_out_for_the_verdict(name, test_share):
    run = make_run(name)
    workload = dataclasses.replace(run.workload, test_share=test_share)
    phases = run.method.build_phases(run.settings, workload)
    assert any(phase.with_gradients for phase in phases)
    test_phases = [phase for phase in phases if phase.name == "verdict"]
    assert bool(test_phases) == (test_share > 0 or name == "rlhf")  # a policy is judged by its pairs


def test_a_range_extends_as_far_down_as_up_by_a_factor():
    assert range_around(8.0, 2.0) == Range(4.0, 8.0, 16.0)
    assert Range(1, 2, 3).scaled(10) == Range(10, 20, 30)
    assert Range(1, 2, 3).contains(3)
    assert not Range(1, 2, 3).contains(3.01)


@pytest.mark.parametrize("uses_trl", [True, False])
def test_in_trl_nothing_is_dropped_and_every_position_is_scored(uses_trl):
    shape = shape_of("smollm2-135m")
    micro_batch = MicroBatch(2, 10, 4, False, 3)
    phase = Phase("x", (micro_batch,), with_gradients=True, uses_trl=uses_trl)
    trainable = make_run("full").parameters.trainable
    pieces = time_model.count_pieces(
        phase, make_workload("full"), trainable, "processor", lambda *_: OpCounts(drawn=7)
    )
    counts = total(pieces)
    n_positions = 3 * 2 * (10 - 4 + 2 * 10 - 4) if uses_trl else 0
    assert counts.drawn == (0 if uses_trl else 21)
    assert counts.flop_32 == 2 * n_positions * shape.vocabulary * shape.hidden


@pytest.mark.parametrize("with_gradients", [True, False])
def test_on_a_card_trl_scores_once_more_on_the_way_back_what_is_learned(with_gradients):
    """Its kernels keep no scores; the product is in the format of the pass."""
    shape, micro_batch = shape_of("smollm2-135m"), MicroBatch(2, 10, 4, False, 3)
    phase = Phase("x", (micro_batch,), with_gradients=with_gradients, uses_trl=True)
    pieces = time_model.count_pieces(
        phase, make_workload("full"), 0, "card", lambda *_: OpCounts(flop_16=5, flop_32=7)
    )
    counts = total(pieces)
    n_positions = 3 * 2 * 4 if with_gradients else 0
    assert counts.flop_16 == 3 * 5 + 2 * n_positions * shape.vocabulary * shape.hidden
    assert counts.flop_32 == 3 * 7


def test_the_experts_of_gpt_oss_are_fetched_in_4_bits_and_all_else_in_16():
    """24 blocks of 32 experts of three matrices of 2880 x 2880, 17 bytes for 32 numbers."""
    n_in_4_bits = 24 * 32 * 3 * 2880 * 2880
    n_all = shape_of("gpt-oss-20b").total()
    assert n_all == 20_914_757_184, "as published"
    fetched_gb = estimate("lora", H200, "gpt-oss-20b").fetched_gb
    assert fetched_gb == pytest.approx((17 / 32 * n_in_4_bits + 2 * (n_all - n_in_4_bits)) / 1e9)
    assert fetched_gb == pytest.approx(13.8, abs=0.05), "the size of its files"
    assert estimate("lora", H200, "qwen3-30b-a3b").fetched_gb == pytest.approx(61.06, abs=0.01)


def test_what_follows_each_other_adds_up_but_memory_is_that_of_the_highest_moment():
    counts = total(
        [
            OpCounts(1, 2, 3, 4, peak=10, parts={"scores": 10}),
            OpCounts(1, 2, 3, 4, peak=7, parts={"activations": 7}),
        ]
    )
    work = (counts.flop_16, counts.flop_32, counts.moved, counts.operations)
    assert work == (2, 4, 6, 8)
    assert counts.peak == 10
    assert counts.parts == {"scores": 10}


@pytest.mark.parametrize("name", METHOD_NAMES)
@pytest.mark.parametrize("machine", [CPU, T4, H200], ids=lambda machine: machine.id)
def test_every_figure_has_a_range_around_it_and_its_parts_add_up(name, machine):
    result = estimate(name, machine)
    for value in (result.memory_gb, result.minutes):
        assert 0 < value.low < value.likely < value.high
    assert sum(result.parts.values()) == pytest.approx(result.memory_gb.likely)
    assert sum(result.stretches.values()) == pytest.approx(result.minutes.likely)
    assert set(result.parts) <= set(MEMORY_PARTS)
    assert result.fits in ("yes", "tight", "no")
    assert result.trainable and result.total and result.disk_mb > 0
    assert result.level == "formula"


def test_every_phase_and_part_of_memory_has_a_name_on_the_page():
    from studio.ui.method import table_messages

    estimates = {
        **{name: estimate(name) for name in METHOD_NAMES},
        **{
            algorithm: estimate("rlhf", H200, settings={"algorithm": algorithm})
            for algorithm in schedule.DIRECT_ALGORITHMS
        },
    }
    labels = set(table_messages.PHASE_LABELS)
    unnamed = {name: set(result.stretches) - labels for name, result in estimates.items()}
    assert {name: phases for name, phases in unnamed.items() if phases} == {}


def test_full_fine_tuning_in_32_bits_holds_sixteen_bytes_for_every_parameter():
    resident = memory_model.resident_bytes(make_run("full"), CPU)
    assert resident == {"model": 4.0 * 134_515_008, "optimiser": 8.0 * 134_515_008}
    # So short that the end of the backward pass is the peak.
    short = estimate("full", rows=(RowTokens(8, 8),), batch_size=1)
    assert short.parts["gradients"] == pytest.approx(4 * 0.134515008)


def test_a_base_in_4_bits_takes_half_a_byte_a_parameter_and_its_scales_a_64th():
    run = make_run("qlora")
    shape, parameters = run.workload.shape, run.parameters
    quantized = shape.layers * sum(linear.n_in * linear.n_out for linear in shape.linears)
    unquantized = parameters.total - parameters.trainable - quantized
    expected = 4 * parameters.trainable + 4 * unquantized + quantized * (0.5 + 1 / 64 + 4 / (64 * 256))
    assert memory_model.resident_bytes(run, CPU)["model"] == pytest.approx(expected)


def test_a_base_in_4_bits_is_unpacked_also_where_it_answers_alone():
    minutes = {}
    for name in ("lora", "qlora"):
        run = make_run(name)
        run = dataclasses.replace(run, workload=dataclasses.replace(run.workload, n_asked=100))
        minutes[name] = estimate_one.estimate_method(run, CPU).stretches["ask"]
    assert minutes["qlora"] > 1.1 * minutes["lora"]


def test_paged_averages_lie_outside_the_gpu():
    full = make_run("full", "qwen3-0.6b")  # 8 bytes for each of 596 million parameters
    assert memory_model.uses_paged_optimizer(full, T4)  # of 16 GB
    assert not memory_model.uses_paged_optimizer(full, H200)
    assert not memory_model.uses_paged_optimizer(make_run("qlora"), T4)
    assert not memory_model.uses_paged_optimizer(make_run("full", "qwen3-0.6b"), CPU)
    # As the training decides, by all of a card, whatever other programs hold of it.
    crowded = dataclasses.replace(H200, usable_bytes=10 * 10**9, total_bytes=24 * 10**9)
    assert not memory_model.uses_paged_optimizer(full, crowded)


def test_a_mac_has_no_pages_and_holds_8_bytes_of_averages_a_number():
    """Qwen3 0.6B trains 596,049,920 numbers: 2.4 GB, as many bytes of gradients, and 4.8 GB of averages."""
    mac = dataclasses.replace(H200, has_unified_memory=True, bf16=False)
    run = make_run("full", "qwen3-0.6b")
    resident = memory_model.resident_bytes(run, mac)
    assert (resident["model"], resident["optimiser"]) == (4 * 596_049_920, 8 * 596_049_920)
    padded = automatic_settings.decide(run, mac, run.workload.training)
    assert not padded.workload.packs_texts, "only a processor and NVIDIA's GPUs pack unasked"


def test_bfloat16_on_a_gpu_without_it_is_told_not_to_work():
    for machine, fits in ((T4, "no"), (H200, "yes"), (CPU, "yes")):
        estimate = estimate_one.estimate_method(make_run("lora"), machine.with_precision("bfloat16"))
        assert estimate.fits == fits
        assert (estimate.why_not == device.NO_NATIVE_BF16) == (fits == "no")
    both = H200.with_precision("float32").with_precision("bfloat16")
    assert both.autocast_dtype == "bfloat16", "the plan's word comes last"


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_more_to_do_never_takes_less(name):
    plain = estimate(name)
    assert estimate(name, count=800).minutes.likely > plain.minutes.likely
    assert estimate(name, batch_size=16).memory_gb.likely >= plain.memory_gb.likely
    longer_rows = tuple(
        RowTokens(row.prompt_tokens * 2, row.completion_tokens * 2, row.rejected_tokens * 2) for row in ROWS
    )
    longer = estimate(name, rows=longer_rows, max_length=2048)
    assert longer.memory_gb.likely > plain.memory_gb.likely
    assert longer.minutes.likely > plain.minutes.likely


def test_gradient_checkpointing_takes_less_memory_and_more_time():
    supported = {name for name in METHOD_NAMES if methods.get(name).supports_gradient_checkpointing}
    assert set(METHOD_NAMES) - supported <= {"frozen", "prefix", "rlhf"}
    failures = {}
    for name in supported - {"rlhf", "prefix"}:
        plain, checkpointed = (
            estimate(name, T4, "qwen3-0.6b", gradient_checkpointing=value, max_length=1024)
            for value in (False, True)
        )
        saves_memory = checkpointed.memory_gb.likely < plain.memory_gb.likely
        costs_time = checkpointed.minutes.likely > plain.minutes.likely
        if not (saves_memory and costs_time):
            failures[name] = (plain.memory_gb, checkpointed.memory_gb, plain.minutes, checkpointed.minutes)
    assert failures == {}


def test_frozen_layers_whose_output_is_cached_are_quicker_than_run_in_every_epoch():
    cached, plain = (estimate("frozen", settings={"reuse": value}, epochs=10.0) for value in (True, False))
    assert cached.minutes.likely < 0.7 * plain.minutes.likely


def test_a_large_model_does_not_fit_a_small_gpu_and_says_by_how_much():
    result = estimate("full", T4, "qwen3-8b")
    need, available = result.memory_gb.likely, result.room_gb
    assert result.fits == "no"
    assert result.why_not.text == estimate_one.NEEDS_MORE_MEMORY.text
    sentence = result.why_not.render("en")
    for figure in (need, available, need - available):
        assert f"{figure:.1f} GB" in sentence
    assert result.why_not.render("zh") != sentence
    assert estimate("qlora", T4, "qwen3-0.6b").fits == "yes"


def test_money_is_the_time_at_the_price_and_none_where_there_is_no_price():
    result = estimate("lora", T4)
    # 3 minutes to start the machine, and 134,515,008 numbers of 2 bytes at 100 MB a second.
    assert result.fetched_gb == pytest.approx(0.269, rel=0.01)
    assert result.startup_minutes == pytest.approx(3 + 2 * 134_515_008 / 100e6 / 60)
    paid_minutes = result.minutes.high + result.startup_minutes
    assert result.money.high == pytest.approx(catalogue.cost_of_minutes(T4, paid_minutes))
    assert estimate("lora", dataclasses.replace(T4, price_per_hour=None, billed=None)).money is None
    assert estimate("lora", CPU).money == Range(0, 0, 0)
    assert result.watt_hours.likely == pytest.approx(0.7 * 1.2 * 70 * result.minutes.likely / 60)


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_the_time_of_saving_is_that_of_everything_a_run_writes_to_disk(name):
    """The result once, and what is trained at the start, at each validation and when the best is restored."""
    run = make_run(name, eval_count=3)
    result = estimate_one.estimate_method(run, CPU)
    n_copies = run.workload.n_evaluations + 1
    written_bytes = 1e6 * result.disk_mb + 4 * result.trainable * n_copies
    assert n_copies == 5
    assert 60 * result.stretches["save"] == pytest.approx(time_model.SAVE_SECONDS_PER_BYTE * written_bytes)
    more = estimate(name, eval_count=9)
    assert more.stretches["save"] > result.stretches["save"] > 0


def test_corrections_by_earlier_runs_change_time_and_memory_and_are_named():
    plain = estimate("lora")
    corrections = {"minutes": 1.5, "memory_gb": 1.1}
    corrected = estimate_one.estimate_method(make_run("lora"), CPU, corrections=corrections)
    assert corrected.minutes.likely == pytest.approx(1.5 * plain.minutes.likely)
    assert corrected.memory_gb.likely == pytest.approx(1.1 * plain.memory_gb.likely)
    assert corrected.corrections == corrections


def test_generation_reads_every_weight_for_every_token():
    workload = make_workload("lora")
    token_counts = OpCounts(flop_32=1e9, moved=5e8, operations=100)
    counts = time_model.count_generation(
        Phase("ask", (), new_tokens=10),
        MicroBatch(4, 50, 0, False, 1),
        workload,
        lambda phase, micro_batch: token_counts,
    )
    assert counts.moved > 10 * token_counts.moved
    assert counts.operations == 10 * (100 + time_model.GENERATION_OPERATIONS)
    bytes_per_token = 2 * 4 * workload.shape.layers * 3 * 64  # keys and values of three heads of 64, 32 bits
    assert counts.parts["written"] == pytest.approx(1.5 * 4 * (50 + 10) * bytes_per_token)


def test_what_can_be_given_back_makes_a_run_tight_and_not_impossible():
    available_gb = T4.usable_bytes / 1e9
    part = next(iter(MEMORY_PARTS))
    for need_share, releasable_share, expected in (
        (0.5, 0.0, "yes"),
        (0.95, 0.0, "tight"),
        (1.05, 0.1, "tight"),
        (1.05, 0.01, "no"),
    ):
        need_gb = need_share * available_gb
        fits, why_not = estimate_one._check_fit(
            range_around(need_gb, 1.1), {part: need_gb * 1e9}, releasable_share * available_gb, T4
        )
        assert fits == expected
        assert (why_not is None) == (expected != "no")


IN_BF16 = {"weights_precision": "bfloat16"}


def test_weights_trained_in_bfloat16_take_2_bytes_each_and_so_do_gradient_and_averages():
    run = make_run("full", settings=IN_BF16)
    n_trained = run.parameters.trainable
    resident = memory_model.resident_bytes(run, H200)
    assert resident["model"] == 2 * n_trained
    assert resident["optimiser"] == 2 * n_trained * (1 + 4 / 256)
    # One short text a step: gradients outweigh what is kept for the way back. A tied head has them twice.
    rows = (RowTokens(4, 4),) * 40
    parts = estimate("full", H200, settings=IN_BF16, rows=rows, batch_size=1).parts
    assert parts["gradients"] * 1e9 == 2 * n_trained


def test_bfloat16_is_chosen_from_a_billion_trained_parameters_on_where_the_gpu_has_it():
    small, large = make_run("full"), make_run("full", "qwen3-1.7b")
    assert [memory_model.trains_in_bf16(run, H200) for run in (small, large)] == [False, True]
    assert not memory_model.trains_in_bf16(large, T4)
    assert not memory_model.trains_in_bf16(large, CPU)
    assert not memory_model.trains_in_bf16(make_run("lora", "qwen3-1.7b"), H200)


@pytest.mark.parametrize("machine", [T4, CPU], ids=["T4", "CPU"])
def test_a_machine_without_bfloat16_does_not_train_weights_in_it(machine):
    refused = estimate("full", machine, settings=IN_BF16)
    assert refused.fits == "no"
    assert refused.why_not == estimate_one.NEEDS_BF16


def test_a_t4_holds_a_frozen_base_in_16_bits_and_computes_in_them():
    run = make_run("lora")
    frozen = run.parameters.total - run.parameters.trainable
    assert memory_model.resident_bytes(run, T4)["model"] == 2 * frozen + 4 * run.parameters.trainable
