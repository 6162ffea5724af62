"""Several GPUs: what each does and holds, what they send each other, and how many of them are worth it."""

import dataclasses
from datetime import date

import pytest
from estimate_cases import H200, LENGTHS, MACHINES, estimate, make_context, make_plan_for, make_run

from studio import methods
from studio.errors import NotPossible, Problem
from studio.estimate import all_methods, estimate_one, limits
from studio.estimate.analytic import memory as memory_model
from studio.estimate.analytic import several_cards
from studio.estimate.machines import catalogue, elsewhere, rates
from studio.estimate.machines.rates import Rates
from studio.estimate.op_counts import OpCounts
from studio.methods import several_cards as methods_several_cards
from studio.plan import MethodChoice

H100, EIGHT_H100 = MACHINES["runpod-h100-sxm"], MACHINES["runpod-h100-sxm-x8"]
FOUR_L40S = MACHINES["hf-l40sx4"]


def share(run, cards):
    return dataclasses.replace(run, cards=cards)


def test_an_offer_of_several_gpus_costs_as_many_times_as_much_and_each_has_its_own_memory():
    assert (EIGHT_H100.cards, EIGHT_H100.card) == (8, "h100-sxm")
    assert EIGHT_H100.name == "8 × RunPod H100 SXM"
    assert EIGHT_H100.price_per_hour == pytest.approx(8 * 3.99)
    assert EIGHT_H100.usable_bytes == H100.usable_bytes
    assert EIGHT_H100.watts == 8 * 700
    assert FOUR_L40S.price_per_hour == 8.30, "an offer with a price of its own keeps it"
    assert not EIGHT_H100.can_train


def test_each_card_gets_its_share_of_a_batch_which_stays_what_the_plan_says():
    run = make_run("lora", count=400, batch_size=8, gradient_accumulation_steps=4)
    for cards, batch_size, turns in ((1, 8, 4), (2, 4, 2), (4, 2, 1), (8, 1, 1), (16, 1, 1)):
        training = share(run, cards).card_workload.training
        assert (training.batch_size, training.accumulation_steps) == (batch_size, turns)
        assert share(run, cards).card_workload.steps == pytest.approx(run.workload.steps, rel=0.05)


def test_what_one_card_does_alone_takes_as_long_with_several():
    """A quarter of the examples each, but validations and the verdict are one card's."""
    run = make_run("full", count=400)
    run = dataclasses.replace(run, workload=dataclasses.replace(run.workload, test_share=0.2))

    def micro_batches(phase):
        return (
            sum(batch.repeats for batch in phase.micro_batches) * phase.passes * phase.micro_batches[0].rows
        )

    alone = {phase.name: micro_batches(phase) for phase in run.phases}
    shared = {phase.name: micro_batches(phase) for phase in share(run, 4).phases}
    assert shared["verdict"] == pytest.approx(alone["verdict"], rel=0.05)
    assert shared["check"] == pytest.approx(alone["check"], rel=0.1)
    assert shared["train"] == pytest.approx(alone["train"] / 4, rel=0.1)


def test_what_is_capped_is_not_capped_once_for_each_card():
    """Of 2,000 conversations 200 are held out, of which 64 are asked before and after, by the first card."""
    run = make_run("lora", count=2000, batch_size=16)
    load = dataclasses.replace(run.workload, test_share=0.1, n_asked=2000)
    run = dataclasses.replace(run, workload=load)
    for cards in (1, 8):
        phases = {phase.name: phase for phase in share(run, cards).phases}
        asked = phases["ask"]
        assert sum(batch.rows * batch.repeats for batch in asked.micro_batches) * asked.passes == 128
        checked = sum(batch.rows * batch.repeats for batch in phases["check"].micro_batches)
        assert checked == pytest.approx(200, abs=16), "validation examples, all of them on the first card"
    assert share(run, 8).phases[-1] == run.phases[-1], "retention"


def test_an_estimate_before_a_start_counts_what_gpus_of_this_machine_send(monkeypatch):
    """FSDP of 8B over PCIe sends (4 - 1)/4 x (2 x 2 + 4) x 8.19e9 bytes a micro batch: 49 GB in 4.1 s."""
    here = dataclasses.replace(H100, id="here", link_gb_s=catalogue.PCIE_GB_S, usable_bytes=int(60e9))
    plan = make_plan_for("qwen3-8b", num_gpus=4, batch_size=4, epochs=1.0, max_length=256)
    in_32_bits = MethodChoice(name="full", settings={"weights_precision": "float32"})
    plan = plan.model_copy(update={"method": in_32_bits})
    monkeypatch.setattr(all_methods.dataset_lengths, "measure_lengths", lambda *_: LENGTHS)
    started = all_methods.estimate_chosen_method(plan, here)
    settings = methods.get("full").resolve_settings(in_32_bits.settings)
    context = dataclasses.replace(make_context(plan, here), settings={"full": settings})
    assert started == all_methods.estimate_all_methods(context, "full")["full"]
    assert started.is_sharded
    n_steps = context.run_of(methods.get("full")).workload.steps
    seconds = 0.75 * (2 * 2 + 4) * started.total / (0.75 * 16e9)
    assert seconds == pytest.approx(4.1, abs=0.01)
    assert 60 * started.stretches["train"] >= n_steps * seconds


