"""Is training needed at all? What needs none, measured on the rows that a run would be judged by.

They are measured by studio.training.baselines; here is their form, where they are kept, and what they say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from studio.data import store
from studio.evaluate.paired import Estimate
from studio.evaluate.verdict_messages import TOO_FEW
from studio.evaluate.verdict_wording import MIN_ROWS, WORTHWHILE_DIFFERENCE
from studio.i18n import Message
from studio.plan import Plan
from studio.storage import home, read_json, write_json

# What is measured is measured again where this number has grown.
VERSION = 1
NAMES = {
    "majority": Message("Always the largest class"),
    "median": Message("Always the median"),
    "linear": Message("Linear head on the base's embeddings"),
    "base": Message("Base model as it is"),
    "few_shot": Message("Base model with {count} of your examples in the prompt (few-shot)"),
}
MEASURES = {
    "accuracy": Message("share of texts sorted rightly (accuracy)"),
    "micro_f1": Message("how well labels are found (micro F1)"),
    "mae": Message("how far numbers are off on average (mean absolute error, lower is better)"),
    "answer_accuracy": Message("share of questions answered rightly (accuracy)"),
    "exact_match": Message("share of answers that are exactly the wanted ones (exact match)"),
    "loss": Message("loss on the wanted answers (nats a token, lower is better)"),
}
ROWS = {"test": Message("test rows"), "validation": Message("validation rows")}
MEASURED_ON = Message("Measured on {n} of {total} {rows}, the same for all.")
LEARNED_FROM = Message("The linear head learned from {n} of {total} training rows.")
HARDLY_NEEDED = Message(
    "Training is hardly needed: “{name}” gets {value:.0%} right (95% interval {low:.0%} to {high:.0%})."
)
ROOM = Message(
    "There is room for training: the best without it, “{name}”, gets {value:.0%} right (95% interval "
    "{low:.0%} to {high:.0%})."
)
BEST = Message(
    "The best without training is “{name}”: {value:.3g} (95% interval {low:.3g} to {high:.3g}). A run has to "
    "beat that."
)
COST = Message("{seconds:.1f} s in all, {latency:.2g} s for one text alone")
COST_OF_ANSWERS = Message("{seconds:.1f} s in all, {latency:.2g} s for one answer of up to {tokens} tokens")
# The length of the one answer whose time is taken: a few seconds on a CPU.
TIMED_TOKENS = 48
NO_COST = Message("takes no time")


@dataclass(frozen=True)
class Baseline:
    """Something that needs no training.

    Attributes:
        name: "majority", "median", "linear", "base" or "few_shot".
        score: What it gets.
        seconds: What it took to set up and to answer all rows.
        latency: Seconds for one text alone; for an answer of at most TIMED_TOKENS where it writes.
        shots: The messages of the examples in the prompt; empty for all others.
    """

    name: str
    score: Estimate
    seconds: float
    latency: float
    shots: Sequence[Mapping[str, str]] = ()

    @property
    def title(self) -> Message:
        """What it is called."""
        n_shots = sum(message["role"] == "assistant" for message in self.shots)
        return NAMES[self.name].format(count=n_shots) if self.shots else NAMES[self.name]

    @property
    def cost(self) -> Message:
        """What it takes."""
        if not self.seconds:
            return NO_COST
        template = COST_OF_ANSWERS if self.name in ("base", "few_shot") else COST
        return template.format(seconds=self.seconds, latency=self.latency, tokens=TIMED_TOKENS)


@dataclass(frozen=True)
class Baselines:
    """What needs no training, all measured on the same rows.

    Attributes:
        measure: The name of the measure, see studio.evaluate.measures.
        kind: "hits", "f1" (of both more is better) or "errors" (less is).
        split: The part of the rows, "test" or "validation".
        n: How many rows were measured.
        n_held_out: How many there are in that part.
        n_learned: How many training rows the linear head learned from; 0 without one.
        n_train: How many there are.
        entries: The baselines.
    """

    measure: str
    kind: str
    split: str
    n: int
    n_held_out: int
    n_learned: int
    n_train: int
    entries: tuple[Baseline, ...]

    @property
    def best(self) -> Baseline:
        """The baseline with the best score; of equals the first, which is the simpler one."""
        sign = -1 if self.kind == "errors" else 1
        return max(self.entries, key=lambda entry: sign * entry.score.value)

    @property
    def is_enough(self) -> bool:
        """Whether training could add less than what is worth shipping, as far as the rows can tell.

        Where nearly all rows have one class, guessing it is no answer.
        """
        guessed = max((entry.score.value for entry in self.entries if entry.name == "majority"), default=0.0)
        has_share = self.n >= MIN_ROWS and self.kind == "hits"
        return has_share and self.best.score.low > guessed and self._is_hard_to_beat()

    def _is_hard_to_beat(self) -> bool:
        return self.best.score.value >= 1 - WORTHWHILE_DIFFERENCE

    def format_score(self, entry: Baseline) -> str:
        """A score with its interval: 81% (77–84%), or 0.42 (0.38–0.47)."""
        score = entry.score
        if self.kind == "errors":
            return f"{score.value:.3g} ({score.low:.3g}–{score.high:.3g})"
        return f"{score.value:.0%} ({100 * score.low:.0f}–{score.high:.0%})"

    def describe(self) -> tuple[Message, ...]:
        """What they say, and what they rest on."""
        rows = ROWS[self.split]
        lines = [self._conclude(), MEASURED_ON.format(n=self.n, total=self.n_held_out, rows=rows)]
        if self.n_learned:
            lines.append(LEARNED_FROM.format(n=self.n_learned, total=self.n_train))
        return tuple(lines)

    def _conclude(self) -> Message:
        if self.n < MIN_ROWS:
            return TOO_FEW.format(n=self.n, rows=ROWS[self.split], least=MIN_ROWS)
        template = HARDLY_NEEDED if self.is_enough else ROOM
        if self.kind != "hits":
            template = BEST
        return template.format(name=self.best.title, **asdict(self.best.score))

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` reads them."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Baselines":
        """Baselines from plain values."""
        return cls(**{**raw, "entries": tuple(map(_read_entry, raw["entries"]))})


def _read_entry(raw: Mapping[str, Any]) -> Baseline:
    return Baseline(**{**raw, "score": Estimate(**raw["score"]), "shots": tuple(raw["shots"])})


def find(plan: Plan) -> Baselines | None:
    """What was measured for a plan's data, split and base model; None where nothing was."""
    stored = read_json(_path(plan))
    return Baselines.from_json(stored["baselines"]) if stored.get("split") == _split_key(plan) else None


def find_any_split(plan: Plan) -> Baselines | None:
    """The same, whichever rows were held out."""
    stored = read_json(_path(plan))
    return Baselines.from_json(stored["baselines"]) if stored else None


def keep(plan: Plan, baselines: Baselines) -> None:
    """Keep what was measured for a plan, in the place of what was measured with other rows held out."""
    path = _path(plan)
    path.parent.mkdir(exist_ok=True)
    write_json(path, {"split": _split_key(plan), "baselines": baselines.to_json()})


def _path(plan: Plan) -> Path:
    """The file for a plan's data and base model."""
    columns = sorted(plan.data.columns.items())
    key = repr((VERSION, store.find(plan.data.source).sha256, plan.task, columns, plan.model))
    return home() / "baselines" / f"{sha256(key.encode()).hexdigest()[:32]}.json"


def _split_key(plan: Plan) -> str:
    """What decides which rows are held out."""
    data = plan.data
    test_set = store.find(data.test).sha256 if data.test else ""
    return repr((data.validation_share, data.test_share, test_set, plan.training.seed))
