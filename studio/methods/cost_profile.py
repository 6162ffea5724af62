"""How a method changes a pass through the model, in figures a closed form can count with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from studio.models.shape import Linear, ModelShape


@dataclass(frozen=True)
class CostProfile:
    """How a training pass differs from a plain forward pass.

    All counts are of parameters or activations (not bytes). "Per pass" means once for a micro batch, whatever
    its size; everything but `trainable_blocks`, `cached_blocks` and `virtual_tokens` is per block. The
    constants were read off traces of torch 2.13, transformers 5.23, peft 0.21 and torchao, and a test holds
    them against the trace.

    Args:
        trainable_blocks: blocks, from the top, whose own matrices are trained.
        cached_blocks: blocks, from the bottom, that a pass leaves out because their output is cached.
        adapter_params: parameters in small matrices, each multiplied once per token.
        saved_activations: further activations per token kept for the backward pass.
        memory_traffic: further values read and written per token in the forward pass.
        memory_traffic_backward: the same in the backward pass.
        weight_copies: copies of weights kept per pass.
        weight_traffic: weights made anew per pass, in the forward pass.
        weight_traffic_backward: the same in the backward pass.
        operations: further operations per pass, in the forward pass.
        operations_backward: the same in the backward pass.
        dequantized_params: 4-bit parameters that are dequantized, in the forward and in the backward pass.
        random_numbers: random numbers drawn per token.
        virtual_tokens: virtual tokens before each text, present as keys and values.
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
    """LoRA on these matrices of a block, in PEFT's layers.

    PEFT computes with a 32-bit copy of a matrix's input; dropout keeps another copy and its mask. With
    magnitudes (DoRA) the changed matrix is made once a pass for its lengths, and the product is scaled by
    them.

    Args:
        linears: the matrices of one block that get a LoRA.
        rank: the inner width of each LoRA.
        dropout: whether inputs are dropped.
        with_magnitudes: whether it is DoRA.
    """
    inputs = sum(linear.share * linear.n_in for linear in linears)
    outputs = sum(linear.share * linear.n_out for linear in linears)
    dropped_inputs = inputs if dropout else 0
    scaled_outputs = outputs if with_magnitudes else 0
    weights = sum(linear.share * linear.n_in * linear.n_out for linear in linears)
    remade_weights = weights if with_magnitudes else 0
    n_linears = sum(linear.share for linear in linears)
    n_dropouts = n_linears if dropout else 0
    n_scalings = n_linears if with_magnitudes else 0
    return CostProfile(
        adapter_params=rank * (inputs + outputs),
        saved_activations=0.54 * inputs + 1.45 * dropped_inputs + 1.85 * scaled_outputs,
        memory_traffic=7.5 * inputs + 9.0 * dropped_inputs,
        memory_traffic_backward=9.5 * inputs + 2.9 * dropped_inputs + 12.0 * scaled_outputs,
        weight_traffic=9.5 * remade_weights,
        operations=4.0 * n_linears + 4.0 * n_dropouts + 10.0 * n_scalings,
        operations_backward=5.5 * n_linears + 1.0 * n_dropouts + 10.0 * n_scalings,
        random_numbers=float(dropped_inputs),
    )


def plain_low_rank(linears: Sequence[Linear], rank: int) -> CostProfile:
    """LoRA without dropout on these matrices of a block, in the studio's layers (training/lora_layers.py).

    Product, scaling and sum are one, so the outputs are moved once where PEFT moves them three times.

    Args:
        linears: As for `low_rank`.
        rank: As there.
    """
    inputs = sum(linear.share * linear.n_in for linear in linears)
    in_pefts_layers = low_rank(linears, rank, dropout=False)
    return replace(in_pefts_layers, memory_traffic=3.4 * inputs, memory_traffic_backward=7.5 * inputs)


def full_training(shape: ModelShape) -> CostProfile:
    """Every matrix is trained."""
    return CostProfile(trainable_blocks=shape.layers)
