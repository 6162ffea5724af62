"""How many parameters each of PEFT's methods trains, from a model's shape alone.

Tests hold every formula against PEFT itself for every model.
"""

from collections.abc import Callable

from studio.methods.spec import Settings
from studio.models.model_shape import FUSED_MATRICES, KEY_MATRICES, Linear, ModelShape

# Keys and values under the names of all families; some have them in one matrix with the queries.
KEY_VALUE_NAMES = (*KEY_MATRICES, "v_proj", "value", "v_lin", "v", *FUSED_MATRICES)


def dora(shape: ModelShape, settings: Settings) -> int:
    """r · (n_in + n_out) as for LoRA, and a length for each of the n_out outputs (Liu et al. 2024)."""
    rank = int(settings["r"])
    return _sum_over_linears(shape, lambda linear: rank * (linear.n_in + linear.n_out) + linear.n_out)


def lora_mlp(shape: ModelShape, settings: Settings) -> int:
    """r · (n_in + n_out) as for LoRA, over the matrices of the feed-forward part alone."""
    rank = int(settings["r"])
    return _sum_over_linears(
        shape, lambda linear: rank * (linear.n_in + linear.n_out) * (linear.part == "feed_forward")
    )


def miss(shape: ModelShape, settings: Settings) -> int:
    """r · n_out: one matrix, which reads the sums over the r-wide blocks of an input (Kang and Yin 2024)."""
    rank = int(settings["r"])
    return _sum_over_linears(shape, lambda linear: rank * linear.n_out)


def adalora(shape: ModelShape, settings: Settings) -> int:
    """r · (n_in + n_out + 1) at the initial rank: singular vectors and values (Zhang et al. 2023, eq. 3)."""
    rank = int(settings["init_r"])
    return _sum_over_linears(shape, lambda linear: rank * (linear.n_in + linear.n_out + 1))


def ia3(shape: ModelShape, settings: Settings) -> int:
    """One factor for each key, value and inner activation of the feed-forward part.

    Liu et al. 2022, section 3.3.
    """
    keys_and_values, outputs = key_value_linears(shape), feed_forward_outputs(shape)
    return _sum_over_linears(
        shape, lambda linear: (linear in keys_and_values) * linear.n_out + (linear in outputs) * linear.n_in
    )


def loha(shape: ModelShape, settings: Settings) -> int:
    """2r · (n_in + n_out): two low-rank matrices, multiplied elementwise.

    Hyeon-Woo et al. 2022, proposition 1.
    """
    rank = int(settings["r"])
    return _sum_over_linears(shape, lambda linear: 2 * rank * (linear.n_in + linear.n_out))


def lokr(shape: ModelShape, settings: Settings) -> int:
    """The two factors of a Kronecker product, each in low rank where that is smaller.

    Yeh et al. 2024, section 3.
    """
    rank, factor = int(settings["r"]), int(settings["decompose_factor"])

    def count_factors(linear: Linear) -> int:
        in_small, in_large = kronecker_factors(linear.n_in, factor)
        out_small, out_large = kronecker_factors(linear.n_out, factor)
        small_factor, large_factor = out_small * in_small, out_large * in_large
        if settings["decompose_both"] and rank < max(out_small, in_small) / 2:
            small_factor = rank * (out_small + in_small)
        if rank < max(out_large, in_large) / 2:
            large_factor = rank * (out_large + in_large)
        return small_factor + large_factor

    return _sum_over_linears(shape, count_factors)


def kronecker_factors(size: int, factor: int) -> tuple[int, int]:
    """The two divisors of a width that LoKr uses, the smaller first unless `factor` divides it.

    LyCORIS' rule.
    """
    if factor > 0 and size % factor == 0:
        return factor, size // factor
    max_factor = size if factor == -1 else factor
    small, large = 1, size
    while small < large:
        candidate = small + 1
        while size % candidate:
            candidate += 1
        if candidate + size // candidate > small + large or candidate > max_factor:
            break
        small, large = candidate, size // candidate
    return min(small, large), max(small, large)


def oft(shape: ModelShape, settings: Settings) -> int:
    """b(b - 1)/2 for each rotation of b inputs; n_in/b rotations a matrix, or one.

    Qiu et al. 2023, section 3.3.
    """

    def count_rotations(linear: Linear) -> int:
        if settings["r"]:
            n_blocks = nearest_divisor(linear.n_in, int(settings["r"]))
            block_size = linear.n_in // n_blocks
        else:
            block_size = nearest_divisor(linear.n_in, int(settings["oft_block_size"]) or 1)
            n_blocks = linear.n_in // block_size
        n_rotations = 1 if settings["block_share"] else n_blocks
        return n_rotations * block_size * (block_size - 1) // 2

    return _sum_over_linears(shape, count_rotations)


