"""The estimates of all methods: which there are, and that nothing is shown that nobody knows."""

import dataclasses

import pytest
from estimate_cases import (
    CPU,
    H200,
    LENGTHS,
    METHOD_NAMES,
    ROWS,
    T4,
    make_context,
    make_plan_for,
)

from studio import presets
from studio.estimate import all_methods, estimate_one
from studio.methods import compatibility
from studio.methods.workload import RowTokens


@pytest.mark.parametrize("model", list(presets.models()))
def test_the_table_has_every_method_that_goes_with_a_model_and_no_other(model):
    task = presets.models()[model].tasks[0]
    lengths = LENGTHS
    if task == "classify":
        texts = tuple(RowTokens(row.tokens) for row in ROWS)
        lengths = dataclasses.replace(LENGTHS, rows=texts, n_labels=3)
    context = make_context(make_plan_for(model, task), H200, lengths)
    estimates = all_methods.estimate_all_methods(context)
    assert set(estimates) == {
        name
        for name in METHOD_NAMES
        if not compatibility.find_incompatibility(name, task, context.base_model.shape)
    }
    for estimate in estimates.values():
        assert estimate.memory_gb.likely > 4e-9 * 0.1 * estimate.total
        assert estimate.minutes.likely > 0


def test_without_a_shape_nothing_is_shown_and_it_is_named_what_is_missing(tmp_path):
    folders = {"broken": "{broken", "list": "[]"}
    for name, config in folders.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(config)
        (tmp_path / name / "model.safetensors").write_bytes(b"")
    for model in ("someone/unknown", *(str(tmp_path / name) for name in folders)):
        estimates = all_methods.estimate_all_methods(make_context(make_plan_for(model), CPU))
        assert estimates
        for estimate in estimates.values():
            figures = (estimate.trainable, estimate.memory_gb, estimate.minutes, estimate.money)
            assert (*figures, estimate.disk_mb) == (None,) * 5
            assert estimate.fits == "unknown"
            assert estimate.missing == (all_methods.NO_SHAPE,)


def test_without_rows_the_counts_are_known_and_neither_time_nor_memory():
    estimates = all_methods.estimate_all_methods(make_context(make_plan_for(), CPU, lengths=None))
    assert len(estimates) >= 8
    for estimate in estimates.values():
        assert estimate.trainable and estimate.disk_mb
        assert (estimate.memory_gb, estimate.minutes, estimate.fits) == (None, None, "unknown")
        assert estimate.missing == (all_methods.NO_EXAMPLES,)


def test_estimated_lengths_widen_every_range_and_say_so():
    estimated_lengths = dataclasses.replace(LENGTHS, is_exact=False)
    exact, wide = (
        all_methods.estimate_all_methods(make_context(make_plan_for(), T4, lengths))["lora"]
        for lengths in (LENGTHS, estimated_lengths)
    )
    for name in ("memory_gb", "minutes", "money"):
        assert getattr(wide, name).low < getattr(exact, name).low
        assert getattr(wide, name).high > getattr(exact, name).high
        assert getattr(wide, name).likely == getattr(exact, name).likely
    assert estimate_one.TOKENS_ESTIMATED in wide.missing


def test_a_model_nobody_knows_has_neither_shape_nor_config():
    assert all_methods.find_base_model("").shape is None
    assert all_methods.find_base_model("no/such-model").config == {}
