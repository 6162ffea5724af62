"""Counts the shape of a model of whose family the studio has no formula, on a copy of it without weights.

transformers builds the model from its config on the meta device, by its own code and never a model's. That
takes torch, so it runs in a worker or in a child process: `shape.from_config` asks for it.
"""

import inspect
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
)

from studio.errors import ModelUnavailable, explain
from studio.i18n import Message
from studio.models import layers, other_kinds, thin_copy
from studio.models.model_shape import FUSED_MATRICES, KEY_MATRICES, Experts, Linear, ModelShape
from studio.models.own_passes import LONGEST_VIEW, OwnPasses

# Readers, and parts of other models, that transformers lists among those that write.
NOT_CAUSAL = (
    *MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    *MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    *("bert-generation", "xlnet", "cpmant"),
)
# Words in the names of the classes of modules that mix tokens by a state which runs along the text.
STATE_WORDS = ("mamba", "delta", "lightning", "recurrent", "conv", "rwkv", "mixer")
# Matrices that Mamba's kernels read without calling them, so that nothing attached to them would work.
UNCALLED_MATRICES = ("out_proj", "dt_proj")
MAMBA_WORDS = ("mamba", "mixer")
# What configs call the most tokens of a text, and the experts that a router chooses for a token.
CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
ACTIVE_EXPERTS_KEYS = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "top_k_experts", "moe_k")
# What those read that count no positions.
UNBOUNDED_CONTEXT = 1 << 20
N_TRIED_LABELS = 3
# More than any model has.
MAX_LAYERS = 1000

NOT_BUILT = Message("transformers cannot build {name} (“{family}”) from its config: {why}")
NO_BLOCKS = Message(
    "{name} (“{family}”) is not built of blocks behind one another with a head, which is what is trained."
)
LACKS_SUPPORT = Message(
    "transformers’ code for {name} (“{family}”) lacks what a training here needs: {what}."
)
CHOSEN_POSITIONS = Message("scores at chosen positions alone (logits_to_keep)")
RECOMPUTING = Message("computing activations again on the way back (gradient checkpointing)")
NOT_RUN = Message("A small copy of {name} (“{family}”) cannot be run in transformers: {why}")
OTHER_SCORES = Message(
    "{name} (“{family}”) scores words in a way that the studio’s loss does not know, so it would learn"
    " something else than what it writes by."
)


def count(config: Mapping[str, Any], name: str) -> ModelShape:
    """The shape of the causal model that transformers makes of a config.

    Args:
        config: The contents of a `config.json`.
        name: What an error calls the model.

    Raises:
        ModelUnavailable: transformers has no causal model of this kind, or none that can be trained here.
    """
    family = str(config.get("model_type", ""))

    def refuse(message: Message, **values: Any) -> ModelUnavailable:
        return ModelUnavailable(
            message, other_kinds.CHOOSE_OTHER_FAMILY, family=family[:40] or "?", name=name, **values
        )

    if family not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or family in NOT_CAUSAL:
        raise refuse(other_kinds.describe_other_kind(config))
    layer_counts = [value for key, value in config.items() if "layer" in key and isinstance(value, int)]
    if max(layer_counts, default=0) > MAX_LAYERS:  # of a folder from elsewhere, which would fill the memory
        raise ModelUnavailable(other_kinds.IMPOSSIBLE_SIZE, other_kinds.TAKE_WHOLE_COPY, name=name)
    try:
        model = _build(AutoModelForCausalLM, config)
    except Exception as error:
        raise refuse(NOT_BUILT, why=_say_why(error)) from None
    if "logits_to_keep" not in inspect.signature(model.forward).parameters:
        raise refuse(LACKS_SUPPORT, what=CHOSEN_POSITIONS)
    if not model.supports_gradient_checkpointing:
        raise refuse(LACKS_SUPPORT, what=RECOMPUTING)
    counter = _Counter(model, config)
    if not counter.is_regular:
        raise refuse(NO_BLOCKS)
    with torch.device("cpu"):
        try:
            own_passes = OwnPasses(thin_copy.build(config, LONGEST_VIEW))
            has_known_scores = own_passes.are_those_of_padded_rows()
        except Exception as error:
            raise refuse(NOT_RUN, why=_say_why(error)) from None
        if not has_known_scores:
            raise refuse(OTHER_SCORES)
        packs = counter.may_pack and own_passes.are_those_of_packed_texts()
    return replace(counter.shape(), packs=packs)


def _say_why(error: Exception) -> str:
    return " ".join(str(explain(error).message.render()).split())[:200]


def _build(model_class: Any, config: Mapping[str, Any], **changes: Any) -> Any:
    model_config = AutoConfig.for_model(**{**config, **changes})
    with torch.device("meta"):
        return model_class.from_config(model_config, trust_remote_code=False)


