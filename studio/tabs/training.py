"""The fields of the training on the Method tab: what they are called, and what each may be."""

from typing import Any

import gradio as gr

from studio.tabs import forms
from studio.tabs import method_words as words
from studio.tabs.forms import t
from studio.words import Words

# The fewest rounds the page offers: a try on a sample is to be short.
FEWEST = 0.5
# By their names in a plan, in the order of the components.
TRAINING: dict[str, tuple[Words, Words]] = {
    "epochs": (words.ROUNDS, words.ROUNDS_HELP),
    "batch_size": (words.BATCH, words.BATCH_HELP),
    "learning_rate": (words.RATE, words.RATE_HELP),
    "max_length": (words.LENGTH, words.LENGTH_HELP),
    "validation_share": (words.ASIDE, words.ASIDE_HELP),
    "test_share": (words.TESTED, words.TESTED_HELP),
    "patience": (words.PATIENCE, words.PATIENCE_HELP),
    "recompute": (words.RECOMPUTE, words.RECOMPUTE_HELP),
    "seed": (words.SEED, words.SEED_HELP),
}


def controls() -> tuple[dict[str, Any], gr.HTML]:
    """The fields of the training, three in sight, the rest behind one click; and the place for what suits the data."""
    with gr.Row():
        epochs = gr.Slider(FEWEST, 100, 3, step=0.5, label=t(words.ROUNDS), info=t(words.ROUNDS_HELP), elem_id="epochs")
        batch = gr.Slider(1, 64, 8, step=1, label=t(words.BATCH), info=t(words.BATCH_HELP), elem_id="batch-size")
        rate = gr.Number(0, label=t(words.RATE), info=t(words.RATE_HELP), elem_id="learning-rate", minimum=0, maximum=1, step=0.00001)
    suits = forms.notice_box("suits")
    with gr.Accordion(t(words.MORE), open=False), gr.Row():
        length = gr.Slider(16, 2048, 256, step=16, label=t(words.LENGTH), info=t(words.LENGTH_HELP), elem_id="max-length")
        aside = gr.Slider(0.05, 0.5, 0.1, step=0.05, label=t(words.ASIDE), info=t(words.ASIDE_HELP), elem_id="validation-share")
        tested = gr.Slider(0, 0.5, 0, step=0.05, label=t(words.TESTED), info=t(words.TESTED_HELP), elem_id="test-share")
        patience = gr.Slider(0, 10, 0, step=1, label=t(words.PATIENCE), info=t(words.PATIENCE_HELP), elem_id="patience")
        again = gr.Checkbox(False, label=t(words.RECOMPUTE), info=t(words.RECOMPUTE_HELP), elem_id="recompute")
        seed = gr.Number(42, label=t(words.SEED), info=t(words.SEED_HELP), precision=0, minimum=0, elem_id="seed")
    return dict(zip(TRAINING, (epochs, batch, rate, length, aside, tested, patience, again, seed), strict=True)), suits
