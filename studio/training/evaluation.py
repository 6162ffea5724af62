"""What a model makes of a run's held-out rows: its scores, and its answer to each row for the verdict."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from studio import methods, runs
from studio.data import examples
from studio.data.examples import Encoded, Example
from studio.evaluate import answers, json_fields
from studio.evaluate.answers import Answer
from studio.evaluate.predictions import Measured, Outcome, Outcomes
from studio.methods.rlhf_stages import schedule
from studio.methods.spec import Scores, TrainingContext
from studio.storage import write_json

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Evaluation:
    """What a model makes of the held-out rows.

    Attributes:
        scores: Its scores.
        outcomes: Its outcome for each row of `answered_split`, by the row's index.
    """

    scores: Scores = field(default_factory=dict)
    outcomes: Outcomes = field(default_factory=dict)


def save(evaluation: Evaluation, path: Path) -> None:
    """Write an evaluation into a file."""
    write_json(path, asdict(evaluation))


def load(path: Path) -> Evaluation:
    """Read an evaluation from a file."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    outcomes = {int(row): outcome for row, outcome in stored["outcomes"].items()}
    return Evaluation(runs.rename_metrics(stored["scores"]), outcomes)


def scored_split(context: TrainingContext) -> str:
    """The split that base and tuned model are scored on: "test" where there is one, else "validation".

    Of rows that a model wrote itself, only those for validation exist.
    """
    return "validation" if _generates_rows(context) else answered_split(context)


def answered_split(context: TrainingContext) -> str:
    """The split of the rows that are answered for the verdict: "test" where there is one."""
    return "test" if context.test_examples else "validation"


def scored_rows(context: TrainingContext) -> list[Encoded]:
    """The encoded examples of the split that models are scored on."""
    return context.test if scored_split(context) == "test" else context.validation


def _generates_rows(context: TrainingContext) -> bool:
    return methods.get(context.plan.method.name).generate_rows is not None


def answered_examples(context: TrainingContext) -> Sequence[Example]:
    """The rows of `answered_split`, not yet encoded."""
    return context.test_examples or context.examples[1]


def evaluate_base(context: TrainingContext, model: Any, on_progress: Progress) -> Evaluation:
    """Score the base on held-out rows, and put their questions to it.

    Args:
        context: The training.
        model: The base.
        on_progress: Called with the questions answered so far, and of how many.
    """
    evaluation = _evaluate(context, model, on_progress)
    if context.plan.task == "classify":  # its head is random numbers: each answer says nothing
        return replace(evaluation, outcomes={})
    return replace(evaluation, outcomes=evaluation.outcomes | _policy_margins(context, model))


def evaluate_tuned(context: TrainingContext, model: Any, on_progress: Progress) -> Evaluation:
    """Score the result likewise; where it has a reward model, its margins are those of the pairs."""
    evaluation = _evaluate(context, model, on_progress)
    margins = _policy_margins(context, model) or _reward_margins(context)
    return replace(evaluation, outcomes=evaluation.outcomes | margins)


def _evaluate(context: TrainingContext, model: Any, on_progress: Progress) -> Evaluation:
    measured = context.measure_rows(model, scored_rows(context))
    outcomes = place_outcomes(context, measured, answered_examples(context))
    text_scores, written = _ask(context, model, on_progress)
    for row, answer in written.items():
        outcomes[row] = {**outcomes.get(row, {}), **answer.to_outcome()}
    return Evaluation({**measured.scores, **text_scores}, outcomes)


def measure_validation(context: TrainingContext, model: Any) -> Outcomes:
    """What a model makes of the validation rows, by the row's index; no question is put to it."""
    return place_outcomes(context, context.measure_rows(model, context.validation), context.examples[1])


def place_outcomes(context: TrainingContext, measured: Measured, rows: Sequence[Example]) -> Outcomes:
    """The outcomes of encoded examples by the index of the row that each was encoded from.

    Rows that a model wrote itself have none, and pairs are judged by their margins.
    """
    task, training = context.plan.task, context.plan.training
    if _generates_rows(context) or task == "prefer" or not measured.outcomes:
        return {}
    if task == "classify":
        return dict(enumerate(measured.outcomes))
    encoded_rows = examples.encode_each(
        rows, task, context.tokenizer, training.token_limit, (), training.mask_history
    )
    remaining = iter(measured.outcomes)
    pieces_by_row = {index: [next(remaining) for _ in pieces] for index, pieces in enumerate(encoded_rows)}
    return {index: _mean_loss(pieces) for index, pieces in pieces_by_row.items() if pieces}


def _mean_loss(pieces: Sequence[Outcome]) -> Outcome:
    """The loss per token (nats) of a row that was encoded into these pieces."""
    n_tokens = sum(piece["tokens"] for piece in pieces)
    return {"loss": round(sum(piece["loss"] for piece in pieces) / n_tokens, 4)}


def _ask(context: TrainingContext, model: Any, on_progress: Progress) -> tuple[Scores, dict[int, Answer]]:
    """Put held-out questions to a model: scores where answers are known, and the answer by row index."""
    rows = answered_examples(context)
    indices = answers.choose_questions(rows, context.plan.task)
    if not indices:
        return {}, {}
    questions = [rows[index] for index in indices]
    max_new_tokens = answers.max_new_tokens(context.tokenizer, questions)
    written = answers.answer_questions(model, context.tokenizer, questions, max_new_tokens, on_progress)
    scores = answers.score_accuracy(written, questions)
    if context.plan.task == "chat":
        scores |= json_fields.score_fields([answer.text for answer in written], questions)
    return scores, dict(zip(indices, written, strict=True))


def _policy_margins(context: TrainingContext, model: Any) -> Outcomes:
    """The margin of each held-out pair where a model learns from judged answers directly; else none."""
    if context.plan.task != "prefer":
        return {}
    algorithm = schedule.resolve_algorithm(context.settings, context.plan.task)
    if algorithm not in schedule.DIRECT_ALGORITHMS:
        return {}
    from studio.methods.rlhf_stages import direct  # noqa: PLC0415 - loads TRL

    margins = direct.pair_margins(context, model, answered_examples(context), algorithm)
    return _as_outcomes(margins)


def _reward_margins(context: TrainingContext) -> Outcomes:
    """How much higher the run's reward model scores the better answer of each pair that fits, if any."""
    if context.plan.task != "prefer":
        return {}
    from studio.methods.rlhf_stages import policy, reward_model, stage  # noqa: PLC0415 - loads TRL

    folder = stage.folder(context, "reward")
    if not stage.is_done(folder):
        return {}
    model = reward_model.load(folder, context.plan.training.seed)
    max_length = context.plan.training.token_limit
    max_completion_length = policy.resolve_max_completion_length(context, "model")
    pairs = {
        index: reward_model.encode_pairs([row], context.tokenizer, max_length, max_completion_length).pairs
        for index, row in enumerate(answered_examples(context))
    }
    fitting = {index: encoded[0] for index, encoded in pairs.items() if encoded}
    if not fitting:
        return {}
    scores = reward_model.score(
        model, context.tokenizer, [text for pair in fitting.values() for text in pair]
    )
    compared = zip(fitting, scores[::2], scores[1::2], strict=True)
    return _as_outcomes({index: better - worse for index, better, worse in compared})


def _as_outcomes(margins: dict[int, float]) -> Outcomes:
    return {row: {"margin": round(margin, 4)} for row, margin in margins.items()}