def test_measured_rates_of_several_gpus_have_a_link_and_hold_for_the_precision_they_were_measured_in():
    here = dataclasses.replace(H100, id="here")
    rates.save_rates(here, dataclasses.replace(rates.rates_from_spec(here), when=5.0))
    for precision, is_measured in (("auto", True), ("float32", False)):
        plan = make_plan_for("smollm2-135m", num_gpus=2, precision=precision)
        loaded = rates.load_rates(make_context(plan, here).plan_machine)
        assert (loaded.link, loaded.is_measured) == (0.75 * 450e9, is_measured)
        estimate = all_methods.estimate_all_methods(make_context(plan, here), "lora")["lora"]
        assert bool(estimate.measured_at) is is_measured


def test_a_ring_sends_twice_all_but_one_share_of_the_gradients():
    """SmolLM2 135M with LoRA r=16 trains 4,884,480 numbers: 4 bytes each, 2 × 3/4 of them on four cards."""
    run = share(make_run("lora", gradient_accumulation_steps=1), 4)
    assert run.parameters.trainable == 4_884_480
    assert several_cards.sent_bytes(run, 2, 4) == 2 * 3 / 4 * 4 * 4_884_480
    settings = {"weights_precision": "bfloat16"}
    in_bf16 = share(make_run("full", settings=settings, gradient_accumulation_steps=1), 4)
    assert memory_model.sent_bytes(in_bf16, H100) == 2 * 3 / 4 * 2 * 134_515_008


def test_fsdp_collects_all_weights_twice_and_spreads_the_gradients():
    """134,515,008 numbers in 16 bits, there and back, and gradients in 32; 7/8 come from others."""
    run = several_cards.shard(share(make_run("full"), 8))
    assert run.parameters.total == 134_515_008
    assert memory_model.sent_bytes(run, H100) == 7 / 8 * (2 * 2 + 4) * 134_515_008


@pytest.mark.parametrize(("cards", "n_micro_batches", "copies"), [(1, 1, 0), (1, 2, 1), (2, 2, 1), (2, 4, 2)])
def test_gradients_that_have_added_up_and_those_in_buckets_are_there_while_texts_are_read(
    cards, n_micro_batches, copies
):
    """Full fine-tuning of SmolLM2 135M has 538 MB of gradients; eight texts at once keep 3.5 GB."""
    training = {"batch_size": 8 * n_micro_batches, "gradient_accumulation_steps": n_micro_batches}
    run = share(make_run("full", **training, max_length=2048), cards)
    parts = estimate_one.estimate_method(run, H200).parts
    assert parts["activations"] > 3.5
    assert parts.get("gradients", 0.0) == pytest.approx(copies * 4 * 134_515_008 / 1e9)


def test_where_the_way_back_ends_with_more_than_a_text_keeps_only_what_lasts_is_added():
    """Gradients are there once, whether they have added up or not; twice where they are also in buckets."""
    run = make_run("full", batch_size=8, gradient_accumulation_steps=4, gradient_checkpointing=True)
    gradients = [
        estimate_one.estimate_method(share(variant, cards), H200).parts["gradients"]
        for variant, cards in ((run, 1), (run, 2), (run, 4))
    ]
    once = 4 * 134_515_008 / 1e9
    assert gradients == pytest.approx([once, 2 * once, once])


def test_fsdp_holds_a_share_of_what_lasts_and_two_blocks_of_weights():
    run = share(make_run("full"), 8)
    shape = run.workload.shape
    block = 2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536 + 2 * 576
    assert shape.blocks == 30 * block
    parts = several_cards.shard_parts({"model": 80.0, "gradients": 8.0, "activations": 5.0}, run, 2)
    assert (parts["model"], parts["gradients"], parts["activations"]) == (10.0, 8.0, 5.0), (
        "of gradients 8 each"
    )
    # Two blocks, the table of 49,152 words of 576 numbers, and the gradients of a block: 2 bytes each.
    assert parts["collected"] == 2 * (2 * block + 49_152 * 576) + 2 * block