def nearest_divisor(size: int, target: int) -> int:
    """The divisor of a width nearest to the target, the smaller of two as near; PEFT's own rule."""
    if target >= size:
        return size
    lower = next(value for value in range(target, 0, -1) if size % value == 0)
    higher = next(value for value in range(target, size + 1) if size % value == 0)
    return lower if target - lower <= higher - target else higher


def vera(shape: ModelShape, settings: Settings) -> int:
    """n_out + r: two vectors a matrix (Kopiczko et al. 2024, table 1).

    The shared random matrices are no parameters of the model.
    """
    rank = int(settings["r"])
    return _sum_over_linears(shape, lambda linear: linear.n_out + rank)


def prompt_tuning(shape: ModelShape, settings: Settings) -> int:
    """One embedding for each virtual token (Lester et al. 2021)."""
    return int(settings["num_virtual_tokens"]) * (shape.embedding_width or shape.hidden)


def p_tuning(shape: ModelShape, settings: Settings) -> int:
    """The embeddings and the network over them: three layers, or a bidirectional LSTM and two.

    Liu et al. 2021.
    """
    width, inner = shape.embedding_width or shape.hidden, int(settings["encoder_hidden_size"])
    embeddings = int(settings["num_virtual_tokens"]) * width
    if settings["encoder_reparameterization_type"] == "MLP":
        mlp = _count_linear(width, inner) + _count_linear(inner, inner) + _count_linear(inner, width)
        return embeddings + mlp
    input_widths = [width] + [2 * inner] * (int(settings["encoder_num_layers"]) - 1)
    lstm = sum(2 * 4 * inner * (n_in + inner + 2) for n_in in input_widths)
    mlp = _count_linear(2 * inner, 2 * inner) + _count_linear(2 * inner, width)
    return embeddings + lstm + mlp


def ln_tuning(shape: ModelShape, settings: Settings) -> int:
    """The norms of the blocks and around them (Zhao et al. 2023).

    They have a bias where the family has biases.
    """
    if shape.norm_parameters or shape.is_counted:
        return shape.norm_parameters
    block_norms = shape.layers * shape.block_other_parameters - shape.first_block_missing
    return block_norms + shape.embedding_norms


def count_saved(kind: str, shape: ModelShape, settings: Settings) -> int:
    """How many parameters a result holds, a new head aside; mostly those that were trained.

    AdaLoRA has cut its ranks to target_r on average, whichever matrices they are left in. VeRA writes the two
    random matrices too, which are as large as the widest matrix asks for: PEFT could draw them again from
    their seed, but warns that another system may draw others. Of virtual tokens their embeddings are left.
    """
    if kind in ("prompt_tuning", "p_tuning"):
        return prompt_tuning(shape, settings)
    if kind == "adalora":
        return adalora(shape, {**settings, "init_r": settings["target_r"]})
    n_trained = PARAMETER_COUNTERS[kind](shape, settings)
    if kind != "vera":
        return n_trained
    widest_in, widest_out = (
        max(linear.n_in for linear in shape.linears),
        max(linear.n_out for linear in shape.linears),
    )
    return n_trained + int(settings["r"]) * (widest_in + widest_out)


def count_frozen(kind: str, shape: ModelShape) -> int:
    """What a method adds and does not train: AdaLoRA stores for each matrix the rank it started with."""
    return shape.over_blocks(lambda linear: 1) if kind == "adalora" else 0


def key_value_linears(shape: ModelShape) -> tuple[Linear, ...]:
    """The matrices whose outputs are keys and values."""
    return tuple(linear for linear in shape.linears if linear.name.rpartition(".")[2] in KEY_VALUE_NAMES)


def feed_forward_outputs(shape: ModelShape) -> tuple[Linear, ...]:
    """The matrix that reads the inner activations of the feed-forward part, the last; none with experts."""
    return () if shape.experts.count else shape.linears[-1:]


def _sum_over_linears(shape: ModelShape, count: Callable[[Linear], int]) -> int:
    return shape.over_blocks(count)


def _count_linear(n_in: int, n_out: int) -> int:
    return n_in * n_out + n_out


PARAMETER_COUNTERS: dict[str, Callable[[ModelShape, Settings], int]] = {
    "dora": dora,
    "lora_mlp": lora_mlp,
    "miss": miss,
    "adalora": adalora,
    "ia3": ia3,
    "loha": loha,
    "lokr": lokr,
    "oft": oft,
    "vera": vera,
    "prompt_tuning": prompt_tuning,
    "p_tuning": p_tuning,
    "ln_tuning": ln_tuning,
}
