"""The processes behind a sheet: one reads the file, one holds the tuned model and works through the rows.

One request on stdin, progress on stdout. Results are written after each batch, so that a process that is
ended loses the rows of one batch at most.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from studio import processes, runs
from studio.apply import calibration, job, sheet
from studio.apply.calibration import Calibration
from studio.apply.job import Job, Result
from studio.data import targets
from studio.data.examples import Example
from studio.errors import NotPossible
from studio.evaluate import predictions
from studio.i18n import Message
from studio.plan import target_role
from studio.runs import Run
from studio.storage import write_json

CLASSIFY_BATCH_SIZE, ANSWER_BATCH_SIZE = 32, 8
# Held-out texts that a calibration rests on at most: more would hardly change it, and take longer.
MAX_CALIBRATION_TEXTS = 500
IN_USE = Message("This sheet is being worked on already.")
WAIT_OR_STOP = Message("Wait until it is done, or stop it first.")
TYPICAL_ERROR = Message("On {count} held-out texts the number was off by {error:.2g} on average.")
# The messages that a model reads of one row; none where the cell is empty.
Conversation = list[dict[str, str]]
AnswerBatch = Callable[[Sequence[Conversation]], list[Result]]


def _read(request: Mapping[str, Any]) -> None:
    from studio.data.readers.read import read_table  # noqa: PLC0415 - only the process that reads

    table = read_table(Path(request["path"]), request["name"], keeps_rows=True)
    sheet.save(table, request["sheet_id"])


def _apply(request: Mapping[str, Any]) -> None:
    """Work through the rows that have no result yet."""
    current_job = Job(sheet.find(request["sheet_id"]), runs.get(request["run_id"]), request["column"])
    current_job.folder.mkdir(exist_ok=True)
    try:
        with FileLock(current_job.folder / ".lock", timeout=0):
            _work_through(current_job)
    except Timeout:
        raise NotPossible(IN_USE, WAIT_OR_STOP) from None


def _work_through(current_job: Job) -> None:
    from studio.apply.model import TunedModel  # noqa: PLC0415 - loads torch
    from studio.training.memory import limit_memory  # noqa: PLC0415

    limit_memory()
    model = TunedModel(current_job.run)
    answer_batch, batch_size = _prepare(model, current_job)
    conversations = build_conversations(current_job)
    n_done = job.drop_broken_line(current_job.results_path)
    processes.send_reply({"done": n_done})
    with current_job.results_path.open("ab") as results_file:
        for start in range(n_done, len(conversations), batch_size):
            batch = conversations[start : start + batch_size]
            lines = [json.dumps(result, ensure_ascii=False) for result in _answer_filled(batch, answer_batch)]
            results_file.write("".join(f"{line}\n" for line in lines).encode())
            results_file.flush()
            processes.send_reply({"done": start + len(batch)})


def _prepare(model: Any, current_job: Job) -> tuple[AnswerBatch, int]:
    """How a batch is answered, and its size; the certainty of labels is calibrated first."""
    if current_job.run.plan.task != "classify":
        return lambda batch: _answer_texts(model, batch), ANSWER_BATCH_SIZE
    fitted = calibrate(model, current_job.run)
    write_json(current_job.folder / job.CALIBRATION_FILE, {"message": fitted.message.to_json()})
    return lambda batch: _classify_texts(model, batch, fitted.temperature), CLASSIFY_BATCH_SIZE


def build_conversations(current_job: Job) -> list[Conversation]:
    """What the model reads of each row: the chosen column, and what belonged to the question in the training.

    A column of context or of system prompts counts where it is called as in the training.
    """
    table, run = current_job.sheet, current_job.run
    trained_columns = runs.report(run).get("data", {}).get("columns", {})
    extra = {
        role: table.columns.index(trained_columns[role])
        for role in ("system", "context")
        if trained_columns.get(role) in table.columns
    }
    column = table.columns.index(current_job.column)
    return [
        _build_conversation(
            cells[column].strip(), {role: cells[index].strip() for role, index in extra.items()}
        )
        for cells in table.rows()
    ]


def _build_conversation(text: str, extra: Mapping[str, str]) -> Conversation:
    if not text:
        return []
    content = "\n\n".join(filter(None, (text, extra.get("context"))))
    system = extra.get("system")
    system_messages = [{"role": "system", "content": system}] if system else []
    return [*system_messages, {"role": "user", "content": content}]


def _answer_filled(batch: Sequence[Conversation], answer_batch: AnswerBatch) -> list[Result]:
    """The results of a batch; an empty cell has an empty one."""
    filled = [conversation for conversation in batch if conversation]
    results = iter(answer_batch(filled) if filled else ())
    return [next(results) if conversation else {} for conversation in batch]


def _answer_texts(model: Any, batch: Sequence[Conversation]) -> list[Result]:
    return [
        {"text": answered.text, **_flags(cut=answered.is_cut, too_long=answered.is_too_long)}
        for answered in model.answer(batch)
    ]


def _classify_texts(model: Any, batch: Sequence[Conversation], temperature: float) -> list[Result]:
    scored = model.score([conversation[-1]["content"] for conversation in batch])
    problem_type = _problem_type(model.report)
    return [
        {**_describe_scores(logits, model.labels, problem_type, temperature), **_flags(cut=is_cut)}
        for logits, is_cut in zip(scored.logits, scored.is_cut, strict=True)
    ]


def _describe_scores(
    logits: Sequence[float], labels: Sequence[str], problem_type: str, temperature: float
) -> Result:
    """What is said of one text: its label or labels with a certainty, or its number."""
    if problem_type == "regression":
        return {"value": round(logits[0], 4)}
    several = problem_type == "multi_label_classification"
    certainty = round(calibration.certainty(logits, temperature, several), 4)
    if several:
        chosen_labels = [label for label, score in zip(labels, logits, strict=True) if score >= 0]
        return {"labels": chosen_labels, "certainty": certainty}
    best = max(range(len(labels)), key=lambda index: logits[index])
    return {"label": labels[best], "certainty": certainty}


def _flags(**flags: bool) -> Result:
    """The flags that are set."""
    return {name: True for name, is_set in flags.items() if is_set}


def _problem_type(report: Mapping[str, Any]) -> str:
    """What a classifier gives; runs of earlier studios have one class a text."""
    return report.get("problem_type") or "single_label_classification"


def calibrate(model: Any, run: Run) -> Calibration:
    """Fit the certainty on the rows that the run has not learned from; of numbers, their mean error."""
    rows = [row for split in ("validation", "test") for row in predictions.read_rows(run.folder, split)]
    usable_rows = [
        row for row in rows if set(targets.labels_of(row)) <= {*model.labels, targets.RATING_LABEL}
    ]
    held_out = usable_rows[:MAX_CALIBRATION_TEXTS]
    logits: list[list[float]] = []
    for start in range(0, len(held_out), CLASSIFY_BATCH_SIZE):
        batch = held_out[start : start + CLASSIFY_BATCH_SIZE]
        logits += model.score([row["text"] for row in batch]).logits
    problem_type = _problem_type(model.report)
    if problem_type == "regression":
        errors = [abs(score - float(row["rating"])) for (score,), row in zip(logits, held_out, strict=True)]
        error = sum(errors) / max(1, len(errors))
        return Calibration(1.0, TYPICAL_ERROR.format(count=len(errors), error=error))
    several = problem_type == "multi_label_classification"
    return calibration.fit(logits, [_target(row, model.labels) for row in held_out], several)


def _target(row: Example, labels: Sequence[str]) -> int | list[int]:
    """The index of a row's label; of several, 1 or 0 for each label."""
    own_labels = targets.labels_of(row)
    if target_role(row) == "labels":
        return [int(label in own_labels) for label in labels]
    return labels.index(own_labels[0])


_TASKS: dict[str, Callable[[Mapping[str, Any]], None]] = {"read": _read, "apply": _apply}


def main() -> int:
    """The child process: one request on stdin, progress on stdout."""
    return processes.serve_request(lambda request: _TASKS[request["do"]](request))


if __name__ == "__main__":
    sys.exit(main())
