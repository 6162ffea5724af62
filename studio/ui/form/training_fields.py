"""The training fields on the Method tab: their labels, their components, and which values they can take."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from studio import methods
from studio.estimate.machines import hardware
from studio.i18n import Message
from studio.methods import several_cards
from studio.methods.spec import Settings
from studio.plan import Data, Task, Training, Value
from studio.training.caps import CAP_NAMES
from studio.ui.components.events import keep_empty
from studio.ui.components.labels import t
from studio.ui.form import messages

# The fewest epochs the page offers, so that a try on a sample is short.
MIN_EPOCHS = 0.5
# The most GPUs of this machine that the page offers.
MAX_GPUS = 16
# Label and help by the name in a plan, in the order in which a browser saves the fields.
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
    "class_weights": (messages.CLASS_WEIGHTS, messages.CLASS_WEIGHTS_HELP),
    "gradient_checkpointing": (messages.GRADIENT_CHECKPOINTING, messages.GRADIENT_CHECKPOINTING_HELP),
    "disk_offload": (messages.DISK_OFFLOAD, messages.DISK_OFFLOAD_HELP),
    "num_gpus": (messages.NUM_GPUS, messages.NUM_GPUS_HELP),
    "precision": (messages.PRECISION, messages.PRECISION_HELP),
    "mask_history": (messages.MASK_HISTORY, messages.MASK_HISTORY_HELP),
    "replay_share": (messages.REPLAY_SHARE, messages.REPLAY_SHARE_HELP),
    "retention": (messages.RETENTION, messages.RETENTION_HELP),
    "seed": (messages.SEED, messages.SEED_HELP),
    "max_minutes": (messages.MAX_MINUTES, messages.MAX_MINUTES_HELP),
    "max_money": (messages.MAX_MONEY, messages.MAX_MONEY_HELP),
    "max_watt_hours": (messages.MAX_WATT_HOURS, messages.MAX_WATT_HOURS_HELP),
}
# Labels of the fields that are a choice, by the value in a plan.
CHOICES: dict[str, dict[str, Message]] = {
    "lr_scheduler_type": messages.LR_SCHEDULERS,
    "class_weights": messages.CLASS_WEIGHT_CHOICES,
    "precision": messages.PRECISION_CHOICES,
    "retention": messages.RETENTION_CHOICES,
}
# Fields in which nothing, 0 or off means that the studio decides, or no cap; a plan has None there.
AUTO_FIELDS = ("learning_rate", "max_length", "gradient_checkpointing", *CAP_NAMES)
# Fields for conversations alone: shown where the data has several answers each, or any at all.
CHAT_FIELDS = ("mask_history", "replay_share")
# The stages whose steps follow from the training fields; others have settings of their own.
SUPERVISED_STAGES = ("sft", "train", "full_precision")
# Methods whose settings say whether there is such a stage.
STEPS_FOLLOW_SETTINGS = ("frozen", "rlhf")
# Fields that such a stage alone reads.
SUPERVISED_FIELDS = ("epochs", "learning_rate")
# Fields that are not there for every method, task or setting.
CONDITIONAL_FIELDS = (*SUPERVISED_FIELDS, "class_weights", "retention", "disk_offload", "num_gpus")
# Fields that belong to a plan's data and not to its training.
SHARE_FIELDS = ("validation_share", "test_share")


def build_main_fields() -> dict[str, Any]:
    """Lay out the fields that matter first, in a row."""
    with gr.Row():
        return {
            "epochs": _slider("epochs", "epochs", (MIN_EPOCHS, 100, 0.5), value=3),
            "learning_rate": gr.Number(
                None,
                minimum=0,
                maximum=1,
                step=0.00001,
                placeholder=t(messages.AUTOMATIC),
                **_texts("learning_rate", "learning-rate"),
            ),
            "max_length": gr.Number(
                None,
                minimum=0,
                maximum=2048,
                step=16,
                precision=0,
                placeholder=t(messages.AUTOMATIC),
                **_texts("max_length", "max-length"),
            ),
        }


def build_more_fields() -> dict[str, Any]:
    """Lay out the other training fields, and the caps of a run, in two closed accordions."""
    fields: dict[str, Any] = {}
    with gr.Accordion(t(messages.MORE_SETTINGS), open=False, elem_id="more-training"):
        with gr.Row():
            fields["batch_size"] = _slider("batch_size", "batch-size", (1, 64, 1), value=8)
            fields["validation_share"] = _slider(
                "validation_share", "validation-share", (0.05, 0.5, 0.05), value=0.1
            )
            fields["test_share"] = _slider("test_share", "test-share", (0, 0.5, 0.05), value=0)
        with gr.Row():
            fields["lr_scheduler_type"] = _dropdown("lr_scheduler_type", "schedule")
            fields["warmup_ratio"] = _slider("warmup_ratio", "warmup-share", (0, 0.5, 0.01), value=0.05)
            fields["weight_decay"] = _slider("weight_decay", "weight-decay", (0, 1, 0.01), value=0)
        with gr.Row():
            fields["eval_count"] = _slider("eval_count", "evaluations", (1, 50, 1), value=10)
            fields["early_stopping_patience"] = _slider(
                "early_stopping_patience", "patience", (0, 10, 1), value=3
            )
            fields["seed"] = gr.Number(42, precision=0, minimum=0, **_texts("seed", "seed"))
        with gr.Row():
            fields["mask_history"] = gr.Checkbox(
                False, visible=False, **_texts("mask_history", "mask-history")
            )
            fields["replay_share"] = _slider("replay_share", "replay-share", (0, 0.5, 0.05), value=0)
        with gr.Row():
            fields["class_weights"] = _dropdown("class_weights", "class-weights")
            fields["retention"] = _dropdown("retention", "retention")
            fields["precision"] = _dropdown("precision", "precision")
            fields["num_gpus"] = _slider("num_gpus", "num-gpus", (1, MAX_GPUS, 1), value=1)
        # Boxes with a long help text: beside each other they would be too narrow on a phone.
        fields["gradient_checkpointing"] = gr.Checkbox(False, **_texts("gradient_checkpointing", "recompute"))
        fields["disk_offload"] = gr.Checkbox(False, **_texts("disk_offload", "disk-offload"))
    with gr.Accordion(t(messages.CAPS), open=False, elem_id="caps") as caps, gr.Row():
        cap_fields = {name: _cap(name) for name in CAP_NAMES}
    keep_empty(caps, list(cap_fields.values()))
    return fields | cap_fields


def in_order(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields in the order of TRAINING_FIELDS."""
    return {name: fields[name] for name in TRAINING_FIELDS}


