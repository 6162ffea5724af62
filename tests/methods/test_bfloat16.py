"""In bfloat16 every method takes its steps, and on a processor learns what it learns in 32 bits."""

import pytest
import torch
from ways import WAYS

from studio import methods
from studio.models import device

pytestmark = pytest.mark.thorough
SAMPLE = {("lora", "chat"), ("full", "classify")}
# bfloat16 has 8 bits of precision, so the loss of a toy may be off by so much: a share of it, or of its fall
# (a toy learns at a rate at which every rounding leads its steps a little astray).
MAX_DIFFERENCE, MAX_DIFFERENCE_OF_FALL = 0.1, 0.25


def mark(way):
    return pytest.param(way, marks=() if way in SAMPLE else pytest.mark.exhaustive, id="-".join(way))


@pytest.fixture
def products():
    """The formats in which matrices are multiplied while a training goes on."""
    dtypes = set()

    class Recorder(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
                dtypes.add(args[-1].dtype)
            return func(*args, **(kwargs or {}))

    return dtypes, Recorder


@pytest.mark.parametrize("way", [mark(way) for way in WAYS])
def test_a_method_trains_in_bfloat16_as_in_32_bits(way, make_job, products, monkeypatch):
    losses, before, (dtypes, recorder) = {}, 0.0, products
    for precision in ("float32", "bfloat16"):
        monkeypatch.setenv("STUDIO_PRECISION", precision)
        settings = {"steps": 2, "max_completion_length": 8} if way[0] == "rlhf" else None
        job = make_job(*way, settings, rows=16, epochs=2)
        method = methods.get(way[0])
        if job.validation:
            before = job.measure(job.model, job.validation).get("loss", 0.0)
        dtypes.clear()
        with recorder():
            model = method.train(job)
        assert (torch.bfloat16 in dtypes) == (precision == "bfloat16")
        trained = [value for value in model.parameters() if value.is_floating_point()]
        assert all(value.isfinite().all() for value in trained)
        # A processor holds all of them in 32 bits, a GPU those of the base in the format of the passes.
        assert {value.dtype for value in trained} <= {torch.float32, device.weights_dtype()}
        if job.validation and "loss" in (scores := job.measure(model, job.validation)):
            losses[precision] = scores["loss"]
    if losses and device.uses_cpu():  # a GPU rounds the base before the first step: a toy ends elsewhere
        fall = abs(before - losses["float32"])
        assert losses["bfloat16"] == pytest.approx(
            losses["float32"], rel=MAX_DIFFERENCE, abs=MAX_DIFFERENCE_OF_FALL * fall
        )
