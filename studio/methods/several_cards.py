"""Which plans several GPUs can train together, said before the start."""

from studio.errors import NotPossible
from studio.i18n import Message
from studio.methods.spec import Settings
from studio.models import ranks
from studio.plan import Plan

# Those whose training is one Trainer with one loss: the others have phases, generated examples, a cache or a
# penalty that is not divided among ranks.
METHODS = ("full", "lora", "qlora", "peft", "adapter", "prefix")
# Those of them that can also train with a share of the weights on each GPU (FSDP): what the others add to a
# model whose weights one GPU holds is small.
SHARDED_METHODS = ("full",)
ONE_GPU_ALONE = Message("“{method}” trains on one GPU alone, and “{name}” would train on {count}.")
OFFLOADS_ON_ONE_GPU = Message("Weights are read from the disk (disk_offload) on one GPU alone.")
CHOOSE_WHERE_WEIGHTS_LIE = Message("Set training.disk_offload to false, or train on one GPU.")
CHOOSE_ONE = Message(
    "Choose LoRA or full fine-tuning, or one GPU: training.num_gpus: 1, or a machine with cards: 1."
)


def require_possible(plan: Plan, n_cards: int) -> None:
    """Check before the start that so many GPUs can train a plan together.

    Raises:
        NotPossible: The method cannot, its weights stay on the disk, or its batch cannot be shared out
            evenly.
    """
    if n_cards == 1:
        return
    method = plan.method.name
    if not can_train_together(method, plan.method.settings):
        raise NotPossible(ONE_GPU_ALONE, CHOOSE_ONE, method=method, name=plan.name, count=n_cards)
    if plan.training.disk_offload:
        raise NotPossible(OFFLOADS_ON_ONE_GPU, CHOOSE_WHERE_WEIGHTS_LIE)
    if plan.training.batch_size:
        ranks.share_batch(plan.training.batch_size, plan.training.accumulation_steps, n_cards)


def can_train_together(method: str, settings: Settings) -> bool:
    """Whether several GPUs can train a method together."""
    return method in METHODS and settings.get("type") != "adalora"
