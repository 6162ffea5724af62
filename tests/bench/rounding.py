"""Prints how long rounding the weights of a layer takes on the way forward and back, beside torchao's own.

    python tests/bench/rounding.py [--threads 1]

The shapes are those of SmolLM2-135M's and MiniLM's matrices; the results of both are compared first.
"""

import argparse
import time

import torch
from torchao.quantization import IntxWeightOnlyConfig, PerGroup
from torchao.quantization.qat.fake_quantize_config import _infer_fake_quantize_configs
from torchao.quantization.qat.fake_quantizer import IntxFakeQuantizer

from studio.methods.training.fake_quantization import GroupRounding

SHAPES = ((1536, 576), (576, 1536), (192, 576), (1536, 384))
ROUNDS = 30


def run(rounding, weight, gradient):
    """The rounded weights and the gradient of the weights."""
    rounded = rounding(weight)
    (weight_gradient,) = torch.autograd.grad(rounded, weight, gradient)
    return rounded.detach(), weight_gradient


def fewest_ms(rounding, weight, gradient):
    times = []
    for _ in range(ROUNDS):
        started_at = time.perf_counter()
        run(rounding, weight, gradient)
        times.append(time.perf_counter() - started_at)
    return 1e3 * min(times)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    for shape in SHAPES:
        weight = torch.randn(shape, requires_grad=True)
        gradient = torch.randn(shape)
        weight_config = IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32))
        _, config = _infer_fake_quantize_configs(weight_config)
        theirs, ours = IntxFakeQuantizer(config), GroupRounding(config)
        for own, other in zip(run(ours, weight, gradient), run(theirs, weight, gradient), strict=True):
            torch.testing.assert_close(own, other)
        times = [fewest_ms(rounding, weight, gradient) for rounding in (ours, theirs)]
        print(
            f"{shape[0]:5} x {shape[1]:4}: {times[0]:.2f} ms, torchao {times[1]:.2f} ms, {times[1] / times[0]:.1f} x"
        )


if __name__ == "__main__":
    main()
