"""The fields of the training on the Method tab: what they are called, and what each may be."""

from typing import Any

import gradio as gr

from studio.i18n import Message
from studio.ui.components import forms
from studio.ui.components.forms import t
from studio.ui.method import messages

# The fewest rounds the page offers: a try on a sample is to be short.
MIN_EPOCHS = 0.5
# By their names in a plan, in the order of the components.
TRAINING_FIELDS: dict[str, tuple[Message, Message]] = {
    "epochs": (messages.EPOCHS, messages.EPOCHS_HELP),
    "batch_size": (messages.BATCH_SIZE, messages.BATCH_SIZE_HELP),
    "learning_rate": (messages.LEARNING_RATE, messages.LEARNING_RATE_HELP),
    "max_length": (messages.MAX_LENGTH, messages.MAX_LENGTH_HELP),
    "validation_share": (messages.VALIDATION_SHARE, messages.VALIDATION_SHARE_HELP),
    "test_share": (messages.TEST_SHARE, messages.TEST_SHARE_HELP),
    "eval_count": (messages.EVAL_COUNT, messages.EVAL_COUNT_HELP),
    "early_stopping_patience": (messages.PATIENCE, messages.PATIENCE_HELP),
    "lr_scheduler_type": (messages.LR_SCHEDULER, messages.LR_SCHEDULER_HELP),
    "warmup_ratio": (messages.WARMUP_RATIO, messages.WARMUP_RATIO_HELP),
    "weight_decay": (messages.WEIGHT_DECAY, messages.WEIGHT_DECAY_HELP),
    "gradient_checkpointing": (messages.GRADIENT_CHECKPOINTING, messages.GRADIENT_CHECKPOINTING_HELP),
    "seed": (messages.SEED, messages.SEED_HELP),
}


def build_training_fields() -> tuple[dict[str, Any], gr.HTML]:
    """The fields of the training, three in sight, the rest behind one click; and the place for what suits the data."""
    with gr.Row():
        epochs = gr.Slider(
            MIN_EPOCHS,
            100,
            3,
            step=0.5,
            label=t(messages.EPOCHS),
            info=t(messages.EPOCHS_HELP),
            elem_id="epochs",
        )
        batch_size = gr.Slider(
            1,
            64,
            8,
            step=1,
            label=t(messages.BATCH_SIZE),
            info=t(messages.BATCH_SIZE_HELP),
            elem_id="batch-size",
        )
        learning_rate = gr.Number(
            0,
            label=t(messages.LEARNING_RATE),
            info=t(messages.LEARNING_RATE_HELP),
            elem_id="learning-rate",
            minimum=0,
            maximum=1,
            step=0.00001,
        )
    suggestion_notice = forms.notice_box("suits")
    with gr.Accordion(t(messages.MORE_SETTINGS), open=False):
        with gr.Row():
            max_length = gr.Slider(
                16,
                2048,
                256,
                step=16,
                label=t(messages.MAX_LENGTH),
                info=t(messages.MAX_LENGTH_HELP),
                elem_id="max-length",
            )
            validation_share = gr.Slider(
                0.05,
                0.5,
                0.1,
                step=0.05,
                label=t(messages.VALIDATION_SHARE),
                info=t(messages.VALIDATION_SHARE_HELP),
                elem_id="validation-share",
            )
            test_share = gr.Slider(
                0,
                0.5,
                0,
                step=0.05,
                label=t(messages.TEST_SHARE),
                info=t(messages.TEST_SHARE_HELP),
                elem_id="test-share",
            )
        with gr.Row():
            lr_scheduler = gr.Dropdown(
                lr_scheduler_choices("en"),
                value="linear",
                label=t(messages.LR_SCHEDULER),
                info=t(messages.LR_SCHEDULER_HELP),
                filterable=False,
                elem_id="schedule",
            )
            warmup_ratio = gr.Slider(
                0,
                0.5,
                0.05,
                step=0.01,
                label=t(messages.WARMUP_RATIO),
                info=t(messages.WARMUP_RATIO_HELP),
                elem_id="warmup-share",
            )
            weight_decay = gr.Slider(
                0,
                1,
                0,
                step=0.01,
                label=t(messages.WEIGHT_DECAY),
                info=t(messages.WEIGHT_DECAY_HELP),
                elem_id="weight-decay",
            )
        with gr.Row():
            eval_count = gr.Slider(
                1,
                50,
                6,
                step=1,
                label=t(messages.EVAL_COUNT),
                info=t(messages.EVAL_COUNT_HELP),
                elem_id="evaluations",
            )
            patience = gr.Slider(
                0,
                10,
                0,
                step=1,
                label=t(messages.PATIENCE),
                info=t(messages.PATIENCE_HELP),
                elem_id="patience",
            )
            seed = gr.Number(
                42, label=t(messages.SEED), info=t(messages.SEED_HELP), precision=0, minimum=0, elem_id="seed"
            )
        gradient_checkpointing = gr.Checkbox(
            False,
            label=t(messages.GRADIENT_CHECKPOINTING),
            info=t(messages.GRADIENT_CHECKPOINTING_HELP),
            elem_id="recompute",
        )
    fields = (
        epochs,
        batch_size,
        learning_rate,
        max_length,
        validation_share,
        test_share,
        eval_count,
        patience,
        lr_scheduler,
        warmup_ratio,
        weight_decay,
        gradient_checkpointing,
        seed,
    )
    return dict(zip(TRAINING_FIELDS, fields, strict=True)), suggestion_notice


def lr_scheduler_choices(lang: str) -> list[tuple[str, str]]:
    """The choices of the schedule, as Gradio wants them: what each is called, and its name in a plan."""
    return [(text.render(lang), name) for name, text in messages.LR_SCHEDULERS.items()]
