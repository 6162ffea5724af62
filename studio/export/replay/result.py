"""What a replay came to: both scores with the paired test, what else was compared, and warnings."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from studio.evaluate.paired import Difference, Estimate
from studio.i18n import Message
from studio.storage import read_json, write_json

REPLAY_FILE = "export.json"
# A loss that is worse by less than this share of it changes no answer, however sure it is.
NEGLIGIBLE_LOSS = 0.02
SCORES = {
    "hits": Message("{value:.0%} correct"),
    "f1": Message("micro F1 {value:.0%}"),
    "errors": Message("off by {value:.3g}"),
    "loss": Message("loss {value:.3f} per token"),
}
CHECKED = Message(
    "Checked in {runtime} on {n} held-out {n:row|rows}: {before} before the export, {after} in the file."
)
WITHIN_CHANCE = Message("The difference is within chance ({n_better} better, {n_worse} worse).")
NO_DIFFERENCE = Message("No row differs.")
DROP = Message("The file scores worse than the model in the studio: {n_worse} rows worse, {n_better} better.")
CHOOSE_PRECISION = Message("Choose a higher precision such as f16.")
REPORT_DROP = Message("Take another form home, and report this.")
CUT_SHORT = Message("Only {n} of {n_rows} rows were checked, for want of time.")
SAME_TEMPLATE = Message("The prompts are the same byte for byte, in {runtimes}.")
OTHER_TEMPLATE = Message(
    "In {runtime}, {n_other} of {n} prompts are not what the model was trained on: answers there may differ."
)
OTHER_STOP_WORDS = Message("In {runtime}, {words} do not end an answer: answers there may run on.")
NOT_CHECKED = Message("Not checked on held-out rows: {why}")


@dataclass(frozen=True)
class PromptCheck:
    """Whether one runtime writes prompts as the model was trained on them.

    Attributes:
        runtime: The runtime.
        n: How many prompts were compared, byte for byte.
        n_same: How many are the same.
        other_stop_words: Texts that should end an answer and do not there.
    """

    runtime: str
    n: int
    n_same: int
    other_stop_words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """A question with the answer in the studio, where it was kept, and that of the file."""

    question: str
    studio: str
    file: str


@dataclass(frozen=True)
class Replay:
    """What a replay came to.

    Attributes:
        runtime: What the file was opened with.
        measure: The name of the measure, see studio.evaluate.measures.
        kind: Its kind; "loss" for the loss per token.
        split: The part of the rows, "test" or "validation".
        n: How many rows were scored.
        n_rows: How many were to be.
        before: The score in the studio.
        after: The score of the file.
        difference: How much better the file is, row by row.
        prompts: Whether runtimes write prompts as the model was trained on them.
        samples: A few answers.
    """

    runtime: str
    measure: str
    kind: str
    split: str
    n: int
    n_rows: int
    before: Estimate
    after: Estimate
    difference: Difference
    prompts: tuple[PromptCheck, ...] = ()
    samples: tuple[Sample, ...] = ()

    @property
    def is_drop(self) -> bool:
        """Whether the file is worse: by the paired test, or beyond the interval of the score before."""
        lost = -self.difference.value
        if self.kind == "loss" and lost < NEGLIGIBLE_LOSS * self.before.value:
            return False
        has_lower_better = self.kind in ("errors", "loss")
        beyond = (
            self.after.value > self.before.high if has_lower_better else self.after.value < self.before.low
        )
        return self.difference.is_worse or (beyond and lost > 0)

    def headline(self) -> Message:
        """Both scores in a sentence."""
        score = SCORES[self.kind]
        return CHECKED.format(
            runtime=self.runtime,
            n=self.n,
            before=score.format(value=self.before.value),
            after=score.format(value=self.after.value),
        )

    def warnings(self, has_precisions: bool) -> list[Message]:
        """What to beware of; nothing where all is as it was.

        Args:
            has_precisions: Whether the format comes in several precisions.
        """
        sentences = []
        if self.is_drop:
            counts = {"n_better": self.difference.n_better, "n_worse": self.difference.n_worse}
            sentences += [DROP.format(**counts), CHOOSE_PRECISION if has_precisions else REPORT_DROP]
        for check in self.prompts:
            if check.n_same < check.n:
                n_other = check.n - check.n_same
                sentences.append(OTHER_TEMPLATE.format(runtime=check.runtime, n_other=n_other, n=check.n))
            if check.other_stop_words:
                words = list(check.other_stop_words)
                sentences.append(OTHER_STOP_WORDS.format(runtime=check.runtime, words=words))
        return sentences

    def details(self) -> list[Message]:
        """What else there is to know."""
        sentences = []
        if not self.is_drop:
            counts = {"n_better": self.difference.n_better, "n_worse": self.difference.n_worse}
            sentences.append(WITHIN_CHANCE.format(**counts) if any(counts.values()) else NO_DIFFERENCE)
        same = [check.runtime for check in self.prompts if check.n and check.n_same == check.n]
        if same:
            sentences.append(SAME_TEMPLATE.format(runtimes=same))
        if self.n < self.n_rows:
            sentences.append(CUT_SHORT.format(n=self.n, n_rows=self.n_rows))
        return sentences

    def to_json(self) -> dict[str, Any]:
        """Plain values for a file; `from_json` reads them."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Replay":
        """A replay from a file."""
        prompts = [
            PromptCheck(**{**check, "other_stop_words": tuple(check["other_stop_words"])})
            for check in raw["prompts"]
        ]
        values = {
            "before": Estimate(**raw["before"]),
            "after": Estimate(**raw["after"]),
            "difference": Difference(**raw["difference"]),
            "prompts": tuple(prompts),
            "samples": tuple(Sample(**sample) for sample in raw["samples"]),
        }
        return cls(**{**raw, **values})


@dataclass(frozen=True)
class Checked:
    """The result of a check: a replay, or why there is none."""

    replay: Replay | None = None
    why_not: Message | None = None

    def sentences(self, has_precisions: bool) -> tuple[Message, list[Message], list[Message]]:
        """The headline, warnings and details."""
        if self.replay:
            return self.replay.headline(), self.replay.warnings(has_precisions), self.replay.details()
        return NOT_CHECKED.format(why=self.why_not or Message("?")), [], []


def write(checked: Checked | None, folder: Path, **about: str) -> None:
    """Write the result beside an export, with what it is about; None where nothing was checked."""
    why = checked.why_not.to_json() if checked and checked.why_not else None
    replay = checked.replay.to_json() if checked and checked.replay else None
    write_json(folder / REPLAY_FILE, {**about, "replay": replay, "not_checked": why})
    (folder / REPLAY_FILE).chmod(0o644)


def read(path: Path) -> Checked | None:
    """The result beside an export; None where there is none."""
    return parse(read_json(path))


def parse(raw: Mapping[str, Any]) -> Checked | None:
    """The result in the content of its file; None where it has none."""
    if raw.get("replay"):
        return Checked(Replay.from_json(raw["replay"]))
    return Checked(why_not=Message.from_json(raw["not_checked"])) if raw.get("not_checked") else None
