"""What would make a run fit really does, is the most that does, and changes only what it says; and what the run costs elsewhere."""

import dataclasses
from datetime import date

import pytest

from studio import methods
from studio.estimate import all_methods, suggestions
from studio.estimate import limits as plan_limits
from studio.estimate.dataset_lengths import DatasetLengths
from studio.estimate.machines import catalogue, elsewhere
from studio.estimate.types import Estimate, range_around
from studio.methods.workload import RowTokens, Workload
from studio.plan import Data, MethodChoice, Plan, Training

PLACES = catalogue.load_machines()
T4 = PLACES["hf-t4-small"]
LENGTHS = DatasetLengths(
    tuple(RowTokens(100 + 15 * number, 100 + 15 * number) for number in range(60)), 600, 0, 0, is_exact=True
)


def plan(name="lora", model="qwen3-0.6b", **training):
    chosen = {"batch_size": 64, "max_length": 2048, **training}
    return Plan(
        task="chat",
        model=model,
        data=Data(source="-"),
        method=MethodChoice(name=name),
        training=Training(**chosen),
    )


def offers(asked, place=T4, lengths=LENGTHS):
    return suggestions.find_suggestions(
        asked, asked.method.name, {}, place, all_methods.find_base_model(asked.model), lengths, PLACES
    )


def changed(asked, remedy):
    """The estimate of the plan with a remedy applied, by itself."""
    change = {
        "batch": {"batch_size": remedy.value, "gradient_accumulation_steps": 1},
        "length": {"max_length": remedy.value},
        "gradient_checkpointing": {"gradient_checkpointing": True},
    }
    training = asked.training.model_copy(update=change.get(remedy.kind, {}))
    made = asked.model_copy(update={"training": training})
    name = str(remedy.value) if remedy.kind == "method" else asked.method.name
    where = PLACES[str(remedy.value)] if remedy.kind == "machine" else T4
    return all_methods.estimate_all_methods(
        made, where, {}, all_methods.find_base_model(made.model), LENGTHS, only_method=name
    )[name]


def test_every_offer_fits_and_has_the_figures_it_shows():
    asked = plan()
    before = all_methods.estimate_all_methods(
        asked, T4, {}, all_methods.find_base_model(asked.model), LENGTHS, only_method="lora"
    )["lora"]
    assert before.fits == "no"
    found = offers(asked)
    assert {"batch", "length"} <= {one.kind for one in found}
    for one in found:
        assert one.estimate.fits in ("yes", "tight")
        assert changed(asked, one) == one.estimate
        assert one.label.render() != one.label.render("zh")


def test_the_largest_portion_and_the_longest_text_that_fit_are_the_last_that_do():
    asked = plan()
    for one in offers(asked):
        step = {"batch": 1, "length": suggestions.LENGTH_STEP}.get(one.kind)
        if step and (one.kind != "batch" or one.value + step < asked.training.batch_size):
            assert changed(asked, dataclasses.replace(one, value=one.value + step)).fits == "no"


@pytest.mark.parametrize(
    ("name", "model"),
    [("lora", "qwen3-0.6b"), ("full", "qwen3-0.6b"), ("qlora", "qwen3-4b"), ("full", "qwen3-8b")],
)
def test_a_plan_is_solved_for_the_most_that_fits(name, model):
    asked, settings, base = (
        plan(name, model, batch_size=4),
        methods.get(name).resolve_settings({}),
        all_methods.find_base_model(model),
    )

    def fits(made):
        return all_methods.estimate_all_methods(
            made, T4, {}, base, LENGTHS, only_method=name, use_traces=False
        )[name].fits in ("yes", "tight")

    batch, length = (
        plan_limits.max_batch_size(asked, settings, T4, base, LENGTHS),
        plan_limits.max_text_length(asked, settings, T4, base, LENGTHS),
    )
    assert (batch == 0) == (not fits(plan_limits.with_batch_size(asked, 1)))
    assert batch == 0 or (
        fits(plan_limits.with_batch_size(asked, batch))
        and (batch == 64 or not fits(plan_limits.with_batch_size(asked, batch + 1)))
    )
    longest = max(row.tokens for row in LENGTHS.rows)
    assert length == 0 or fits(plan_limits.with_max_length(asked, length))
    assert length >= longest or not fits(plan_limits.with_max_length(asked, length + 16))


def fitting(likely, fits="yes"):
    return Estimate("lora", memory_gb=range_around(likely, 1.1), room_gb=10.0, fits=fits)


