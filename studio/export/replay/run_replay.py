"""Replays the held-out rows of a run on one of its exports."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studio import methods
from studio.data import examples
from studio.data.examples import Example
from studio.evaluate import measures, predictions
from studio.evaluate.predictions import Outcome, Prediction
from studio.export import merge
from studio.export.replay.result import Checked, Replay, Sample
from studio.export.replay.rows import ReplayRows, choose_rows
from studio.export.replay.transformers_runtime import answer, measure_loss
from studio.export.runtime import Runtime
from studio.export.spec import ExportFormat, ExportOptions
from studio.i18n import Message
from studio.models import load
from studio.runs import Run

# A paired test at 5 %, as there is one.
ALPHA = 0.05
N_SAMPLES = 3
SCORE_DIGITS = 3
MAX_PROMPTS = 20
OPENING = Message("Opening the file in {runtime}…")
REPLAYING = Message("Checking held-out rows on the file: {done} of {total}")
ASKING_STUDIO = Message("Asking the model in the studio first…")
NO_ROWS = Message("the run has none that the file could answer")
NO_RUNTIME = Message("nothing here opens this form")
NOTHING_COMPARED = Message("none was answered within {seconds:.0f} s")


def replay(run: Run, form: ExportFormat, folder: Path, options: ExportOptions) -> Checked:
    """Compare an export with the model in the studio, on the same held-out rows.

    Args:
        run: The run.
        form: The format of the export.
        folder: The export.
        options: How many rows at most, for how long, and who is told of the progress.
    """
    if not form.open_runtime:
        return Checked(why_not=NO_RUNTIME)

    def ask_studio(rows: Sequence[Example]) -> list[Outcome]:
        options.on_progress(ASKING_STUDIO)
        return _ask_studio(run, rows)

    chosen = choose_rows(run, options.rows, ask_studio)
    if not chosen:
        return Checked(why_not=NO_ROWS)
    options.on_progress(OPENING.format(runtime=form.runtime))
    runtime = form.open_runtime(run, form, folder, options)
    try:
        return _compare(runtime, chosen, options)
    finally:
        runtime.close()


def _ask_studio(run: Run, rows: Sequence[Example]) -> list[Outcome]:
    """The loss of rows by the tuned model; a row without an answer gets the model's own."""
    tokenizer = load.tokenizer(run.model)
    model = methods.get(run.plan.method.name).load(merge.load_base(run), run.model).eval()
    outcomes: list[Outcome] = []
    for row in rows:
        has_answer = bool(examples.answer_text(row)) if run.plan.task != "complete" else True
        written = {} if has_answer else {"text": answer(model, tokenizer, row)["text"]}
        completed = {**row, "response": written["text"]} if written else row
        loss = measure_loss(run, model, tokenizer, completed)
        outcomes.append({**written, **loss} if loss else {})
    return outcomes


def _compare(runtime: Runtime, chosen: ReplayRows, options: ExportOptions) -> Checked:
    deadline = time.monotonic() + options.seconds
    measure, rows = chosen.measure, chosen.rows
    scored: list[tuple[Prediction, Outcome]] = []
    for done, row in enumerate(rows):
        if time.monotonic() > deadline:
            break
        options.on_progress(REPLAYING.format(done=done, total=len(rows)))
        outcome = runtime.measure(row.example, measure.needs)
        if outcome:
            scored.append((row, outcome))
    if not scored:
        return Checked(why_not=NOTHING_COMPARED.format(seconds=options.seconds))
    before = [_round(measure.score(row.tuned, row.example)) for row, _ in scored]
    after = [_round(measure.score(outcome, row.example)) for row, outcome in scored]
    prompts = [] if chosen.task == "classify" else [row.example for row, _ in scored][:MAX_PROMPTS]
    result = Replay(
        runtime=runtime.name,
        measure=measure.name,
        kind="loss" if measure is measures.LOSS else measure.kind,
        split=chosen.split,
        n=len(scored),
        n_rows=len(rows),
        before=measure.estimate(before),
        after=measure.estimate(after),
        difference=measure.compare(after, before, ALPHA),
        prompts=runtime.check_prompts(prompts) if prompts else (),
        samples=_collect_samples(runtime, chosen, scored),
    )
    return Checked(result)


def _round(score: Any) -> Any:
    """A score without the digits that differ with the order in which numbers are added up."""
    return round(score, SCORE_DIGITS) if isinstance(score, float) else score


def _collect_samples(
    runtime: Runtime, chosen: ReplayRows, scored: Sequence[tuple[Prediction, Outcome]]
) -> tuple[Sample, ...]:
    """A few answers of the file beside those in the studio, where texts are asked for."""
    if chosen.task in ("classify", "complete"):
        return ()
    samples = []
    for row, outcome in scored[:N_SAMPLES]:
        written = outcome if "text" in outcome else runtime.measure(row.example, "text")
        question = predictions.input_text(row.example)
        samples.append(Sample(question, row.tuned.get("text", ""), written["text"]))
    return tuple(samples)
