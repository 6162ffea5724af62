"""What a decision of the chooser is based on."""

from collections.abc import Mapping
from dataclasses import dataclass

from studio.chooser.answers import Answers
from studio.chooser.dataset_summary import DatasetSummary
from studio.chooser.exclusions import Exclusion
from studio.estimate.machines.catalogue import Machine
from studio.estimate.types import Estimate
from studio.models.shape import ModelShape


@dataclass(frozen=True)
class DecisionContext:
    """The answers with the facts beside them, the data and base model, and what holds for each method.

    Attributes:
        answers: The choices by question.
        facts: The answers, and what follows from data and estimates (studio/chooser/rules.py names them).
        dataset: The data the plan would be trained on.
        model: The base model as a plan names it.
        machine: Where the training would run.
        shape: The base model's; None where nobody knows it yet.
        estimates: By method; a method that does not go with the task or the model has none.
        exclusions: What rules a method out, by method.
    """

    answers: Answers
    facts: dict[str, str]
    dataset: DatasetSummary
    model: str
    machine: Machine
    shape: ModelShape | None
    estimates: Mapping[str, Estimate]
    exclusions: Mapping[str, Exclusion]
