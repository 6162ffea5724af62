"""Which plans several GPUs can train together, said before the start."""

from studio.errors import NotPossible
from studio.i18n import Message
from studio.models import ranks
from studio.plan import Plan

# Those whose training is one Trainer with one loss: the others have phases, generated examples, a cache or a
# penalty that is not divided among ranks.
METHODS = ("full", "lora", "qlora", "peft", "adapter", "prefix")
ONE_GPU_ALONE = Message("“{method}” trains on one GPU alone, and “{name}” would train on {count}.")
CHOOSE_ONE = Message("Choose LoRA or full fine-tuning, or a machine with cards: 1.")


def require_possible(plan: Plan, n_cards: int) -> None:
    """Check before the start that so many GPUs can train a plan together.

    Raises:
        NotPossible: The method cannot, or its batch cannot be shared out evenly.
    """
    if n_cards == 1:
        return
    method, settings = plan.method.name, plan.method.settings
    if method not in METHODS or settings.get("type") == "adalora":
        raise NotPossible(ONE_GPU_ALONE, CHOOSE_ONE, method=method, name=plan.name, count=n_cards)
    if plan.training.batch_size:
        ranks.share_batch(plan.training.batch_size, plan.training.accumulation_steps, n_cards)