def has_supervised_stage(task: Task, method_name: str, settings: Settings) -> bool:
    """Whether the epochs and the learning rate of the training fields train anything."""
    method = methods.get(method_name)
    is_supervised = method.list_stages(settings, task)[0] in SUPERVISED_STAGES
    return is_supervised and method.takes_steps(method.resolve_settings(settings))


def find_visible_fields(task: Task, method_name: str, settings: Settings) -> dict[str, bool]:
    """Which fields of CONDITIONAL_FIELDS have a say for a task, a method and its resolved settings."""
    visible = dict.fromkeys(SUPERVISED_FIELDS, has_supervised_stage(task, method_name, settings))
    method = methods.get(method_name)
    resolved = method.resolve_settings(settings)
    has_gpus = hardware.count_gpus() > 1
    return {
        **visible,
        "class_weights": task == "classify",
        "retention": task != "classify",
        "disk_offload": method.supports_disk_offload(resolved, None),
        "num_gpus": has_gpus and several_cards.can_train_together(method_name, resolved),
    }


def _slider(name: str, elem_id: str, limits: tuple[float, float, float], value: float) -> gr.Slider:
    """A slider; `limits` are its minimum, maximum and step."""
    minimum, maximum, step = limits
    return gr.Slider(minimum, maximum, value, step=step, **_texts(name, elem_id))


def _cap(name: str) -> gr.Number:
    return gr.Number(None, minimum=0, placeholder=t(messages.NO_CAP), **_texts(name, name.replace("_", "-")))


def _dropdown(name: str, elem_id: str) -> gr.Dropdown:
    """A choice, whose first value is the default."""
    return gr.Dropdown(
        training_choices(name, "en"),
        value=next(iter(CHOICES[name])),
        filterable=False,
        **_texts(name, elem_id),
    )


def _texts(name: str, elem_id: str) -> dict[str, Any]:
    label, help_text = TRAINING_FIELDS[name]
    return {"label": t(label), "info": t(help_text), "elem_id": elem_id}


def training_choices(name: str, lang: str) -> list[tuple[str, str]]:
    """The values of a field of CHOICES as Gradio takes them: label, and value in a plan."""
    return [(text.render(lang), value) for value, text in CHOICES[name].items()]


def plan_value(name: str, value: Any) -> Any:
    """The value of a training field as a plan has it: None where 0 or off leaves it to the studio."""
    return (value or None) if name in AUTO_FIELDS else value


def is_valid_training_value(name: str, value: Value | None) -> bool:
    """Whether a plan can hold this value of a training field, validation and test share included."""
    try:
        if name in SHARE_FIELDS:
            Data(source="-", **{name: value})
        else:
            Training(**{name: plan_value(name, value)})
    except (ValueError, TypeError):
        return False
    return True


def valid_training_values(values: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Those of the named values that a plan can hold; the others take their defaults."""
    valid = {}
    for name in names:
        value = plan_value(name, values.get(name))
        if value is not None and is_valid_training_value(name, value):
            valid[name] = value
    return valid
