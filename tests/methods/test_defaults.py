"""How long and in what batches a method trains by default.

By the amount of data, as docs/methods.md derives it.
"""

import pytest
from estimate_cases import shape_of

from studio import methods
from studio.methods import defaults
from studio.methods.workload import RowTokens
from studio.plan import Training


@pytest.mark.parametrize(
    ("n_rows", "batch_size"), [(1, 8), (999, 8), (1_000, 16), (4_999, 16), (5_000, 32), (1_000_000, 32)]
)
def test_the_batch_grows_with_the_data_and_each_border_belongs_to_the_larger_one(n_rows, batch_size):
    assert defaults.default_batch_size(n_rows) == batch_size


@pytest.mark.parametrize(
    ("n_rows", "task", "epochs"),
    [
        (100, "chat", 3),  # 250 steps would take 20 epochs; more is learned by heart
        (1_000, "chat", 2),  # 250 * 8 / 1000
        (100_000, "chat", 1),
        (100, "classify", 8),  # 1200 steps would take 96
        (1_200, "classify", 8),  # 1200 * 8 / 1200
        (100_000, "classify", 3),
        (100, "prompts", 2),
        (480, "prompts", 1),  # 60 * 8 / 480
        (0, "chat", 3),
    ],
)
def test_epochs_give_the_steps_worth_having_within_the_bounds_of_the_task(n_rows, task, epochs):
    assert defaults.default_epochs(n_rows, task, batch_size=8) == epochs


def test_a_method_that_begins_further_off_takes_more_epochs_but_no_fewer_than_the_least():
    assert defaults.default_epochs(1_000, "chat", 8, epoch_multiplier=3) == 6
    assert defaults.default_epochs(100, "chat", 8, epoch_multiplier=3) == 9, "the most is multiplied too"
    assert defaults.default_epochs(1_000_000, "chat", 8, epoch_multiplier=3) == 1


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "n_epochs", "steps"),
    [(16, 8, 1, 2), (17, 8, 1, 3), (17, 8, 2, 6), (17, 8, 0.5, 2), (1, 8, 0.1, 1)],
)
def test_the_last_step_of_an_epoch_may_hold_fewer_examples(n_rows, batch_size, n_epochs, steps):
    assert defaults.count_steps(n_rows, batch_size, n_epochs) == steps


def fill(make_plan, n_rows, **training):
    from studio.estimate import all_methods

    plan = make_plan(
        "lora", "chat", **{"epochs": None, "batch_size": None, "learning_rate": None, **training}
    )
    shape = all_methods.find_base_model(plan.model).shape
    return defaults.fill_training(plan, methods.get("lora"), shape, n_rows, [RowTokens(60, 40)]).training


def test_what_the_plan_leaves_out_is_filled_in_and_what_it_says_stays(make_plan):
    filled = fill(make_plan, n_rows=1_000)
    assert (filled.batch_size, filled.epochs) == (16, 3)
    assert filled.learning_rate and filled.learning_rate > 0
    stated = fill(make_plan, n_rows=1_000, batch_size=4, epochs=7, learning_rate=0.5, max_length=96)
    assert (stated.batch_size, stated.epochs, stated.learning_rate) == (4, 7, 0.5)
    assert (fill(make_plan, n_rows=1_000, max_length=None).token_limit, stated.token_limit) == (128, 96)


def test_much_data_halves_the_rate_of_methods_that_train_every_weight_of_a_classifier():
    def rate(name, task, n_rows):
        method = methods.get(name)
        settings, shape = method.resolve_settings({}), shape_of("minilm-l6")
        return defaults.default_learning_rate(method, settings, shape, task, n_rows)

    assert [rate("full", "classify", n_rows) for n_rows in (4_999, 5_000)] == [1e-4, 5e-5]
    assert rate("qat", "classify", 5_000) == 5e-5
    assert rate("lora", "classify", 5_000) == rate("lora", "classify", 100)


@pytest.mark.parametrize(("accumulation", "batch_size"), [(1, 8), (3, 6), (8, 8), (20, 20)])
def test_a_default_batch_is_divided_by_its_micro_batches(make_plan, accumulation, batch_size):
    assert fill(make_plan, n_rows=100, gradient_accumulation_steps=accumulation).batch_size == batch_size


@pytest.mark.parametrize(
    ("batch_size", "max_length", "n_micro_batches"),
    [
        (8, 512, 1),  # 8 x 512 = 4,096 tokens at once
        (8, 576, 2),
        (8, 2048, 4),
        (6, 1024, 2),  # 3 examples at once: 4 do not divide a step of 6
        (7, 2048, 7),
        (8, 8192, 8),  # one example at once, however long
        (1, 8192, 1),
    ],
)
def test_long_texts_go_through_in_turns(make_plan, batch_size, max_length, n_micro_batches):
    filled = fill(make_plan, n_rows=100, batch_size=batch_size, max_length=max_length)
    assert filled.gradient_accumulation_steps == n_micro_batches


@pytest.mark.parametrize(
    ("rows", "method", "task", "max_length"),
    [
        ([RowTokens(60, 40)] * 99 + [RowTokens(60, 440)], "lora", "chat", 128),  # one of 100 may be longer
        ([RowTokens(60, 40)] * 98 + [RowTokens(60, 440)], "lora", "chat", 512),
        ([RowTokens(64)], "full", "classify", 64),
        ([RowTokens(65)], "full", "classify", 128),
        ([RowTokens(50, 20, 90), RowTokens(50, 80, 20)], "rlhf", "prefer", 192),
        ([RowTokens(30)], "upft", "prompts", 320),  # 256 for what the model writes
        ([RowTokens(1, 9_000)], "lora", "complete", 512),
        ([RowTokens(1_000, 9_000)], "lora", "chat", 2_048),
        ([RowTokens(700)], "full", "classify", 512),  # all that MiniLM reads
    ],
)
def test_the_limit_is_the_length_of_the_longest_but_one_in_a_hundred(
    rows, method, task, max_length, make_plan
):
    plan = make_plan("lora", "chat").model_copy(update={"task": task})
    shape = shape_of("minilm-l6" if task == "classify" else "smollm2-135m")
    assert defaults.default_max_length(rows, plan, methods.get(method), shape) == max_length


@pytest.mark.parametrize(
    ("choice", "labels", "weights"),
    [
        ("auto", [0] * 19 + [1] * 2, ()),  # not ten times as many
        ("none", [0] * 8 + [1] * 2, ()),
        (
            "auto",
            [0] * 32 + [1] * 2,
            (0.85, 3.4),
        ),  # 1/√32 to 1/√2 is 1 to 4; (32 · 1 + 2 · 4) / 34 = 1 / 0.85
        ("balanced", [0] * 8 + [1] * 2, (0.625, 2.5)),  # 10 / (2 · 8) and 10 / (2 · 2)
        ("balanced", [0, 1], (1, 1)),
        ("auto", [0] * 16, (1, 4)),  # the second class has no text to train on, and counts as if it had one
    ],
)
def test_a_text_of_a_rare_class_counts_more_and_all_of_them_one_on_average(choice, labels, weights):
    training = Training(class_weights=choice)
    assert defaults.class_weights(labels, 2, training) == pytest.approx(weights)
