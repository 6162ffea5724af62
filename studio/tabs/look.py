"""Looking at the data: three examples as the model will see them, every row to page through, search and edit, and how long they are."""

import re
from collections import Counter
from html import escape
from typing import Any

import gradio as gr

from studio.data import prepare
from studio.data.fixes import Change
from studio.data.keep import Kept
from studio.data.read import Table
from studio.errors import BadData, StudioError
from studio.estimate import desk, load
from studio.plan import Data, MethodChoice, Plan, Task, Value
from studio.tabs import data_words as words
from studio.tabs import draft, forms, health, visitor

SHOWN_EXAMPLES, SHOWN_ROWS = 3, 20
# How much of a text is drawn (characters).
LONGEST = 1200
# The classes that have a bar, and how much of a name stands beside it (characters).
MOST_BARS, LONGEST_NAME = 40, 40
NUMBER = "#"
SEEN = """
<p class="small">{{value.said}}</p>
{{#each value.examples}}<article class="seen">
  {{#each this.sides}}{{#if this.before}}<p class="small">{{this.before}}</p>{{/if}}
  <p class="seen-text">{{#each this.parts}}{{#if this.learned}}<mark><span class="vh">{{../../../value.mark}}: </span>{{this.text}}</mark>{{else}}<span>{{this.text}}</span>{{/if}}{{/each}}</p>{{/each}}
</article>{{/each}}"""


def see(
    source: str, task: Task, columns: str, model: str, max_length: float, chosen: str, request: gr.Request, **knobs: Value
) -> dict[str, Any]:
    """The first examples as the model reads them, under its own template where it is here."""
    lang = forms.language(request)
    try:
        kept, roles = visitor.dataset(source), forms.unpack(columns)
        found, _ = prepare.examples(kept.table(), task, roles)
        base = visitor.base(model)
    except StudioError:
        return {}
    told: dict[str, Any] = {}
    if base and base.folder:
        asked = {"what": "seen", "source": kept.source, "stamp": kept.stamp, "task": task, "columns": roles, "folder": str(base.folder)}
        told = desk.ask({**asked, "max_length": draft.room(base, chosen, max_length or 256, knobs), "most": SHOWN_EXAMPLES})
    if "seen" in told:
        shown, said = told["seen"], words.SEEN_HELP
    else:
        shown, said = [_plain(example, task) for example in found[:SHOWN_EXAMPLES]], words.SEEN_PLAIN
    instead = words.INSTEAD_OF.say(lang)
    return {
        "said": said.say(lang),
        "mark": words.LEARNED.say(lang),
        "examples": [
            {
                "sides": [
                    {"before": instead if number else "", "parts": [{"text": _short(text), "learned": learned} for text, learned in side]}
                    for number, side in enumerate(sides)
                ]
            }
            for sides in shown
        ],
    }


def _plain(example: dict[str, str], task: Task) -> list[list[list[Any]]]:
    """An example without a template: what is read, and what is learned."""
    if task == "complete":
        return [[[example["text"], True]]]
    if task == "classify":
        return [[[example["text"] + "\n", False], [example["label"], True]]]
    asked = "\n".join(turn["content"] for turn in prepare.question(example)) + "\n"
    if task == "prompts":
        return [[[asked, False]]]
    if task == "prefer":
        return [[[asked, False], [example["chosen"], True]], [[asked, False], [example["rejected"], True]]]
    return [[[asked, False], [prepare.conversation(example)[-1]["content"], True]]]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"


