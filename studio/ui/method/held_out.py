"""Before a run starts: how many rows will judge it, and how small a difference they can show."""

import math

from studio.data.split import Splits
from studio.errors import StudioError
from studio.evaluate import paired
from studio.evaluate.evidence import ALPHA
from studio.evaluate.verdict_wording import MIN_ROWS
from studio.i18n import Message, join_sentences
from studio.ui import access
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
# The steps of the field for the test part, and the most of it (0 to 1).
SHARE_STEP, MAX_SHARE = 0.05, 0.5


def describe(form: FormState, n_examples: int, shares: tuple[float, float], lang: str) -> str:
    """What the held-out rows can show, and what would make them enough.

    Args:
        form: The form.
        n_examples: The usable examples.
        shares: Their shares for validation and for the test (0 to 1).
        lang: The language.
    """
    validation_share, test_share = shares
    try:
        n_test = _count_custom_test(form) or round(test_share * n_examples)
    except StudioError:  # said on the Data tab
        return ""
    split, n = ("test", n_test) if n_test else ("validation", round(validation_share * n_examples))
    template = TEST_ROWS if n_test else VALIDATION_ROWS
    visible = paired.visible_difference(n, alpha=ALPHA[split])
    sentences = [
        template.render(lang, n=n),
        CAN_SHOW_NONE.render(lang)
        if math.isinf(visible)
        else CAN_SHOW.render(lang, points=round(100 * visible)),
        _offer_more(n, n_examples, lang),
    ]
    return join_sentences(sentences, lang)


def warn_of_too_few(splits: Splits, lang: str) -> str:
    """That the held-out rows of these splits are too few for a verdict, and what helps; "" where they are
    enough.
    """
    n = len(splits.test or splits.validation)
    advice = _offer_more(n, len(splits.train) + len(splits.validation) + len(splits.test), lang)
    return join_sentences([TOO_FEW.render(lang, n=n), advice], lang) if advice else ""


def _offer_more(n: int, n_examples: int, lang: str) -> str:
    """A test part with enough rows; empty where there are enough."""
    if n >= MIN_ROWS:
        return ""
    share = math.ceil(MIN_ROWS / max(n_examples, 1) / SHARE_STEP) * SHARE_STEP
    if share > MAX_SHARE:
        return MORE_EXAMPLES.render(lang, least=MIN_ROWS)
    return LARGER_TEST.render(lang, least=MIN_ROWS, share=share, count=round(share * n_examples))


def _count_custom_test(form: FormState) -> int:
    """The rows of a test set of its own; 0 where there is none."""
    return len(access.find_dataset(form.test_source).table().rows) if form.test_source else 0