def test_what_is_sent_overlaps_with_what_is_computed():
    two = Rates(1e12, 1e12, 1e12, 0.0, 0.0, overlaps=True, link=2e9)
    assert two.estimate_seconds(OpCounts(flop_16=1e12, sent=2e8)) == pytest.approx(1, rel=0.01)
    assert two.estimate_seconds(OpCounts(flop_16=1e9, sent=4e9)) == pytest.approx(2, rel=0.01)
    assert two.estimate_seconds(OpCounts(flop_16=1e12, sent=2e9)) == pytest.approx(2**0.25, rel=0.01)
    assert rates.rates_from_spec(H100).link == 0
    assert rates.rates_from_spec(EIGHT_H100).link == 0.75 * 450e9


def test_weights_are_spread_only_where_one_card_cannot_hold_the_run():
    on_eight = estimate("full", EIGHT_H100, "qwen3-8b")
    assert (on_eight.is_sharded, on_eight.cards, on_eight.fits) == (False, 8, "yes")
    small = dataclasses.replace(catalogue.with_cards(H100, 4), usable_bytes=int(47e9))
    spread = estimate("full", small, "qwen3-8b")
    assert (spread.is_sharded, spread.fits) == (True, "yes")
    # In 32 bits, where one card would hold it in 16.
    assert spread.parts["model"] == pytest.approx(2 * on_eight.parts["model"] / 4)
    assert spread.parts["optimiser"] == pytest.approx(8 * spread.total / 4 / 1e9)
    assert spread.parts["gradients"] == pytest.approx(4 * spread.total / 4 / 1e9)
    assert spread.parts["collected"] > 0


def test_the_first_card_holds_the_whole_model_while_it_evaluates():
    """16.4 GB in 16 bits, however many cards share the training; what is said to work does."""
    too_small = dataclasses.replace(catalogue.with_cards(H100, 64), usable_bytes=int(16e9))
    result = estimate("full", too_small, "qwen3-8b")
    assert (result.fits, result.is_sharded) == ("no", False)
    assert result.why_not.text == several_cards.EVALUATED_WHOLE.text
    assert result.why_not.values["need"] > 16.4
    assert 4.0 < result.why_not.values["most"] < 8.2
    assert estimate("full", too_small, "qwen3-4b").is_sharded


def test_a_share_that_is_too_large_says_what_size_would_do():
    small = dataclasses.replace(catalogue.with_cards(H100, 2), usable_bytes=int(36e9))
    result = estimate("full", small, "qwen3-8b")
    assert (result.fits, result.why_not.text) == ("no", several_cards.SHARE_TOO_LARGE.text)
    roomier = dataclasses.replace(small, usable_bytes=int(1.02e9 * result.why_not.values["need"]))
    assert estimate("full", roomier, "qwen3-8b").fits != "no"
    assert result.why_not.values["most"] < 8.2
    assert estimate("full", small, "llama3.2-3b").fits != "no"


def test_weights_that_are_to_be_in_bf16_say_that_32_bits_could_be_shared_out():
    """The run does not do it unasked: what is spread is trained in 32 bits."""
    small = dataclasses.replace(catalogue.with_cards(H100, 8), usable_bytes=int(40e9))
    result = estimate("full", small, "qwen3-8b", {"weights_precision": "bfloat16"})
    assert (result.fits, result.is_sharded) == ("no", False)
    assert result.why_not.text == several_cards.NOT_IN_BF16.text
    assert estimate("full", small, "qwen3-8b", {"weights_precision": "float32"}).is_sharded


def test_gpus_that_compute_in_float16_say_that_they_cannot_share():
    result = estimate("full", catalogue.with_cards(MACHINES["hf-t4-small"], 8), "qwen3-8b")
    assert (result.fits, result.why_not.text) == ("no", several_cards.NOT_IN_FLOAT16.text)


def test_what_is_not_spread_is_no_way_out_of_too_little_memory():
    small = dataclasses.replace(catalogue.with_cards(H100, 8), usable_bytes=int(16e9))
    for name, machine in (("lora", small), ("full", catalogue.with_cards(MACHINES["hf-t4-small"], 8))):
        result = estimate(name, machine, "qwen3-8b")
        assert (result.fits, result.is_sharded) == ("no", False)
    run = share(make_run("full"), 8)
    assert several_cards.can_shard(run, H100)
    assert not several_cards.can_shard(share(run, 1), H100)
    in_bf16 = dataclasses.replace(run, settings={"weights_precision": "bfloat16"})
    assert not several_cards.can_shard(in_bf16, H100), "what is spread is trained in 32 bits"


def test_how_many_gpus_of_this_machine_train_is_the_plan_s_to_say():
    here = dataclasses.replace(H100, id="here")
    plan = make_plan_for("smollm2-135m", num_gpus=4)
    for name, cards in (("full", 4), ("lora", 4), ("rlhf", 1)):
        context = make_context(plan, here)
        run = context.run_of(methods.get(name))
        assert run is None or run.cards == cards, name
    assert make_context(plan, here).plan_machine.cards == 4
    assert make_context(plan, H100).plan_machine.cards == 1


