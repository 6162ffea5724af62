"""How long and in what batches to train where a plan does not say: a rule on the amount of data and the task.

The rule and where it comes from:

- A step wants enough examples to point the right way, and a run enough steps to get anywhere. Batches of 8
  below 1,000 examples, 16 below 5,000, else 32: the sizes used in the papers of LoRA (Hu et al. 2021: 16 to
  128 on 2,500 to 400,000 examples) and QLoRA (Dettmers et al. 2023: 16 on 10,000 to 50,000), smaller where
  there is less.
- Epochs so that a run has about the steps that suffice on the samples and on banking77 (measured:
  docs/methods.md#epoch_rules): 250 for answers, 1,200 for classes, within 1 to 3 epochs for texts (more is
  learned by heart: Dettmers et al. train 1 to 3) and 3 to 8 for classes, whose head starts from a linear fit.
- Methods that start further from the goal (prefixes, vectors) take more epochs, as their authors do (Li and
  Liang 2021: 10 and more).
- The length limit is that of the examples: the smallest multiple of 64 tokens that at most one in a hundred
  exceeds (of pairs, question and longer answer). A longer limit costs nothing but is no use, a shorter one
  cuts or drops examples (docs/methods.md#length).
- A warm-up of 5 % of the steps. The learning rate is the method's own, by the model's size, in its file with
  its source.
"""

import math
from collections import Counter
from collections.abc import Sequence

from studio.methods.spec import Method, Settings
from studio.methods.training.sampling_sizes import MAX_COMPLETION_TOKENS
from studio.methods.workload import RowTokens
from studio.models.shape import ModelShape
from studio.plan import Plan, Task, Training

# (examples below this, examples per step)
BATCH_SIZES = ((1_000, 8), (5_000, 16), (math.inf, 32))
# Steps to aim at, and the fewest and most epochs.
EPOCH_RULES: dict[Task, tuple[int, int, int]] = {
    "chat": (250, 1, 3),
    "complete": (250, 1, 3),
    "classify": (1_200, 3, 8),
    "prefer": (40, 1, 3),
    "prompts": (60, 1, 2),
}
# The share of the examples that may be longer than the limit, and the steps in which it is chosen (tokens).
MAX_LONGER_SHARE, LENGTH_STEP = 0.01, 64
# The longest limit that is chosen (tokens). The memory of a step grows with its longest text, so a few very
# long examples would keep the others from fitting. A plain text is cut into pieces, of which none is lost.
MAX_DEFAULT_LENGTH: dict[Task, int] = {
    "chat": 2048,
    "complete": 512,
    "classify": 2048,
    "prefer": 2048,
    "prompts": 2048,
}
# The most tokens that are computed at once (examples x length limit). A step keeps what it computes for each
# token until its backward pass, so long texts go through in turns: the result is the same, the memory less
# (docs/methods.md#length).
MICRO_BATCH_TOKENS = 4_096
# From so many times the rows of the smallest class in the largest one, rare classes count more: with this
# power of their share (measured: docs/methods.md#class-weights).
UNBALANCED_FROM, WEIGHT_POWER = 10, 0.5

# Learning rates of classifiers on encoders under SMALL_ENCODER_PARAMETERS, whose head starts from the linear
# fit (measured: docs/methods.md#learning-rates). Larger encoders take half, which was not measured.
CLASSIFIER_LEARNING_RATES = {"full": 1e-4, "frozen": 1e-4, "lora": 5e-4, "adapter": 1e-3, "prefix": 3e-4}
SMALL_ENCODER_PARAMETERS = 50e6
# From so many training texts on, methods that train every weight of a classifier take this share of their
# rate: the linear start is then good enough to be spoiled (measured: docs/methods.md#learning-rates).
FULL_METHODS, MUCH_DATA_ROWS, MUCH_DATA_FACTOR = ("full", "qat"), 5_000, 0.5


def classifier_learning_rate(method: str, shape: ModelShape) -> float:
    """The learning rate with which a method trains a classifier on an encoder."""
    rate = CLASSIFIER_LEARNING_RATES[method]
    return rate if shape.total() < SMALL_ENCODER_PARAMETERS else rate / 2


def default_learning_rate(
    method: Method, settings: Settings, shape: ModelShape, task: Task, n_rows: int
) -> float:
    """The learning rate where a plan names none.

    Args:
        method: The method.
        settings: All of its settings.
        shape: The base model.
        task: The task.
        n_rows: Training examples.
    """
    rate = method.learning_rate(shape, settings, task)
    has_much_data = task == "classify" and shape.encoder and n_rows >= MUCH_DATA_ROWS
    return rate * MUCH_DATA_FACTOR if has_much_data and method.name in FULL_METHODS else rate


def default_batch_size(n_rows: int) -> int:
    """Examples per step for so many training examples."""
    return next(size for row_limit, size in BATCH_SIZES if n_rows < row_limit)


