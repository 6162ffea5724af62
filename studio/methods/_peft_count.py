"""How many numbers each of PEFT's methods trains, from a model's shape alone; tests hold it against PEFT itself for every model."""

from collections.abc import Callable

from studio.methods.base import Settings
from studio.models.shape import Linear, ModelShape

# Keys and values under the names of every family; ModernBERT holds them in one matrix with the queries.
KEYS_VALUES = ("self_attn.k_proj", "self_attn.v_proj", "attention.self.key", "attention.self.value", "attn.Wqkv")


def dora(shape: ModelShape, own: Settings) -> int:
    """r · (n_in + n_out) as for LoRA, and a length for each of the n_out outputs (Liu et al. 2024)."""
    rank = int(own["r"])
    return _each(shape, lambda linear: rank * (linear.n_in + linear.n_out) + linear.n_out)


def adalora(shape: ModelShape, own: Settings) -> int:
    """r · (n_in + n_out + 1) at the initial rank: left and right directions and their strengths (Zhang et al. 2023, eq. 3)."""
    rank = int(own["init_r"])
    return _each(shape, lambda linear: rank * (linear.n_in + linear.n_out + 1))


def ia3(shape: ModelShape, own: Settings) -> int:
    """One factor for each key, value and number inside the feed-forward part (Liu et al. 2022, section 3.3)."""
    return shape.layers * (sum(linear.n_out for linear in keys_values(shape)) + feed_forward(shape).n_in)


def loha(shape: ModelShape, own: Settings) -> int:
    """2r · (n_in + n_out): two low-rank matrices, multiplied number by number (Hyeon-Woo et al. 2022, proposition 1)."""
    return _each(shape, lambda linear: 2 * int(own["r"]) * (linear.n_in + linear.n_out))


def lokr(shape: ModelShape, own: Settings) -> int:
    """The two factors of a Kronecker product, each whole or in low rank where that is smaller (Yeh et al. 2024, section 3)."""
    rank, factor = int(own["r"]), int(own["decompose_factor"])

    def each(linear: Linear) -> int:
        (in_small, in_large), (out_small, out_large) = split(linear.n_in, factor), split(linear.n_out, factor)
        thin = own["decompose_both"] and rank < max(out_small, in_small) / 2
        small = rank * (out_small + in_small) if thin else out_small * in_small
        large = rank * (out_large + in_large) if rank < max(out_large, in_large) / 2 else out_large * in_large
        return small + large

    return _each(shape, each)


def split(size: int, factor: int) -> tuple[int, int]:
    """The two divisors of a width that LoKr works with, the smaller first unless `factor` divides (LyCORIS' rule)."""
    if factor > 0 and size % factor == 0:
        return factor, size // factor
    most = size if factor == -1 else factor
    small, large = 1, size
    while small < large:
        following = small + 1
        while size % following:
            following += 1
        if following + size // following > small + large or following > most:
            break
        small, large = following, size // following
    return min(small, large), max(small, large)


def oft(shape: ModelShape, own: Settings) -> int:
    """b(b - 1)/2 numbers for each rotation of b inputs, n_in/b rotations a matrix or one for all (Qiu et al. 2023, section 3.3)."""

    def each(linear: Linear) -> int:
        if own["r"]:
            blocks = divisor(linear.n_in, int(own["r"]))
            size = linear.n_in // blocks
        else:
            size = divisor(linear.n_in, int(own["oft_block_size"]) or 1)
            blocks = linear.n_in // size
        return (1 if own["block_share"] else blocks) * size * (size - 1) // 2

    return _each(shape, each)


def divisor(size: int, wanted: int) -> int:
    """The divisor of a width that is nearest to the one wanted, the smaller of two; PEFT's own rule."""
    if wanted >= size:
        return size
    lower = next(value for value in range(wanted, 0, -1) if size % value == 0)
    higher = next(value for value in range(wanted, size + 1) if size % value == 0)
    return lower if wanted - lower <= higher - wanted else higher


def vera(shape: ModelShape, own: Settings) -> int:
    """n_out + r: two vectors a matrix (Kopiczko et al. 2024, table 1); the shared random matrices are no parameters of the model."""
    return _each(shape, lambda linear: linear.n_out + int(own["r"]))


def prompt_tuning(shape: ModelShape, own: Settings) -> int:
    """One embedding for each virtual word (Lester et al. 2021)."""
    return int(own["num_virtual_tokens"]) * shape.hidden


def p_tuning(shape: ModelShape, own: Settings) -> int:
    """The embeddings and the network over them: three layers, or an LSTM in both directions and two layers (Liu et al. 2021)."""
    width, inner = shape.hidden, int(own["encoder_hidden_size"])
    words = int(own["num_virtual_tokens"]) * width
    if own["encoder_reparameterization_type"] == "MLP":
        return words + _layer(width, inner) + _layer(inner, inner) + _layer(inner, width)
    inputs = [width] + [2 * inner] * (int(own["encoder_num_layers"]) - 1)
    lstm = sum(2 * 4 * inner * (n_in + inner + 2) for n_in in inputs)
    return words + lstm + _layer(2 * inner, 2 * inner) + _layer(2 * inner, width)


def ln_tuning(shape: ModelShape, own: Settings) -> int:
    """The norms of the blocks and around them (Zhao et al. 2023): beside the embeddings too in an encoder, with a bias in BERT."""
    outside = 2 * shape.hidden if shape.encoder else shape.hidden
    return shape.layers * shape.block_other - shape.first_block_less + outside


def frozen(kind: str, shape: ModelShape) -> int:
    """What a method adds and does not train: AdaLoRA notes beside each matrix the rank it began with."""
    return shape.layers * len(shape.linears) if kind == "adalora" else 0


def keys_values(shape: ModelShape) -> tuple[Linear, ...]:
    """The matrices whose outputs are keys and values."""
    return tuple(linear for linear in shape.linears if linear.name in KEYS_VALUES)


def feed_forward(shape: ModelShape) -> Linear:
    """The matrix that reads the inner numbers of the feed-forward part: the last of a block."""
    return shape.linears[-1]


def _each(shape: ModelShape, size: Callable[[Linear], int]) -> int:
    return shape.layers * sum(size(linear) for linear in shape.linears)


def _layer(n_in: int, n_out: int) -> int:
    return n_in * n_out + n_out


ADDED: dict[str, Callable[[ModelShape, Settings], int]] = {
    "dora": dora,
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
