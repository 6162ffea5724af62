"""What was found by meaning, below the health report: likely wrong labels, leaks in other words."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import gradio as gr

from studio.data.quality.fixes import Change
from studio.data.quality.health import Finding
from studio.data.store import Dataset
from studio.errors import BadData, StudioError
from studio.meaning import client
from studio.meaning import report as meaning
from studio.meaning.report import MeaningReport
from studio.ui import access
from studio.ui.components import notices
from studio.ui.components.events import read_event
from studio.ui.data import health as health_panel
from studio.ui.data import messages
from studio.ui.form import packing
from studio.ui.form.form_state import read_form
from studio.ui.language import request_language

MAX_CACHED = 16
_reports: dict[Any, MeaningReport] = {}
# Numbers the reports, as health.py does.
_report_counter = count()


def run_check(request: gr.Request, **fields: Any) -> Iterator[dict[str, Any]]:
    """The report, once the encoder has read the texts; where it is not here, the offer to fetch it.

    `fields` are the form (form_state.read_form).
    """
    form = read_form(fields)
    yield from _check(form.source, form.task, dict(form.columns), form.test_source, request)


def _check(
    source: str, task: str, columns: dict[str, str], test: str, request: gr.Request, fetches: bool = False
) -> Iterator[dict[str, Any]]:
    lang = request_language(request)
    try:
        dataset = access.find_dataset(source)
        if test:
            access.find_dataset(test)
    except StudioError:
        yield {}
        return
    if not meaning.can_check(task, columns, test):
        yield {}
        return
    key = _key(dataset, task, columns, test)
    if key in _reports:
        yield _format(_reports[key], lang)
        return
    if not fetches and not client.has_encoder():
        yield _format(MeaningReport((meaning.missing_encoder_finding(),)), lang)
        return
    yield health_panel.with_progress({}, messages.MEANING_CHECKING.render(lang), lang)
    report: MeaningReport | None = None
    try:
        for step in client.run_check(source, task, columns, test):
            if isinstance(step, MeaningReport):
                report = step
            else:
                text = messages.STAGE_PROGRESS.render(
                    lang, what=client.STAGE_LABELS[step.stage], share=step.share
                )
                yield health_panel.with_progress({}, text, lang)
    except StudioError as error:
        yield health_panel.with_stop_reason({}, error.render(lang), lang)
        return
    # What was found in rows that have changed meanwhile names other rows by now.
    if report and access.find_dataset(source).version == dataset.version:
        _keep(key, report)
        yield _format(report, lang)


def _key(dataset: Dataset, task: str, columns: dict[str, str], test: str) -> Any:
    test_version = access.find_dataset(test).version if test else 0
    return dataset.source, dataset.version, task, packing.pack_mapping(columns), test, test_version


def _keep(key: Any, report: MeaningReport) -> None:
    _reports[key] = report
    while len(_reports) > MAX_CACHED:
        _reports.pop(next(iter(_reports)))


def find_report(dataset: Dataset, task: str, columns: dict[str, str], test: str = "") -> MeaningReport | None:
    """What was found in the rows of a data set as they are now; None where nobody has looked."""
    return _reports.get(_key(dataset, task, columns, test))


def _format(report: MeaningReport, lang: str) -> dict[str, Any]:
    if not report.findings and not report.looked_at:
        return {}
    looked_at = report.looked_at.render(lang) if report.looked_at else ""
    summary = looked_at if report.findings else f"{messages.HEALTH_GOOD.render(lang)} {looked_at}"
    return {
        "mood": "good",
        "headline": messages.MEANING_HEADING.render(lang),
        "summary": summary,
        "whole": True,
        "turn": next(_report_counter),
        "queued": messages.FIX_QUEUED.render(lang),
        "findings": [_format_finding(finding, lang) for finding in report.findings],
    }


def _format_finding(finding: Finding, lang: str) -> dict[str, Any]:
    return {**health_panel.format_finding(finding, lang), "points": ""}


def finish_report(content: object, request: gr.Request) -> Any:
    """The report after a check has ended: one that was stopped offers to begin again."""
    if not isinstance(content, dict) or not content.get("wait"):
        return gr.skip()
    lang = request_language(request)
    return health_panel.with_stop_reason({**content, "wait": ""}, messages.MEANING_STOPPED.render(lang), lang)


def fix_finding(
    browser_datasets: object, revision: float, event: gr.EventData, request: gr.Request, **fields: Any
) -> Iterator[tuple[Any, ...]]:
    """Fix one finding: remove the rows that a test set gives away, or fetch the encoder and look.

    Likely wrong labels are gone through one by one (label_panel.review).

    Args:
        browser_datasets: The data sets that this browser has brought.
        revision: The counter of changes to the rows.
        event: The event `fix`, whose id is the kind of the finding.
        request: The browser's request.
        **fields: source, task, columns (packed), test and content (the current report).

    Yields:
        Source, revision, notice and report.
    """
    lang, source, test = request_language(request), fields["source"], str(fields["test"] or "")
    columns, kind = packing.unpack_mapping(fields["columns"]), str(read_event(event, "id") or "")
    content = fields["content"] if isinstance(fields["content"], dict) else {}
    same = {**content, "wait": "", "turn": next(_report_counter)}
    unchanged = (gr.skip(),) * 3
    if kind == "no_encoder":
        for update in _check(source, fields["task"], columns, test, request, fetches=True):
            yield *unchanged, update
        return
    if kind != "leak_by_meaning":
        yield *unchanged, same
        return
    try:
        own_dataset = access.find_own_dataset(source, browser_datasets)
        report = find_report(own_dataset, fields["task"], columns, test)
        if not report:
            raise BadData(messages.ROWS_CHANGED, health_panel.RECHECK_ADVICE)
        dataset, was_copied = health_panel.get_editable_dataset(source, browser_datasets)
        change = Change("leak_by_meaning", drop=report.leaking_rows)
        notice = health_panel.apply_change(dataset, change, was_copied, lang)
    except StudioError as error:
        yield gr.skip(), revision + 1, notices.error_notice(error, lang), same
        return
    yield dataset.source, revision + 1, notice, same
