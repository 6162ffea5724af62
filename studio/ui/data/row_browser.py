"""The rows of a data set: three examples as the model sees them, all rows to page and edit, and charts."""

import re
import statistics
from collections import Counter
from html import escape
from typing import Any

import gradio as gr

from studio.data import examples, targets
from studio.data.quality.fixes import Change
from studio.data.readers.read import Table
from studio.data.store import Dataset
from studio.errors import BadData, StudioError
from studio.estimate import dataset_lengths
from studio.estimate.tracing.client import tracing_client
from studio.i18n import Message
from studio.plan import Data, MethodChoice, Plan, Task
from studio.ui import access
from studio.ui.components import notices
from studio.ui.components.charts import BAR_COLOUR, style_figure
from studio.ui.data import health as health_panel
from studio.ui.data import messages
from studio.ui.form import plan_form
from studio.ui.form.form_state import read_form
from studio.ui.language import request_language

PREVIEW_EXAMPLES, ROWS_PER_PAGE = 3, 20
# Where the field for the longest example is empty (tokens).
DEFAULT_MAX_LENGTH = 256
# How much of a text is drawn (characters).
MAX_TEXT_CHARS = 1200
# The classes that have a bar, and how much of a name stands beside it (characters).
MAX_CLASS_BARS, MAX_NAME_CHARS = 40, 40
ROW_NUMBER_HEADER = "#"
PREVIEW_TEMPLATE = """{{#if value.examples}}
<p class="hint">{{value.hint}}</p>
{{#each value.examples}}<article class="seen">
  {{#each this.turns}}<div class="turn {{this.role}}{{#if this.learned}} learned{{/if}}">
  <p class="who">{{this.who}}{{#if this.learned}} <span class="vh">({{../../value.mark}})</span>{{/if}}</p>
  {{#if this.long}}<details class="clip"><summary class="seen-text">{{this.text}}</summary></details>{{else}}<p class="seen-text">{{this.text}}</p>{{/if}}
  </div>{{/each}}
  {{#if this.raw}}<details class="raw"><summary>{{../value.raw_title}}</summary>
  {{#each this.raw}}<p class="raw-text">{{#each this.parts}}{{#if this.learned}}<mark><span class="vh">{{../../../../value.mark}}: </span>{{this.text}}</mark>{{else}}<span>{{this.text}}</span>{{/if}}{{/each}}</p>{{/each}}</details>{{/if}}
</article>{{/each}}{{/if}}"""  # noqa: E501 - HTML
# A text that may take more lines than these, or so many characters, is clipped until it is pressed.
MAX_LINES_SHOWN, MAX_CHARS_SHOWN = 6, 480
# What the turns of an example are called.
ROLE_NAMES = {"user": messages.USER, "assistant": messages.ASSISTANT, "system": messages.SYSTEM}
# A column of the table is so wide (pixels) from so many characters in its cells on (median).
COLUMN_WIDTHS = ((60, 380), (16, 220), (0, 130))
ROW_NUMBER_WIDTH = 64
# The name of a column is not broken within a word: so wide is a character, and what stands beside the name.
PIXELS_PER_CHARACTER, HEADER_PADDING = 9, 60
MAX_ROWS_MEASURED = 200


def preview_examples(request: gr.Request, **fields: Any) -> dict[str, Any]:
    """The first examples as the model reads them, under its own template where it is here.

    `fields` are the form (form_state.read_form).
    """
    lang = request_language(request)
    form = read_form(fields)
    task, role_columns = form.task, dict(form.columns)
    try:
        dataset = access.find_dataset(form.source)
        prepared_examples, _ = examples.build_examples(dataset.table(), task, role_columns)
        base = access.find_base(form.model)
    except StudioError:
        return {}
    reply: dict[str, Any] = {}
    if base and base.folder:
        query = {
            "what": "seen",
            "source": dataset.source,
            "stamp": dataset.version,
            "task": task,
            "columns": role_columns,
            "folder": str(base.folder),
        }
        reply = tracing_client.send_request(
            {
                **query,
                "max_length": plan_form.max_text_tokens(form, base) or DEFAULT_MAX_LENGTH,
                "most": PREVIEW_EXAMPLES,
                "mask_history": bool(form.training.get("mask_history")),
            }
        )
    raw_previews = reply.get("seen", [])
    previews = [
        {"turns": _describe_turns(example, task, lang), "raw": []}
        for example in prepared_examples[:PREVIEW_EXAMPLES]
    ]
    for preview, sides in zip(previews, raw_previews, strict=False):
        preview["raw"] = [
            {"parts": [{"text": _shorten(text), "learned": learned} for text, learned in side]}
            for side in sides
        ]
    return {
        "hint": messages.PREVIEW_HELP.render(lang),
        "raw_title": messages.RAW_TEXT.render(lang),
        "mark": messages.LEARNED.render(lang),
        "examples": previews,
    }


