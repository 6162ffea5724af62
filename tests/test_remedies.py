"""What would make a run fit really does, is the most that does, and changes only what it says; and what the run costs elsewhere."""

import dataclasses
from datetime import date

import pytest

from studio import methods
from studio.estimate import elsewhere, machines, remedies, solve, table
from studio.estimate.figures import Estimate, around
from studio.estimate.load import Lengths
from studio.methods.work import Load, Row
from studio.plan import Data, MethodChoice, Plan, Training

PLACES = machines.places()
T4 = PLACES["hf-t4-small"]
LENGTHS = Lengths(tuple(Row(100 + 15 * number, 100 + 15 * number) for number in range(60)), 600, 0, 0, counted=True)


def plan(name="lora", model="qwen3-0.6b", **training):
    chosen = {"batch_size": 64, "max_length": 2048, **training}
    return Plan(task="chat", model=model, data=Data(source="-"), method=MethodChoice(name=name), training=Training(**chosen))


def offers(asked, place=T4, lengths=LENGTHS):
    return remedies.find(asked, asked.method.name, {}, place, table.base(asked.model), lengths, PLACES)


def changed(asked, remedy):
    """The estimate of the plan with a remedy applied, by itself."""
    change = {
        "batch": {"batch_size": remedy.value, "accumulate": 1},
        "length": {"max_length": remedy.value},
        "recompute": {"recompute": True},
    }
    training = asked.training.model_copy(update=change.get(remedy.kind, {}))
    made = asked.model_copy(update={"training": training})
    name = str(remedy.value) if remedy.kind == "method" else asked.method.name
    where = PLACES[str(remedy.value)] if remedy.kind == "machine" else T4
    return table.estimates(made, where, {}, table.base(made.model), LENGTHS, only=name)[name]


def test_every_offer_fits_and_has_the_figures_it_shows():
    asked = plan()
    before = table.estimates(asked, T4, {}, table.base(asked.model), LENGTHS, only="lora")["lora"]
    assert before.fits == "no"
    found = offers(asked)
    assert {"batch", "length"} <= {one.kind for one in found}
    for one in found:
        assert one.estimate.fits in ("yes", "tight")
        assert changed(asked, one) == one.estimate
        assert one.label.en != one.label.zh


def test_the_largest_portion_and_the_longest_text_that_fit_are_the_last_that_do():
    asked = plan()
    for one in offers(asked):
        step = {"batch": 1, "length": remedies.STEP}.get(one.kind)
        if step and (one.kind != "batch" or one.value + step < asked.training.batch_size):
            assert changed(asked, dataclasses.replace(one, value=one.value + step)).fits == "no"


@pytest.mark.parametrize(("name", "model"), [("lora", "qwen3-0.6b"), ("full", "qwen3-0.6b"), ("qlora", "qwen3-4b"), ("full", "qwen3-8b")])
def test_a_plan_is_solved_for_the_most_that_fits(name, model):
    asked, settings, base = plan(name, model, batch_size=4), methods.get(name).settle({}), table.base(model)

    def fits(made):
        return table.estimates(made, T4, {}, base, LENGTHS, only=name, refined=False)[name].fits in ("yes", "tight")

    batch, length = solve.batch(asked, settings, T4, base, LENGTHS), solve.length(asked, settings, T4, base, LENGTHS)
    assert (batch == 0) == (not fits(solve.with_batch(asked, 1)))
    assert batch == 0 or (fits(solve.with_batch(asked, batch)) and (batch == 64 or not fits(solve.with_batch(asked, batch + 1))))
    longest = max(row.tokens for row in LENGTHS.rows)
    assert length == 0 or fits(solve.with_length(asked, length))
    assert length >= longest or not fits(solve.with_length(asked, length + 16))


def fitting(likely, fits="yes"):
    return Estimate("lora", memory_gb=around(likely, 1.1), room_gb=10.0, fits=fits)


