"""The health report on the Data tab: a score, findings in plain words, one-click fixes and their undo."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import gradio as gr

from studio import presets
from studio.data import import_job, store
from studio.data.quality.findings import FIX_LABELS
from studio.data.quality.fixes import Change
from studio.data.quality.health import Finding, Health, finding_cost
from studio.data.store import Dataset
from studio.errors import BadData, StudioError
from studio.i18n import Message
from studio.ui import access
from studio.ui.components import notices
from studio.ui.components.events import read_event
from studio.ui.data import messages
from studio.ui.form import packing, plan_form
from studio.ui.form.form_state import read_form
from studio.ui.language import request_language

# The rows of a finding that are named.
MAX_ROWS_NAMED = 8
RECHECK_ADVICE = Message("They are checked anew; choose the fix again.")
HEALTH_TEMPLATE = """
{{#if value.wait}}<p class="health-wait"><span role="status">{{value.wait}}</span> {{#if value.halt}}<button type="button" class="quiet" data-do="halt">{{value.halt}}</button>{{/if}}</p>{{/if}}
{{#if value.halted}}<p class="health-wait"><span role="status">{{value.halted}}</span> <button type="button" class="quiet" data-do="again">{{value.again}}</button></p>{{/if}}
{{#if value.headline}}
<section class="health {{value.mood}}">
  <header><h3 tabindex="-1" data-head>{{value.headline}}</h3>
  {{#if value.score_bar}}<div class="score" aria-hidden="true"><i style="width: {{value.score}}%"></i></div>{{/if}}
  <span>{{value.summary}}</span>
  {{#if value.undo}}<button type="button" class="quiet" data-do="undo">{{value.undo}}</button>{{/if}}</header>
  <ul>{{#each value.findings}}
    <li class="{{this.grade}}">
      <details data-kind="{{this.kind}}"><summary><span class="grade">{{this.graded}}</span> <span class="said">{{this.said}}</span> {{#if this.points}}<span class="points">{{this.points}}</span>{{/if}}</summary>
      <p>{{this.why}}</p>
      {{#if this.where}}<p class="small">{{this.where}}</p>{{/if}}
      {{#each this.examples}}<q>{{this}}</q>{{/each}}</details>
      {{#if this.fix}}<button type="button" class="fix" data-do="fix" data-id="{{this.kind}}">{{this.fix}}</button>{{/if}}
    </li>{{/each}}
  </ul>
</section>{{/if}}"""  # noqa: E501 - HTML


def build_report(elem_id: str = "health") -> gr.HTML:
    """The component, for the health report or the one by meaning.

    The browser sends the events `fix` (with the kind of a finding), `undo`, `halt` and `again`; their values
    come from outside and are checked by the handlers.
    """
    script = (presets.ASSETS / "health.js").read_text(encoding="utf-8")
    return gr.HTML(
        {},
        html_template=HEALTH_TEMPLATE,
        js_on_load=script,
        elem_id=elem_id,
        elem_classes="health-report",
        apply_default_css=False,
    )


def run_checks(request: gr.Request, **fields: Any) -> Iterator[Any]:
    """The report, first without near-duplicates; nothing where there is no data to look at.

    `fields` are the form (form_state.read_form).
    """
    lang = request_language(request)
    form = read_form(fields)
    task, role_columns, test = form.task, dict(form.columns), form.test_source
    try:
        dataset = access.find_dataset(form.source)
        if test:
            access.find_dataset(test)
        base = access.find_base(form.model)
    except StudioError:
        yield {}
        return
    folder = str(base.folder) if base and base.folder else ""
    max_tokens = plan_form.max_text_tokens(form, base)
    check_options = {
        "method": form.method,
        "model": form.model,
        "max_length": max_tokens,
        "folder": folder,
        "test": test,
    }
    rows_key = (dataset.source, dataset.version, task, packing.pack_mapping(role_columns), test)
    cache_key = (*rows_key, form.method, form.model, max_tokens, folder)
    if cache_key in _report_cache:
        yield _format_report(_report_cache[cache_key], dataset, lang)
        return
    report: Health | None = None
    earlier_report = next(
        (
            result
            for other_key, result in reversed(_report_cache.items())
            if other_key[: len(rows_key)] == rows_key
        ),
        None,
    )
    yield with_progress({}, messages.HEALTH_CHECKING.render(lang), lang)
    try:
        for stage, share, result in import_job.check_dataset(
            dataset.source, task, role_columns, earlier_report, **check_options
        ):
            report = result or report
            content = _format_report(report, dataset, lang) if report else {}
            if report and report.is_complete:
                yield content
            else:
                yield with_progress(content, _format_progress(stage, share, lang), lang)
    except StudioError as error:
        yield with_stop_reason({}, error.render(lang), lang)
        return
    if report and report.is_complete:
        _cache_report(cache_key, report)


def with_progress(content: dict[str, Any], text: str, lang: str) -> dict[str, Any]:
    """A report with the progress of a check or fix, and a button to cancel it."""
    return {**content, "wait": text, "halt": messages.HEALTH_STOP.render(lang), "halted": ""}


def _format_progress(stage: str, share: float, lang: str) -> str:
    return messages.STAGE_PROGRESS.render(
        lang, what=import_job.STAGE_LABELS.get(stage, messages.APPLYING_FIX), share=share
    )


def finish_report(content: object, request: gr.Request) -> Any:
    """The report after a check or fix has ended.

    One that was cancelled no longer shows progress, and offers to check the rest.
    """
    if not isinstance(content, dict) or not content.get("wait"):
        return gr.skip()
    lang = request_language(request)
    finished = {**content, "wait": ""}
    if finished.get("whole"):
        return finished
    return with_stop_reason(finished, messages.HEALTH_STOPPED.render(lang), lang)


def with_stop_reason(content: dict[str, Any], reason: str, lang: str) -> dict[str, Any]:
    """A report with the reason why it is incomplete, and a button to check again."""
    return {**content, "wait": "", "halted": reason, "again": messages.HEALTH_CHECK_AGAIN.render(lang)}


_report_cache: dict[Any, Health] = {}
# Numbers the reports: one with the same content as before is still a new value, so the browser enables its
# buttons again.
_report_counter = count()


def _cache_report(key: Any, report: Health) -> None:
    _report_cache[key] = report
    while len(_report_cache) > 32:
        _report_cache.pop(next(iter(_report_cache)))


def _format_report(report: Health, dataset: Dataset, lang: str) -> dict[str, Any]:
    changes = dataset.changes()
    problem_count = sum(finding.grade != "open" for finding in report.findings)
    summary = (
        messages.HEALTH_COUNT.render(lang, count=problem_count)
        if problem_count
        else messages.HEALTH_GOOD.render(lang)
    )
    return {
        "score": report.score,
        "score_bar": True,
        "mood": _score_mood(report.score),
        "headline": messages.HEALTH_SCORE.render(lang, score=report.score),
        "summary": summary,
        "whole": report.is_complete,
        "turn": next(_report_counter),
        "queued": messages.FIX_QUEUED.render(lang),
        "undo": messages.UNDO.render(lang, what=name_change(changes[-1], lang)) if changes else "",
        "findings": [format_finding(item, lang) for item in report.findings],
    }


def _score_mood(score: int) -> str:
    """The colour of the report, as a CSS class; good from 80 on, bad below 50."""
    if score >= 80:
        return "good"
    return "check" if score >= 50 else "bad"


def format_finding(finding: Finding, lang: str) -> dict[str, Any]:
    """A finding as the report shows it."""
    cost = finding_cost(finding)
    row_numbers = [str(row + 1) for row in finding.rows[:MAX_ROWS_NAMED]] + (
        ["…"] if finding.count > MAX_ROWS_NAMED else []
    )
    return {
        "kind": finding.kind,
        "grade": finding.grade,
        "graded": messages.GRADES[finding.grade].render(lang),
        "said": finding.message.render(lang),
        "why": finding.why.render(lang),
        "where": messages.ROW_NUMBERS.render(lang, rows=row_numbers) if finding.rows else "",
        "examples": list(finding.examples),
        "points": messages.HEALTH_POINTS.render(lang, points=cost) if cost else "",
        "fix": finding.fix.render(lang) if finding.fix else "",
    }


def name_change(change: Change, lang: str) -> str:
    """What a change is called."""
    names = {
        **FIX_LABELS,
        "add": messages.ADDED_EXAMPLE,
        "add_texts": messages.ADDED_TEXTS,
        "label_next": messages.LABELLED_TEXTS,
        "relabel": messages.REVIEWED_LABELS,
        store.DAMAGED_CHANGE: messages.DAMAGED_CHANGE,
    }
    return names.get(change.kind, messages.EDITED_ROWS).render(lang)


def get_editable_dataset(source: str, browser_datasets: object) -> tuple[Dataset, bool]:
    """The data set to change: the visitor's own, or a copy of a sample; and whether a copy was made."""
    dataset = access.find_own_dataset(source, browser_datasets)
    return (dataset, False) if dataset.is_editable else (store.copy(dataset), True)


def apply_change(dataset: Dataset, change: Change, was_copied: bool, lang: str) -> dict[str, Any]:
    """Make a change; what a notice says of it."""
    store.apply_change(dataset, change)
    text = messages.FIXED.render(
        lang, what=name_change(change, lang), rows=len(change.drop), cells=len(change.cells)
    )
    return notices.notice(text, messages.SAMPLE_COPIED.render(lang) if was_copied else "", kind="good")


def fix_finding(
    browser_datasets: object, revision: float, event: gr.EventData, request: gr.Request, **fields: Any
) -> Iterator[tuple[Any, ...]]:
    """Fix one finding, on the visitor's own data or on a copy of the sample.

    Args:
        browser_datasets: The data sets that this browser has brought.
        revision: The counter of changes to the rows.
        event: The event `fix`, whose id is the kind of the finding.
        request: The browser's request.
        **fields: source, task, columns (packed), test (the separate test set) and content (the current
            report).

    Yields:
        Source, revision, notice and report; the report shows the progress.
    """
    lang, source, content = request_language(request), fields["source"], fields["content"]
    report = dict(content) if isinstance(content, dict) else {}
    unchanged = (gr.skip(),) * 3
    final_change: Change | None = None
    try:
        version = access.find_own_dataset(source, browser_datasets).version
        if test := str(fields["test"] or ""):
            access.find_dataset(test)
        yield *unchanged, with_progress(report, messages.HEALTH_CHECKING.render(lang), lang)
        kind, role_columns = str(read_event(event, "id") or ""), packing.unpack_mapping(fields["columns"])
        for stage, share, change in import_job.compute_fix(kind, source, fields["task"], role_columns, test):
            final_change = change
            yield *unchanged, with_progress(report, _format_progress(stage, share, lang), lang)
        if not final_change or not (final_change.drop or final_change.cells):
            notice = notices.notice(messages.NOTHING_TO_FIX.render(lang))
            yield gr.skip(), revision + 1, notice, {**report, "wait": ""}
            return
        # The change names rows by number, and these may be others by now.
        if access.find_own_dataset(source, browser_datasets).version != version:
            raise BadData(messages.ROWS_CHANGED, RECHECK_ADVICE)
        dataset, was_copied = get_editable_dataset(source, browser_datasets)
        notice = apply_change(dataset, final_change, was_copied, lang)
    except StudioError as error:
        yield gr.skip(), revision + 1, notices.error_notice(error, lang), {**report, "wait": ""}
        return
    yield dataset.source, revision + 1, notice, {**report, "wait": ""}


def undo_change(
    source: str, browser_datasets: object, revision: float, request: gr.Request
) -> tuple[Any, ...]:
    """Undo the last change."""
    lang = request_language(request)
    try:
        undone = store.undo(access.find_own_dataset(source, browser_datasets))
    except StudioError as error:
        # The new revision renders the report again, and with it the button that was pressed.
        return revision + 1, notices.error_notice(error, lang)
    if not undone:
        return revision + 1, notices.notice(messages.NOTHING_TO_UNDO.render(lang))
    text = messages.UNDONE.render(lang, what=name_change(undone, lang))
    return revision + 1, notices.notice(text, kind="good")
