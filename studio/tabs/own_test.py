"""A test set of one's own on the Data tab: brought or chosen among what is kept, and remembered with the data set it is for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from studio.data import intake, keep, prepare
from studio.errors import StudioError
from studio.plan import Task
from studio.tabs import data_words as words
from studio.tabs import forms, sets, visitor
from studio.tabs.data import DataTab
from studio.tabs.forms import t

MOST = 200


class OwnTest(NamedTuple):
    """The components; `test` holds the source of the test set of the open data, "" for none."""

    test: gr.Textbox
    choose: gr.Dropdown
    file: gr.File


def lay_out() -> OwnTest:
    """Make the components where they stand on the page."""
    with gr.Accordion(t(words.OWN_TEST_TITLE), open=False, elem_id="own-test"):
        gr.Markdown(t(words.OWN_TEST_HELP))
        choose = gr.Dropdown([("", "")], value="", label=t(words.TEST_OF), elem_id="test-choose")
        file = gr.File(label=t(words.DROP_TEST), elem_id="test-upload", height=110)
    return OwnTest(gr.Textbox("", visible=False), choose, file)


def of(source: str, tests: object, mine: object) -> str:
    """The test set remembered for a data set, "" for none; a copy of a sample has that of the sample until it is given its own.

    `tests` is what the browser remembers (data set -> test set), which may be anything: only a set of the visitor's own is named.
    """
    known = tests if isinstance(tests, dict) else {}
    try:
        origin = str(visitor.dataset(source).card.get("source", ""))
        return visitor.own_set(str(known.get(source, known.get(origin, ""))), mine).source
    except StudioError:
        return ""


def show(source: str, tests: object, mine: object, request: gr.Request) -> tuple[Any, ...]:
    """The test set of the open data, and what could be one."""
    lang, test = forms.language(request), of(source, tests, mine)
    others = [(sets.line(kept, lang), kept.source) for kept in visitor.sets(mine) if kept.source != source]
    return test, gr.update(choices=[(words.TEST_PART.say(lang), ""), *others], value=test)


def choose(test: str, source: str, task: Task, columns: str, tests: object, mine: object, request: gr.Request) -> tuple[Any, ...]:
    """Another test set among those that are kept, or none: what is remembered, what is said of it, and which is chosen."""
    try:
        if test:
            prepare.examples(visitor.own_set(test, mine).table(), task, forms.unpack(columns))
    except StudioError as error:
        return gr.skip(), forms.problem(error, forms.language(request)), of(source, tests, mine)
    return _with(tests, source, test or ""), gr.skip(), gr.skip()


def bring(
    path: str | None, source: str, task: Task, columns: str, tests: object, mine: object, request: gr.Request
) -> Iterator[tuple[Any, ...]]:
    """Take a test set in, if it has the columns of the data: what is remembered, the visitor's own sets, and what is said."""
    lang = forms.language(request)
    if not path:
        return
    yield gr.skip(), gr.skip(), forms.notice(words.STARTING.say(lang, name=Path(path).name))
    kept = None
    try:
        for found in intake.take({"path": str(path), "name": Path(path).name}):
            kept = keep.find(found["source"]) if "source" in found else kept
        if kept:
            prepare.examples(kept.table(), task, forms.unpack(columns))
            own = mine if isinstance(mine, list) else []
            yield _with(tests, source, kept.source), [*own, kept.source][-MOST:], gr.skip()
    except StudioError as error:
        if kept:
            keep.drop(kept)
        yield gr.skip(), gr.skip(), forms.problem(error, lang)


def _with(tests: object, source: str, test: str) -> dict[str, str]:
    known = {str(one): str(other) for one, other in tests.items() if one != source} if isinstance(tests, dict) else {}
    return dict([*known.items(), (source, test)][-MOST:])


def wire(here: OwnTest, at_data: DataTab, source: gr.BrowserState, mine: gr.BrowserState, tests: gr.BrowserState, told: gr.HTML) -> None:
    """Let the test set follow the data, and what is brought or chosen be remembered; `told` says what went wrong."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    known = [source, at_data.task, at_data.columns, tests, mine]
    opened = forms.follow(source.change, tests.change, mine.change, gr.context.Context.root_block.load)
    opened.then(show, [source, tests, mine], [here.test, here.choose], trigger_mode="always_last", **quiet)
    brought = here.file.upload(bring, [here.file, *known], [tests, mine, told], show_progress="hidden")
    brought.then(None, None, here.file, js="() => null")
    here.choose.input(choose, [here.choose, *known], [tests, told, here.choose], **quiet)
