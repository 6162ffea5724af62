"""The lower half of the Data tab: the split, the health report, what the model will see, every row, and how long they are."""

from typing import Any, NamedTuple

import gradio as gr

from studio.errors import StudioError
from studio.plan import Data, MethodChoice, Plan, Task, Training, Value
from studio.tabs import data_words as words
from studio.tabs import draft, forms, health, look, own_test, visitor
from studio.tabs.data import DataTab
from studio.tabs.forms import t
from studio.tabs.method import MethodTab
from studio.tabs.own_test import OwnTest


class Inspection(NamedTuple):
    """The components of the lower half."""

    whole: gr.Column
    split: gr.HTML
    own: OwnTest
    report: gr.HTML
    seen: gr.HTML
    search: gr.Textbox
    number: gr.Number
    where: gr.HTML
    rows: gr.Dataframe
    numbers: gr.Textbox
    drop: gr.Button
    lengths: gr.Plot
    classes: gr.Plot


def lay_out() -> Inspection:
    """Make the components where they stand on the page; unseen until there is data."""
    with gr.Column(visible=False, elem_id="inspection") as whole:
        return _parts(whole)


def _parts(whole: gr.Column) -> Inspection:
    split = forms.notice_box("split-notice")
    report = health.panel()
    with gr.Accordion(t(words.SEEN), open=True, elem_id="seen"):
        seen = gr.HTML({}, html_template=look.SEEN, elem_id="seen-examples", apply_default_css=False)
    with gr.Accordion(t(words.ROWS), open=False, elem_id="rows"):
        gr.Markdown(t(words.ROWS_HELP))
        with gr.Row():
            search = gr.Textbox(label=t(words.SEARCH), elem_id="row-search", scale=4)
            number = gr.Number(1, label=t(words.PAGE), minimum=1, precision=0, elem_id="row-page", scale=1, min_width=110)
        where = gr.HTML("", html_template="<p>{{value}}</p>", elem_id="row-where", apply_default_css=False)
        rows = gr.Dataframe(
            interactive=True,
            wrap=True,
            visible=False,
            elem_id="row-table",
            max_chars=300,
            datatype="str",
            static_columns=[0],
            show_label=False,
            label=t(words.ROWS),
        )
        with gr.Row():
            numbers = gr.Textbox(label=t(words.DELETE_ROWS), max_length=200, elem_id="row-numbers", scale=3)
            drop = gr.Button(t(words.DELETE), elem_id="row-delete", size="sm", scale=1)
    with gr.Accordion(t(words.CHARTS), open=False, elem_id="charts"), gr.Row():
        lengths = gr.Plot(show_label=False, visible=False, elem_id="chart-lengths")
        classes = gr.Plot(show_label=False, visible=False, elem_id="chart-classes")
    own = own_test.lay_out()
    return Inspection(whole, split, own, report, seen, search, number, where, rows, numbers, drop, lengths, classes)


def divide(
    source: str, task: Task, columns: str, test: str, validation_share: Value, test_share: Value, seed: Value, request: gr.Request
) -> dict[str, Any]:
    """How the examples are divided, in one sentence."""
    lang = forms.language(request)
    try:
        visitor.dataset(source)
        data = Data(source=source, columns=forms.unpack(columns), test=test or "", validation_share=validation_share, test_share=test_share)
        made = Plan(task=task, model="-", data=data, method=MethodChoice(name="lora"), training=Training(seed=int(seed or 0)))
        parts = draft.parted(made)
    except (StudioError, ValueError, TypeError):
        return forms.notice("")
    count, train, check = len(parts.test), len(parts.train), len(parts.validation)
    if test:
        told = words.OWN_TEST.say(lang, test=count, name=visitor.dataset(test).name)
    else:
        told = words.SPLIT_TEST.say(lang, test=count) if count else words.SPLIT_NONE.say(lang, check=check)
    whole = train + check + (0 if test else count)
    return forms.notice(words.SPLIT.say(lang, count=whole, train=train, check=check, test=told, seed=int(seed or 0)))


def wire(
    here: Inspection, at_data: DataTab, at_method: MethodTab, source: gr.BrowserState, mine: gr.BrowserState, tests: gr.BrowserState
) -> None:
    """Let everything follow the data, and the changes made here reach it."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
    at_once = {**last, "queue": False}
    task, columns, touched, told = at_data.task, at_data.columns, at_data.touched, at_data.told
    training, model, chosen = at_method.training, at_method.model, at_method.chosen
    about = {"source": source, "task": task, "columns": columns, "model": model, "chosen": chosen, **at_method.now}
    about["max_length"] = training["max_length"]
    # What a text may be at most: virtual tokens stand in the way of real ones.
    beside = [field.change for name, field in at_method.knobs.items() if name == "peft_type" or name.endswith("virtual_tokens")]
    limits = [training["max_length"].change, model.change, chosen.change, *beside]
    # In the browser alone: with every event of the server Gradio looks through all that stands in what the server shows or hides.
    source.change(None, source, here.whole, js="(source) => ({ visible: Boolean(source), __type__: 'update' })", **quiet)
    rows = forms.follow(source.change, columns.change, touched.change, *limits)
    rows.then(look.see, inputs_kwargs=about, outputs=here.seen, **last)
    rows.then(look.charts, inputs_kwargs=about, outputs=[here.lengths, here.classes], **last)
    again = gr.Number(0, visible=False)  # how often it was asked to check once more
    here.report.again(None, again, again, js="(count) => count + 1", **quiet)
    judged = forms.follow(source.change, columns.change, touched.change, here.own.test.change, *limits, again.change)
    judging = judged.then(health.examine, inputs_kwargs={**about, "test": here.own.test}, outputs=here.report, **last)
    fixed = [source, touched, told, here.report]
    turned = [here.rows, here.where, here.number]
    here.search.input(None, None, here.number, js="() => 1", **quiet)
    turns = forms.follow(source.change, touched.change, here.number.input, here.search.input)
    turns.then(look.page, [source, here.search, here.number], turned, **at_once)
    here.rows.input(look.edit, [source, mine, here.rows, touched], [source, touched, told], **quiet)
    here.drop.click(look.delete, [source, mine, here.numbers, touched], [source, touched, told, here.numbers], **quiet)
    fixing = here.report.fix(health.fix, [source, task, columns, here.own.test, mine, touched, here.report], fixed, show_progress="hidden")
    here.report.halt(None, None, None, cancels=[judging, fixing], **quiet)
    # Not on `halt` itself: Gradio forgets what is asked for while it still calls something off, and goes on here when that is done.
    for going in (judging, fixing):
        going.then(health.settle, here.report, here.report, **quiet)
    here.report.undo(health.undo, [source, mine, touched], [touched, told], show_progress="hidden")
    own_test.wire(here.own, at_data, source, mine, tests, here.split)
    parts = {"source": source, "task": task, "columns": columns, "test": here.own.test}
    parts |= {name: training[name] for name in ("validation_share", "test_share", "seed")}
    moved = [training[name].change for name in ("validation_share", "test_share", "seed")]
    divided = forms.follow(source.change, columns.change, touched.change, here.own.test.change, *moved)
    divided.then(divide, inputs_kwargs=parts, outputs=here.split, **at_once)
