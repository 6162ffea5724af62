"""A learning-rate range test of a plan, in a child process: a few steps, each at a higher rate."""

import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

from studio import methods, processes
from studio.errors import NotPossible
from studio.estimate import all_methods, dataset_lengths
from studio.estimate.machines import catalogue
from studio.evaluate.rate_range import RateRange
from studio.i18n import Message
from studio.methods.spec import TrainingContext
from studio.plan import Plan
from studio.runs import Run
from studio.training import before_start, trial

# The rates rise from the planned one divided by SPAN to that times SPAN.
N_STEPS = 30
SPAN = 32.0
# The loss is measured on so many validation rows, always the same.
N_MEASURED = 32
# The test ends where the loss is so many times its start: higher rates can only be worse.
DIVERGED = 4.0
# A step learns from one batch and measures about as many rows without learning, at a third of the cost.
COST_OF_A_STEP = 4 / 3

MANY_TRAININGS = Message("{method} is more than one training, each with a learning rate of its own.")
CHOOSE_ANOTHER = Message("Choose a method that trains in one stage, or compare rates in a bake-off.")
ENDED_EARLY = Message("The range test ended early: {why}")
TEST_AGAIN = Message("Close other programs and test again, or choose a smaller model.")


class Progress(NamedTuple):
    """How many steps are done, of all; 0 of 0 while the model is loaded."""

    done: int
    total: int


def require_possible(plan: Plan) -> None:
    """Raise NotPossible where a plan has no single learning rate to test, or could not train here."""
    method = methods.get(plan.method.name)
    if method.stages != ("train",) or method.generate_rows or plan.method.name == "qat":
        raise NotPossible(MANY_TRAININGS, CHOOSE_ANOTHER, method=plan.method.name)
    before_start.require_here(plan)


def estimate_minutes(plan: Plan) -> tuple[float, float] | None:
    """How long the test takes (minutes, from and to), beside loading the model; None where nobody knows.

    Its steps are those of the training, and each measures N_MEASURED rows besides.

    Raises:
        StudioError: The data cannot be read.
    """
    method, base_model = methods.get(plan.method.name), all_methods.find_base_model(plan.model)
    lengths = dataset_lengths.measure_lengths(plan, base_model.folder, wait=True)
    estimate = all_methods.estimate_chosen_method(plan, catalogue.local_machine(), wait=True)
    if not base_model.shape or not lengths or not estimate.minutes or "train" not in estimate.stretches:
        return None
    settings = method.resolve_settings(plan.method.settings)
    workload = dataset_lengths.build_workload(plan, method, settings, base_model.shape, lengths)
    trained_share = estimate.stretches["train"] / sum(estimate.stretches.values())
    share = trained_share * COST_OF_A_STEP * N_STEPS / workload.steps
    return estimate.minutes.low * share, estimate.minutes.high * share


def measure(plan: Plan) -> Iterator[Progress | RateRange]:
    """Train a plan for a few steps at rising learning rates; nothing stays on the disk.

    Closing the iterator ends the child process.

    Yields:
        The progress, and at the end the losses.

    Raises:
        NotPossible: The method has no single learning rate.
        StudioError: What is wrong with the data or the model.
    """
    require_possible(plan)
    yield Progress(0, 0)
    with closing(trial.stream("studio.training.rate_range", plan, ENDED_EARLY, TEST_AGAIN)) as replies:
        for reply in replies:
            if "result" in reply:
                yield RateRange.from_json(reply["result"])
            else:
                yield Progress(int(reply["done"]), int(reply["total"]))


def list_rates(planned: float) -> list[float]:
    """The learning rate of each step, in equal ratios, the planned one in the middle."""
    ratio = SPAN ** (2 / (N_STEPS - 1))
    return [planned / SPAN * ratio**step for step in range(N_STEPS)]


def _measure_in_child(run: Run) -> RateRange:
    """The range test of a folder's plan."""
    import torch  # noqa: PLC0415 - only the child process

    from studio.methods.training import linear_head, supervised  # noqa: PLC0415

    context = trial.load_context(run)
    if context.plan.task == "classify":
        linear_head.start(context, context.validation)
    model, training = context.model, context.plan.training
    supervised.upcast_trainable(model)
    can_recompute = methods.get(context.plan.method.name).supports_gradient_checkpointing
    if supervised.training_arguments(context, "train", can_recompute)["activation_checkpointing"]:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    measured_rows = context.validation[:N_MEASURED]
    start = context.measure(model, measured_rows)["loss"]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, weight_decay=training.weight_decay)
    planned = float(training.learning_rate or 0)
    rates, losses = list_rates(planned), []
    for step, rate in enumerate(rates):
        processes.send_reply({"done": step, "total": len(rates)})
        optimizer.param_groups[0]["lr"] = rate
        _take_step(context, optimizer, step)
        losses.append(context.measure(model, measured_rows)["loss"])
        if not losses[-1] <= DIVERGED * start:  # also where it is not a number
            losses[-1] = DIVERGED * start
            break
    return RateRange(rates[: len(losses)], losses, start, planned)


def _take_step(context: TrainingContext, optimizer: Any, step: int) -> None:
    """Learn from one batch, in pieces that fit into memory."""
    from studio.data import collate, vocabulary_loss  # noqa: PLC0415 - loads torch

    model, training, task = context.model, context.plan.training, context.plan.task
    batch_size = training.batch_size or 1
    piece_size = max(1, batch_size // training.accumulation_steps)
    rows = [context.train[(step * batch_size + index) % len(context.train)] for index in range(batch_size)]
    collator = collate.build_collator(task, context.tokenizer, collate.count_virtual_tokens(model))
    compute_loss, pass_context = vocabulary_loss.build_loss(task, model)
    model_kwargs = {} if task == "classify" else {"use_cache": False}
    model.train()
    optimizer.zero_grad()
    for first in range(0, batch_size, piece_size):
        piece = rows[first : first + piece_size]
        batch = collate.to_device(collator([vars(row) for row in piece]), model.device)
        labels = batch.pop("labels")
        with pass_context:
            loss = compute_loss(model(**batch, **model_kwargs), labels)
        (loss * len(piece) / batch_size).backward()
    optimizer.step()


def main() -> int:
    """The child process: the folder on stdin, progress and the losses on stdout."""
    return trial.serve(lambda run: {"result": _measure_in_child(run).to_json()})


if __name__ == "__main__":
    sys.exit(main())