def _describe_turns(example: dict[str, str], task: Task, lang: str) -> list[dict[str, Any]]:
    """An example as the turns of a conversation: who says what, and what of it is learned."""
    if task == "complete":
        return [_turn(messages.TEXT, "assistant", example["text"], True, lang)]
    if task == "classify":
        target = targets.describe(example)
        return [
            _turn(messages.TEXT, "user", example["text"], False, lang),
            _turn(messages.TARGET, "assistant", target, True, lang),
        ]
    prompt = [
        _turn(ROLE_NAMES.get(turn["role"], messages.USER), turn["role"], turn["content"], False, lang)
        for turn in examples.to_prompt_messages(example)
    ]
    if task == "prompts":
        return prompt
    if task == "prefer":
        answers = [
            (messages.BETTER, "better", example["chosen"]),
            (messages.WORSE, "worse", example["rejected"]),
        ]
        return [*prompt, *(_turn(who, role, text, True, lang) for who, role, text in answers if text)]
    return [*prompt, _turn(messages.ASSISTANT, "assistant", examples.answer_text(example), True, lang)]


def _turn(who: Message, role: str, text: str, learned: bool, lang: str) -> dict[str, Any]:
    is_long = len(text) > MAX_CHARS_SHOWN or text.count("\n") >= MAX_LINES_SHOWN
    return {
        "who": who.render(lang),
        "role": role,
        "text": _shorten(text),
        "learned": learned,
        "long": is_long,
    }


def _shorten(text: str) -> str:
    if len(text) <= MAX_TEXT_CHARS:
        return text
    return f"{text[: MAX_TEXT_CHARS // 2]} … {text[-MAX_TEXT_CHARS // 2 :]}"


