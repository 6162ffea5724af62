"""A family without formulas is estimated too: exact parameters, wide ranges until it is traced."""

import dataclasses
import json
import subprocess
import sys

import pytest
from estimate_cases import CPU, H200, ROWS
from model_families import COUNTED, config_of
from sampling import sample

from studio import methods
from studio.estimate import estimate_one
from studio.estimate.method_run import MethodRun
from studio.estimate.tracing.meta_step import MetaStep, ModelSpec, PassSpec
from studio.estimate.types import Estimate
from studio.methods.workload import Workload
from studio.models import shape
from studio.plan import Training


def make_run(model_shape, name="lora"):
    training = Training(epochs=1.0, batch_size=8, learning_rate=1e-3, max_length=256)
    method = methods.get(name)
    workload = Workload("chat", ROWS, 400, 0.1, training, model_shape)
    return MethodRun(method, method.resolve_settings({}), workload)


def widths(estimate: Estimate) -> tuple[float, float]:
    return tuple(value.high / value.low for value in (estimate.memory_gb, estimate.minutes))


@pytest.mark.parametrize("machine", [CPU, H200], ids=["processor", "card"])
def test_the_range_is_wider_where_no_formula_is_of_the_family_and_that_is_said(machine):
    counted = shape.from_config(config_of("olmo2"))
    estimate = estimate_one.estimate_method(make_run(counted), machine)
    known = estimate_one.estimate_method(make_run(dataclasses.replace(counted, is_counted=False)), machine)
    assert all(wide > narrow for wide, narrow in zip(widths(estimate), widths(known), strict=True))
    assert estimate_one.NO_FORMULA_OF_FAMILY.format(family="olmo2") in estimate.missing
    assert estimate.total == known.total


def test_a_family_with_a_formula_is_told_of_its_attention_and_of_no_other_family():
    estimate = estimate_one.estimate_method(make_run(shape.from_config(config_of("gemma2"))), CPU)
    assert estimate_one.NO_FORMULA_OF_EAGER.format(family="gemma2") in estimate.missing
    assert estimate_one.NO_FORMULA_OF_FAMILY.format(family="gemma2") not in estimate.missing


@pytest.mark.parametrize(
    ("family", "device"),
    sample(
        [(family, device) for family in COUNTED for device in ("cpu", "cuda")],
        [("olmo2", "cuda"), ("deepseek_v3", "cpu"), ("gemma4_text", "cuda"), ("mamba", "cpu")],
    ),
)
def test_a_step_is_traced(family, device):
    settings = methods.get("lora").resolve_settings({})
    dtype = "bfloat16" if device == "cuda" else ""
    step = MetaStep(ModelSpec(config_of(family), "lora", settings, "chat", 0, device, dtype))
    counts = step.run(PassSpec(2, 16, 8, padded=False)).phases["forward"]
    model_shape = shape.from_config(config_of(family))
    n_weights = model_shape.over_blocks(lambda linear: linear.n_in * linear.n_out)
    assert counts.flop_32 + counts.flop_16 > 2 * 2 * 16 * n_weights


def test_a_process_without_torch_counts_in_a_child_once(studio_home):
    code = (
        "import json, sys; from studio.models import shape;"
        "counted = shape.from_config(json.loads(sys.argv[1]));"
        "print(json.dumps([counted.to_json(), 'torch' in sys.modules]))"
    )
    command = [sys.executable, "-c", code, json.dumps(config_of("phimoe"))]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    counted, has_torch = json.loads(answer.stdout)
    assert not has_torch
    assert shape.ModelShape.from_json(counted) == shape.from_config(config_of("phimoe"))
    (kept,) = (studio_home / "shapes").glob("*.json")
    assert json.loads(kept.read_text(encoding="utf-8")) == {"shape": counted}