def default_epochs(n_rows: int, task: Task, batch_size: int, epoch_multiplier: float = 1.0) -> float:
    """How often every example is seen.

    Args:
        n_rows: training examples.
        task: the task.
        batch_size: examples per step.
        epoch_multiplier: how many times as long as other methods this one needs.
    """
    target_steps, min_epochs, max_epochs = EPOCH_RULES[task]
    wanted_epochs = round(epoch_multiplier * target_steps * batch_size / max(n_rows, 1))
    return float(min(max(wanted_epochs, min_epochs), round(max_epochs * epoch_multiplier)))


def count_steps(n_rows: int, batch_size: int, n_epochs: float) -> int:
    """Steps of a training; the last step of an epoch may hold fewer than `batch_size` examples."""
    return math.ceil(math.ceil(n_rows / batch_size) * n_epochs)


def default_max_length(rows: Sequence[RowTokens], plan: Plan, method: Method, shape: ModelShape) -> int:
    """The most tokens of an example that are read: all of it, for 99 of 100 examples.

    Args:
        rows: examples that represent all.
        plan: the plan, whose task counts.
        method: the method; one that lets the model write its own answers needs space for them.
        shape: the base model, whose context is never exceeded.
    """
    if method.generate_rows:
        lengths = sorted(row.prompt_tokens + MAX_COMPLETION_TOKENS for row in rows)
    else:
        lengths = sorted(row.longest_tokens for row in rows)
    longest = min(MAX_DEFAULT_LENGTH[plan.task], shape.context)
    if not lengths:
        return longest
    needed = lengths[-1 - int(MAX_LONGER_SHARE * len(lengths))]
    return min(LENGTH_STEP * math.ceil(needed / LENGTH_STEP), longest)


def class_weights(labels: Sequence[int], n_classes: int, training: Training) -> tuple[float, ...]:
    """How much a text of each class counts in the gradient; the mean over all texts is 1.

    Args:
        labels: the class of each training text.
        n_classes: classes in all; one without a text counts as if it had one.
        training: `class_weights` says whether and how.

    Returns:
        A weight for each class; empty where all texts count the same.
    """
    counts = Counter(labels)
    sizes = [max(1, counts[label]) for label in range(n_classes)]
    is_unbalanced = max(sizes) >= UNBALANCED_FROM * min(sizes)
    if training.class_weights == "none" or (training.class_weights == "auto" and not is_unbalanced):
        return ()
    power = 1.0 if training.class_weights == "balanced" else WEIGHT_POWER
    raw_weights = [size**-power for size in sizes]
    mean = sum(raw_weights[label] for label in labels) / len(labels)
    return tuple(weight / mean for weight in raw_weights)


def fill_training(
    plan: Plan, method: Method, shape: ModelShape, n_rows: int, rows: Sequence[RowTokens]
) -> Plan:
    """The plan with every training setting that was left out.

    Args:
        plan: the plan.
        method: its method.
        shape: its base model.
        n_rows: training examples.
        rows: tokens of examples that represent all; only read where the plan leaves the length out.
    """
    training = plan.training
    n_parts = math.lcm(training.accumulation_steps, training.num_gpus)
    batch_size = training.batch_size or _default_divisible_batch_size(n_rows, n_parts)
    epochs = training.epochs or default_epochs(n_rows, plan.task, batch_size, method.epoch_multiplier)
    settings = method.resolve_settings(plan.method.settings)
    learning_rate = training.learning_rate or default_learning_rate(
        method, settings, shape, plan.task, n_rows
    )
    max_length = training.max_length or default_max_length(rows, plan, method, shape)
    filled = {
        "batch_size": batch_size,
        "gradient_accumulation_steps": training.gradient_accumulation_steps
        or default_accumulation_steps(batch_size, max_length),
        "epochs": epochs,
        "learning_rate": learning_rate,
        "max_length": max_length,
        # The way back reads each block once more, to compute it once more.
        "gradient_checkpointing": training.disk_offload or training.gradient_checkpointing,
    }
    return plan.model_copy(update={"training": Training(**{**training.model_dump(), **filled})})


def default_accumulation_steps(batch_size: int, max_length: int) -> int:
    """The fewest equal micro batches of a step that hold at most MICRO_BATCH_TOKENS, or one example each."""
    divisors = (count for count in range(1, batch_size) if batch_size % count == 0)
    fits = (count for count in divisors if batch_size // count * max_length <= MICRO_BATCH_TOKENS)
    return next(fits, batch_size)


def _default_divisible_batch_size(n_rows: int, n_parts: int) -> int:
    """The default batch size as a multiple of the micro batches a step is computed in, and of the GPUs."""
    return max(default_batch_size(n_rows) // n_parts, 1) * n_parts
