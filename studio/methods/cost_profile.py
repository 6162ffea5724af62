"""What a method does to a pass through the model, in numbers a closed form can count with."""

from collections.abc import Sequence
from dataclasses import dataclass

from studio.models.shape import Linear, ModelShape


@dataclass(frozen=True)
class CostProfile:
    """How a learning pass differs from a plain one forward.

    `learns` counts the blocks, from the top, whose own matrices learn; `skipped` those, from the bottom, that a pass leaves out.
    Per block: `beside` numbers in small matrices, each multiplied once per token; per token `kept` numbers more for the way back and
    `moved` and `moved_back` numbers more of traffic; once a pass `copies` numbers kept, `remade` and `remade_back` numbers of traffic,
    `operations` and `operations_back` more operations, and there and back `unpacked` 4-bit numbers multiplied out. Per token `drawn` numbers
    of chance. `virtual` vectors stand before each text, as keys and values. What the numbers are
    was read off traces of torch 2.13, transformers 5.23, peft 0.21 and torchao, and a test holds them against the trace.
    """

    trainable_blocks: int = 0
    cached_blocks: int = 0
    adapter_params: float = 0.0
    saved_activations: float = 0.0
    memory_traffic: float = 0.0
    memory_traffic_backward: float = 0.0
    weight_copies: float = 0.0
    weight_traffic: float = 0.0
    weight_traffic_backward: float = 0.0
    operations: float = 0.0
    operations_backward: float = 0.0
    dequantized_params: float = 0.0
    random_numbers: float = 0.0
    virtual_tokens: int = 0


def low_rank(
    linears: Sequence[Linear], rank: int, dropout: bool, with_magnitudes: bool = False
) -> CostProfile:
    """LoRA beside these matrices: PEFT computes with a 32-bit copy of a matrix's input, and dropout keeps another and its mask.

    With `lengths` (DoRA) the changed matrix is made once a pass for its lengths, and the product is scaled.
    """
    inputs, outputs = sum(linear.n_in for linear in linears), sum(linear.n_out for linear in linears)
    n_weights = sum(linear.n_in * linear.n_out for linear in linears) if with_magnitudes else 0
    n_linears = len(linears)
    return CostProfile(
        adapter_params=sum(rank * (linear.n_in + linear.n_out) for linear in linears),
        saved_activations=0.54 * inputs
        + (1.45 * inputs if dropout else 0.0)
        + (1.85 * outputs if with_magnitudes else 0.0),
        memory_traffic=7.5 * inputs + (9.0 * inputs if dropout else 0.0),
        memory_traffic_backward=9.5 * inputs
        + (2.9 * inputs if dropout else 0.0)
        + (12.0 * outputs if with_magnitudes else 0.0),
        weight_traffic=9.5 * n_weights,
        operations=n_linears * (4.0 + (4.0 if dropout else 0.0) + (10.0 if with_magnitudes else 0.0)),
        random_numbers=inputs if dropout else 0.0,
        operations_backward=n_linears
        * (5.5 + (1.0 if dropout else 0.0) + (10.0 if with_magnitudes else 0.0)),
    )


def full_training(shape: ModelShape) -> CostProfile:
    """Every matrix learns."""
    return CostProfile(trainable_blocks=shape.layers)
