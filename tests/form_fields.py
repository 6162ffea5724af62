"""The fields of the page as Gradio hands them to a handler, and visitors who send them."""

from types import SimpleNamespace
from typing import Any

from studio import methods
from studio.ui.form.packing import pack_mapping

ENGLISH = SimpleNamespace(headers={"accept-language": "en-GB,en"}, query_params={}, session_hash="english")
CHINESE = SimpleNamespace(
    headers={"accept-language": "zh-CN,zh;q=0.9"}, query_params={}, session_hash="chinese"
)
DEFAULT_SETTINGS = {
    f"{method.name}_{setting.name}": setting.default
    for method in methods.METHODS
    for setting in method.settings
}
TRAINING_VALUES = {
    "epochs": 2,
    "batch_size": 4,
    "learning_rate": 0,
    "max_length": 64,
    "validation_share": 0.2,
    "early_stopping_patience": 0,
    "gradient_checkpointing": False,
    "seed": 1,
}
# Columns of the samples that tests use, by task; the other tasks have none here.
SAMPLE_COLUMNS = {
    "chat": {"prompt": "customer", "response": "reply"},
    "classify": {"text": "text", "label": "label"},
}


def form_fields(
    task: str = "chat",
    source: Any = "sample:support-tone",
    model: str = "smollm2-135m",
    method: str = "lora",
    **changed: Any,
) -> dict[str, Any]:
    """All fields of the Data and Method tabs; `columns` may be a mapping or what a browser sends instead."""
    columns = changed.pop("columns", SAMPLE_COLUMNS.get(task, {}))
    return {
        "source": source,
        "task": task,
        "columns": pack_mapping(columns) if isinstance(columns, dict) else columns,
        "model": model,
        "method": method,
        "machine": "here",
        **DEFAULT_SETTINGS,
        **TRAINING_VALUES,
        **changed,
    }
