"""What answers without training: the base model as it is, and with examples of the data in its prompt."""

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from studio.data import examples
from studio.data.examples import Example
from studio.data.split import Splits
from studio.errors import NotPossible
from studio.evaluate import answers, held_out, predictions
from studio.evaluate.baselines import TIMED_TOKENS, Baseline, Baselines
from studio.evaluate.predictions import Outcome
from studio.i18n import Message
from studio.models import load, shape
from studio.plan import Plan
from studio.training.baselines.rows import (
    BATCH_SIZE,
    Report,
    choose_measure,
    held_out_rows,
    score,
    seconds_of,
)

Messages = Sequence[dict[str, str]]
NOT_JUDGED = Message("Without training nothing can be measured on this data: no right answer is known.")
BRING_ANSWERS = Message(
    "Bring questions with answers, or texts with labels. Pairs and plain texts are judged after the training."
)
TOO_LONG = Message("No kept-aside question fits into the {tokens:,} tokens that the base model reads.")
SHORTEN = Message("Shorten the questions, or choose a base model that reads longer texts.")
# Once asking has taken so many seconds, no further rows are asked; with examples in the prompt a row takes
# about three times as long.
ASKING_SECONDS = {"base": 10.0, "few_shot": 30.0}
# Examples in each prompt that is tried, and the training rows that choose among these prompts.
SHOT_COUNTS = (2, 2, 4)
CHOOSING_ROWS = 4


def measure(plan: Plan, splits: Splits, folder: Path, report: Report) -> Baselines:
    """Measure the base model as it is and with the best few-shot prompt.

    The rows that are measured choose nothing: the prompt is chosen on training rows.

    Args:
        plan: A plan that learns to answer.
        splits: Its examples.
        folder: Its base model.
        report: Called before each batch.

    Raises:
        NotPossible: No right answer is known, or none of the questions can be read.
    """
    split, all_rows = held_out_rows(splits)
    questions = choose_questions(plan, splits)
    writer = _Writer(folder, questions, report)
    fitting = [row for row in questions if writer.fits(row, ())]
    if not fitting:
        raise NotPossible(TOO_LONG, SHORTEN, tokens=writer.context)
    asked_base = writer.ask("base", fitting, ())
    shots, seconds = writer.choose_shots(splits.train, fitting, plan.training.seed)
    trials = [asked_base]
    if shots:
        rows = fitting[: len(asked_base.outcomes)]
        asked_well = writer.ask("few_shot", rows, shots)
        trials.append(replace(asked_well, seconds=asked_well.seconds + seconds))
    rows = fitting[: min(len(trial.outcomes) for trial in trials)]
    return Baselines(
        measure=writer.measure.name,
        kind=writer.measure.kind,
        split=split,
        n=len(rows),
        n_held_out=len(all_rows),
        n_learned=0,
        n_train=len(splits.train),
        entries=tuple(writer.score(trial, rows) for trial in trials),
    )


def choose_questions(plan: Plan, splits: Splits) -> list[Example]:
    """The held-out rows with a right answer, a limited number of them.

    Raises:
        NotPossible: There is none.
    """
    rows = held_out_rows(splits)[1]
    indices = answers.choose_questions(rows, plan.task) if plan.task in ("chat", "prompts") else []
    if not indices:
        raise NotPossible(NOT_JUDGED, BRING_ANSWERS)
    return [rows[index] for index in indices]


@dataclass(frozen=True)
class _Trial:
    """What a base model made of the first rows in the time there is, and the seconds taken."""

    name: str
    shots: Messages
    outcomes: Sequence[Outcome]
    seconds: float


