"""LayerNorm tuning, an eleventh method for tests: one Method here and one card in layernorm_tuning.yaml.

Zhao et al. 2023: only the weights of the LayerNorm and RMSNorm layers are trained.
"""

from typing import Any

from studio.i18n import Message
from studio.methods.cost_profile import CostProfile
from studio.methods.spec import Method, ParameterCount, Setting, Settings, TrainingContext
from studio.methods.training import full_model_io
from studio.models.shape import ModelShape
from studio.plan import Task

NAME = "layernorm"
SETTINGS = (
    Setting(
        "scope",
        Message("Which norms learn (scope)", translations={"zh": "训练哪些归一化层（scope）"}),
        Message("The last norm alone changes little.", translations={"zh": "只训练最后一层改动很小。"}),
        "all",
        "choice",
        choices=(
            ("all", Message("All of them", translations={"zh": "全部"})),
            ("last", Message("The last one alone", translations={"zh": "只有最后一层"})),
        ),
    ),
)


def learning_rate(shape: ModelShape, settings: Settings, task: Task) -> float:
    """Ten times that of LoRA."""
    return 1e-2 if shape.total() < 400e6 else 2e-3


def count_parameters(shape: ModelShape, settings: Settings, num_labels: int) -> ParameterCount:
    """The norms of the blocks and the last one, and a new head where there are labels."""
    block_norms = shape.layers * shape.block_other_parameters if settings["scope"] == "all" else 0
    head = shape.head(num_labels) if num_labels else 0
    return ParameterCount(block_norms + shape.hidden + head, shape.total(num_labels))


def cost_profile(shape: ModelShape, settings: Settings) -> CostProfile:
    """Two norms of a block keep their inputs."""
    return CostProfile(saved_activations=2.0 * shape.hidden)


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """Everything is frozen but the weights of the norms."""
    model.requires_grad_(False)
    norms = [module for module in model.modules() if type(module).__name__.endswith("Norm")]
    for norm in norms if settings["scope"] == "all" else norms[-1:]:
        norm.requires_grad_(True)
    return model


def train(context: TrainingContext) -> Any:
    """Supervised training of the norms."""
    from studio.methods.training import supervised

    supervised.fit(context)
    return context.model


METHOD = Method(
    name=NAME,
    tasks=("chat", "complete"),
    settings=SETTINGS,
    exports=("merged",),
    weights="trained",
    learning_rate=learning_rate,
    count_parameters=count_parameters,
    cost_profile=cost_profile,
    attach=attach,
    train=train,
    save=full_model_io.save,
    load=full_model_io.load,
    merge=full_model_io.load,
)
