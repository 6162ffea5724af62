"""Is training needed at all? What needs none, measured on the Method tab: a chart, and its table."""

import html
from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr

from studio.errors import StudioError
from studio.evaluate.baselines import MEASURES, Baselines
from studio.i18n import Message, label
from studio.training.baselines import client
from studio.training.baselines.client import Progress
from studio.ui import access
from studio.ui.components import notices
from studio.ui.components.charts import BAR_COLOUR, style_figure
from studio.ui.components.events import UNQUEUED
from studio.ui.components.labels import t
from studio.ui.components.tables import render_table
from studio.ui.form import plan_form
from studio.ui.form.form_state import read_form
from studio.ui.language import request_language

HEADING = label("Do you need training at all?")
MEASURE, CANCEL = label("Measure"), label("Cancel")
HELP = label(
    "Tests what works without training, on the same test examples. About a minute for labels; longer for a "
    "model that writes."
)
MEASURING = Message("{stage}: {share:.0%}")
CANCELLED = Message("Cancelled. Nothing was saved.")
AS_TABLE = Message("Show as a table")
HEADINGS = (
    Message("Without training"),
    Message("Score (95% interval)"),
    Message("Cost"),
)
CHART_TITLE = Message("Without training")
# The height of a chart: so many pixels for a bar, and around all of them.
BAR_HEIGHT, FRAME_HEIGHT = 70, 110


class BaselinesPanel(NamedTuple):
    """The components: the buttons, what is being done or was found, the chart, and its table."""

    measure_button: gr.Button
    cancel_button: gr.Button
    notice: gr.HTML
    chart: gr.Plot
    table: gr.HTML


def measure(request: gr.Request, **fields: Any) -> Iterator[tuple[Any, ...]]:
    """Measure what needs no training for the form's plan; closing the iterator cancels it.

    Args:
        request: The visitor's request.
        fields: The form (form_state.read_form).

    Yields:
        The notice, the chart, the table, the button that measures and the one that cancels.
    """
    lang = request_language(request)
    nothing = (gr.update(visible=False), "")
    busy = (gr.update(visible=False), gr.update(visible=True))
    idle = (gr.update(visible=True), gr.update(visible=False))
    form = read_form(fields)
    try:
        plan = plan_form.build_plan(form)
        access.find_dataset(form.source)
        for step in client.measure(plan):
            if isinstance(step, Progress):
                yield _progress_notice(step, lang), *nothing, *busy
            else:
                yield _result_notice(step, lang), *_show(step, lang), *idle
    except StudioError as error:
        yield notices.error_notice(error, lang), *nothing, *idle


def _progress_notice(step: Progress, lang: str) -> dict[str, Any]:
    stage = client.STAGE_LABELS[step.stage]
    return notices.notice(MEASURING.render(lang, stage=stage, share=step.share))


def _result_notice(measured: Baselines, lang: str) -> dict[str, Any]:
    conclusion, *rests_on = (message.render(lang) for message in measured.describe())
    return notices.notice(conclusion, " ".join(rests_on), kind="check" if measured.is_enough else "good")


def _show(measured: Baselines, lang: str) -> tuple[Any, str]:
    return gr.update(value=draw(measured, lang), visible=True), render(measured, lang)


def draw(measured: Baselines, lang: str) -> Any:
    """The chart: a bar with its interval for each baseline, and under its name what it takes."""
    import plotly.graph_objects as go  # noqa: PLC0415 - slow to load, and wanted only where it is looked at

    entries = measured.entries[::-1]  # Plotly begins at the bottom
    scores = [entry.score for entry in entries]
    names = [
        f"{html.escape(entry.title.render(lang))}<br><sub>{html.escape(entry.cost.render(lang))}</sub>"
        for entry in entries
    ]
    bars = go.Bar(
        x=[score.value for score in scores],
        y=names,
        orientation="h",
        marker_color=BAR_COLOUR,
        text=[measured.format_score(entry) for entry in entries],
        textposition="inside",
        insidetextanchor="start",
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [score.high - score.value for score in scores],
            "arrayminus": [score.value - score.low for score in scores],
        },
        hovertemplate="%{text}<extra></extra>",
    )
    figure = style_figure(
        go.Figure(bars), CHART_TITLE.render(lang), "", MEASURES[measured.measure].render(lang), ""
    )
    figure.update_layout(height=FRAME_HEIGHT + BAR_HEIGHT * len(entries), bargap=0.4)
    if measured.kind != "errors":
        figure.update_xaxes(range=[0, 1], tickformat=".0%")
    return figure


def render(measured: Baselines, lang: str) -> str:
    """The table behind the chart."""
    rows = []
    for entry in measured.entries:
        cells = (entry.title.render(lang), measured.format_score(entry), entry.cost.render(lang))
        rows.append([html.escape(cell) for cell in cells])
    headings = [heading.render(lang) for heading in HEADINGS]
    table = render_table(MEASURES[measured.measure].render(lang), headings, rows)
    return f"<details><summary>{html.escape(AS_TABLE.render(lang))}</summary>{table}</details>"


def _show_cancelled(request: gr.Request) -> tuple[Any, ...]:
    """The notice after a measurement was cancelled, and the two buttons as before."""
    notice = notices.notice(CANCELLED.render(request_language(request)))
    return notice, gr.update(visible=True), gr.update(visible=False)


def build() -> BaselinesPanel:
    """Lay out the button that measures, and below it what it finds."""
    with gr.Accordion(t(HEADING), open=False, elem_id="baselines-panel"):
        gr.Markdown(t(HELP))
        return BaselinesPanel(
            measure_button=gr.Button(t(MEASURE), elem_id="baselines", size="sm", scale=0, min_width=140),
            cancel_button=gr.Button(
                t(CANCEL), elem_id="baselines-stop", visible=False, size="sm", scale=0, min_width=140
            ),
            notice=notices.notice_box("baselines-notice"),
            chart=gr.Plot(show_label=False, visible=False, elem_id="chart-baselines"),
            table=gr.HTML("", elem_id="baselines-table"),
        )


def wire(panel: BaselinesPanel, form_fields: dict[str, Any]) -> Any:
    """Measure on a click, and cancel on another; returns the event that measures."""
    buttons = [panel.measure_button, panel.cancel_button]
    event = panel.measure_button.click(
        measure,
        inputs_kwargs=form_fields,
        outputs=[panel.notice, panel.chart, panel.table, *buttons],
        show_progress="hidden",
        trigger_mode="once",
        concurrency_limit=1,
    )
    panel.cancel_button.click(_show_cancelled, None, [panel.notice, *buttons], cancels=event, **UNQUEUED)
    return event
