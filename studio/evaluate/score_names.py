"""Names of scores that stand for one part of what is scored: a label, or a field of an answer."""

# Before the label's name: its F1.
LABEL_PREFIX = "f1/"
# Before the field's name: the share of right values.
FIELD_PREFIX = "field/"


def without_parts(scores: dict[str, float]) -> dict[str, float]:
    """The scores of the whole, without those of single labels and fields."""
    return {
        name: value for name, value in scores.items() if not name.startswith((LABEL_PREFIX, FIELD_PREFIX))
    }


def read_parts(scores: dict[str, float], prefix: str) -> dict[str, float]:
    """The scores of single parts, by the name of the label or the field."""
    return {name.removeprefix(prefix): value for name, value in scores.items() if name.startswith(prefix)}
