"""How many examples of each part are short enough to be learned from, before a run starts."""

from collections.abc import Sequence
from dataclasses import dataclass

from studio import methods
from studio.data.examples import Example
from studio.data.split import Splits
from studio.errors import BadData
from studio.estimate import dataset_lengths
from studio.estimate.all_methods import BaseModelInfo
from studio.i18n import Message
from studio.methods.spec import Settings
from studio.plan import Plan

SOME_FIT = Message(
    "{train} of {all_train} training and {validation} of {all_validation} validation examples fit into"
    " {length} tokens (max length). The others are left out."
)
NO_TRAINING_FITS = Message(
    "None of the {all_train} training examples fits into {length} tokens (max length)."
)
NO_VALIDATION_FITS = Message(
    "None of the {all_validation} validation examples fits into {length} tokens (max length); {train} of"
    " {all_train} training examples do."
)
RAISE_LIMIT = Message("Set max length to {needed} or more, or to 0: automatic.")


@dataclass(frozen=True)
class Fitting:
    """How many examples fit.

    Attributes:
        length: The longest example in tokens.
        train: Training examples that fit, and how many there are.
        validation: The same of the validation examples.
        needed: The length at which the shortest validation example fits.
        is_exact: Whether the base model's own tokenizer counted.
    """

    length: int
    train: tuple[int, int]
    validation: tuple[int, int]
    needed: int
    is_exact: bool

    def describe(self) -> Message | None:
        """The counts in a sentence; None where every example fits."""
        values = {
            "train": f"{self.train[0]:,}",
            "all_train": f"{self.train[1]:,}",
            "validation": f"{self.validation[0]:,}",
            "all_validation": f"{self.validation[1]:,}",
            "length": f"{self.length:,}",
        }
        if not self.train[0]:
            return NO_TRAINING_FITS.format(**values)
        if not self.validation[0]:
            return NO_VALIDATION_FITS.format(**values)
        if self.train[0] == self.train[1] and self.validation[0] == self.validation[1]:
            return None
        return SOME_FIT.format(**values)

    @property
    def is_empty(self) -> bool:
        """Whether a part has no example that fits, so that a run cannot start."""
        return not self.train[0] or not self.validation[0]

    @property
    def advice(self) -> Message:
        """What makes examples fit."""
        return RAISE_LIMIT.format(needed=f"{self.needed:,}")

    def require_some(self) -> None:
        """Raise BadData where the base model's tokenizer has counted, and a part has no example that fits."""
        message = self.describe()
        if self.is_empty and self.is_exact and message:
            raise BadData(message, self.advice)


def leaves_some_out(plan: Plan, settings: Settings, base: BaseModelInfo) -> bool:
    """Whether some of the examples that represent all are too long; quick.

    Raises:
        StudioError: The data cannot be read.
    """
    if not base.shape:
        return False
    lengths = dataset_lengths.measure_lengths(plan, base.folder)
    method = methods.get(plan.method.name)
    load = dataset_lengths.build_workload(plan, method, settings, base.shape, lengths)
    return not all(method.fits(settings, load, row) for row in load.rows)


def count_fitting(
    plan: Plan, settings: Settings, base: BaseModelInfo, examples: Sequence[Example], splits: Splits
) -> Fitting | None:
    """Count the examples of each part that fit; None where not every example's tokens are known.

    Args:
        plan: The plan.
        settings: All settings of its method.
        base: Its base model.
        examples: All examples, in the order of the data.
        splits: The same in parts.

    Raises:
        StudioError: The data cannot be read.
    """
    if not base.shape:
        return None
    lengths = dataset_lengths.measure_lengths(plan, base.folder)
    if len(lengths.in_order) != len(examples):
        return None
    method = methods.get(plan.method.name)
    load = dataset_lengths.build_workload(plan, method, settings, base.shape, lengths)
    rows = {id(example): row for example, row in zip(examples, lengths.in_order, strict=True)}

    def count(part: Sequence[Example]) -> tuple[int, int]:
        own_rows = [rows[id(example)] for example in part if id(example) in rows]
        return sum(method.fits(settings, load, row) for row in own_rows), len(own_rows)

    validation_rows = [rows[id(example)] for example in splits.validation]
    return Fitting(
        length=load.training.token_limit,
        train=count(splits.train),
        validation=count(splits.validation),
        needed=min((row.longest_tokens for row in validation_rows), default=0),
        is_exact=lengths.is_exact,
    )
