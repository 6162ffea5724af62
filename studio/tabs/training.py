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
    "evaluations": (words.CHECKS, words.CHECKS_HELP),
    "patience": (words.PATIENCE, words.PATIENCE_HELP),
    "schedule": (words.SCHEDULE, words.SCHEDULE_HELP),
    "warmup_share": (words.WARMUP, words.WARMUP_HELP),
    "weight_decay": (words.DECAY, words.DECAY_HELP),
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
    with gr.Accordion(t(words.MORE), open=False):
        with gr.Row():
            length = gr.Slider(16, 2048, 256, step=16, label=t(words.LENGTH), info=t(words.LENGTH_HELP), elem_id="max-length")
            aside = gr.Slider(0.05, 0.5, 0.1, step=0.05, label=t(words.ASIDE), info=t(words.ASIDE_HELP), elem_id="validation-share")
            tested = gr.Slider(0, 0.5, 0, step=0.05, label=t(words.TESTED), info=t(words.TESTED_HELP), elem_id="test-share")
        with gr.Row():
            schedule = gr.Dropdown(
                schedules("en"), value="linear", label=t(words.SCHEDULE), info=t(words.SCHEDULE_HELP), filterable=False, elem_id="schedule"
            )
            warmup = gr.Slider(0, 0.5, 0.05, step=0.01, label=t(words.WARMUP), info=t(words.WARMUP_HELP), elem_id="warmup-share")
            decay = gr.Slider(0, 1, 0, step=0.01, label=t(words.DECAY), info=t(words.DECAY_HELP), elem_id="weight-decay")
        with gr.Row():
            checks = gr.Slider(1, 50, 6, step=1, label=t(words.CHECKS), info=t(words.CHECKS_HELP), elem_id="evaluations")
            patience = gr.Slider(0, 10, 0, step=1, label=t(words.PATIENCE), info=t(words.PATIENCE_HELP), elem_id="patience")
            seed = gr.Number(42, label=t(words.SEED), info=t(words.SEED_HELP), precision=0, minimum=0, elem_id="seed")
        again = gr.Checkbox(False, label=t(words.RECOMPUTE), info=t(words.RECOMPUTE_HELP), elem_id="recompute")
    fields = (epochs, batch, rate, length, aside, tested, checks, patience, schedule, warmup, decay, again, seed)
    return dict(zip(TRAINING, fields, strict=True)), suits


def schedules(lang: str) -> list[tuple[str, str]]:
    """The choices of the schedule, as Gradio wants them: what each is called, and its name in a plan."""
    return [(said.say(lang), name) for name, said in words.SCHEDULES.items()]
