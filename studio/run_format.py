"""The format of a run's folder: its number, and what runs of format 1 wrote in the words of format 2.

docs/run-folder.md describes both. Runs of format 1 are read as they are and not rewritten.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from studio.i18n import Message
from studio.plan import OLD_TRAINING_KEYS
from studio.storage import keep_valid, read_json, write_json

FORMAT = 2
FORMAT_FILE = "format.json"
# Metrics that format 1 wrote into points and reports under another name -> the present name.
RENAMED_METRICS = {
    f"{split}{old_name}": f"{split}{name}"
    for split in ("", "eval_", "test_")
    for old_name, name in {
        "right": "answer_accuracy",
        "asked": "n_questions",
        "cut_share": "clipped_ratio",
        "no_signal": "zero_std_share",
        "answer_length": "completion_length",
    }.items()
}
# The sections of a report, and its figures, by key; one of another type is left out.
SECTION: TypeAdapter[Any] = TypeAdapter(dict[str, Any])
SCORES: TypeAdapter[Any] = TypeAdapter(dict[str, float])
FIGURE: TypeAdapter[Any] = TypeAdapter(float)
TEXT: TypeAdapter[Any] = TypeAdapter(str)
SWITCH: TypeAdapter[Any] = TypeAdapter(bool)
REPORT_TYPES: dict[str, TypeAdapter[Any]] = {
    **dict.fromkeys(("base", "data", "parameters", "texts", "tuned", "retention", "training"), SECTION),
    **dict.fromkeys(("method", "verdict", "verdict_fault", "gaming", "cap"), SECTION),
    **dict.fromkeys(("before", "after", "linear_baseline"), SCORES),
    **dict.fromkeys(("seconds", "fetch_seconds", "peak_memory_gb", "core_share", "seconds_saved"), FIGURE),
    **dict.fromkeys(("measured_on", "device"), TEXT),
    **dict.fromkeys(("stopped", "stopped_early", "resumed"), SWITCH),
    "best_step": TypeAdapter(int),
    "labels": TypeAdapter(list[str]),
}

# What every report of a training holds, and what is said of the run without asking whether it is there.
REQUIRED_ENTRIES: dict[str, tuple[str, ...]] = {
    "base": ("name", "hub", "checksum"),
    "tuned": ("checksum",),
    "parameters": ("trainable", "total"),
    "data": ("name", "train", "validation"),
}
REQUIRED_KEYS = ("after", "labels", "learning_rate", "seconds", "device", "best_step", "texts")


def write_format(folder: Path) -> None:
    """Write the present format's number into a new run's folder."""
    write_json(folder / FORMAT_FILE, {"format": FORMAT})


def read_format(folder: Path) -> int:
    """The format of a run's folder; one without a number is of format 1."""
    number = read_json(folder / FORMAT_FILE).get("format", 1)
    return number if isinstance(number, int) else 1


def upgrade_status(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A status with both sentences of a failure as messages; format 1 has `what`, `what_to_do` and `…_zh`."""
    status = dict(raw)
    for name, old_name in (("message", "what"), ("hint", "what_to_do")):
        if raw.get(name):
            status[name] = Message.from_json(raw[name])
        elif raw.get(old_name):
            status[name] = _from_two_texts(raw, old_name)
    return status


def upgrade_report(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A report under the present keys: of the metrics, the training, and the note on the base's weights."""
    report = _rename_scores(keep_valid(raw, REPORT_TYPES))
    training = raw.get("training")
    if isinstance(training, Mapping):
        report["training"] = {OLD_TRAINING_KEYS.get(name, name): value for name, value in training.items()}
    base = raw.get("base")
    if isinstance(base, Mapping) and isinstance(base.get("weights"), str):
        report["base"] = {**base, "weights": _from_two_texts(base, "weights").to_json()}
    method = raw.get("method")
    if isinstance(method, Mapping) and isinstance(method.get("rl"), Mapping):
        report["method"] = {**method, "rl": _rename_scores(method["rl"])}
    return report


def find_missing(report: Mapping[str, Any]) -> list[str]:
    """The entries that every report of a training holds and this one lacks, as in `base.name`."""
    missing = [name for name in REQUIRED_KEYS if name not in report]
    for section, names in REQUIRED_ENTRIES.items():
        present = report.get(section, {})
        missing += [f"{section}.{name}" for name in names if name not in present]
    return missing


def rename_metrics(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Scores or a point under the present names of the metrics."""
    if RENAMED_METRICS.keys().isdisjoint(scores):
        return dict(scores)
    return {RENAMED_METRICS.get(name, name): value for name, value in scores.items()}


def _rename_scores(section: Mapping[str, Any]) -> dict[str, Any]:
    """A part of a report whose `before` and `after` are scores."""
    renamed = dict(section)
    for name in ("before", "after"):
        if isinstance(section.get(name), Mapping):
            renamed[name] = rename_metrics(section[name])
    return renamed


def _from_two_texts(values: Mapping[str, Any], name: str) -> Message:
    """A sentence that format 1 holds under `name` in English and under `name_zh` in Chinese, if at all."""
    return Message.from_card({"en": values[name], "zh": values.get(f"{name}_zh", "")})
