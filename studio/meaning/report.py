"""What was found by meaning: findings, labels that are likely wrong, and rows that a test set gives away."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from studio import presets
from studio.data.quality.findings import Finding, build_finding, finding_from_json, finding_to_json
from studio.i18n import Message

# The encoder that reads the texts, by its name in the catalogue.
ENCODER = "minilm-l6"


@dataclass(frozen=True)
class Doubt:
    """A row whose label is likely wrong.

    Attributes:
        row: The row.
        text: Its text.
        given: Its label.
        suggested: The label that the other rows speak for.
        certainty: How sure the model is of that one (0 to 1).
    """

    row: int
    text: str
    given: str
    suggested: str
    certainty: float


@dataclass(frozen=True)
class MeaningReport:
    """What was found by meaning.

    Attributes:
        findings: The findings.
        doubts: The rows whose label is likely wrong, the likeliest first.
        leaking_rows: The rows that say what a test example says.
        looked_at: What was looked at, in a sentence.
    """

    findings: tuple[Finding, ...]
    doubts: tuple[Doubt, ...] = ()
    leaking_rows: tuple[int, ...] = ()
    looked_at: Message | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` reads them."""
        return {
            "findings": [finding_to_json(finding) for finding in self.findings],
            "doubts": [asdict(doubt) for doubt in self.doubts],
            "leaking_rows": list(self.leaking_rows),
            "looked_at": self.looked_at.to_json() if self.looked_at else None,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "MeaningReport":
        """A report from plain values."""
        return cls(
            tuple(map(finding_from_json, raw["findings"])),
            tuple(Doubt(**doubt) for doubt in raw["doubts"]),
            tuple(raw["leaking_rows"]),
            Message.from_json(raw["looked_at"]) if raw["looked_at"] else None,
        )


def encoder_name() -> str:
    """What the encoder is called."""
    card = presets.models().get(ENCODER)
    return card.name if card else ENCODER


def missing_encoder_finding() -> Finding:
    """What is said where the encoder is not on this machine."""
    card = presets.models().get(ENCODER)
    megabytes = round(card.wheel.bytes / 1e6) if card and card.wheel else 0
    return build_finding("no_encoder", "open", (), (), encoder=encoder_name(), megabytes=megabytes)


def can_check(task: str, columns: Mapping[str, str], test: str) -> bool:
    """Whether there is anything to look for: labels, or a test set."""
    return bool(test) or (task == "classify" and "label" in columns)
