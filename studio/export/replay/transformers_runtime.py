"""An export opened by the lines of its own card, with transformers and PEFT."""

import contextlib
import gc
import io
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from studio import runs
from studio.data import collate, examples
from studio.data.examples import Example
from studio.evaluate import answers, held_out
from studio.evaluate.predictions import Outcome
from studio.export.replay.classify import classify
from studio.export.replay.result import PromptCheck
from studio.export.replay.rows import answered_task, encode_row
from studio.export.spec import ExportFormat
from studio.export.transformers_code import render_transformers_code
from studio.export.usage import build_usage
from studio.models import fetch
from studio.runs import Run


class TransformersRuntime:
    """An export, opened as its card says."""

    name = "transformers"

    def __init__(self, run: Run, form: ExportFormat, folder: Path) -> None:
        self._run, self._report = run, runs.report(run)
        names = run_card(run, form, folder)
        self._model, self._tokenizer = names["model"].eval(), names["tokenizer"]

    def measure(self, row: Example, needs: str) -> Outcome:
        """See `Runtime`."""
        if needs == "text":
            return answer(self._model, self._tokenizer, row)
        if needs == "loss":
            return measure_loss(self._run, self._model, self._tokenizer, row)
        max_length = self._report["texts"]["max_length"]
        encoded = examples.encode_text(row["text"], [0], self._tokenizer, max_length)
        batch = collate.build_collator("classify", self._tokenizer)([vars(encoded)])
        batch.pop("labels")
        with torch.no_grad():
            tensors = {name: tensor.to(self._model.device) for name, tensor in batch.items()}
            logits = self._model(**tensors).logits[0].float().tolist()
        return classify(logits, self._report)

    def check_prompts(self, rows: Sequence[Example]) -> tuple[PromptCheck, ...]:
        """The tokenizer is the same one, and its template with it."""
        return ()

    def close(self) -> None:
        """Free the model's memory."""
        del self._model
        gc.collect()


def run_card(run: Run, form: ExportFormat, folder: Path) -> dict[str, Any]:
    """The names that the lines of an export's card define; its base is taken from where it is here."""
    usage = build_usage(run.plan, runs.report(run), "en")
    local = replace(usage, base=str(fetch.fetch(run.plan.model).folder.resolve()))
    code = render_transformers_code(form, local, run.plan.task)
    names: dict[str, Any] = {}
    sys.path.insert(0, str(folder))
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, "README.md", "exec"), names)  # noqa: S102 - the lines that are handed out
    finally:
        sys.path.remove(str(folder))
        _forget_modules(folder)
    return names


def _forget_modules(folder: Path) -> None:
    """The next export brings code of its own under the same names."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(folder)):
            del sys.modules[name]


def answer(model: Any, tokenizer: Any, row: Example) -> Outcome:
    """The greedy answer of a model to the question of a row."""
    limit = answers.max_new_tokens(tokenizer, [row])
    (written,) = answers.answer_questions(model, tokenizer, [row], limit, lambda done, total: None)
    return written.to_outcome()


def measure_loss(run: Run, model: Any, tokenizer: Any, row: Example) -> Outcome:
    """The loss per token (nats) of a model on what it should have written; empty where that is too long."""
    task = answered_task(run.plan.task)
    pieces = encode_row(run, task, row, tokenizer)
    outcomes = held_out.evaluate(model, pieces, tokenizer, task, 1).outcomes if pieces else []
    n_tokens = sum(outcome["tokens"] for outcome in outcomes)
    return {"loss": sum(outcome["loss"] for outcome in outcomes) / n_tokens} if n_tokens else {}
