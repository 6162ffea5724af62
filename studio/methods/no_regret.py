"""Hints where a LoRA's plan leaves what lets it learn as well as full fine-tuning.

The three conditions are those of "LoRA Without Regret" (Schulman, Thinking Machines Lab 2025): all layers,
ten times the learning rate of full fine-tuning, and batches that are not large.
"""

from collections.abc import Iterator

from studio import methods
from studio.i18n import Message
from studio.models.shape import ModelShape
from studio.plan import Plan, format_learning_rate

# The methods whose trained part is a LoRA on chosen layers.
LORA_METHODS = ("lora", "qlora")
# The rate is hinted at outside of so many times that of full fine-tuning; ten is what was measured.
LOWEST_RATIO, USUAL_RATIO, HIGHEST_RATIO = 3, 10, 30
MAX_BATCH_SIZE = 32

ALL_LAYERS = Message(
    "Target modules leaves layers out. A LoRA learns as much as full fine-tuning only with all of them; with "
    "fewer it forgets less."
)
EXPERTS_STAY = Message(
    "The experts of this model, {share:.0%} of its weights, stay as they are: a LoRA changes its attention"
    " alone."
)
LOW_RATE = Message(
    "Learning rate {rate} is low for a LoRA: about ten times that of full fine-tuning works best, here "
    "{usual}."
)
HIGH_RATE = Message(
    "Learning rate {rate} is high even for a LoRA: about ten times that of full fine-tuning works best, here "
    "{usual}."
)
LARGE_BATCH = Message(
    "Batch size {size} is large for a LoRA, which loses more by it than full fine-tuning: {most} or less "
    "works best."
)


def find_hints(plan: Plan, shape: ModelShape | None) -> tuple[Message, ...]:
    """What a plan sets that a LoRA learns less well with; empty for other methods.

    Args:
        plan: The plan; what it leaves to the studio is not questioned.
        shape: The base model's shape; None where it is unknown, and the rate is not questioned.
    """
    return tuple(_iterate_hints(plan, shape)) if plan.method.name in LORA_METHODS else ()


def _iterate_hints(plan: Plan, shape: ModelShape | None) -> Iterator[Message]:
    settings = methods.get(plan.method.name).resolve_settings(plan.method.settings)
    if settings["targets"] != "all":
        yield ALL_LAYERS
    if shape and shape.experts.count:
        n_blocks = shape.layers * shape.experts.share
        yield EXPERTS_STAY.format(share=n_blocks * shape.experts.parameters / shape.total())
    if shape and plan.training.learning_rate:
        yield from _check_rate(plan, plan.training.learning_rate, shape)
    if (plan.training.batch_size or 0) > MAX_BATCH_SIZE:
        yield LARGE_BATCH.format(size=plan.training.batch_size, most=MAX_BATCH_SIZE)


def _check_rate(plan: Plan, rate: float, shape: ModelShape) -> Iterator[Message]:
    full = methods.get("full")
    full_rate = full.learning_rate(shape, full.resolve_settings({}), plan.task)
    values = {"rate": format_learning_rate(rate), "usual": format_learning_rate(USUAL_RATIO * full_rate)}
    if rate < LOWEST_RATIO * full_rate:
        yield LOW_RATE.format(**values)
    if rate > HIGHEST_RATIO * full_rate:
        yield HIGH_RATE.format(**values)
