"""What a runtime is to a replay: something that opened an export, and answers rows as the studio does."""

from collections.abc import Sequence
from typing import Protocol

from studio.data.examples import Example
from studio.evaluate.predictions import Outcome
from studio.export.replay.result import PromptCheck


class Runtime(Protocol):
    """An export, opened."""

    name: str

    def measure(self, row: Example, needs: str) -> Outcome:
        """What the export makes of a row: its label or number, `text` or `loss`; empty for nothing."""

    def check_prompts(self, rows: Sequence[Example]) -> tuple[PromptCheck, ...]:
        """Whether prompts are written as the model was trained on them, where the runtime writes them."""

    def close(self) -> None:
        """Let go of what was opened."""
