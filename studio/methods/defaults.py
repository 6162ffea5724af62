"""How long and in what portions to train when nobody says: a rule on the amount of data, the task and the model's size.

The rule and where it comes from:

- A step wants enough examples to point the right way and a run wants enough steps to get anywhere. Portions of 8 below 1,000 examples,
  16 below 5,000, else 32: the sizes used in the papers of LoRA (Hu et al. 2021: 16 to 128 on 2,500 to 400,000 examples) and QLoRA
  (Dettmers et al. 2023: 16 on 10,000 to 50,000), smaller where there is less.
- Rounds so that a run has about the steps that suffice on the samples and on banking77 (measured: docs/methods.md#epoch_rules): 250 for answers,
  1,200 for classes, within 1 to 3 rounds for texts (more is learned by heart: Dettmers et al. train 1 to 3) and 3 to 20 for classes,
  whose new head starts from nothing.
- Methods that begin further from the goal (prefixes, vectors) take more rounds, as their authors do (Li and Liang 2021: 10 and more).
- A warm-up of 5 % of the steps; the learning rate is the method's own, by the model's size, in its file with its source.
"""

import math

from studio.methods.spec import Method
from studio.models.shape import ModelShape
from studio.plan import Plan, Task, Training

# (examples below this, examples per step)
BATCH_SIZES = ((1_000, 8), (5_000, 16), (math.inf, 32))
# Steps worth having, and the least and most rounds.
EPOCH_RULES: dict[Task, tuple[int, int, int]] = {
    "chat": (250, 1, 3),
    "complete": (250, 1, 3),
    "classify": (1_200, 3, 20),
    "prefer": (250, 1, 3),
    "prompts": (60, 1, 2),
}


def default_batch_size(n_rows: int) -> int:
    """Examples per step for so many examples."""
    return next(size for row_limit, size in BATCH_SIZES if n_rows < row_limit)


def default_epochs(n_rows: int, task: Task, batch_size: int, epoch_multiplier: float = 1.0) -> float:
    """How often every example is seen; `patience` is how much longer than others a method takes."""
    target_steps, min_epochs, max_epochs = EPOCH_RULES[task]
    return float(
        min(
            max(round(epoch_multiplier * target_steps * batch_size / max(n_rows, 1)), min_epochs),
            round(max_epochs * epoch_multiplier),
        )
    )


def count_steps(n_rows: int, batch_size: int, n_epochs: float) -> int:
    """Steps of `rounds` over so many examples, `size` at a time; the last step of a round may hold fewer."""
    return math.ceil(math.ceil(n_rows / batch_size) * n_epochs)


def fill_training(plan: Plan, method: Method, shape: ModelShape, n_rows: int) -> Plan:
    """The plan with every training setting that was left out, for `rows` training examples."""
    training = plan.training
    size = (
        training.batch_size
        or max(default_batch_size(n_rows) // training.gradient_accumulation_steps, 1)
        * training.gradient_accumulation_steps
    )
    n_epochs = training.epochs or default_epochs(n_rows, plan.task, size, method.epoch_multiplier)
    learning_rate = training.learning_rate or method.learning_rate(
        shape, method.resolve_settings(plan.method.settings), plan.task
    )
    filled_training = Training(
        **{**training.model_dump(), "batch_size": size, "epochs": n_epochs, "learning_rate": learning_rate}
    )
    return plan.model_copy(update={"training": filled_training})
