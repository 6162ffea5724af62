"""What a plan gives a method to do: its examples in tokens, counted with the model's own tokenizer or guessed from their characters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from studio.data import columns as roles
from studio.data import keep, prepare, split
from studio.data.speech import WIDE
from studio.estimate import desk
from studio.methods import defaults
from studio.methods.base import Method, Settings
from studio.methods.work import Load, Row
from studio.models.shape import ModelShape
from studio.plan import Plan, Task
from studio.words import Words

# Examples whose lengths stand for all: the mean of a thousand is known to a few hundredths. Of so many of the longest each is counted.
MOST, LONGEST = 1_000, 64
# So many of them, from the shortest to the longest, are computed with.
KEPT = 128
# Letters of a token: English words under today's tokenizers have about 4 a token, a Chinese character about 0.7 tokens.
LETTERS = 4.0
# What a chat template writes around a question (tokens, about): marks, roles, a default system prompt.
TEMPLATE = 20


@dataclass(frozen=True)
class Lengths:
    """Up to KEPT examples in tokens, the shortest first; `count` usable ones in all, `known` of them with a known answer.

    `counted` where a tokenizer said so, `why` it lately could not; `own` examples lie in a test set of their own.
    """

    rows: tuple[Row, ...]
    count: int
    known: int
    labels: int
    counted: bool
    own: int = 0
    why: Words | None = None


def lengths(plan: Plan, folder: Path | None, wait: bool = False) -> Lengths:
    """The examples of a plan in tokens: counted where the model is here (`folder`), at once where that was done before or with `wait`.

    Raises BadData or the like where the data cannot be read.
    """
    kept = keep.find(plan.data.source)
    stamp = kept.stamp  # 0 where it is missing: reading it below says what is wrong
    chosen = plan.data.columns or roles.guess(kept.table(), plan.task).columns
    columns = tuple(sorted(chosen.items()))
    guessed = _guessed(plan.data.source, stamp, plan.task, columns)
    if plan.data.test:
        own = _guessed(plan.data.test, keep.find(plan.data.test).stamp, plan.task, columns).count
        guessed = replace(guessed, own=own)
    if not folder:
        return guessed
    asked = {
        "what": "lengths",
        "source": plan.data.source,
        "stamp": stamp,
        "task": plan.task,
        "columns": chosen,
        "folder": str(folder),
        "evenly": MOST,
    }
    found = (desk.ask if wait else desk.known)(asked)
    if not found or "rows" not in found:
        return replace(guessed, why=desk.refused(asked))
    return replace(guessed, rows=_some([Row(*row) for row in found["rows"]]), counted=True)


@lru_cache(maxsize=32)
def _guessed(source: str, stamp: int, task: Task, columns: tuple[tuple[str, str], ...]) -> Lengths:
    """The examples with their tokens guessed from their characters; remembered while the file stays as it is."""
    examples, _ = prepare.examples(keep.find(source).table(), task, dict(columns))
    labels = len(prepare.labels_of(examples)) if task == "classify" else 0
    known = sum(bool(example.get("answer")) for example in examples) if task == "prompts" else 0
    rows = fair(examples, lambda example: _guess(example, task))
    return Lengths(_some(rows), len(examples), known, labels, counted=False)


def fair(examples: Sequence[prepare.Example], count: Callable[[prepare.Example], Row], most: int = MOST) -> list[Row]:
    """At most `most` examples in tokens, evenly from the shortest to the longest of all: that one decides how much memory is needed.

    Bytes say which are long, about four to a token in any language; `count` has the last word on which of the longest is the longest.
    """
    if len(examples) <= most:
        return [count(example) for example in examples]
    order = sorted(examples, key=lambda example: sum(len(text.encode()) for text in example.values()))
    found = [count(order[round(place * (len(order) - 1) / (most - 1))]) for place in range(most - 1)]
    return [*found, max((count(example) for example in order[-LONGEST:]), key=lambda row: row.asked + max(row.answer, row.other))]


def _some(rows: list[Row]) -> tuple[Row, ...]:
    """At most KEPT rows that stand for all, by their length."""
    order = sorted(rows, key=lambda row: (row.tokens, row.asked, row.other))
    if len(order) <= KEPT:
        return tuple(order)
    return tuple(order[round(place * (len(order) - 1) / (KEPT - 1))] for place in range(KEPT))


def tokens(text: str) -> int:
    """About how many tokens a text has, from its characters alone."""
    wide = len(WIDE.findall(text))
    return max(1, round(0.7 * wide + (len(text) - wide) / LETTERS))


def _guess(example: dict[str, str], task: str) -> Row:
    if task == "classify":
        return Row(tokens(example["text"]) + 2)
    if task == "complete":
        return Row(1, tokens(example["text"]))
    asked = TEMPLATE + sum(tokens(message["content"]) for message in prepare.question(example))
    if task == "prompts":
        return Row(asked)
    return Row(asked, tokens(prepare.conversation(example)[-1]["content"]), tokens(example["rejected"]) if example.get("rejected") else 0)


def of(plan: Plan, method: Method, settings: Settings, shape: ModelShape, found: Lengths) -> Load:
    """What a method is given to do under settings, all of them given: with the training settings filled in that the plan leaves out, and
    texts no longer than what the model reads beside what the method puts before them.
    """
    aside, tested = plan.data.validation_share, split.test_share(plan.data, found.count)
    filled = defaults.fill(plan, method, shape, max(1, found.count - round(aside * found.count) - round(tested * found.count)))
    training = filled.training.model_copy(update={"max_length": method.room(shape, settings, filled.training.max_length)})
    return Load(plan.task, found.rows, found.count, aside, training, shape, found.labels, found.known, tested, found.own)