@pytest.mark.parametrize("name", ["rlhf", "qat", "upft", "frozen"])
def test_what_trains_on_one_gpu_alone_is_said_to(name):
    result = estimate(name, EIGHT_H100)
    assert (result.fits, result.why_not) == ("no", estimate_one.ONE_GPU_ALONE)
    assert estimate(name, H100).fits == "yes"


def test_adalora_is_told_to_train_on_one_gpu_alone_as_the_start_says_it(make_plan):
    """It takes ranks away from one model; PEFT's other ways are shared out."""
    adalora, dora = {"type": "adalora"}, {"type": "dora"}
    refused = estimate("peft", EIGHT_H100, settings=adalora)
    assert (refused.fits, refused.why_not) == ("no", estimate_one.ONE_GPU_ALONE)
    assert estimate("peft", EIGHT_H100, settings=dora).fits == estimate("peft", H100).fits == "yes"
    plan = make_plan("peft", "chat", batch_size=8)
    for settings, most_cards in ((adalora, 1), (dora, 8)):
        choice = MethodChoice(name="peft", settings=settings)
        context = make_context(plan.model_copy(update={"method": choice, "model": "smollm2-135m"}), H200)
        resolved = methods.get("peft").resolve_settings(settings)
        context = dataclasses.replace(context, settings={"peft": resolved})
        options = elsewhere.estimate_on_all_machines(context, date(2026, 11, 29))
        assert max(option.machine.cards for option in options) == most_cards


def test_more_cards_are_faster_but_for_what_they_send_and_what_one_does_alone():
    training = {"batch_size": 64, "max_length": 512, "gradient_checkpointing": True}
    run = make_run("lora", "qwen3-8b", count=20_000, **training)
    minutes = [
        estimate_one.estimate_method(share(run, cards), catalogue.with_cards(H100, cards)).minutes.likely
        for cards in (1, 2, 4, 8)
    ]
    speedups = [minutes[0] / value for value in minutes]
    # A little more than as many times, since smaller micro batches hold less padding.
    assert 1.5 < speedups[1] <= 2.2
    assert 2.5 < speedups[2] <= 4.4
    assert 3 < speedups[3] <= 8.8


def test_a_run_that_fits_on_no_card_is_told_how_many_hold_it():
    context = make_context(make_plan_for("qwen3-8b", name="full"), MACHINES["runpod-rtx-4090"])
    assert estimate("full", context.machine, "qwen3-8b").fits == "no"
    cards = limits.min_cards(context)
    assert cards in (4, 8)
    holding = elsewhere.find_holding_machine(context, [context.machine])
    assert holding == (cards, context.machine)
    assert limits.min_cards(make_context(make_plan_for("smollm2-135m"), H200)) == 1


def test_more_gpus_of_a_kind_are_compared_by_time_and_money():
    plan = make_plan_for("llama3.2-3b", epochs=3.0, batch_size=8, max_length=512)
    options = elsewhere.estimate_on_all_machines(make_context(plan, H200), date(2026, 11, 29))
    first = next(option for option in options if option.machine.id == "runpod-h100-sxm")
    comparisons = elsewhere.compare_cards(options, first)
    assert [comparison.machine.cards for comparison in comparisons] == [2, 4, 8]
    assert all(comparison.machine.card == "h100-sxm" for comparison in comparisons)
    costs = [comparison.cost_factor for comparison in comparisons]
    assert costs == sorted(costs)
    assert all(cost > 1 for cost in costs)
    for comparison in comparisons:
        is_worth_it = comparison.cost_factor <= 1.5 and comparison.speedup >= 1.3
        assert comparison.is_worth_it == is_worth_it


def test_weights_on_the_disk_and_several_gpus_are_refused_wherever_they_meet(make_plan):
    """DDP would write into places that stand for weights which are on the disk."""
    plan = make_plan("lora", "chat", disk_offload=True, batch_size=4)
    methods_several_cards.require_possible(plan, 1)
    with pytest.raises(NotPossible, match=r"disk_offload\) on one GPU alone\. Set training\.disk_offload to"):
        methods_several_cards.require_possible(plan, 2)
    raw = plan.model_dump()
    assert methods.find_plan_problems(raw) == []
    raw["training"]["num_gpus"] = 2
    assert methods.find_plan_problems(raw) == [Problem("training.disk_offload", methods.DISK_OFFLOAD_GPUS)]
    elsewhere_plan = make_plan_for("smollm2-1.7b", disk_offload=True)
    estimates = all_methods.estimate_all_methods(make_context(elsewhere_plan, FOUR_L40S), "lora")
    assert estimates["lora"].why_not == methods_several_cards.OFFLOADS_ON_ONE_GPU
