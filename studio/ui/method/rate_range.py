"""The learning-rate range test among the settings: a few steps at rising rates, before anything starts."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr

from studio.errors import StudioError
from studio.evaluate.rate_range import RateRange
from studio.i18n import Message, join_sentences, label
from studio.plan import format_learning_rate
from studio.training import rate_range
from studio.ui import units
from studio.ui.components import notices
from studio.ui.components.events import UNQUEUED
from studio.ui.components.labels import t
from studio.ui.form import plan_form
from studio.ui.form.form_state import read_form
from studio.ui.language import request_language

TEST_RATES = label("Test learning rates")
STOP = label("Stop", context="rate range")
HINT = label(
    "30 training steps, each at a higher learning rate, show where the loss falls and where it rises."
)
USE_RATE = Message("Use {rate}")
NO_EXAMPLES = Message("Bring examples first: the test trains on them.")
LOADING = Message("Loading the base model… The test takes about {time} after that.")
LOADING_UNPRICED = Message("Loading the base model…")
TESTING = Message("Step {done} of {total}.", context="rate range")
STOPPED = Message("The test was stopped.", context="rate range")


class RateRangePanel(NamedTuple):
    """The components of the panel; `advised` holds the learning rate that the last test advised."""

    start: gr.Button
    stop: gr.Button
    use: gr.Button
    notice: gr.HTML
    advised: gr.State


def test_learning_rates(request: gr.Request, **fields: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Test the learning rate of the form's plan; `fields` are the form (form_state.read_form).

    Yields:
        A notice: the price, the progress, and at the end what the test shows; the button that takes the
        advised rate; and that rate.
    """
    lang, form = request_language(request), read_form(fields)
    hidden = gr.update(visible=False)
    if not form.source:
        yield notices.notice(NO_EXAMPLES.render(lang), kind="bad"), hidden, None
        return
    try:
        plan = plan_form.build_plan(form)
        rate_range.require_possible(plan)
        minutes = rate_range.estimate_minutes(plan)
        yield notices.notice(_describe_price(minutes, lang)), hidden, None
        for progress in rate_range.measure(plan):
            if isinstance(progress, RateRange):
                yield _describe_result(progress, lang)
            elif progress.total:
                text = TESTING.render(lang, done=progress.done, total=progress.total)
                yield notices.notice(text), hidden, None
    except (StudioError, OSError) as error:
        yield plan_form.plan_error_notice(error, form.method, lang), hidden, None


def _describe_price(minutes: tuple[float, float] | None, lang: str) -> str:
    if not minutes:
        return LOADING_UNPRICED.render(lang)
    return LOADING.render(lang, time=units.format_seconds(60 * sum(minutes) / 2, lang))


def _describe_result(tested: RateRange, lang: str) -> tuple[Any, Any, Any]:
    """What the test shows, and a button for the advised rate where another is planned."""
    headline, *others = (sentence.render(lang) for sentence in tested.describe())
    notice = notices.notice(
        headline, join_sentences(others, lang), kind="good" if tested.advised else "check"
    )
    if tested.advised is None or tested.is_planned_near:
        return notice, gr.update(visible=False), None
    text = USE_RATE.render(lang, rate=format_learning_rate(tested.advised))
    return notice, gr.update(value=text, visible=True), tested.advised


def say_stopped(request: gr.Request) -> dict[str, Any]:
    """The notice after a stop."""
    return notices.notice(STOPPED.render(request_language(request)))


def build() -> RateRangePanel:
    """Lay the panel out."""
    gr.Markdown(t(HINT), container=True)
    with gr.Row():
        start = gr.Button(t(TEST_RATES), elem_id="test-rates")
        stop = gr.Button(t(STOP), elem_id="test-rates-stop")
        use = gr.Button(visible=False, elem_id="use-rate")
    return RateRangePanel(start, stop, use, notices.notice_box("rate-range"), gr.State())


def wire(panel: RateRangePanel, learning_rate: gr.Number, form_fields: dict[str, Any]) -> None:
    """Let the buttons act on the form."""
    tested = panel.start.click(
        test_learning_rates,
        inputs_kwargs=form_fields,
        outputs=[panel.notice, panel.use, panel.advised],
        show_progress="hidden",
        concurrency_limit=1,
    )
    panel.stop.click(say_stopped, None, panel.notice, cancels=tested, **UNQUEUED)
    panel.use.click(lambda rate: rate, panel.advised, learning_rate, **UNQUEUED)
