"""How far a plan can go before memory runs out, what it costs elsewhere, and what is said of it."""

from datetime import date

import pytest
from estimate_cases import MACHINES, T4, make_context

from studio import methods
from studio.estimate import all_methods, fitting_changes
from studio.estimate import limits as plan_limits
from studio.estimate.dataset_lengths import DatasetLengths
from studio.estimate.machines import elsewhere
from studio.estimate.types import Estimate, range_around
from studio.methods.workload import RowTokens, Workload
from studio.plan import Data, MethodChoice, Plan, Training

ROWS = tuple(RowTokens(100 + 15 * index, 100 + 15 * index) for index in range(60))
LENGTHS = DatasetLengths(ROWS, 600, 0, 0, is_exact=True)
CHAT_METHODS = [method.name for method in methods.METHODS if "chat" in method.tasks]


def build_context(name="lora", model="qwen3-0.6b", lengths=LENGTHS, **training):
    training = {"batch_size": 64, "max_length": 2048, **training}
    plan = Plan(
        task="chat",
        model=model,
        data=Data(source="-"),
        method=MethodChoice(name=name),
        training=Training(**training),
    )
    return make_context(plan, T4, lengths)


def estimate_plan(context, use_traces=True):
    """The estimate of the plan's own method."""
    name = context.plan.method.name
    return all_methods.estimate_all_methods(context, name, use_traces)[name]


@pytest.mark.parametrize(
    ("name", "model"),
    [("lora", "qwen3-0.6b"), ("full", "qwen3-0.6b"), ("qlora", "qwen3-4b"), ("full", "qwen3-8b")],
)
def test_a_plan_is_solved_for_the_most_that_fits(name, model):
    context = build_context(name, model, batch_size=4)

    def fits_with_batch(value):
        return estimate_plan(plan_limits.with_batch_size(context, value), False).fits in ("yes", "tight")

    def fits_with_length(value):
        return estimate_plan(plan_limits.with_max_length(context, value), False).fits in ("yes", "tight")

    batch_size = plan_limits.max_batch_size(context)
    assert (batch_size == 0) == (not fits_with_batch(1))
    if batch_size:
        assert fits_with_batch(batch_size)
        assert batch_size == 64 or not fits_with_batch(batch_size + 1)
    length, longest = plan_limits.max_text_length(context), max(row.tokens for row in ROWS)
    assert length == 0 or fits_with_length(length)
    assert length >= longest or not fits_with_length(length + 16)


def test_without_examples_there_are_no_limits_and_no_lengths_to_suggest():
    context = build_context(lengths=None)
    assert plan_limits.max_batch_size(context) == plan_limits.max_text_length(context) == 0
    assert fitting_changes.find_for_row(context, MACHINES) == []
    assert not all_methods.needs_tracing(context, methods.get("lora"))
    assert not all_methods.trace_missing(context, methods.get("lora"))


def with_memory(memory_gb, fits="yes"):
    return Estimate("lora", memory_gb=range_around(memory_gb, 1.1), room_gb=10.0, fits=fits)


@pytest.mark.parametrize(
    ("refined", "max_analytic_gb"),
    [
        (None, 10.0),  # nothing is known better: the closed form stands
        (with_memory(8.0), 10.0),  # as the closed form says, 8 GB
        (with_memory(9.6), 10 * 8 / 9.6),  # a fifth more than it says: so are the neighbours
        # More than there is, of which some can be given back: as it is, and no further.
        (with_memory(10.5, "tight"), 8.0),
        # Does not fit, and neither does whatever the closed form takes for as large.
        (with_memory(10.5, "no"), 8 * 10 / 10.5),
    ],
    ids=["unknown", "equal", "more", "tight", "too large"],
)
def test_neighbours_of_a_plan_fit_as_what_is_displayed_of_it_says(refined, max_analytic_gb):
    fits = plan_limits.build_fit_check(refined, with_memory(8.0))
    assert fits(with_memory(max_analytic_gb - 0.001))
    assert not fits(with_memory(max_analytic_gb + 0.001))
    assert not fits(None)


@pytest.mark.parametrize("today", [date(2026, 11, 24), date(2028, 1, 1)], ids=str)
def test_elsewhere_lists_every_machine_what_fits_and_is_cheap_first(today):
    options = elsewhere.estimate_on_all_machines(build_context(batch_size=8, max_length=512), today)
    assert {option.machine.id for option in options} == set(MACHINES)
    fitting = [option for option in options if option.estimate.fits != "no"]
    assert options[: len(fitting)] == fitting
    for currency in ("USD", "CNY"):
        prices = [
            option.estimate.money.likely
            for option in fitting
            if option.estimate.money and option.machine.currency == currency
        ]
        assert prices == sorted(prices)
        assert prices
    for option in options:
        assert (option.estimate.money is None) == (option.machine.price_per_hour is None)
        if today.year > 2026:
            assert option.is_price_stale == (option.machine.price_source is not None)


def test_hosted_services_are_priced_by_trained_tokens():
    context = build_context(epochs=3, batch_size=8)
    rows = (RowTokens(10, 30), RowTokens(30, 30))
    workload = Workload("chat", rows, 100, 0.1, context.plan.training, context.base_model.shape)
    assert elsewhere.count_training_tokens(workload) == 50 * 90 * 3
    options = elsewhere.hosted_options(1_000_000, date(2026, 11, 24))
    lowest = [option.low for option in options]
    assert lowest == sorted(lowest)
    for option in options:
        prices = (option.offer.low, option.offer.high)
        assert (option.low, option.high) == prices, "a million tokens cost the price of a million"


def test_every_method_that_does_not_fit_names_its_largest_part():
    estimates = all_methods.estimate_all_methods(build_context(model="qwen3-8b"))
    assert {name for name, estimate in estimates.items() if estimate.fits == "no"} >= {"full", "qat"}
    assert len(estimates) == len(CHAT_METHODS)
    for estimate in estimates.values():
        assert estimate.largest_part == max(estimate.parts, key=estimate.parts.get)
        assert (estimate.why_not is None) == (estimate.fits != "no")


@pytest.mark.parametrize("name", CHAT_METHODS)
def test_where_every_prompt_fills_its_text_nothing_is_estimated_and_no_length_suggested(name):
    rows = tuple(RowTokens(100 + index, 50) for index in range(60))
    lengths = DatasetLengths(rows, 600, 0, 0, is_exact=True)
    context = build_context(name, lengths=lengths, max_length=32)
    estimate = estimate_plan(context)
    assert (estimate.memory_gb, estimate.minutes, estimate.fits) == (None, None, "unknown")
    assert all_methods.QUESTIONS_TOO_LONG.format(length=32) in estimate.missing
    assert isinstance(all_methods.needs_tracing(context, methods.get(name)), bool)
    offers = fitting_changes.find_for_row(context, MACHINES)
    assert all("training.max_length" not in offer.plan_changes for offer in offers)