def page(source: str, search: str, number: float, request: gr.Request) -> tuple[Any, ...]:
    """A page of the rows that hold what is searched for, with a sentence on which they are, and how far one can turn."""
    lang = forms.language(request)
    try:
        kept = visitor.dataset(source)
        _note(kept, request)
        table = kept.table()
    except StudioError:
        return gr.update(visible=False), "", gr.skip()
    places = _places(table, search)
    pages = max(1, -(-len(places) // SHOWN_ROWS))
    at = min(max(1, int(number or 1)), pages)
    some = places[(at - 1) * SHOWN_ROWS : at * SHOWN_ROWS]
    rows = [[place + 1, *(table.rows[place][name] for name in table.columns)] for place in some]
    first = (at - 1) * SHOWN_ROWS
    said = (
        words.PAGE_OF.say(lang, first=first + 1, last=first + len(some), count=len(places))
        if some
        else words.NO_ROWS.say(lang, text=search)
    )
    return gr.update(value={"headers": [NUMBER, *table.columns], "data": rows}, visible=True), said, gr.update(maximum=pages, value=at)


_on_screen: dict[str | None, tuple[str, int]] = {}  # a window's session -> the data set whose rows it shows, and their stamp
MOST_WINDOWS = 1000


def _note(kept: Kept, request: gr.Request) -> None:
    _on_screen.pop(request.session_hash, None)
    _on_screen[request.session_hash] = kept.source, kept.stamp
    while len(_on_screen) > MOST_WINDOWS:
        _on_screen.pop(next(iter(_on_screen)))


def _check_shown(kept: Kept, request: gr.Request) -> None:
    """Refuse what was done to rows that are no longer these: numbers would name others, cells would be written back over newer ones."""
    if _on_screen.get(request.session_hash) != (kept.source, kept.stamp):
        raise BadData(words.STALE, words.STALE_DO)


def _places(table: Table, search: str) -> list[int]:
    """The numbers of the rows that hold a text, in any case."""
    wanted = (search or "").strip().casefold()
    if not wanted:
        return list(range(len(table.rows)))
    return [place for place, row in enumerate(table.rows) if any(wanted in value.casefold() for value in row.values())]


def edit(source: str, mine: object, shown: Any, touched: float, request: gr.Request) -> tuple[Any, ...]:
    """Take over the cells that differ from the data; what has no number, or an unknown one, is no row of it."""
    lang = forms.language(request)
    try:
        kept = visitor.own_set(source, mine)
        table = kept.table()
        cells = _differing(table, shown)
        if not cells:
            return gr.skip(), gr.skip(), gr.skip()
        _check_shown(kept, request)
        kept, copied = health.changeable(source, mine)
        told = health.changed(kept, Change("edit", (), tuple(cells)), copied, lang)
        _note(kept, request)  # the next edit may come before these rows are shown anew, and holds this one
    except StudioError as error:
        return gr.skip(), touched + 1, forms.problem(error, lang)
    return kept.source, touched + 1, told


def _differing(table: Table, shown: Any) -> list[tuple[int, str, str]]:
    """Row, column and new text of every cell that is not as in the table."""
    headers, data = list(shown.columns), shown.to_numpy().tolist()
    found = []
    for values in data:
        number = str(values[0]).split(".")[0]
        if headers[0] != NUMBER or not number.isdigit() or not 0 < int(number) <= len(table.rows):
            continue
        row = table.rows[int(number) - 1]
        pairs = [(name, "" if value is None or value != value else str(value)) for name, value in zip(headers[1:], values[1:], strict=True)]
        found += [(int(number) - 1, name, value) for name, value in pairs if name in row and row[name] != value]
    return found


def delete(source: str, mine: object, numbers: str, touched: float, request: gr.Request) -> tuple[Any, ...]:
    """Leave out the rows with these numbers."""
    lang = forms.language(request)
    try:
        kept = visitor.own_set(source, mine)
        places = named(numbers, len(kept.table().rows))
        _check_shown(kept, request)
        kept, copied = health.changeable(source, mine)
        told = health.changed(kept, Change("edit", tuple(places)), copied, lang)
    except StudioError as error:
        return gr.skip(), touched + 1, forms.problem(error, lang), gr.skip()
    return kept.source, touched + 1, told, ""


def named(numbers: str, count: int) -> list[int]:
    """The places (from 0) that "3, 7-9" names among `count` rows; raises BadData where it names none, or others."""
    found: set[int] = set()
    for part in re.split(r"[,，、;；\s]+", (numbers or "").strip()):
        pair = re.fullmatch(r"(\d{1,9})(?:[-–](\d{1,9}))?", part)
        first, last = (int(pair[1]), int(pair[2] or pair[1])) if pair else (0, 0)
        if not 0 < first <= last <= count:
            raise BadData(words.WRONG_ROWS, words.WRONG_ROWS_DO, text=(numbers or "")[:60], count=count)
        found.update(range(first - 1, last))
    return sorted(found)


def charts(
    source: str, task: Task, columns: str, model: str, max_length: float, chosen: str, request: gr.Request, **knobs: Value
) -> tuple[Any, ...]:
    """How long the examples are, with the length at which they are cut, and of classes how many examples each has."""
    lang, hidden = forms.language(request), gr.update(visible=False)
    try:
        kept, roles = visitor.dataset(source), forms.unpack(columns)
        found, _ = prepare.examples(kept.table(), task, roles)
        base = visitor.base(model)
        plan = Plan(task=task, model=str(model or "x"), data=Data(source=source, columns=roles), method=MethodChoice(name="lora"))
        told = load.lengths(plan, base.folder if base else None)
    except (StudioError, ValueError):
        return hidden, hidden
    limit = draft.room(base, chosen, max_length, knobs)
    return gr.update(value=_lengths(told, limit, lang), visible=True), _classes(found, lang) if task == "classify" else hidden


def _lengths(told: load.Lengths, limit: int, lang: str) -> Any:
    import plotly.graph_objects as go  # noqa: PLC0415 - slow to load, and wanted only where a chart is looked at

    each = told.count / len(told.rows)  # examples that a row stands for
    sizes = [row.tokens for row in told.rows]
    figure = go.Figure(go.Histogram(x=sizes, y=[each] * len(sizes), histfunc="sum", nbinsx=30, marker_color="#6366f1"))
    more = (words.LENGTHS_COUNTED if told.counted else words.LENGTHS_GUESSED).say(lang, total=round(each * sum(sizes)))
    more += words.LENGTHS_SAMPLED.say(lang) if each > 1 else ""
    if limit and any(row.tokens > 0.5 * limit for row in told.rows):
        figure.add_vline(x=limit, line_dash="dot", annotation_text=words.LIMIT.say(lang))
    return _plain_figure(figure, words.LENGTHS.say(lang), more, words.TOKENS.say(lang), words.COUNT.say(lang))


def _classes(found: list[dict[str, str]], lang: str) -> Any:
    import plotly.graph_objects as go  # noqa: PLC0415

    seen = Counter(example["label"] for example in found)
    counts = seen.most_common(MOST_BARS)[::-1]
    names = [name for name, _ in counts]
    bars = go.Bar(x=[count for _, count in counts], y=names, orientation="h", marker_color="#6366f1", hovertemplate="%{x:,}<extra></extra>")
    more = words.CLASSES_SOME.say(lang, shown=len(counts), count=len(seen)) if len(counts) < len(seen) else ""
    figure = _plain_figure(go.Figure(bars), words.CLASSES.say(lang), more, words.COUNT.say(lang), "")
    figure.update_layout(height=max(220, 24 * len(counts) + 90))
    # Labels such as 1 and 2 are names, no amounts.
    figure.update_yaxes(type="category", tickmode="array", tickvals=names, ticktext=[escape(name[:LONGEST_NAME]) for name in names])
    return gr.update(value=figure, visible=True)


def _plain_figure(figure: Any, title: str, more: str, x: str, y: str) -> Any:
    """A figure without ground, in a grey that is read on light and dark."""
    figure.update_layout(
        template="none",
        title={"text": title, "font": {"size": 15}, "subtitle": {"text": more, "font": {"size": 12}}},
        font={"color": "#64748b"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 60, "r": 20, "t": 96 if more else 44, "b": 44},
        bargap=0.06,
        xaxis={"title": x, "automargin": True, "gridcolor": "rgba(100,116,139,.2)"},
        yaxis={"title": y, "automargin": True, "gridcolor": "rgba(100,116,139,.2)"},
    )
    return figure