@pytest.mark.parametrize(
    ("shown", "most"),
    [
        (None, 10.0),  # nothing is known better: the closed form stands
        (fitting(8.0), 10.0),  # as the closed form said, 8 GB
        (fitting(9.6), 10 * 8 / 9.6),  # a fifth more than it said: so are the neighbours
        (
            fitting(10.5, "tight"),
            8.0,
        ),  # more than there is, of which some can be given back: as it is, and no further
        (
            fitting(10.5, "no"),
            8 * 10 / 10.5,
        ),  # does not fit, and neither does whatever the closed form takes for as large
    ],
)
def test_neighbours_of_a_plan_fit_as_what_is_shown_of_it_says(shown, most):
    fits = plan_limits.build_fit_check(shown, fitting(8.0))
    assert fits(fitting(most - 0.001))
    assert not fits(fitting(most + 0.001))
    assert not fits(None)


def test_a_model_too_large_for_the_card_is_offered_another_method_or_machine():
    found = offers(plan("full", "qwen3-8b", batch_size=1, max_length=128))
    assert {one.kind for one in found} <= {"method", "machine"}
    machine = next(one for one in found if one.kind == "machine")
    cheaper = [
        one
        for one in PLACES.values()
        if one.price_per_hour
        and one.currency == "USD"
        and one.price_per_hour < PLACES[machine.value].price_per_hour
    ]
    asked = plan("full", "qwen3-8b", batch_size=1, max_length=128)
    for place in cheaper:
        assert (
            all_methods.estimate_all_methods(
                asked, place, {}, all_methods.find_base_model("qwen3-8b"), LENGTHS, only_method="full"
            )["full"].fits
            != "yes"
        )


def test_a_run_that_fits_alone_is_offered_nothing_that_does_not():
    tiny = dataclasses.replace(T4, usable_bytes=10_000_000, price_per_hour=None)
    found = suggestions.find_suggestions(
        plan("full", "qwen3-8b"),
        "full",
        {},
        tiny,
        all_methods.find_base_model("qwen3-8b"),
        LENGTHS,
        {"tiny": tiny},
    )
    assert found == []


@pytest.mark.parametrize("today", [date(2026, 11, 24), date(2028, 1, 1)])
def test_elsewhere_lists_every_machine_what_fits_and_is_cheap_first(today):
    asked = plan(batch_size=8, max_length=512)
    found = elsewhere.estimate_on_all_machines(
        asked, {}, all_methods.find_base_model(asked.model), LENGTHS, today
    )
    assert {one.machine.id for one in found} == set(PLACES)
    fitting = [one for one in found if one.estimate.fits != "no"]
    assert found[: len(fitting)] == fitting
    for currency in ("USD", "CNY"):
        prices = [
            one.estimate.money.likely
            for one in fitting
            if one.estimate.money and one.machine.currency == currency
        ]
        assert prices == sorted(prices)
        assert prices
    assert (
        all(one.is_price_stale == (one.machine.price_source is not None) for one in found)
        or today.year == 2026
    )
    for one in found:
        assert (one.estimate.money is None) == (one.machine.price_per_hour is None)


def test_hosted_services_are_priced_by_trained_tokens():
    asked, base = plan(epochs=3, batch_size=8), all_methods.find_base_model("qwen3-0.6b")
    load = Workload("chat", (RowTokens(10, 30), RowTokens(30, 30)), 100, 0.1, asked.training, base.shape)
    assert elsewhere.count_training_tokens(load) == 50 * 90 * 3
    found = elsewhere.hosted_options(1_000_000, date(2026, 11, 24))
    assert [one.low for one in found] == sorted(one.low for one in found)
    for one in found:
        assert (one.low, one.high) == (one.offer.low, one.offer.high), (
            "a million tokens cost the price of a million"
        )


def test_every_method_that_does_not_fit_names_its_largest_part():
    found = all_methods.estimate_all_methods(
        plan(model="qwen3-8b"), T4, {}, all_methods.find_base_model("qwen3-8b"), LENGTHS
    )
    assert {name for name, one in found.items() if one.fits == "no"} >= {"full", "qat"}
    assert len(found) == len([method for method in methods.METHODS if "chat" in method.tasks])
    for one in found.values():
        assert one.largest_part == max(one.parts, key=one.parts.get)
        assert (one.why_not is None) == (one.fits != "no")


@pytest.mark.parametrize("name", [method.name for method in methods.METHODS if "chat" in method.tasks])
def test_where_no_question_leaves_room_for_its_answer_nothing_is_estimated_and_nothing_offered(name):
    asked, long = (
        plan(name, max_length=32),
        DatasetLengths(tuple(RowTokens(100 + number, 50) for number in range(60)), 600, 0, 0, is_exact=True),
    )
    base = all_methods.find_base_model(asked.model)
    found = all_methods.estimate_all_methods(asked, T4, {}, base, long, only_method=name)[name]
    assert (found.memory_gb, found.minutes, found.fits) == (None, None, "unknown")
    assert any("32 tokens" in said.render() for said in found.missing)
    method = methods.get(name)
    assert isinstance(
        all_methods.needs_tracing(asked, method, method.resolve_settings({}), T4, base, long), bool
    )
    assert all(remedy.kind != "length" for remedy in offers(asked, lengths=long))