def _count(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class _Counter:
    """Reads a model on the meta device, part by part.

    Args:
        model: The model.
        raw_config: The contents of its `config.json`.
    """

    def __init__(self, model: Any, raw_config: Mapping[str, Any]) -> None:
        self.model, self.raw_config = model, raw_config
        self.config = model.config.get_text_config()
        self.head, self.embeddings = model.get_output_embeddings(), model.get_input_embeddings()
        try:
            self.blocks = list(layers.get_blocks(model))
        except AttributeError:
            self.blocks = []

    @property
    def is_regular(self) -> bool:
        """Whether it has blocks, none of which shares weights with another, and a head."""
        if self.head is None or not self.blocks or self.head.weight.shape[1] != self._hidden:
            return False
        n_layers = self._setting(("num_hidden_layers",), len(self.blocks))
        in_blocks = _count(torch.nn.ModuleList(self.blocks))
        return len(self.blocks) == n_layers and in_blocks == sum(self.block_sizes)

    def shape(self) -> ModelShape:
        """The shape of the model."""
        is_tied, width = self.head.weight is self.embeddings.weight, int(self.embeddings.weight.shape[1])
        head_parameters, hidden = 0 if is_tied else _count(self.head), self._hidden
        linears, experts = self.linears, self.experts
        in_linears = sum(round(len(self.blocks) * linear.share) * linear.size for linear in linears)
        in_experts = round(len(self.blocks) * experts.share) * experts.parameters
        counted = ModelShape(
            family=str(self.raw_config["model_type"]),
            encoder=False,
            hidden=hidden,
            layers=len(self.blocks),
            vocabulary=int(self.head.weight.shape[0]),
            context=int(self._setting(CONTEXT_KEYS, UNBOUNDED_CONTEXT)),
            tied=is_tied,
            linears=linears,
            block_other_parameters=(sum(self.block_sizes) - in_linears - in_experts) // len(self.blocks),
            non_block_parameters=_count(self.model) - sum(self.block_sizes) - head_parameters,
            pooler=0,
            class_head=0,
            heads=self.heads,
            kv_width=self.kv_width,
            embedding_width=0 if width == hidden else width,
            head_bias=0 if is_tied else head_parameters - self.head.weight.numel(),
            experts=experts,
            block_sizes=self.block_sizes,
            norm_parameters=self.norm_parameters,
            is_counted=True,
            has_state=self.has_state,
            takes_prefix=self.takes_prefix,
            is_eager=self.config._attn_implementation != "sdpa",
        )
        return replace(counted, has_classifier=self._has_classifier(counted))

    @cached_property
    def block_sizes(self) -> tuple[int, ...]:
        """Parameters of each block."""
        return tuple(_count(block) for block in self.blocks)

    @cached_property
    def linears(self) -> tuple[Linear, ...]:
        """The matrices of the blocks that methods may work on: neither experts' nor routers'."""
        n_with: dict[Linear, int] = {}
        for block in self.blocks:
            for name, module in block.named_modules():
                if not isinstance(module, torch.nn.Linear) or not self._is_target(block, name, module):
                    continue
                n_out, n_in = (int(side) for side in module.weight.shape)
                part = self._part(block, name)
                linear = Linear(name, n_in, n_out, module.bias is not None, part)
                n_with[linear] = n_with.get(linear, 0) + 1
        shared = [replace(linear, share=n_blocks / len(self.blocks)) for linear, n_blocks in n_with.items()]
        # The attention first, whatever order the block defines them in.
        return tuple(sorted(shared, key=lambda linear: linear.part))

    def _is_target(self, block: Any, name: str, module: Any) -> bool:
        path, experts = name.split("."), self.experts
        if any("expert" in part for part in path) or module.weight.shape[0] in (1, experts.count):
            return False
        # Where other blocks have experts, PEFT takes these matrices for theirs.
        if experts.count and path[0] == experts.path:
            return False
        is_mamba = _has_word(block.get_submodule(path[0]), MAMBA_WORDS)
        return not (is_mamba and path[-1] in UNCALLED_MATRICES)

    def _part(self, block: Any, name: str) -> str:
        is_mixer = _has_word(block.get_submodule(name.partition(".")[0]), ("attention", *STATE_WORDS))
        return "attention" if is_mixer else "feed_forward"

    @cached_property
    def experts(self) -> Experts:
        """The experts of the blocks that have some, by the matrices of them all in one parameter."""
        holders = [
            (block, name, module)
            for block in self.blocks
            for name, module in block.named_modules()
            if name.rpartition(".")[2] == "experts"
            and any(p.ndim == 3 for p in module.parameters(recurse=False))
        ]
        if not holders:
            return Experts()
        _, name, module = holders[-1]
        matrices = {key: value for key, value in module.named_parameters() if value.ndim == 3}
        biases = [value for key, value in module.named_parameters() if value.ndim != 3]
        hidden, n_matrices = self._hidden, 3 if "gate_up_proj" in matrices else 2
        n_experts = int(next(iter(matrices.values())).shape[0])
        size = sum(matrix.numel() for matrix in matrices.values()) // n_experts
        # All tokens go through what else there is in their place, in blocks without experts too.
        shared = sum(
            linear.weight.numel()
            for other in self.blocks
            for part, child in other.named_children()
            if part == name.partition(".")[0]
            for linear in child.modules()
            if isinstance(linear, torch.nn.Linear) and linear.weight.shape[0] not in (1, n_experts)
        ) // len(holders)
        return Experts(
            count=n_experts,
            active=int(self._setting(ACTIVE_EXPERTS_KEYS, 1)),
            hidden=hidden,
            inner=size // (n_matrices * hidden),
            shared_inner=shared // (3 * hidden),
            matrices=n_matrices,
            biases=sum(bias.numel() for bias in biases) // n_experts,
            share=len(holders) / len(self.blocks),
            path=name.partition(".")[0],
        )

    @property
    def _hidden(self) -> int:
        return int(self.config.hidden_size)

    @property
    def heads(self) -> int:
        """Attention heads; 1 where there is no attention."""
        return int(self._setting(("num_attention_heads",), 1))

    @property
    def kv_width(self) -> int:
        """Keys of a token in a block, the most where blocks differ."""
        widths = [linear.n_out for linear in self.linears if _last_name(linear) in KEY_MATRICES]
        head_width = self._setting(("head_dim",), self._hidden // self.heads)
        return max(widths, default=self._kv_heads * int(head_width))

    @property
    def norm_parameters(self) -> int:
        """Parameters of all norms."""
        return sum(_count(module) for module in self.model.modules() if layers.is_norm(module))

    @cached_property
    def has_state(self) -> bool:
        """Whether a block passes on more from token to token than keys and values."""
        return any(_has_word(module, STATE_WORDS) for block in self.blocks for module in block.modules())

    @property
    def takes_prefix(self) -> bool:
        """Whether every block makes keys and values of one width, so that others can stand before them."""
        width, heads_width = self.kv_width, self.heads * (self.kv_width // max(1, self._kv_heads))
        fused = heads_width + 2 * width
        makes_keys = [linear.n_out in (width, fused) for linear in self.linears if _makes_keys(linear)]
        shares = [linear.share for linear in self.linears if _makes_keys(linear)]
        return bool(makes_keys) and all(makes_keys) and min(shares) == 1.0 and not self.has_state

    @property
    def _kv_heads(self) -> int:
        return int(self._setting(("num_key_value_heads",), self.heads))

    @property
    def may_pack(self) -> bool:
        """Whether attention is torch's own and positions are told, so that both can begin anew in a row."""
        takes_positions = "position_ids" in inspect.signature(self.model.forward).parameters
        return self.config._attn_implementation == "sdpa" and takes_positions and not self.has_state

    def _has_classifier(self, counted: ModelShape) -> bool:
        """Whether transformers has a model of it with one new matrix for classes, as decoders have."""
        if counted.family not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
            return False
        try:
            model = _build(AutoModelForSequenceClassification, self.raw_config, num_labels=N_TRIED_LABELS)
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError):
            return False
        return hasattr(model, "score") and _count(model) == counted.total(N_TRIED_LABELS)

    def _setting(self, names: tuple[str, ...], otherwise: int) -> Any:
        """The first of some entries of the config that says anything; of blocks that differ, none does."""
        for name in names:
            with suppress(AttributeError, RuntimeError):
                if value := getattr(self.config, name, None):
                    return value
        return otherwise


def _has_word(module: Any, words: Iterable[str]) -> bool:
    name = type(module).__name__.lower()
    return any(word in name for word in words)


def _last_name(linear: Linear) -> str:
    return linear.name.rpartition(".")[2]


def _makes_keys(linear: Linear) -> bool:
    return _last_name(linear) in (*KEY_MATRICES, *FUSED_MATRICES)


def main() -> int:
    """The child process: a config and a name as JSON on stdin; the shape, or why there is none, on stdout."""
    request = json.loads(sys.stdin.read())
    try:
        reply = {"shape": count(request["config"], request["name"]).to_json()}
    except ModelUnavailable as error:
        reply = {"message": error.message.to_json(), "to_do": error.hint.to_json()}
    sys.stdout.write(json.dumps(reply) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
