"""Refining the table's estimates while the person reads: counting tokens, then tracing each method."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import gradio as gr

from studio import methods
from studio.errors import StudioError
from studio.estimate import all_methods, dataset_lengths
from studio.estimate.types import Estimate
from studio.methods import compatibility
from studio.methods.spec import Method
from studio.ui.form.form_state import read_form
from studio.ui.method.estimate_inputs import EstimateInputs, load_inputs

MAX_SESSIONS = 1_000
# How often the form has changed, by the session of the visitor; the sessions used last, MAX_SESSIONS at most.
_revisions: dict[str, int] = {}


def next_revision(request: gr.Request) -> int:
    """Count a change of the form: what is being refined for this visitor's earlier fields ends.

    Returns:
        How often this visitor's form has changed.
    """
    session_id = str(request.session_hash)
    _revisions[session_id] = _revisions.pop(session_id, 0) + 1
    while len(_revisions) > MAX_SESSIONS:
        oldest_session = next(iter(_revisions))
        del _revisions[oldest_session]
    return _revisions[session_id]


def _current_revision(request: gr.Request) -> int | None:
    return _revisions.get(str(request.session_hash))


def is_needed(inputs: EstimateInputs, estimates: Mapping[str, Estimate]) -> bool:
    """Whether finer figures than these can still be worked out.

    Args:
        inputs: What the estimates were computed from.
        estimates: By method name.
    """
    if has_guessed_tokens(inputs):
        return True
    untraced = [name for name, estimate in estimates.items() if estimate.has_untraced_passes]
    return any(all_methods.needs_tracing(inputs.context, methods.get(name)) for name in untraced)


def has_guessed_tokens(inputs: EstimateInputs) -> bool:
    """Whether tokens were guessed from characters although the model's tokenizer is here and did not fail."""
    lengths = inputs.lengths
    if not inputs.base.folder or not lengths:
        return False
    return not lengths.is_exact and not lengths.failure_reason


def find_untraced_methods(inputs: EstimateInputs) -> list[Method]:
    """The methods whose figures tracing would refine, the chosen one first."""
    if not inputs.base.shape or not inputs.lengths:
        return []
    untraced = []
    for method in methods.METHODS:
        if compatibility.find_incompatibility(method.name, inputs.plan.task, inputs.base.shape):
            continue
        if all_methods.needs_tracing(inputs.context, method):
            untraced.append(method)
    return sorted(untraced, key=lambda method: method.name != inputs.plan.method.name)


def refine(done_count: float | None, request: gr.Request, **fields: Any) -> Iterator[float]:
    """Count the tokens, then trace one method after the other, until the form changes.

    Args:
        done_count: The value of a hidden field, which starts as None.
        request: The visitor's request.
        fields: The form (form_state.read_form).

    Yields:
        A new value for the hidden field after each step: the table can be drawn anew.
    """
    revision = _current_revision(request)
    inputs = load_inputs(read_form(fields))
    done_count = done_count or 0.0
    if inputs.base.folder and has_guessed_tokens(inputs):
        try:
            lengths = dataset_lengths.measure_lengths(inputs.plan, inputs.base.folder, wait=True)
        except StudioError:
            return
        inputs = replace(inputs, lengths=lengths)
        done_count += 1
        yield done_count
    for method in find_untraced_methods(inputs):
        if _current_revision(request) != revision or not inputs.lengths:
            return
        if all_methods.trace_missing(inputs.context, method):
            done_count += 1
            yield done_count
