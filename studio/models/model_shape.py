"""The shape of a model: the sizes of its parts, from which parameters, memory and time are computed."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

# The last names of matrices that make keys, and of those that make them together with queries and values.
KEY_MATRICES = ("k_proj", "key", "k_lin", "k")
FUSED_MATRICES = ("Wqkv", "c_attn", "qkv_proj", "query_key_value", "qkv")


@dataclass(frozen=True)
class Linear:
    """One matrix of a block.

    Attributes:
        name: Its module's path within the block.
        n_in: Input features.
        n_out: Output features.
        bias: Whether it has a bias.
        part: "attention" or "feed_forward".
        share: The share of the blocks that have it.
    """

    name: str
    n_in: int
    n_out: int
    bias: bool
    part: str
    share: float = 1.0

    @property
    def size(self) -> int:
        """Parameters of the matrix and its bias."""
        return self.n_in * self.n_out + (self.n_out if self.bias else 0)


@dataclass(frozen=True)
class Experts:
    """The feed-forward part of a block as experts: gated networks, of which each token goes through a few.

    transformers holds them in two parameters, gate_up_proj and down_proj, and in no matrices of their own.
    What is attached to matrices (LoRA and its like) leaves experts as they are, also one that all tokens go
    through: PEFT 0.21 would take its matrices for those of the others.

    Attributes:
        count: Experts of a block.
        active: Those that a router chooses for a token.
        hidden: Width of what goes in and comes out.
        inner: Width of an expert's inner activations.
        shared_inner: The same of an expert that all tokens go through; 0 where there is none.
        matrices: Matrices of an expert: 3 with a gate, 2 without.
        biases: Parameters of an expert beside its matrices.
        share: The share of the blocks that have experts.
        path: The name of the module of a block that they are in.
    """

    count: int = 0
    active: int = 0
    hidden: int = 0
    inner: int = 0
    shared_inner: int = 0
    matrices: int = 3
    biases: int = 0
    share: float = 1.0
    path: str = "mlp"

    @property
    def size(self) -> int:
        """Parameters of an expert."""
        return self.matrices * self.hidden * self.inner + self.biases

    @property
    def shared_size(self) -> int:
        """Parameters of the expert that all tokens go through."""
        return 3 * self.hidden * self.shared_inner

    @property
    def parameters(self) -> int:
        """Parameters of all of them, of the router, and of the gate of the shared one."""
        n_gates = self.count + (1 if self.shared_inner else 0)
        return self.count * self.size + self.shared_size + n_gates * self.hidden

    @property
    def widths(self) -> int:
        """Summed widths (in and out) of the matrices of the experts that a token goes through."""
        return self.matrices * self.active * (self.hidden + self.inner)

    @property
    def activations(self) -> int:
        """Values of a token in them: two inner activations, their product, and what comes out."""
        return self.active * (self.hidden + 3 * self.inner)


@dataclass(frozen=True)
class ModelShape:
    """The parts of a model with their sizes: `layers` equal blocks between embeddings and a head.

    Attributes:
        family: The `model_type` of its config.
        encoder: Whether it reads whole texts (BERT) rather than writing them token by token.
        hidden: Width of the hidden states.
        layers: Blocks.
        vocabulary: Tokens in the vocabulary.
        context: The most tokens of a text, as its positions allow.
        tied: Whether the language head shares the matrix of the embeddings.
        linears: The matrices of one block, experts aside.
        block_other_parameters: Parameters of a block outside its matrices (norms).
        non_block_parameters: Parameters outside the blocks and the head: embeddings, positions, norms.
        pooler: Parameters of the pooler that a classification head reads from; 0 without one.
        class_head: Parameters of a classification head before its last matrix.
        heads: Attention heads.
        first_block_missing: Parameters that the first block lacks.
        mean_pooled: Whether a classifier reads the mean of the tokens (PooledClassifier).
        embedding_norms: Parameters of the norms around the blocks, which are no part of any.
        head_bias: Parameters of the bias of an untied language head.
        head_modules: Modules of a new classification head beside those named classifier and score.
        embedding_width: Width of the embeddings of tokens, where that is not `hidden` (ELECTRA); else 0.
        kv_width: Keys of a token in a block, and as many values; as wide as the attention where it is 0.
        experts: The experts of one block; none where all tokens go through all matrices.
        block_sizes: Parameters of each block, where they are not all alike or were counted on the model.
        norm_parameters: Parameters of all norms, where they were counted on the model.
        is_counted: Whether it was counted on the model, and not by the formulas of its family.
        has_classifier: Whether transformers has a model of its kind that sorts texts.
        has_state: Whether a block passes something on from token to token beside keys and values.
        takes_prefix: Whether its blocks take keys and values from outside.
        is_eager: Whether transformers computes its attention step by step, with scores for all of a row.
        packs: Whether texts may stand behind one another in a row, each attending within itself.
    """

    family: str
    encoder: bool
    hidden: int
    layers: int
    vocabulary: int
    context: int
    tied: bool
    linears: tuple[Linear, ...]
    block_other_parameters: int
    non_block_parameters: int
    pooler: int
    class_head: int
    heads: int
    first_block_missing: int = 0
    mean_pooled: bool = False
    embedding_norms: int = 0
    head_bias: int = 0
    head_modules: tuple[str, ...] = ()
    kv_width: int = 0
    embedding_width: int = 0
    experts: Experts = Experts()
    block_sizes: tuple[int, ...] = ()
    norm_parameters: int = 0
    is_counted: bool = False
    has_classifier: bool = True
    has_state: bool = False
    takes_prefix: bool = True
    is_eager: bool = False
    packs: bool = True

    @cached_property
    def blocks(self) -> int:
        """Parameters of all blocks together."""
        return self.top_blocks(self.layers)

    def top_blocks(self, n_blocks: int) -> int:
        """Parameters of the last blocks, from which a token is predicted.

        A shape that was cut to fewer layers (studio.models.layers.keep_lower_blocks) keeps the first ones.
        """
        if self.block_sizes:
            return sum(self.block_sizes[self.layers - n_blocks : self.layers])
        matrices = sum(linear.size for linear in self.linears)
        block = matrices + self.experts.parameters + self.block_other_parameters
        return n_blocks * block - (self.first_block_missing if n_blocks == self.layers else 0)

    def over_blocks(self, count: Callable[[Linear], int]) -> int:
        """The sum of a count over the matrices of all blocks."""
        return sum(round(self.layers * linear.share) * count(linear) for linear in self.linears)

    def per_block(self, count: Callable[[Linear], float]) -> float:
        """The sum of a count over the matrices of a block, of blocks that differ on average."""
        return sum(linear.share * count(linear) for linear in self.linears)

    @cached_property
    def attention_width(self) -> int:
        """Values per token that the attention mixes: its heads concatenated."""
        widths = (linear.n_in for linear in reversed(self.linears) if linear.part == "attention")
        return next(widths, self.hidden)

    @property
    def kinds(self) -> set[str]:
        """What of it decides which methods train it: the ModelKinds of studio.presets."""
        traits = {
            "experts": self.experts.count > 0,
            "state": self.has_state,
            "no_prefix": not self.takes_prefix,
            "uneven": any(not self._ends_alike(part) for part in ("attention", "feed_forward")),
        }
        return {kind for kind, holds in traits.items() if holds}

    def _ends_alike(self, part: str) -> bool:
        """Whether a part ends in the same matrix in every block; experts stand for the feed-forward part."""
        shares = [linear.share for linear in self.linears if linear.part == part]
        stands_for_it = part == "feed_forward" and self.experts.count > 0
        return stands_for_it or (bool(shares) and shares[-1] == 1.0)

    @property
    def kv_cache_width(self) -> int:
        """Values per token and block in the KV cache: the keys and the values."""
        return 2 * (self.kv_width or self.attention_width)

    def total(self, labels: int = 0) -> int:
        """All parameters: with a language head, or with a head for `labels` classes where that is above 0."""
        backbone = self.non_block_parameters + self.blocks
        if labels:
            return backbone + self.pooler + self.head(labels)
        if self.tied or self.encoder:
            return backbone
        return backbone + self.vocabulary * self.hidden + self.head_bias

    def active(self) -> int:
        """Parameters that a token goes through on its way to the vocabulary: not those of other experts."""
        n_blocks, n_idle = round(self.layers * self.experts.share), self.experts.count - self.experts.active
        return self.total() - n_blocks * n_idle * self.experts.size

    def head(self, labels: int) -> int:
        """Parameters of a new head for `labels` classes; only that of an encoder has a bias."""
        return self.class_head + labels * self.hidden + (labels if self.encoder else 0)

    def to_json(self) -> dict[str, Any]:
        """The shape as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ModelShape":
        """A shape from `to_json`."""
        parts = {
            "linears": tuple(Linear(**linear) for linear in values["linears"]),
            "experts": Experts(**values["experts"]),
            "block_sizes": tuple(values["block_sizes"]),
            "head_modules": tuple(values["head_modules"]),
        }
        return cls(**{**values, **parts})
