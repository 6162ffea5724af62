"""Refining follows the form, and ends when it changes."""

from form_fields import ENGLISH, form_fields

from studio.estimate.dataset_lengths import measure_lengths
from studio.ui.method import refinement


def test_refining_ends_when_the_fields_have_changed(monkeypatch):
    traced = []

    def trace_missing(context, method):
        traced.append(method.name)
        refinement.next_revision(ENGLISH)  # somebody moves a slider
        return True

    monkeypatch.setattr(refinement.all_methods, "trace_missing", trace_missing)
    monkeypatch.setattr(
        refinement.dataset_lengths,
        "measure_lengths",
        lambda plan, folder, wait=False: measure_lengths(plan, None),
    )
    refinement.next_revision(ENGLISH)
    assert list(refinement.refine(None, ENGLISH, **form_fields())) == [1.0]
    assert traced == ["lora"], "the chosen method first, and no other"


def test_only_so_many_sessions_are_remembered(monkeypatch):
    from types import SimpleNamespace

    monkeypatch.setattr(refinement, "_revisions", {})
    monkeypatch.setattr(refinement, "MAX_SESSIONS", 2)
    for session in ("a", "b", "a", "c"):
        refinement.next_revision(SimpleNamespace(session_hash=session))
    assert refinement._revisions == {"a": 2, "c": 1}
