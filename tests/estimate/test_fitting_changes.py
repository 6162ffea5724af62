"""Where memory runs out, three changes fit, the mildest first; each has the figures of its own estimate."""

from dataclasses import replace

import pytest
from estimate_cases import CPU, MACHINES, T4, make_context, make_plan_for

from studio import methods
from studio.estimate import all_methods, fitting_changes
from studio.estimate.dataset_lengths import DatasetLengths
from studio.methods.workload import RowTokens
from studio.plan import MethodChoice

# 100 examples of 10, 20 … 1,000 tokens: a max_length of 900 cuts ten of them.
ROWS = tuple(RowTokens(5 * index, 5 * index) for index in range(1, 101))
LENGTHS = DatasetLengths(ROWS, 100, 0, 0, is_exact=True, in_order=ROWS)
TRAINING = {"batch_size": 8, "gradient_accumulation_steps": 1, "max_length": 1008}


def build_context(usable_gb, name="full", model="smollm2-360m", **training):
    plan = make_plan_for(model, name=name, **{**TRAINING, **training})
    return make_context(plan, replace(CPU, usable_bytes=int(usable_gb * 1e9)), LENGTHS)


def estimate(context):
    name = context.plan.method.name
    return all_methods.estimate_all_methods(context, name)[name]


def apply(context, change):
    """The context of the changed plan, by the keys of the plan alone."""
    plan = context.plan
    training = {
        key.removeprefix("training."): value
        for key, value in change.plan_changes.items()
        if key.startswith("training.")
    }
    context = context.with_training(**training)
    plan = context.plan
    if "method.name" in change.plan_changes:
        plan = plan.model_copy(update={"method": MethodChoice(name=change.plan_changes["method.name"])})
    if "model" in change.plan_changes:
        plan = plan.model_copy(update={"model": change.plan_changes["model"]})
    return replace(context, plan=plan, base_model=all_methods.find_base_model(plan.model))


@pytest.fixture(scope="module")
def needed_gb():
    return estimate(build_context(100)).memory_gb.likely


def test_three_changes_fit_and_have_the_figures_of_the_changed_plan(needed_gb):
    context = build_context(0.8 * needed_gb)
    changes = fitting_changes.find_changes(context)
    assert len(changes.offered) == 3
    for change in changes.offered:
        changed = estimate(apply(context, change))
        assert (changed.memory_gb, changed.minutes) == (change.memory_gb, change.estimate.minutes)
        assert change.memory_gb.high <= 0.8 * needed_gb
        assert change.estimate.minutes.low < change.estimate.minutes.high
    assert changes.summarize().text == fitting_changes.FITTING.text


def test_what_leaves_the_result_as_it_is_comes_first(needed_gb):
    first, second, _ = fitting_changes.find_changes(build_context(0.8 * needed_gb)).offered
    assert list(first.plan_changes) == ["training.gradient_accumulation_steps"]
    assert list(second.plan_changes) == ["training.gradient_checkpointing"]


def test_a_micro_batch_of_half_the_size_keeps_half_the_intermediate_results():
    context = build_context(100)
    halved = context.with_training(gradient_accumulation_steps=2)
    kept, kept_of_half = (estimate(plan).parts["activations"] for plan in (context, halved))
    assert kept_of_half == pytest.approx(kept / 2, rel=0.05)


@pytest.mark.parametrize(("share", "max_length"), [(0.1, 912), (0.5, 512)])
def test_a_shorter_length_says_which_share_of_the_examples_it_cuts(share, max_length):
    context = build_context(100)
    run = context.run_of(methods.get("full"))
    variants = fitting_changes._shorten(fitting_changes._Variant(context), run.workload)
    by_length = {variant.context.plan.training.max_length: variant.cut_share for variant in variants}
    # Of 10, 20 … 1,000 tokens those above 912 are 920 … 1,000, nine of a hundred; above 512 they are 49.
    assert by_length[max_length] == pytest.approx(share - 0.01)


def test_where_fewer_than_three_fit_it_says_why():
    changes = fitting_changes.find_changes(build_context(2.0, "qlora", "smollm2-1.7b"))
    assert len(changes.offered) < 3
    assert changes.too_large
    said = changes.summarize()
    least = min(changes.too_large, key=lambda change: change.memory_gb.high)
    assert f"{least.memory_gb.high:.1f} GB" in said.render()
    assert said.render("zh") != said.render()


