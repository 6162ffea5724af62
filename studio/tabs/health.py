"""The health report on the Data tab: a score, findings in plain words, and fixes of one click that can be taken back."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import gradio as gr

from studio import presets
from studio.data import intake, keep
from studio.data.check import Finding, Health
from studio.data.findings import FIXES
from studio.data.fixes import Change
from studio.data.keep import Kept
from studio.errors import BadData, StudioError
from studio.plan import Task, Value
from studio.tabs import data_words as words
from studio.tabs import draft, forms, visitor
from studio.words import Words

# The rows of a finding that are named.
MOST_NAMED = 8
STALE_DO = Words("They are checked anew; choose the fix again.", "正在重新检查，请稍后再修复一次。")
TEMPLATE = """
{{#if value.wait}}<p class="health-wait"><span role="status">{{value.wait}}</span> {{#if value.halt}}<button type="button" class="quiet" data-do="halt">{{value.halt}}</button>{{/if}}</p>{{/if}}
{{#if value.halted}}<p class="health-wait"><span role="status">{{value.halted}}</span> <button type="button" class="quiet" data-do="again">{{value.again}}</button></p>{{/if}}
{{#if value.headline}}
<section class="health {{value.mood}}">
  <header><meter min="0" max="100" low="50" high="80" optimum="100" value="{{value.score}}" aria-hidden="true"></meter>
  <b tabindex="-1" data-head>{{value.headline}}</b> <span>{{value.summary}}</span>
  {{#if value.undo}}<button type="button" class="quiet" data-do="undo">{{value.undo}}</button>{{/if}}</header>
  <ul>{{#each value.findings}}
    <li class="{{this.grade}}">
      <p><span class="grade">{{this.graded}}</span> <b>{{this.said}}</b></p>
      <p class="small">{{this.why}}</p>
      {{#if this.where}}<p class="small">{{this.where}}</p>{{/if}}
      {{#each this.examples}}<q>{{this}}</q>{{/each}}
      {{#if this.fix}}<button type="button" class="fix" data-do="fix" data-id="{{this.kind}}">{{this.fix}}</button>{{/if}}
    </li>{{/each}}
  </ul>
</section>{{/if}}"""


def panel() -> gr.HTML:
    """The component; the browser tells `fix` with the kind of a finding, `undo`, `halt` and `again`. All may be anything: check them."""
    script = (presets.ASSETS / "health.js").read_text(encoding="utf-8")
    return gr.HTML({}, html_template=TEMPLATE, js_on_load=script, elem_id="health", apply_default_css=False)


def examine(
    source: str, task: Task, columns: str, model: str, max_length: float, chosen: str, test: str, request: gr.Request, **knobs: Value
) -> Iterator[Any]:
    """The report, first without near-duplicates; nothing where there is no data to look at. `knobs` are the fields of methods' settings."""
    lang = forms.language(request)
    try:
        kept, roles = visitor.dataset(source), forms.unpack(columns)
        if test:
            visitor.dataset(test)
        base = visitor.base(model)
    except StudioError:
        yield {}
        return
    folder = str(base.folder) if base and base.folder else ""
    test, room = str(test or ""), draft.room(base, chosen, max_length, knobs)
    given = {"method": chosen, "max_length": room, "folder": folder, "test": test}
    rows = (kept.source, kept.stamp, task, columns, test)
    key = (*rows, chosen, room, folder)
    if key in _known:
        yield _content(_known[key], kept, lang)
        return
    found: Health | None = None
    before = next((health for other, health in reversed(_known.items()) if other[: len(rows)] == rows), None)
    yield waiting({}, words.HEALTH_WAIT.say(lang), lang)
    try:
        for stage, share, health in intake.judge(kept.source, task, roles, before, **given):
            found = health or found
            shown = _content(found, kept, lang) if found else {}
            yield shown if found and found.whole else waiting(shown, _working(stage, share, lang), lang)
    except StudioError as error:
        yield stopped({}, error.say(lang), lang)
        return
    if found and found.whole:
        _keep(key, found)


def waiting(shown: dict[str, Any], said: str, lang: str) -> dict[str, Any]:
    """A report with what is going on, which can be called off."""
    return {**shown, "wait": said, "halt": words.HEALTH_HALT.say(lang), "halted": ""}


def _working(stage: str, share: float, lang: str) -> str:
    return words.WORKING.say(lang, what=intake.STAGES.get(stage, words.FIXING), share=share)


def settle(shown: object, request: gr.Request) -> Any:
    """The report when a check or a fix has ended: one that was called off waits no more, and what was not looked at can be looked at again."""
    if not isinstance(shown, dict) or not shown.get("wait"):
        return gr.skip()
    lang = forms.language(request)
    found = {**shown, "wait": ""}
    return found if found.get("whole") else stopped(found, words.HEALTH_HALTED.say(lang), lang)


def stopped(shown: dict[str, Any], said: str, lang: str) -> dict[str, Any]:
    """A report with why it is not whole, which can be asked for again."""
    return {**shown, "wait": "", "halted": said, "again": words.HEALTH_AGAIN.say(lang)}


_known: dict[Any, Health] = {}
_turns = count()  # a report that says the same as the one before is still another: the browser hears of it, and gives its buttons back


def _keep(key: Any, found: Health) -> None:
    _known[key] = found
    while len(_known) > 32:
        _known.pop(next(iter(_known)))


def _content(found: Health, kept: Kept, lang: str) -> dict[str, Any]:
    changes = kept.changes()
    number = sum(finding.grade != "open" for finding in found.findings)
    summary = words.HEALTH_COUNT.say(lang, count=number) if number else words.HEALTH_GOOD.say(lang)
    return {
        "score": found.score,
        "mood": "good" if found.score >= 80 else "check" if found.score >= 50 else "bad",
        "headline": words.HEALTH_SCORE.say(lang, score=found.score),
        "summary": summary,
        "whole": found.whole,
        "turn": next(_turns),
        "undo": words.UNDO.say(lang, what=_named(changes[-1], lang)) if changes else "",
        "findings": [_finding(one, lang) for one in found.findings],
    }


def _finding(one: Finding, lang: str) -> dict[str, Any]:
    named = [str(row + 1) for row in one.rows[:MOST_NAMED]] + (["…"] if one.count > MOST_NAMED else [])
    return {
        "kind": one.kind,
        "grade": one.grade,
        "graded": words.GRADES[one.grade].say(lang),
        "said": one.said.say(lang),
        "why": one.why.say(lang),
        "where": words.ROWS_OF.say(lang, rows=named) if one.rows else "",
        "examples": list(one.examples),
        "fix": one.fix.say(lang) if one.fix else "",
    }


def _named(change: Change, lang: str) -> str:
    return FIXES.get(change.kind, words.EDIT).say(lang)


def changeable(source: str, mine: object) -> tuple[Kept, bool]:
    """The data set to change: the visitor's own, or a copy of a sample; and whether a copy was made."""
    kept = visitor.own_set(source, mine)
    return (kept, False) if kept.own else (keep.copy(kept), True)


def changed(kept: Kept, made: Change, copied: bool, lang: str) -> dict[str, Any]:
    """Make a change; what a notice says of it."""
    keep.change(kept, made)
    said = words.FIXED.say(lang, what=_named(made, lang), rows=len(made.drop), cells=len(made.cells))
    return forms.notice(said, words.COPIED.say(lang) if copied else "", kind="good")


def fix(
    source: str,
    task: Task,
    columns: str,
    test: str,
    mine: object,
    touched: float,
    shown: object,
    event: gr.EventData,
    request: gr.Request,
) -> Iterator[tuple[Any, ...]]:
    """The fix of one finding, on the visitor's own data or a copy of the sample; the report (`shown`) says how far it is."""
    lang, report = forms.language(request), dict(shown) if isinstance(shown, dict) else {}
    made: Change | None = None
    try:
        stamp = visitor.own_set(source, mine).stamp
        if test:
            visitor.dataset(test)
        yield gr.skip(), gr.skip(), gr.skip(), waiting(report, words.HEALTH_WAIT.say(lang), lang)
        for stage, share, change in intake.mend(str(getattr(event, "id", "")), source, task, forms.unpack(columns), str(test or "")):
            made = change
            yield gr.skip(), gr.skip(), gr.skip(), waiting(report, _working(stage, share, lang), lang)
        if not made or not (made.drop or made.cells):
            yield gr.skip(), touched + 1, forms.notice(words.FIX_NOTHING.say(lang)), {**report, "wait": ""}
            return
        if visitor.own_set(source, mine).stamp != stamp:  # its numbers are those of rows that are others now
            raise BadData(words.STALE, STALE_DO)
        kept, copied = changeable(source, mine)
        told = changed(kept, made, copied, lang)
    except StudioError as error:
        yield gr.skip(), touched + 1, forms.problem(error, lang), {**report, "wait": ""}
        return
    yield kept.source, touched + 1, told, {**report, "wait": ""}


def undo(source: str, mine: object, touched: float, request: gr.Request) -> tuple[Any, ...]:
    """Take the last change back."""
    lang = forms.language(request)
    try:
        last = keep.undo(visitor.own_set(source, mine))
    except StudioError as error:
        return touched + 1, forms.problem(error, lang)  # the report is shown anew, and its button with it
    told = words.UNDONE.say(lang, what=_named(last, lang)) if last else words.NOTHING.say(lang)
    return touched + 1, forms.notice(told, kind="good" if last else "info")
