"""The rows of a replay, what the studio's model made of them, and the measure that suits both."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from studio import runs
from studio.data import examples
from studio.data.examples import Example
from studio.evaluate import measures, predictions
from studio.evaluate.measures import Measure
from studio.evaluate.predictions import Outcome, Prediction
from studio.plan import Task
from studio.runs import Run


class ReplayRows(NamedTuple):
    """The rows of a replay.

    Attributes:
        measure: How an outcome is scored.
        task: How a row is encoded.
        split: "test" or "validation".
        rows: The rows; `tuned` is what the studio's model made of each.
    """

    measure: Measure
    task: Task
    split: str
    rows: Sequence[Prediction]


def choose_rows(
    run: Run, most: int, measure_in_studio: Callable[[Sequence[Example]], list[Outcome]]
) -> ReplayRows | None:
    """The rows of a replay; None where the run has no held-out rows.

    What was answered at the end of the training counts. Pairs, and questions without a known answer, were
    judged by what no runtime gives: there it is the loss on the better answer, or on the model's own.

    Args:
        run: The run.
        most: How many rows at most.
        measure_in_studio: Gives the loss of rows by the model in the studio; of a row without an answer
            also the `text` of its own, on which that is the loss.
    """
    answered = predictions.read(run.folder)
    measure = measures.choose(answered.predictions) if answered else None
    task = answered_task(run.plan.task)
    if answered and measure and measure is not measures.PAIRS:
        rows = [row for row in answered.predictions if measure.can_score(row)]
        return ReplayRows(measure, task, answered.split, rows[:most])
    split = "test" if (run.folder / "data" / "test.jsonl").is_file() else "validation"
    candidates = predictions.read_rows(run.folder, split)[:most]
    if not candidates:
        return None
    outcomes = measure_in_studio(candidates)
    rows = [
        Prediction(index, _with_own_answer(row, outcome), outcome)
        for index, (row, outcome) in enumerate(zip(candidates, outcomes, strict=True))
        if outcome
    ]
    return ReplayRows(measures.LOSS, task, split, rows) if rows else None


def answered_task(task: Task) -> Task:
    """The task as which its rows are encoded once they have an answer: questions with one are a chat."""
    return "chat" if task == "prompts" else task


def _with_own_answer(row: Example, outcome: Outcome) -> Example:
    return {**row, "response": outcome["text"]} if "text" in outcome else row


def encode_row(run: Run, task: Task, row: Example, tokenizer: Any) -> list[examples.Encoded]:
    """A row as the run's model learned it; nothing where it is too long."""
    report, training = runs.report(run), run.plan.training
    limit = report["texts"]["max_length"]
    (pieces,) = examples.encode_each([row], task, tokenizer, limit, (), training.mask_history)
    return pieces