def test_nothing_is_offered_where_nothing_fits():
    changes = fitting_changes.find_changes(build_context(0.01))
    assert changes.offered == ()
    assert changes.summarize().text == fitting_changes.NONE_FITS.text
    assert min(change.memory_gb.high for change in changes.too_large) > 0.01


def test_a_run_that_should_have_fitted_is_offered_what_needs_less_than_it(needed_gb):
    changes = fitting_changes.find_changes(build_context(100))
    assert changes.limit == fitting_changes.OWN_NEED.format(gb=needed_gb)
    for change in changes.offered:
        assert change.memory_gb.high <= needed_gb


def test_a_smaller_model_must_know_the_languages_of_the_data():
    context = build_context(100, "lora", "qwen3-1.7b")
    workload = context.run_of(methods.get("lora")).workload
    start = fitting_changes._Variant(context)

    def list_models(language):
        variants = fitting_changes._change_model([language], start, workload)
        return [variant.plan_changes["model"] for variant in variants]

    english, chinese = list_models("en"), list_models("zh")
    assert "smollm2-135m" in english
    assert "smollm2-135m" not in chinese
    assert "qwen3-0.6b" in chinese


def test_without_examples_nothing_is_offered():
    context = replace(build_context(1), lengths=None)
    assert fitting_changes.find_changes(context) is None


def test_a_larger_model_in_smaller_micro_batches_comes_before_a_smaller_model():
    context = build_context(10, "lora", "qwen3-1.7b")
    changes = fitting_changes.find_changes(context, ["en"]).offered
    change = next(
        change
        for change in changes
        if "model" in change.plan_changes and "method.name" not in change.plan_changes
    )
    assert change.plan_changes["training.gradient_checkpointing"]
    with_model_alone = replace(change, plan_changes={"model": change.plan_changes["model"]})
    assert estimate(apply(context, with_model_alone)).memory_gb.high > 10


def test_a_change_on_top_of_what_keeps_the_result_saves_a_tenth_beside_it():
    changes = fitting_changes.find_changes(build_context(14, "lora", "qwen3-1.7b"), ["en"]).offered
    same_result, *others = changes
    assert all(key.startswith("training.gradient") for key in same_result.plan_changes)
    for change in others:
        if "training.gradient_checkpointing" in change.plan_changes:
            assert change.memory_gb.high <= 0.9 * same_result.memory_gb.high


# ---- Below a row of the comparison table


def offers_by_key(context, machines=MACHINES):
    return {change.key: change for change in fitting_changes.find_for_row(context, machines)}


def test_an_offer_below_a_row_fits_and_has_the_figures_of_the_changed_plan(needed_gb):
    context = build_context(0.8 * needed_gb, gradient_checkpointing=False)
    assert estimate(context).fits == "no"
    offers = offers_by_key(context)
    assert set(offers) >= {"training.gradient_checkpointing", "training.max_length", "where"}
    for change in offers.values():
        changed = apply(context, change)
        if "where" in change.plan_changes:
            changed = replace(changed, machine=MACHINES[change.plan_changes["where"]])
        changed_estimate = estimate(changed)
        assert changed_estimate.fits in ("yes", "tight")
        assert (changed_estimate.memory_gb, changed_estimate.minutes) == (
            change.memory_gb,
            change.estimate.minutes,
        )
        assert change.label.render() != change.label.render("zh")


def test_the_machine_offered_is_the_cheapest_on_which_the_row_fits():
    context = replace(build_context(100, "full", "qwen3-8b", batch_size=1, max_length=128), machine=T4)
    chosen = MACHINES[offers_by_key(context)["where"].plan_changes["where"]]
    cheaper = [
        machine
        for machine in MACHINES.values()
        if machine.price_per_hour and machine.currency == "USD"
        if machine.price_per_hour < chosen.price_per_hour
    ]
    assert cheaper
    assert all(estimate(replace(context, machine=machine)).fits == "no" for machine in cheaper)


def test_where_no_change_fits_none_is_offered_below_a_row():
    tiny = replace(CPU, usable_bytes=10_000_000, price_per_hour=None)
    context = replace(build_context(1, "full", "qwen3-8b"), machine=tiny)
    assert offers_by_key(context, {"tiny": tiny}) == {}
