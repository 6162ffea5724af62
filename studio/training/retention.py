"""Asks a run's model general questions before and after it trains, to see what it forgot."""

import json
from typing import Any

from studio import runs
from studio.evaluate.retention import budget, comparison, suites
from studio.evaluate.retention.comparison import SuiteChange
from studio.methods.spec import StopRequested, TrainingContext
from studio.runs import Run
from studio.storage import write_json
from studio.training import queue as run_queue

# The base's answers: a run that goes on does not ask it again.
BASE_FILE = "retention.json"
# Training examples that are enough to know the language of the data; they come shuffled.
MAX_EXAMPLES_READ = 100


def measure_base(run: Run, context: TrainingContext, model: Any) -> None:
    """Ask the base model, and keep whether it is right on each item; a classifier is asked nothing.

    Raises:
        StopRequested: The run was asked to stop.
    """
    n_items = _count_items(context)
    if not n_items:
        return
    path = run.folder / "checkpoints" / BASE_FILE
    path.parent.mkdir(exist_ok=True)
    write_json(path, _score(run, context, model, n_items))


def compare_with_base(run: Run, context: TrainingContext, model: Any) -> dict[str, SuiteChange]:
    """Ask the tuned model what the base was asked.

    Returns:
        What became of each suite; empty where the base was not asked, or the run was asked to stop.
    """
    path = run.folder / "checkpoints" / BASE_FILE
    if not path.is_file():
        return {}
    before = json.loads(path.read_text(encoding="utf-8"))
    try:
        after = _score(run, context, model, len(next(iter(before.values()))))
    except StopRequested:
        return {}
    return comparison.compare(before, after)


def _count_items(context: TrainingContext) -> int:
    if context.plan.task == "classify":
        return 0
    training = context.plan.training
    n_tokens = sum(len(row.input_ids) for row in context.train)
    return budget.count_items(training.retention, n_tokens * (training.epochs or 1))


def _score(run: Run, context: TrainingContext, model: Any, n_items: int) -> dict[str, list[bool]]:
    """Ask so many items of each suite in the language of the data, showing how far that is."""
    from studio.evaluate.retention import scoring  # noqa: PLC0415 - loads torch

    def on_progress(done: int, total: int) -> None:
        run_queue.raise_if_stopped(run)
        runs.set_status(run, "evaluating", "retention", step=done, steps=total)

    items = suites.choose_items(_detect_language(context), n_items)
    return scoring.score_suites(model, context.tokenizer, items, on_progress)


def _detect_language(context: TrainingContext) -> suites.Language:
    train_examples, _ = context.examples
    texts = [text for example in train_examples[:MAX_EXAMPLES_READ] for text in example.values()]
    return suites.detect_language(texts)
