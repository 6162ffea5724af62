"""The Data tab: bring examples, see them, say which column is what."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from studio import presets
from studio.data import columns, keep, prepare
from studio.data.keep import Kept
from studio.data.read import KINDS, Table
from studio.errors import StudioError
from studio.plan import ROLES, Task
from studio.tabs import forms, visitor
from studio.tabs.forms import t
from studio.words import Words, label

SHOWN_ROWS = 8
TASKS: dict[Task, Words] = {
    "chat": Words("Answer the way my examples do (text generation)", "像我的样本那样回答（文本生成）"),
    "classify": Words("Sort texts into my classes (classification)", "把文本归入我的类别（分类）"),
}
HEAD = label(
    "### Bring examples\nA spreadsheet saved as CSV, or a JSONL file: one example a row.",
    "### 带上样本\n把表格存成 CSV，或提供 JSONL 文件：每行一个样本。",
)
DROP = label("Your examples (.csv, .tsv or .jsonl, up to 100 MB)", "你的样本（.csv、.tsv 或 .jsonl，最大 100 MB）")
OR_SAMPLE = label("No file at hand? Start with a sample written for this studio.", "手边没有文件？先用为本工作室编写的示例。")
FIRST_ROWS = label("First rows", "前几行")
TASK = label("What should the model learn?", "要让模型学会什么？")
NEXT = label("Next: choose a method", "下一步：选择方法")
INPUT, TARGET = label("Column to read", "读取的列"), label("Column to learn", "要学的列")
EMPTY = Words("No examples yet. Drop a file above, or use a sample.", "还没有样本。请在上方放入文件，或使用示例。")
READ = Words("“{name}”: {rows} rows, {columns} columns.", "“{name}”：{rows} 行，{columns} 列。")
TAKEN_CHAT = Words("The model will read “{first}” and learn to write “{second}”.", "模型会读取“{first}”，学着写出“{second}”。")
TAKEN_CLASSES = Words(
    "The model will read “{first}” and learn to choose one of {count} classes from “{second}”: {classes}.",
    "模型会读取“{first}”，学着从“{second}”的 {count} 个类别中选择：{classes}。",
)
UNSURE = Words(
    "The column names do not say it, so this is a guess from the content: please check.", "列名没有说明用途，以上是根据内容的猜测，请核对。"
)
DAMAGED = Words("{count} damaged line(s) left out, the first: line {line} {why}.", "忽略了 {count} 行损坏数据，第一处：第 {line} 行{why}。")
INCOMPLETE = Words("{count} row(s) with an empty cell left out.", "忽略了 {count} 行含空单元格的数据。")
FEW = Words(
    "{count} examples are few: expect a rough result; 100 or more are better.", "只有 {count} 个样本，结果会比较粗糙；最好有 100 个以上。"
)


class DataTab(NamedTuple):
    """The components other tabs need."""

    task: gr.Radio
    first: gr.Dropdown
    second: gr.Dropdown
    next: gr.Button


def upload(path: str | None, request: gr.Request) -> tuple[Any, ...]:
    """Take an uploaded file in and show what it holds."""
    lang = forms.language(request)
    if not path:
        return (gr.skip(),) * 6
    kept = None
    try:
        kept = keep.keep(Path(path))
        return _show(kept, lang)
    except (StudioError, OSError, MemoryError) as error:
        if kept:
            keep.drop(kept)
        return forms.problem(error, lang), gr.skip(), gr.skip(), gr.skip(), gr.skip(), gr.skip()


def sample(name: str, request: gr.Request) -> tuple[Any, ...]:
    """Take a sample data set."""
    return _show(keep.find(f"sample:{name}"), forms.language(request))


def sample_tone(request: gr.Request) -> tuple[Any, ...]:
    """Take the sample of support replies."""
    return sample("support-tone", request)


def sample_triage(request: gr.Request) -> tuple[Any, ...]:
    """Take the sample of tickets to sort."""
    return sample("ticket-triage", request)


def restore(source: str, request: gr.Request) -> tuple[Any, ...]:
    """Show the data set this browser used last; an empty state says what to do."""
    lang = forms.language(request)
    try:
        return (
            _show(visitor.dataset(source), lang)
            if isinstance(source, str) and source.partition(":")[0] in ("sample", "dataset")
            else _empty(lang)
        )
    except StudioError:
        return _empty(lang)


def change_task(source: str, task: Task, request: gr.Request) -> tuple[Any, ...]:
    """Another task: guess the columns for it anew."""
    lang = forms.language(request)
    try:
        kept = visitor.dataset(source)
        table = kept.table()
        found = columns.guess(table, task)
        return _verdict(kept, table, task, found.columns, found.sure, lang), *_dropdowns(table, task, found.columns, lang)
    except StudioError as error:
        return forms.problem(error, lang), gr.skip(), gr.skip()


def change_columns(source: str, task: Task, first: str, second: str, request: gr.Request) -> dict[str, Any]:
    """Other columns: say what follows."""
    lang = forms.language(request)
    try:
        kept = visitor.dataset(source)
        return _verdict(kept, kept.table(), task, dict(zip(ROLES[task], (first, second), strict=True)), True, lang)
    except StudioError as error:
        return forms.problem(error, lang)


def _show(kept: Kept, lang: str) -> tuple[Any, ...]:
    table = kept.table()
    found = columns.guess(table)
    rows = [[row[name] for name in table.columns] for row in table.rows[:SHOWN_ROWS]]
    preview = gr.update(value={"headers": list(table.columns), "data": rows}, visible=True)
    tasks = gr.update(choices=[(said.say(lang), name) for name, said in TASKS.items()], value=found.task, visible=True)
    verdict = _verdict(kept, table, found.task, found.columns, found.sure, lang)
    return verdict, *_dropdowns(table, found.task, found.columns, lang), preview, tasks, kept.source


def _empty(lang: str) -> tuple[Any, ...]:
    hidden = gr.update(visible=False)
    return forms.notice(EMPTY.say(lang)), hidden, hidden, hidden, hidden, gr.skip()


def _dropdowns(table: Table, task: Task, roles: dict[str, str], lang: str) -> tuple[Any, Any]:
    first, second = ROLES[task]
    return tuple(
        gr.update(choices=list(table.columns), value=roles.get(role), label=columns.ROLE_NAMES[role].say(lang), visible=True)
        for role in (first, second)
    )


def _verdict(kept: Kept, table: Table, task: Task, roles: dict[str, str], sure: bool, lang: str) -> dict[str, Any]:
    """What was read and how it was taken, or what is wrong with it."""
    try:
        found, incomplete = prepare.examples(table, task, roles)
    except StudioError as error:
        return forms.problem(error, lang)
    first, second = (roles[role] for role in ROLES[task])
    parts = []
    if task == "classify":
        counts = Counter(example["label"] for example in found)
        classes = ", ".join(f"{name} ({count})" for name, count in counts.most_common(8)) + (" …" if len(counts) > 8 else "")
        parts.append(TAKEN_CLASSES.say(lang, first=first, second=second, count=len(counts), classes=classes))
    else:
        parts.append(TAKEN_CHAT.say(lang, first=first, second=second))
    parts += [] if sure else [UNSURE.say(lang)]
    if table.bad:
        parts.append(DAMAGED.say(lang, count=len(table.bad), line=table.bad[0][0], why=table.bad[0][1]))
    parts += [INCOMPLETE.say(lang, count=incomplete)] if incomplete else []
    parts += [FEW.say(lang, count=len(found))] if len(found) < 100 else []
    name = presets.samples()[kept.source.partition(":")[2]].name.say(lang) if kept.source.startswith("sample:") else kept.name
    said = READ.say(lang, name=name, rows=len(table.rows), columns=len(table.columns))
    return forms.notice(said, " ".join(parts), "good" if sure else "check")


def build(source: gr.BrowserState) -> DataTab:
    """Lay the tab out and wire it; `source` remembers the data set."""
    gr.Markdown(t(HEAD))
    file = gr.File(label=t(DROP), file_types=list(KINDS), elem_id="upload", height=150)
    gr.Markdown(t(OR_SAMPLE))
    with gr.Row():
        cards = presets.samples()
        tone = gr.Button(t(label(cards["support-tone"].name.en, cards["support-tone"].name.zh)), elem_id="sample-tone")
        triage = gr.Button(t(label(cards["ticket-triage"].name.en, cards["ticket-triage"].name.zh)), elem_id="sample-triage")
    told = forms.notice_box("data-notice")
    task = gr.Radio([(said.en, name) for name, said in TASKS.items()], value="chat", label=t(TASK), elem_id="task", visible=False)
    with gr.Row():
        first = gr.Dropdown([], label=t(INPUT), elem_id="column-first", visible=False)
        second = gr.Dropdown([], label=t(TARGET), elem_id="column-second", visible=False)
    preview = gr.Dataframe(
        label=t(FIRST_ROWS), interactive=False, wrap=True, visible=False, elem_id="preview", max_chars=300, datatype="str"
    )
    forward = gr.Button(t(NEXT), variant="primary", elem_id="to-method")
    shown = [told, first, second, preview, task, source]
    taken = file.upload(upload, file, shown, show_progress="minimal")
    taken.then(None, None, file, js="() => null")  # ready for the next file; this one is kept elsewhere
    tone.click(sample_tone, None, shown, show_progress="hidden", queue=False)
    triage.click(sample_triage, None, shown, show_progress="hidden", queue=False)
    task.input(change_task, [source, task], [told, first, second], show_progress="hidden", queue=False)
    gr.on(
        [first.input, second.input],
        change_columns,
        inputs_kwargs={"source": source, "task": task, "first": first, "second": second},
        outputs=told,
        show_progress="hidden",
        queue=False,
    )
    gr.on([gr.context.Context.root_block.load], restore, source, shown, show_progress="hidden", queue=False)
    return DataTab(task, first, second, forward)
