"""The bottleneck adapter (Houlsby et al. 2019) as a PEFT tuner.

x + up(relu(down(x))) follows a block's output projections.

PEFT has no such tuner. Its entry for new ones (register_peft_method) only takes names of its list of types,
so the name is added to that list first; `tests/methods/training/test_bottleneck.py` checks it.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from peft.config import PeftConfig
from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils import register_peft_method
from peft.utils.peft_types import PeftType

PEFT_TYPE_NAME = "BOTTLENECK"
CANNOT_MERGE = (
    "A bottleneck adapter has a ReLU inside and cannot be merged; keep base and adapter, or unload it."
)


def _register_peft_type() -> PeftType:
    """PEFT's own type of this name, added to its closed enum where it is missing."""
    if PEFT_TYPE_NAME not in PeftType.__members__:
        member = str.__new__(PeftType, PEFT_TYPE_NAME)
        member._name_ = member._value_ = PEFT_TYPE_NAME
        member._sort_order_ = len(PeftType.__members__)
        PeftType._member_names_.append(PEFT_TYPE_NAME)
        PeftType._member_map_[PEFT_TYPE_NAME] = member
        PeftType._value2member_map_[PEFT_TYPE_NAME] = member
        type.__setattr__(PeftType, PEFT_TYPE_NAME, member)
    return PeftType[PEFT_TYPE_NAME]


@dataclass
class BottleneckConfig(PeftConfig):  # type: ignore[misc] # PEFT's types are not followed
    """What an adapter is made of.

    Args:
        size: the width of the narrow layer.
        dropout: the share of its input that is dropped.
        target_modules: a regular expression for the modules it follows.
    """

    size: int = field(default=64)
    dropout: float = field(default=0.0)
    target_modules: Any = field(default=None)
    exclude_modules: Any = field(default=None)
    modules_to_save: Any = field(default=None)
    layers_to_transform: Any = field(default=None)
    layers_pattern: Any = field(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = _register_peft_type()


class BottleneckLayer(torch.nn.Module, BaseTunerLayer):  # type: ignore[misc] # neither's types are followed
    """A matrix of the base, or its experts, followed by the active adapters.

    Each weight has its own dictionary: PEFT finds an adapter's name in a key only at its end or one before
    it.
    """

    adapter_layer_names = ("bottleneck_down", "bottleneck_up")
    other_param_names = ("bottleneck_dropout",)

    def __init__(self, base_layer: Any, name: str, config: BottleneckConfig, hidden_size: int = 0) -> None:
        super().__init__()
        self.base_layer = base_layer
        # GPT-2's own layer (Conv1D) calls them nx and nf; a block of experts does not name them.
        names = (("in_features", "nx"), ("out_features", "nf"))
        self.in_features, self.out_features = (
            getattr(base_layer, name, 0) or getattr(base_layer, other, hidden_size) for name, other in names
        )
        self.bottleneck_down = torch.nn.ModuleDict()
        self.bottleneck_up = torch.nn.ModuleDict()
        self.bottleneck_dropout = torch.nn.ModuleDict()
        self.merged_adapters: list[str] = []
        self._disable_adapters = False
        self._active_adapter = name
        self.add(name, config)

    def add(self, name: str, config: BottleneckConfig) -> None:
        """Add an adapter, which changes nothing yet."""
        down = torch.nn.Linear(self.out_features, config.size)
        up = torch.nn.Linear(config.size, self.out_features)
        # An adapter starts as the identity. `down` starts as any layer does, or its ReLUs hardly move.
        torch.nn.init.zeros_(up.weight)
        torch.nn.init.zeros_(up.bias)
        self.bottleneck_down[name], self.bottleneck_up[name] = down, up
        self.bottleneck_dropout[name] = torch.nn.Dropout(config.dropout)
        self._move_adapter_to_device_of_base_layer(name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Rows x tokens x n_in to rows x tokens x n_out, in the base's dtype.

        Some blocks of experts return what their router thought beside it, which stays as it is.
        """
        output = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters:
            return output
        if isinstance(output, tuple):
            return (self._adapt(output[0]), *output[1:])
        return self._adapt(output)

    def _adapt(self, output: torch.Tensor) -> torch.Tensor:
        for name in self.active_adapters:
            if name in self.bottleneck_down:
                down, up = self.bottleneck_down[name], self.bottleneck_up[name]
                hidden = torch.relu(_multiply(down, self.bottleneck_dropout[name](output)))
                output = output + _multiply(up, hidden).to(output.dtype)
        return output

    def merge(self, safe_merge: bool = False, adapter_names: Any = None) -> None:
        """Refused: what is not linear cannot be added into a matrix."""
        raise ValueError(CANNOT_MERGE)

    def unmerge(self) -> None:
        """Nothing is ever merged."""


def _multiply(layer: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """A small matrix in the format of its input, which is not copied to 32 bits for autocast to copy back."""
    return torch.nn.functional.linear(x, layer.weight.to(x.dtype), layer.bias.to(x.dtype))


class BottleneckModel(BaseTuner):  # type: ignore[misc] # PEFT's types are not followed
    """A PEFT model with bottleneck adapters."""

    prefix: str = "bottleneck_"
    tuner_layer_cls = BottleneckLayer
    target_module_mapping: dict[str, Any] = {}  # noqa: RUF012 - PEFT reads it from the class

    def _create_and_replace(
        self,
        peft_config: Any,
        adapter_name: str,
        target: Any,
        target_name: str,
        parent: Any,
        current_key: str,
        **_: Any,
    ) -> None:
        if isinstance(target, BottleneckLayer):
            target.add(adapter_name, peft_config)
            return
        layer = BottleneckLayer(target, adapter_name, peft_config, self.model.config.hidden_size)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)

    def _check_merge_allowed(self) -> None:
        raise ValueError(CANNOT_MERGE)


if _register_peft_type() not in PEFT_TYPE_TO_TUNER_MAPPING:
    register_peft_method(name=PEFT_TYPE_NAME.lower(), config_cls=BottleneckConfig, model_cls=BottleneckModel)
