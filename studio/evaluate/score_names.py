"""Names of scores: those a state is chosen by, and those of one part, a label or a field of an answer."""

from collections.abc import Mapping

# Before the label's name: its F1.
LABEL_PREFIX = "f1/"
# Before the field's name: the share of right values.
FIELD_PREFIX = "field/"
# Scores that a state is chosen by before its loss, the first that it has: shares of right answers, 0 to 1.
# Macro F1 before accuracy: where most examples are of one class, always naming it is accurate too.
CHOOSING_SCORES = ("f1", "accuracy")


# The loss (nats) of a classifier at its best temperature.
CALIBRATED_LOSS = "calibrated_loss"


def without_parts(scores: dict[str, float]) -> dict[str, float]:
    """The scores of the whole, without those of single labels and fields."""
    return {
        name: value for name, value in scores.items() if not name.startswith((LABEL_PREFIX, FIELD_PREFIX))
    }


def read_parts(scores: dict[str, float], prefix: str) -> dict[str, float]:
    """The scores of single parts, by the name of the label or the field."""
    return {name.removeprefix(prefix): value for name, value in scores.items() if name.startswith(prefix)}


def share_right(scores: Mapping[str, float]) -> float:
    """The share of right answers that a state is chosen by, 0 to 1; 0 where the scores have none."""
    return next((scores[name] for name in CHOOSING_SCORES if name in scores), 0.0)


def choosing_loss(scores: Mapping[str, float]) -> float:
    """The loss that a state is chosen by: at its best temperature where the scores have that.

    Fine-tuning makes a classifier surer than it is right. That raises its loss although it knows more, and
    one temperature mends it (docs/methods.md#best-state).
    """
    return scores.get(CALIBRATED_LOSS, scores["loss"])
