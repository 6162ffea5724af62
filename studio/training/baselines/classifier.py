"""What sorts texts without training: guessing, and a linear head on the base's embeddings."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from studio.data import examples, targets
from studio.data.examples import Encoded, Example
from studio.data.split import Splits
from studio.data.targets import RatingScale
from studio.evaluate import held_out
from studio.evaluate.baselines import Baseline, Baselines
from studio.evaluate.predictions import Outcome
from studio.methods.training import linear_head
from studio.models import head, load, shape
from studio.plan import PROBLEM_TYPES, Plan, target_role
from studio.storage import no_progress
from studio.training.baselines.rows import (
    BATCH_SIZE,
    Report,
    choose_measure,
    held_out_rows,
    score,
    seconds_of,
    spread,
)

# Seconds that embedding the held-out and the training rows may take, at the pace of the first rows.
HELD_OUT_SECONDS, LEARNING_SECONDS = 10.0, 25.0
MAX_HELD_OUT, MAX_LEARNED = 400, 2_000
# A longer text is cut for these measurements, as most encoders do.
MAX_TOKENS = 512


def measure(plan: Plan, splits: Splits, folder: Path, report: Report) -> Baselines:
    """Measure guessing and the linear head.

    Args:
        plan: A plan that classifies texts.
        splits: Its examples.
        folder: Its base model.
        report: Called while texts are embedded.
    """
    classifier = _Classifier(plan, splits, folder)
    split, all_rows = held_out_rows(splits)
    row_seconds = classifier.time_row(spread(splits.train, BATCH_SIZE))
    rows = spread(all_rows, _affordable(HELD_OUT_SECONDS / row_seconds, MAX_HELD_OUT))
    learned = spread(splits.train, _affordable(LEARNING_SECONDS / row_seconds, MAX_LEARNED))
    outcomes: list[Outcome] = []
    seconds = seconds_of(lambda: outcomes.extend(classifier.learn_and_answer(learned, rows, report)))
    latency = seconds_of(lambda: classifier.answer(rows[:1]))
    measure = choose_measure(rows, outcomes)
    assert measure
    usual = [_usual_outcome(splits.train, classifier.scale)] * len(rows)
    return Baselines(
        measure=measure.name,
        kind=measure.kind,
        split=split,
        n=len(rows),
        n_held_out=len(all_rows),
        n_learned=len(learned),
        n_train=len(splits.train),
        entries=(
            Baseline("median" if classifier.scale else "majority", score(measure, usual, rows), 0.0, 0.0),
            Baseline("linear", score(measure, outcomes, rows), seconds, latency),
        ),
    )


def _affordable(n_rows: float, most: int) -> int:
    """How many rows are taken of those that fit into the time."""
    return max(BATCH_SIZE, min(most, int(n_rows)))


def _usual_outcome(train: Sequence[Example], scale: RatingScale | None) -> Outcome:
    """What guesses best without reading the text: the median, the largest class, the commonest label."""
    if scale:
        return {"value": scale.median}
    counts = Counter(name for example in train for name in targets.labels_of(example))
    usual = min(counts, key=lambda name: (-counts[name], name))
    return {"label": usual} if target_role(train[0]) == "label" else {"labels": [usual]}


class _Classifier:
    """A base model with a head that learns from its embeddings."""

    def __init__(self, plan: Plan, splits: Splits, folder: Path) -> None:
        self.labels = examples.collect_labels(splits.train + splits.validation + splits.test)
        self.model = load.base_model(folder, "classify", self.labels, plan.training.seed)
        self.tokenizer = load.tokenizer(folder)
        role = target_role(splits.train[0])
        self.model.config.problem_type = PROBLEM_TYPES[role]
        has_bias = head.has_bias(self.model)
        self.scale = targets.fit_scale(splits.train, has_bias) if role == "rating" else None
        self.max_length = min(plan.training.max_length or MAX_TOKENS, shape.from_folder(folder).context)

    def time_row(self, rows: Sequence[Example]) -> float:
        """Seconds that embedding one of these rows takes, once the model is warm."""
        embed = partial(
            linear_head.compute_features, self.model, tokenizer=self.tokenizer, on_progress=no_progress
        )
        embed(rows=self._encode(rows[:1]))
        return seconds_of(lambda: embed(rows=self._encode(rows))) / len(rows)

    def learn_and_answer(
        self, learned: Sequence[Example], rows: Sequence[Example], report: Report
    ) -> list[Outcome]:
        """Fit the head to some rows, and answer others."""
        n_rows = len(learned) + len(rows)

        def on_progress(done: int, total: int) -> None:
            report("linear", done, n_rows)

        linear_head.fit_head(self.model, self._encode(learned), self.tokenizer, on_progress)
        report("linear", len(learned), n_rows)
        return self.answer(rows)

    def answer(self, rows: Sequence[Example]) -> list[Outcome]:
        """The outcome of each row."""
        return held_out.evaluate(
            self.model, self._encode(rows), self.tokenizer, "classify", BATCH_SIZE, self.scale
        ).outcomes

    def _encode(self, rows: Sequence[Example]) -> list[Encoded]:
        standardized: Sequence[Any] = [self.scale.standardize(row) for row in rows] if self.scale else rows
        return examples.encode_examples(
            standardized, "classify", self.tokenizer, self.max_length, self.labels
        )
