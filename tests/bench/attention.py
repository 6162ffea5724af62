"""Prints what attention takes on this processor in bfloat16 and in 32 bits, forward and backward, by length.

    python tests/bench/attention.py

Seconds are those of this thread alone, the fastest of nine; studio.models.cpu_attention rests on the ratio.
"""

import time

import torch
from torch.nn import functional

# Rows, heads, heads of keys and values, tokens, width of a head: SmolLM2 135M, then MiniLM.
SHAPES = [
    *(
        (rows, 9, 3, tokens, 64)
        for rows, tokens in [(16, 32), (8, 64), (8, 128), (4, 256), (2, 512), (1, 1024)]
    ),
    *((8, 12, 12, tokens, 32) for tokens in (48, 128)),
]


def fastest(tensors, gradient):
    """Milliseconds of a pass and its way back."""
    query, key, value = tensors
    times = []
    for _ in range(9):
        started_at = time.thread_time()
        outputs = functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, enable_gqa=key.shape[1] != query.shape[1]
        )
        torch.autograd.grad(outputs, tensors, gradient)
        times.append(time.thread_time() - started_at)
    return 1e3 * min(times)


def main():
    torch.set_num_threads(1)
    print("rows heads tokens width   bfloat16 ms   float32 ms   float32 is")
    for rows, heads, key_heads, tokens, width in SHAPES:
        milliseconds = {}
        for dtype in (torch.bfloat16, torch.float32):
            tensors = [
                torch.randn(rows, count, tokens, width, dtype=dtype, requires_grad=True)
                for count in (heads, key_heads, key_heads)
            ]
            milliseconds[dtype] = fastest(tensors, torch.randn(rows, heads, tokens, width, dtype=dtype))
        half, full = milliseconds.values()
        print(f"{rows:4} {heads:5} {tokens:6} {width:5} {half:13.1f} {full:12.1f} {half / full:10.2f} x")


if __name__ == "__main__":
    main()
