"""Before a run starts: how many rows will judge it, and how small a difference they can show."""

import math
from typing import Any, Literal, NamedTuple

import gradio as gr

from studio.data.split import Splits
from studio.errors import StudioError
from studio.evaluate import paired
from studio.evaluate.evidence import ALPHA
from studio.evaluate.measures import MAX_QUESTIONS
from studio.evaluate.verdict_wording import MIN_ROWS
from studio.i18n import Message, join_sentences
from studio.ui import access
from studio.ui.components import notices
from studio.ui.form.form_state import FormState

TEST_ROWS = Message("{n} test rows will judge the result.")
VALIDATION_ROWS = Message(
    "Without a test part the {n} validation rows judge the result, and they also choose the best state."
)
TOO_FEW = Message("Only {n} held-out {n:row|rows} will judge the result.")
CAN_SHOW = Message("They can show differences of {points} points or more.")
CAN_SHOW_NONE = Message("So few show no difference reliably.")
LARGER_TEST = Message(
    "Fewer than {least} give no percentage: set the test part to {share:.0%} ({count} rows)."
)
MORE_EXAMPLES = Message(
    "Fewer than {least} give no percentage: bring more examples, or a test set of your own."
)
NO_PERCENTAGE = Message("Fewer than {least} give no percentage.")
USE_SHARE = Message("Hold out {share:.0%} for the test ({count} rows)")
Split = Literal["test", "validation"]
# The steps of the field for the test part, and the most of it (0 to 1).
SHARE_STEP, MAX_SHARE = 0.05, 0.5


class LargerTest(NamedTuple):
    """The components that offer a larger test part: why, the button, and the share that it sets (0 to 1)."""

    notice: gr.HTML
    button: gr.Button
    share: gr.Number


def build() -> LargerTest:
    """Build the offer; nothing is in sight until the held-out rows are too few."""
    return LargerTest(
        notices.notice_box("few-test-rows"),
        gr.Button("", visible=False, elem_id="larger-test", size="sm", scale=0, min_width=240),
        gr.Number(0, visible=False),
    )


def describe(form: FormState, n_examples: int, shares: tuple[float, float], lang: str) -> str:
    """What the held-out rows can show.

    Args:
        form: The form.
        n_examples: The usable examples.
        shares: Their shares for validation and for the test (0 to 1).
        lang: The language.
    """
    try:
        split, n = _count_judging(form, n_examples, shares)
    except StudioError:  # said on the Data tab
        return ""
    template = TEST_ROWS if split == "test" else VALIDATION_ROWS
    visible = paired.visible_difference(n, alpha=ALPHA[split])
    sentences = [
        template.render(lang, n=n),
        CAN_SHOW_NONE.render(lang)
        if math.isinf(visible)
        else CAN_SHOW.render(lang, points=round(100 * visible)),
    ]
    return join_sentences(sentences, lang)


def offer_larger_test(
    form: FormState, n_examples: int, shares: tuple[float, float], lang: str
) -> tuple[Any, Any, float]:
    """The values of the components of LargerTest; arguments as for `describe`."""
    try:
        _, n = _count_judging(form, n_examples, shares)
    except StudioError:  # said on the Data tab
        return no_offer()
    if n >= MIN_ROWS:
        return no_offer()
    too_few = TOO_FEW.render(lang, n=n)
    share = 0.0 if form.test_source else _enough_share(n_examples)
    if not share:
        advice = MORE_EXAMPLES.render(lang, least=MIN_ROWS)
        return notices.notice(too_few, advice, kind="check"), gr.update(visible=False), 0.0
    advice = NO_PERCENTAGE.render(lang, least=MIN_ROWS)
    button = USE_SHARE.render(lang, share=share, count=round(share * n_examples))
    return notices.notice(too_few, advice, kind="check"), gr.update(value=button, visible=True), share


def no_offer() -> tuple[Any, Any, float]:
    """The values of the components of LargerTest where there is nothing to count."""
    return notices.notice(""), gr.update(visible=False), 0.0


def warn_of_too_few(splits: Splits, lang: str) -> str:
    """That the held-out rows of these splits are too few for a verdict, and what helps; "" where they are
    enough.
    """
    n = len(splits.test or splits.validation)
    if n >= MIN_ROWS:
        return ""
    n_examples = len(splits.train) + len(splits.validation) + len(splits.test)
    share = _enough_share(n_examples)
    advice = MORE_EXAMPLES.render(lang, least=MIN_ROWS)
    if share:
        advice = LARGER_TEST.render(lang, least=MIN_ROWS, share=share, count=round(share * n_examples))
    return join_sentences([TOO_FEW.render(lang, n=n), advice], lang)


def _enough_share(n_examples: int) -> float:
    """The smallest test part that the field can take with enough rows (0 to 1); 0 where none has."""
    share = math.ceil(MIN_ROWS / max(n_examples, 1) / SHARE_STEP) * SHARE_STEP
    return round(share, 2) if share <= MAX_SHARE else 0.0


def _count_judging(form: FormState, n_examples: int, shares: tuple[float, float]) -> tuple[Split, int]:
    """Which part judges the result, and how many rows it has."""
    validation_share, test_share = shares
    n_test = _count_custom_test(form) or round(test_share * n_examples)
    split: Split = "test" if n_test else "validation"
    n_rows = n_test or round(validation_share * n_examples)
    return split, min(n_rows, MAX_QUESTIONS) if form.task == "prompts" else n_rows


def _count_custom_test(form: FormState) -> int:
    """The rows of a test set of its own; 0 where there is none."""
    return len(access.find_dataset(form.test_source).table().rows) if form.test_source else 0
