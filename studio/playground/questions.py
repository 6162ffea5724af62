"""Questions to try a run with: some that it has not learned from."""

import random

from studio import runs
from studio.data import examples
from studio.data.examples import Example
from studio.evaluate import predictions
from studio.runs import Run

MAX_OFFERED = 5
# A longer question is no good first try (characters).
MAX_CHARS = 240
# A text to continue is offered up to here (share of its characters).
BEGINNING_SHARE = 0.5


def offer(run: Run) -> list[str]:
    """Up to MAX_OFFERED different questions or texts that the run was kept from, always the same ones.

    Args:
        run: The run; it has a result.

    Raises:
        DamagedFile: The rows that it was kept from cannot be read.
    """
    split = runs.report(run).get("measured_on") or "validation"
    rows = predictions.read_rows(run.folder, split)
    texts = [_question(row, run.plan.task) for row in rows]
    short = [text for text in dict.fromkeys(texts) if 0 < len(text) <= MAX_CHARS]
    sampler = random.Random(run.id)  # noqa: S311 - which questions are offered is no secret
    return sampler.sample(short, min(MAX_OFFERED, len(short)))


def _question(row: Example, task: str) -> str:
    """What a person would type: the last question of a conversation, the beginning of a text to continue."""
    if task == "classify":
        return row["text"].strip()
    if task == "complete":
        return row["text"][: round(BEGINNING_SHARE * len(row["text"]))].strip()
    messages = examples.to_prompt_messages(row)
    return messages[-1]["content"].strip() if messages else ""
