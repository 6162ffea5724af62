"""What base, linear baseline and tuned model answered to each held-out row, in a run's folder.

The rows themselves stand in the run's `data/test.jsonl` or `data/validation.jsonl`.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from studio.data import examples, targets
from studio.data.examples import Example
from studio.errors import DamagedFile
from studio.i18n import Message
from studio.plan import PROBLEM_TYPES, target_role
from studio.storage import write_text

PREDICTIONS_FILE = "predictions.jsonl"
DAMAGED = Message("{file} in the run's folder is damaged.")
DAMAGED_TO_DO = Message(
    "Copy the file there again if you have it elsewhere. The scores in the report stand without it."
)
# What a model answered to one row: `label` and `probability`; `labels` and `probabilities`; `value`; `text`,
# whether it `is_cut`, and `loss` (nats a token); or `margin`.
Outcome = Mapping[str, Any]
OUTCOME_TYPES: dict[str, Any] = {
    "label": str,
    "labels": list,
    "text": str,
    "probability": int | float,
    "value": int | float,
    "loss": int | float,
    "margin": int | float,
}
# The outcome of each row by its index.
Outcomes = dict[int, Outcome]


class Measured(NamedTuple):
    """What a model makes of encoded examples.

    Attributes:
        scores: For classification the `loss` (`collate.classification_loss`) and the scores of label_scores;
            for every other task the loss per trained token (nats) and its `perplexity`. Empty where no token
            is trained.
        outcomes: For each example, in their order, the outcome of a text to classify; for every other task
            the summed `loss` (nats) of its trained `tokens`. Empty likewise.
    """

    scores: dict[str, float]
    outcomes: list[Outcome]


@dataclass(frozen=True)
class Prediction:
    """The answers to one held-out row.

    Attributes:
        row: Its index in the file of its split.
        example: The row.
        tuned: What the tuned model answered.
        base: What the base answered; None where it cannot, such as a reward model that it does not have, or
            as a classifier, whose head is random numbers before it learns.
        linear: What the linear model on the base's embeddings answered; None where there is none.
    """

    row: int
    example: Example
    tuned: Outcome
    base: Outcome | None = None
    linear: Outcome | None = None

    @property
    def before(self) -> Outcome | None:
        """What was answered without training: to a text to classify by the linear model, else by the base."""
        is_classified = any(role in self.example for role in PROBLEM_TYPES)
        return self.linear if is_classified else self.base


@dataclass(frozen=True)
class Answered:
    """All that was answered, and the rows that it was answered to.

    Attributes:
        split: "test" or "validation".
        predictions: An entry for each row.
        usual: What always giving the usual target of the training rows answers: their largest class, their
            commonest set of labels, or their median; None where rows have no such target.
    """

    split: str
    predictions: Sequence[Prediction]
    usual: Outcome | None = None


def write(folder: Path, split: str, outcomes_by_model: Mapping[str, Outcomes]) -> None:
    """Write what models answered into a run's folder, a row that the tuned model answered a line.

    Args:
        folder: The run's folder.
        split: The split of the rows.
        outcomes_by_model: The outcomes of "base", "linear" and "tuned"; the first two may lack rows.
    """
    lines = []
    for row in sorted(outcomes_by_model["tuned"]):
        outcomes = {name: rows[row] for name, rows in outcomes_by_model.items() if row in rows}
        line = {"row": row, "split": split, **outcomes}
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    write_text(folder / PREDICTIONS_FILE, "".join(lines))


def read(folder: Path) -> Answered | None:
    """The predictions in a run's folder with their rows; None where there are none, as in earlier runs.

    Raises:
        DamagedFile: The predictions or the rows cannot be read.
    """
    path = folder / PREDICTIONS_FILE
    lines = read_lines(path)
    if not lines:
        return None
    try:
        split = str(lines[0]["split"])
        rows = read_rows(folder, split)
        predictions = [_parse(line, rows) for line in lines]
    except (KeyError, IndexError, TypeError, AttributeError):
        raise damaged_file(path) from None
    return Answered(split, predictions, _find_usual(folder, predictions[0].example))


def try_to_read(folder: Path) -> tuple[Answered | None, Message | None]:
    """What `read` returns, and where a file is damaged, nothing and a sentence."""
    try:
        return read(folder), None
    except DamagedFile as error:
        return None, error.to_message()


def _parse(line: Mapping[str, Any], rows: Sequence[Example]) -> Prediction:
    for outcome in (line["tuned"], line.get("base") or {}, line.get("linear") or {}):
        for name, value in outcome.items():
            if not isinstance(value, OUTCOME_TYPES.get(name, object)):
                raise TypeError(name)
    return Prediction(line["row"], rows[line["row"]], line["tuned"], line.get("base"), line.get("linear"))


def read_rows(folder: Path, split: str) -> list[Example]:
    """The rows of a split in a run's folder; none where the file does not exist.

    Raises:
        DamagedFile: They cannot be read.
    """
    path = folder / "data" / f"{split}.jsonl"
    rows = read_lines(path)
    if not all(isinstance(value, str) for row in rows for value in row.values()):
        raise damaged_file(path)
    return rows


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects in a file, one a line; none where the file does not exist.

    Raises:
        DamagedFile: It cannot be read as that.
    """
    if not path.is_file():
        return []
    try:
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    except (OSError, ValueError, RecursionError):
        raise damaged_file(path) from None
    if not all(isinstance(line, dict) for line in lines):
        raise damaged_file(path)
    return lines


def damaged_file(path: Path) -> DamagedFile:
    """The error for a file of a run that cannot be read."""
    return DamagedFile(DAMAGED, DAMAGED_TO_DO, file=path.name)


def _find_usual(folder: Path, example: Example) -> Outcome | None:
    role = target_role(example)
    if role not in example:
        return None
    train_targets = [row[role] for row in read_rows(folder, "train") if role in row]
    if not train_targets:
        return None
    try:
        return _usual_outcome(role, train_targets)
    except ValueError:
        raise damaged_file(folder / "data" / "train.jsonl") from None


def _usual_outcome(role: str, train_targets: Sequence[str]) -> Outcome:
    if role == "rating":
        return {"value": median(map(float, train_targets))}
    counts = Counter(train_targets)
    usual = min(counts, key=lambda target: (-counts[target], target))
    return {"label": usual} if role == "label" else {"labels": json.loads(usual)}


def expected_text(example: Example) -> str:
    """What was wanted of a row, as text: its label, its number, its known answer or its written answer."""
    if example.get("answer"):
        return example["answer"]
    if any(role in example for role in ("label", "labels", "rating")):
        return targets.describe(example)
    return "" if "text" in example else examples.answer_text(example)


def is_cut(outcome: Outcome) -> bool:
    """Whether an answer reached the limit of tokens before it ended; earlier studios did not note that."""
    return bool(outcome.get("is_cut"))


def input_text(example: Example) -> str:
    """What a model read of a row: the text, or the question and what stood before it."""
    if "text" in example:
        return example["text"]
    if "prompt" in example:
        return example["prompt"]
    return "\n".join(message["content"] for message in examples.to_prompt_messages(example))