@pytest.mark.parametrize(
    ("shown", "most"),
    [
        (None, 10.0),  # nothing is known better: the closed form stands
        (fitting(8.0), 10.0),  # as the closed form said, 8 GB
        (fitting(9.6), 10 * 8 / 9.6),  # a fifth more than it said: so are the neighbours
        (fitting(10.5, "tight"), 8.0),  # more than there is, of which some can be given back: as it is, and no further
        (fitting(10.5, "no"), 8 * 10 / 10.5),  # does not fit, and neither does whatever the closed form takes for as large
    ],
)
def test_neighbours_of_a_plan_fit_as_what_is_shown_of_it_says(shown, most):
    fits = solve.trusting(shown, fitting(8.0))
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
        if one.price_per_hour and one.currency == "USD" and one.price_per_hour < PLACES[machine.value].price_per_hour
    ]
    asked = plan("full", "qwen3-8b", batch_size=1, max_length=128)
    for place in cheaper:
        assert table.estimates(asked, place, {}, table.base("qwen3-8b"), LENGTHS, only="full")["full"].fits != "yes"


def test_a_run_that_fits_alone_is_offered_nothing_that_does_not():
    tiny = dataclasses.replace(T4, usable_bytes=10_000_000, price_per_hour=None)
    found = remedies.find(plan("full", "qwen3-8b"), "full", {}, tiny, table.base("qwen3-8b"), LENGTHS, {"tiny": tiny})
    assert found == []


@pytest.mark.parametrize("today", [date(2026, 11, 24), date(2028, 1, 1)])
def test_elsewhere_lists_every_machine_what_fits_and_is_cheap_first(today):
    asked = plan(batch_size=8, max_length=512)
    found = elsewhere.everywhere(asked, {}, table.base(asked.model), LENGTHS, today)
    assert {one.place.id for one in found} == set(PLACES)
    fitting = [one for one in found if one.estimate.fits != "no"]
    assert found[: len(fitting)] == fitting
    for currency in ("USD", "CNY"):
        prices = [one.estimate.money.likely for one in fitting if one.estimate.money and one.place.currency == currency]
        assert prices == sorted(prices)
        assert prices
    assert all(one.stale == (one.place.price_source is not None) for one in found) or today.year == 2026
    for one in found:
        assert (one.estimate.money is None) == (one.place.price_per_hour is None)


def test_hosted_services_are_priced_by_trained_tokens():
    asked, base = plan(epochs=3, batch_size=8), table.base("qwen3-0.6b")
    load = Load("chat", (Row(10, 30), Row(30, 30)), 100, 0.1, asked.training, base.shape)
    assert elsewhere.trained_tokens(load) == 50 * 90 * 3
    found = elsewhere.hosted(1_000_000, date(2026, 11, 24))
    assert [one.low for one in found] == sorted(one.low for one in found)
    for one in found:
        assert (one.low, one.high) == (one.offer.low, one.offer.high), "a million tokens cost the price of a million"


def test_every_method_that_does_not_fit_names_its_largest_part():
    found = table.estimates(plan(model="qwen3-8b"), T4, {}, table.base("qwen3-8b"), LENGTHS)
    assert {name for name, one in found.items() if one.fits == "no"} >= {"full", "qat"}
    assert len(found) == len([method for method in methods.METHODS if "chat" in method.tasks])
    for one in found.values():
        assert one.largest == max(one.parts, key=one.parts.get)
        assert (one.why_not is None) == (one.fits != "no")


@pytest.mark.parametrize("name", [method.name for method in methods.METHODS if "chat" in method.tasks])
def test_where_no_question_leaves_room_for_its_answer_nothing_is_estimated_and_nothing_offered(name):
    asked, long = plan(name, max_length=32), Lengths(tuple(Row(100 + number, 50) for number in range(60)), 600, 0, 0, counted=True)
    base = table.base(asked.model)
    found = table.estimates(asked, T4, {}, base, long, only=name)[name]
    assert (found.memory_gb, found.minutes, found.fits) == (None, None, "unknown")
    assert any("32 tokens" in said.en for said in found.missing)
    method = methods.get(name)
    assert isinstance(table.lacks(asked, method, method.settle({}), T4, base, long), bool)
    assert all(remedy.kind != "length" for remedy in offers(asked, lengths=long))
