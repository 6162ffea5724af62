"""The Data tab: bring examples, see them, say which column is what."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from studio import presets
from studio.data import columns, keep, prepare
from studio.data.keep import Kept
from studio.data.prepare import Example
from studio.data.read import KINDS, Table
from studio.errors import StudioError
from studio.plan import BESIDE, INSTEAD, ROLES, Task
from studio.plan import roles as used
from studio.tabs import forms, visitor
from studio.tabs.forms import t
from studio.words import Words, label

SHOWN_ROWS = 8
TASKS: dict[Task, Words] = {
    "chat": Words("Answer the way my examples do (text generation)", "像我的样本那样回答（文本生成）"),
    "classify": Words("Sort texts into my classes (classification)", "把文本归入我的类别（分类）"),
    "complete": Words("Write on in the manner of my texts (completion)", "按我的文本的风格续写（文本续写）"),
    "prefer": Words("Prefer the better of two answers (preference pairs)", "学会偏好两个回答中较好的那个（偏好对）"),
    "prompts": Words("Get steadier at questions that have no answers (unlabelled prompts)", "在没有答案的问题上更稳定（无标注提问）"),
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
INPUT, TARGET, THIRD = label("Column to read", "读取的列"), label("Column to learn", "要学的列"), label("Third column", "第三列")
NO_COLUMN = Words("none", "无")
EMPTY = Words("No examples yet. Drop a file above, or use a sample.", "还没有样本。请在上方放入文件，或使用示例。")
READ = Words("“{name}”: {rows} rows, {columns} columns.", "“{name}”：{rows} 行，{columns} 列。")
TAKEN_CHAT = Words("The model will read “{first}” and learn to write “{second}”.", "模型会读取“{first}”，学着写出“{second}”。")
TAKEN_CLASSES = Words(
    "The model will read “{first}” and learn to choose one of {count} classes from “{second}”: {classes}.",
    "模型会读取“{first}”，学着从“{second}”的 {count} 个类别中选择：{classes}。",
)
TAKEN: dict[str, Words] = {
    "messages": Words("The model will learn every answer of the conversations in “{first}”.", "模型会学习“{first}”里对话中的每个回答。"),
    "complete": Words(
        "The model will learn to write texts like those in “{first}”, word by word to their end.",
        "模型会逐词学习“{first}”里的文本，直到结尾。",
    ),
    "prefer": Words(
        "To each question in “{first}” the model will learn to prefer “{second}” over “{third}”.",
        "对“{first}”里的每个问题，模型会学习偏好“{second}”胜过“{third}”。",
    ),
    "prompts": Words(
        "The model will answer the questions in “{first}” itself and learn from how its own answers begin.",
        "模型会自己回答“{first}”里的问题，并从自己回答的开头学习。",
    ),
}
CHECKED_ON = Words("“{second}” is never learned; the answers are checked against it.", "“{second}”不会用来训练，只用来核对回答。")
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
    columns: gr.Textbox
    next: gr.Button


def upload(path: str | None, request: gr.Request) -> tuple[Any, ...]:
    """Take an uploaded file in and show what it holds."""
    lang = forms.language(request)
    if not path:
        return (gr.skip(),) * 8
    kept = None
    try:
        kept = keep.keep(Path(path))
        return _show(kept, lang)
    except (StudioError, OSError, MemoryError) as error:
        if kept:
            keep.drop(kept)
        return forms.problem(error, lang), *(gr.skip(),) * 7


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
        return forms.problem(error, lang), *(gr.skip(),) * 4


def change_columns(
    source: str, task: Task, first: str | None, second: str | None, third: str | None, request: gr.Request
) -> tuple[Any, ...]:
    """Other columns: say what follows. A column of whole conversations stands alone."""
    lang = forms.language(request)
    try:
        kept = visitor.dataset(source)
        table = kept.table()
        if task in INSTEAD and first and columns.holds_conversations(table, first):
            second = None
        found = forms.columns(task, first, second, third)
        if "messages" in found and not columns.holds_conversations(table, str(first)):  # another column now: its answers are wanted
            found = {**columns.guess(table, task).columns, "prompt": str(first)}
            found.pop("messages", None)
        return _verdict(kept, table, task, found, True, lang), *_dropdowns(table, task, found, lang)
    except StudioError as error:
        return forms.problem(error, lang), *(gr.skip(),) * 4


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
    return forms.notice(EMPTY.say(lang)), *(hidden,) * 3, gr.skip(), hidden, hidden, gr.skip()


def _dropdowns(table: Table, task: Task, found: dict[str, str], lang: str) -> tuple[Any, ...]:
    """Three fields for the roles of a task, hidden where it has fewer, one of which may stay empty; and all of them as one text."""
    roles = INSTEAD[task] if "messages" in found else (*ROLES[task], *BESIDE.get(task, ()))
    shown = []
    for role in roles:
        optional = [(NO_COLUMN.say(lang), "")] if role not in ROLES[task] and role not in INSTEAD.get(task, ()) else []
        choices = [*optional, *((name, name) for name in table.columns)]
        value = found.get(role) or ("" if optional else None)
        shown.append(gr.update(choices=choices, value=value, label=columns.role_name(task, role).say(lang), visible=True))
    hidden = gr.update(choices=[(name, name) for name in table.columns], value=None, visible=False)
    return (*shown, *(hidden,) * (3 - len(shown)), forms.pack(found))


def _verdict(kept: Kept, table: Table, task: Task, roles: dict[str, str], sure: bool, lang: str) -> dict[str, Any]:
    """What was read and how it was taken, or what is wrong with it."""
    try:
        found, incomplete = prepare.examples(table, task, roles)
    except StudioError as error:
        return forms.problem(error, lang)
    parts = [_taken(found, task, roles, lang)]
    parts += [] if sure else [UNSURE.say(lang)]
    if table.bad:
        parts.append(DAMAGED.say(lang, count=len(table.bad), line=table.bad[0][0], why=table.bad[0][1]))
    parts += [INCOMPLETE.say(lang, count=incomplete)] if incomplete else []
    parts += [FEW.say(lang, count=len(found))] if len(found) < 100 else []
    name = presets.samples()[kept.source.partition(":")[2]].name.say(lang) if kept.source.startswith("sample:") else kept.name
    said = READ.say(lang, name=name, rows=len(table.rows), columns=len(table.columns))
    return forms.notice(said, " ".join(parts), "good" if sure else "check")


def _taken(found: list[Example], task: Task, roles: dict[str, str], lang: str) -> str:
    """What the model will make of the columns."""
    names = dict(zip(("first", "second", "third"), [roles[role] for role in used(task, roles)], strict=False))
    if task == "classify":
        counts = Counter(example["label"] for example in found)
        classes = ", ".join(f"{name} ({count})" for name, count in counts.most_common(8)) + (" …" if len(counts) > 8 else "")
        return TAKEN_CLASSES.say(lang, count=len(counts), classes=classes, **names)
    if task == "chat" and "messages" not in roles:
        return TAKEN_CHAT.say(lang, **names)
    said = TAKEN["messages" if task == "chat" else task].say(lang, **names)
    return said + (" " + CHECKED_ON.say(lang, **names) if task == "prompts" and roles.get("answer") else "")


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
        third = gr.Dropdown([], label=t(THIRD), elem_id="column-third", visible=False)
    chosen = gr.Textbox("{}", visible=False)
    preview = gr.Dataframe(
        label=t(FIRST_ROWS), interactive=False, wrap=True, visible=False, elem_id="preview", max_chars=300, datatype="str"
    )
    forward = gr.Button(t(NEXT), variant="primary", elem_id="to-method")
    shown = [told, first, second, third, chosen, preview, task, source]
    taken = file.upload(upload, file, shown, show_progress="minimal")
    taken.then(None, None, file, js="() => null")  # ready for the next file; this one is kept elsewhere
    tone.click(sample_tone, None, shown, show_progress="hidden", queue=False)
    triage.click(sample_triage, None, shown, show_progress="hidden", queue=False)
    task.input(change_task, [source, task], [told, first, second, third, chosen], show_progress="hidden", queue=False)
    gr.on(
        [first.input, second.input, third.input],
        change_columns,
        inputs_kwargs={"source": source, "task": task, "first": first, "second": second, "third": third},
        outputs=[told, first, second, third, chosen],
        show_progress="hidden",
        queue=False,
    )
    gr.on([gr.context.Context.root_block.load], restore, source, shown, show_progress="hidden", queue=False)
    return DataTab(task, chosen, forward)