class _Writer:
    """A base model that answers questions, with or without examples in the prompt.

    What is wanted decides whether its answers are judged, or how likely the wanted ones are to it (the loss).
    """

    def __init__(self, folder: Path, questions: Sequence[Example], report: Report) -> None:
        self.tokenizer = load.tokenizer(folder)
        self.model = load.base_model(folder, "chat")
        self.report = report
        self.context = shape.from_folder(folder).context
        self.max_new_tokens = answers.max_new_tokens(self.tokenizer, questions)
        any_outcome: Outcome = {"text": "", "loss": 0.0}
        measure = choose_measure(questions, [any_outcome] * len(questions))
        assert measure
        self.measure = measure

    def ask(self, name: str, rows: Sequence[Example], shots: Messages) -> _Trial:
        """The outcomes of the rows in their order, until the time is over; at least of the first batch."""
        ask = self._write if self.measure.needs == "text" else self._score_wanted
        started_at = time.perf_counter()
        outcomes: list[Outcome] = []
        for start in range(0, len(rows), BATCH_SIZE):
            if outcomes and time.perf_counter() - started_at > ASKING_SECONDS[name]:
                break
            self.report(name, start, len(rows))
            outcomes += ask(rows[start : start + BATCH_SIZE], shots)
        return _Trial(name, shots, outcomes, time.perf_counter() - started_at)

    def score(self, trial: _Trial, rows: Sequence[Example]) -> Baseline:
        """The score of a trial on the rows that all trials have answered."""
        prompt = self._prompt_ids(rows[0], trial.shots)
        latency = seconds_of(
            lambda: answers.generate_answers(self.model, self.tokenizer, [prompt], TIMED_TOKENS)
        )
        estimate = score(self.measure, trial.outcomes[: len(rows)], rows)
        return Baseline(trial.name, estimate, trial.seconds, latency, tuple(trial.shots))

    def choose_shots(
        self, train: Sequence[Example], rows: Sequence[Example], seed: int
    ) -> tuple[Messages, float]:
        """The examples that make wanted answers to other training rows likeliest, and the seconds taken.

        No examples where no set of examples leaves room for every question.
        """
        started_at = time.perf_counter()
        shot_sets, judges = draw_shot_sets(train, seed)
        losses = []
        for index, shots in enumerate(shot_sets):
            self.report("choose", index, len(shot_sets))
            if judges and all(self.fits(row, shots) for row in (*rows, *judges)):
                outcomes = self._score_wanted(judges, shots)
                losses.append((statistics.fmean(outcome["loss"] for outcome in outcomes), index))
        chosen = shot_sets[min(losses)[1]] if losses else []
        return chosen, time.perf_counter() - started_at

    def fits(self, question: Example, shots: Messages) -> bool:
        """Whether the prompt with the wanted or a written answer is within what the model reads."""
        wanted = len(self.tokenizer(predictions.expected_text(question))["input_ids"])
        n_answer = max(wanted, self.max_new_tokens, TIMED_TOKENS) + 1  # the token that ends an answer
        return len(self._prompt_ids(question, shots)) + n_answer <= self.context

    def _write(self, questions: Sequence[Example], shots: Messages) -> list[Outcome]:
        """The greedy answer to each question, all in one batch."""
        prompts = [self._prompt_ids(question, shots) for question in questions]
        written = answers.generate_answers(self.model, self.tokenizer, prompts, self.max_new_tokens)
        return [answer.to_outcome() for answer in written]

    def _score_wanted(self, questions: Sequence[Example], shots: Messages) -> list[Outcome]:
        """The loss (nats a token) of the wanted answer to each question."""
        encoded = []
        for question in questions:
            answer = {"role": "assistant", "content": predictions.expected_text(question)}
            messages = [*with_shots(question, shots), answer]
            row = examples.encode_chat(messages, self.tokenizer, self.context, mask_history=True)
            assert row, "it fits"
            encoded.append(row)
        measured = held_out.evaluate(self.model, encoded, self.tokenizer, "chat", BATCH_SIZE)
        return [{"loss": outcome["loss"] / outcome["tokens"]} for outcome in measured.outcomes]

    def _prompt_ids(self, question: Example, shots: Messages) -> list[int]:
        return examples.apply_chat_template(
            self.tokenizer, with_shots(question, shots), add_generation_prompt=True
        )


def draw_shot_sets(train: Sequence[Example], seed: int) -> tuple[list[Messages], list[Example]]:
    """Examples for each prompt that is tried, and the training rows that choose among them.

    No row is in two of these, and a prompt gets no example that is longer than half of them are.
    """
    wanted = [row for row in train if predictions.expected_text(row)]
    lengths = [len(predictions.input_text(row)) + len(predictions.expected_text(row)) for row in wanted]
    middle = statistics.median(lengths) if lengths else 0
    short = [row for row, length in zip(wanted, lengths, strict=True) if length <= middle]
    shuffled = random.Random(seed).sample(short, len(short))  # noqa: S311 - a repeatable draw, no secret
    shot_sets: list[Messages] = []
    start = 0
    for count in SHOT_COUNTS:
        chosen = shuffled[start : start + count]
        start += count
        if len(chosen) == count:
            shot_sets.append([message for row in chosen for message in _to_shot(row)])
    return shot_sets, shuffled[start : start + CHOOSING_ROWS]


def _to_shot(example: Example) -> list[dict[str, str]]:
    """An example as turns of a conversation; what the model reads first is said once, in the question."""
    turns = [message for message in examples.to_prompt_messages(example) if message["role"] != "system"]
    return [*turns, {"role": "assistant", "content": predictions.expected_text(example)}]


def with_shots(question: Example, shots: Messages) -> list[dict[str, str]]:
    """A question with examples before it, behind what the model reads first."""
    messages = examples.to_prompt_messages(question)
    n_first = sum(message["role"] == "system" for message in messages)
    return [*messages[:n_first], *shots, *messages[n_first:]]