def show_page(source: str, search: str, page_number: float, request: gr.Request) -> tuple[Any, ...]:
    """One page of the rows that match the search, a sentence on which they are, and the number of pages."""
    lang = request_language(request)
    try:
        dataset = access.find_dataset(source)
        _remember_shown(dataset, request)
        table = dataset.table()
    except StudioError:
        return gr.update(visible=False), "", gr.skip()
    row_indices = _find_rows(table, search)
    page_count = max(1, -(-len(row_indices) // ROWS_PER_PAGE))
    current_page = min(max(1, int(page_number or 1)), page_count)
    page_indices = row_indices[(current_page - 1) * ROWS_PER_PAGE : current_page * ROWS_PER_PAGE]
    rows = [[index + 1, *(table.rows[index][name] for name in table.columns)] for index in page_indices]
    offset = (current_page - 1) * ROWS_PER_PAGE
    text = messages.NO_MATCHING_ROWS.render(lang, text=search)
    if page_indices:
        text = messages.PAGE_RANGE.render(
            lang,
            page=current_page,
            pages=page_count,
            first=offset + 1,
            last=offset + len(page_indices),
            count=len(row_indices),
        )
    table_update = gr.update(
        value={"headers": [ROW_NUMBER_HEADER, *table.columns], "data": rows},
        column_widths=[f"{width}px" for width in (ROW_NUMBER_WIDTH, *_column_widths(table))],
        visible=True,
    )
    return table_update, text, gr.update(maximum=page_count, value=current_page)


def _column_widths(table: Table) -> list[int]:
    """How wide each column is (pixels), by the text in its cells and by its name."""
    sampled = table.rows[:MAX_ROWS_MEASURED]
    widths = []
    for name in table.columns:
        text_length = statistics.median(len(row[name]) for row in sampled) if sampled else 0
        longest_word = max(map(len, name.split()), default=0)
        width = next(width for least, width in COLUMN_WIDTHS if text_length >= least)
        widths.append(max(width, HEADER_PADDING + PIXELS_PER_CHARACTER * longest_word))
    return widths


_shown_versions: dict[
    str | None, tuple[str, int]
] = {}  # a window's session -> the data set whose rows it shows, and their stamp
MAX_SESSIONS = 1000


def _remember_shown(dataset: Dataset, request: gr.Request) -> None:
    _shown_versions.pop(request.session_hash, None)
    _shown_versions[request.session_hash] = dataset.source, dataset.version
    while len(_shown_versions) > MAX_SESSIONS:
        _shown_versions.pop(next(iter(_shown_versions)))


def _require_current_rows(dataset: Dataset, request: gr.Request) -> None:
    """Refuse edits of rows that have changed since they were shown.

    Row numbers would name other rows, and cells would overwrite newer ones. Raises BadData.
    """
    if _shown_versions.get(request.session_hash) != (dataset.source, dataset.version):
        raise BadData(messages.ROWS_CHANGED, messages.ROWS_CHANGED_ADVICE)


def _find_rows(table: Table, search: str) -> list[int]:
    """The numbers of the rows that hold a text, in any case."""
    needle = (search or "").strip().casefold()
    if not needle:
        return list(range(len(table.rows)))
    return [
        index
        for index, row in enumerate(table.rows)
        if any(needle in value.casefold() for value in row.values())
    ]


def save_edits(
    source: str, browser_datasets: object, edited: Any, revision: float, request: gr.Request
) -> tuple[Any, ...]:
    """Save the cells that differ from the data; lines without a known row number are ignored."""
    lang = request_language(request)
    try:
        dataset = access.find_own_dataset(source, browser_datasets)
        table = dataset.table()
        cells = _find_changed_cells(table, edited)
        if not cells:
            return gr.skip(), gr.skip(), gr.skip()
        _require_current_rows(dataset, request)
        dataset, was_copied = health_panel.get_editable_dataset(source, browser_datasets)
        notice = health_panel.apply_change(dataset, Change("edit", (), tuple(cells)), was_copied, lang)
        _remember_shown(
            dataset, request
        )  # the next edit may come before these rows are shown anew, and holds this one
    except StudioError as error:
        return gr.skip(), revision + 1, notices.error_notice(error, lang)
    return dataset.source, revision + 1, notice


def _find_changed_cells(table: Table, edited: Any) -> list[tuple[int, str, str]]:
    """Row, column and new text of every cell that is not as in the table."""
    headers, data = list(edited.columns), edited.to_numpy().tolist()
    changed_cells = []
    for values in data:
        row_number = str(values[0]).split(".")[0]
        if (
            headers[0] != ROW_NUMBER_HEADER
            or not row_number.isdigit()
            or not 0 < int(row_number) <= len(table.rows)
        ):
            continue
        row = table.rows[int(row_number) - 1]
        new_values = [
            (name, "" if value is None or value != value else str(value))
            for name, value in zip(headers[1:], values[1:], strict=True)
        ]
        changed_cells += [
            (int(row_number) - 1, name, value)
            for name, value in new_values
            if name in row and row[name] != value
        ]
    return changed_cells


def delete_rows(
    source: str, browser_datasets: object, row_numbers: str, revision: float, request: gr.Request
) -> tuple[Any, ...]:
    """Leave out the rows with these numbers."""
    lang = request_language(request)
    try:
        dataset = access.find_own_dataset(source, browser_datasets)
        row_indices = parse_row_numbers(row_numbers, len(dataset.table().rows))
        _require_current_rows(dataset, request)
        dataset, was_copied = health_panel.get_editable_dataset(source, browser_datasets)
        notice = health_panel.apply_change(dataset, Change("edit", tuple(row_indices)), was_copied, lang)
    except StudioError as error:
        return gr.skip(), revision + 1, notices.error_notice(error, lang), gr.skip()
    return dataset.source, revision + 1, notice, ""


def parse_row_numbers(text: str, row_count: int) -> list[int]:
    """The indices (from 0) that a text such as "3, 7-9" names.

    Raises BadData where one is not among the rows.
    """
    row_indices: set[int] = set()
    for part in re.split(r"[,，、;；\s]+", (text or "").strip()):
        match = re.fullmatch(r"(\d{1,9})(?:[-–](\d{1,9}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 0 < first <= last <= row_count:
            raise BadData(
                messages.INVALID_ROW_NUMBERS,
                messages.INVALID_ROW_NUMBERS_ADVICE,
                text=(text or "")[:60],
                count=row_count,
            )
        row_indices.update(range(first - 1, last))
    return sorted(row_indices)


def draw_charts(request: gr.Request, **fields: Any) -> tuple[Any, ...]:
    """Charts of the lengths of examples, with the limit at which they are cut, and of the classes' sizes.

    `fields` are the form (form_state.read_form).
    """
    lang, hidden = request_language(request), gr.update(visible=False)
    form = read_form(fields)
    task, role_columns = form.task, dict(form.columns)
    try:
        dataset = access.find_dataset(form.source)
        prepared_examples, _ = examples.build_examples(dataset.table(), task, role_columns)
        base = access.find_base(form.model)
        plan = Plan(
            task=task,
            model=form.model or "x",
            data=Data(source=form.source, columns=role_columns),
            method=MethodChoice(name="lora"),
        )
        lengths = dataset_lengths.measure_lengths(plan, base.folder if base else None)
    except (StudioError, ValueError):
        return hidden, hidden
    max_tokens = plan_form.max_text_tokens(form, base)
    return gr.update(value=_draw_lengths(lengths, max_tokens, lang), visible=True), _draw_classes(
        prepared_examples, lang
    ) if task == "classify" else hidden


def _draw_lengths(lengths: dataset_lengths.DatasetLengths, max_tokens: int, lang: str) -> Any:
    import plotly.graph_objects as go  # noqa: PLC0415 - slow to load, and wanted only where a chart is looked at

    examples_per_row = lengths.count / len(lengths.rows)  # examples that a row stands for
    token_counts = [row.tokens for row in lengths.rows]
    figure = go.Figure(
        go.Histogram(
            x=token_counts,
            y=[examples_per_row] * len(token_counts),
            histfunc="sum",
            nbinsx=30,
            marker_color=BAR_COLOUR,
        )
    )
    subtitle = (messages.LENGTHS_COUNTED if lengths.is_exact else messages.LENGTHS_ESTIMATED).render(
        lang, total=round(examples_per_row * sum(token_counts))
    )
    subtitle += messages.LENGTHS_SAMPLED.render(lang) if examples_per_row > 1 else ""
    if max_tokens and any(row.tokens > 0.5 * max_tokens for row in lengths.rows):
        figure.add_vline(x=max_tokens, line_dash="dot", annotation_text=messages.LENGTH_LIMIT.render(lang))
    return style_figure(
        figure,
        messages.LENGTHS_TITLE.render(lang),
        subtitle,
        messages.TOKENS_AXIS.render(lang),
        messages.EXAMPLES_AXIS.render(lang),
    )


def _draw_classes(prepared_examples: list[dict[str, str]], lang: str) -> Any:
    import plotly.graph_objects as go  # noqa: PLC0415

    class_counts = Counter(name for example in prepared_examples for name in targets.classes_of(example))
    largest = class_counts.most_common(MAX_CLASS_BARS)[::-1]
    names = [name for name, _ in largest]
    bars = go.Bar(
        x=[count for _, count in largest],
        y=names,
        orientation="h",
        marker_color=BAR_COLOUR,
        hovertemplate="%{x:,}<extra></extra>",
    )
    subtitle = (
        messages.LARGEST_CLASSES.render(lang, shown=len(largest), count=len(class_counts))
        if len(largest) < len(class_counts)
        else ""
    )
    figure = style_figure(
        go.Figure(bars),
        messages.CLASSES_TITLE.render(lang),
        subtitle,
        messages.EXAMPLES_AXIS.render(lang),
        "",
    )
    figure.update_layout(height=max(220, 24 * len(largest) + 90))
    # Labels such as 1 and 2 are names, no amounts.
    figure.update_yaxes(
        type="category",
        tickmode="array",
        tickvals=names,
        ticktext=[escape(name[:MAX_NAME_CHARS]) for name in names],
    )
    return gr.update(value=figure, visible=True)
