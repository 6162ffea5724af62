"""The closed form of a single pass."""

import pytest
from estimate_cases import make_run

from studio.estimate.analytic import formula
from studio.estimate.analytic.formula import AttachedModel
from studio.methods.workload import MicroBatch, Phase


def test_the_closed_form_of_a_matrix_is_two_operations_a_parameter_and_token():
    run = make_run("full")
    shape = run.workload.shape
    block_params = sum(linear.n_in * linear.n_out for linear in shape.linears)
    model = AttachedModel(shape, run.cost_profile, trainable_params=0, autocast_dtype="")
    phase = Phase("x", (), "full", with_gradients=False, head="none")
    counts = formula.count_pass(model, phase, MicroBatch(1, 1, 0, False, 1))
    block_flop = 2 * block_params + 4 * shape.attention_width
    assert counts.flop_32 == pytest.approx(shape.layers * block_flop + 2 * shape.hidden**2)
