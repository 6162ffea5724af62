"""The adapter: what was learned alone, put on top of the base model by PEFT."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio import methods, models, runs
from studio.export.card_messages import EXTRA_FILE_COMMENT, TRAINED_ON_4_BIT_BASE
from studio.export.spec import ExportFormat, copy_model
from studio.i18n import label
from studio.methods.spec import Method
from studio.runs import Run

CLASSIFIER_FILE = Path(models.__file__).parent / "pooled_classifier.py"


def write(run: Run, folder: Path) -> None:
    """Copy the adapter, and the code that a reader needs for a method or a base of the studio's own kind."""
    copy_model(run, folder)
    files = [methods.get(run.plan.method.name).extra_file]
    if is_pooled(runs.report(run)):
        files.append(CLASSIFIER_FILE)
    for extra_file in filter(None, files):
        shutil.copyfile(extra_file, folder / _extra_module(extra_file).with_suffix(".py"))


def is_pooled(report: Mapping[str, Any]) -> bool:
    """Whether the base of a run's classifier is one that transformers does not know."""
    return bool(report["base"].get("architecture") == "PooledClassifier")


def usage_imports(method: Method, language: str) -> list[str]:
    """PEFT, the method's own code, and that the base was in 4 bits where it was."""
    lines = ["from peft import PeftModel"]
    if method.extra_file:
        comment = EXTRA_FILE_COMMENT.render(language)
        lines.append(f"import {_extra_module(method.extra_file)}  # {comment}")
    if method.weights == "nf4":
        lines.append(f"# {TRAINED_ON_4_BIT_BASE.render(language)}")
    return lines


def load_expression(auto_class: str, hub: str, num_labels: str) -> str:
    """The base from the hub with the adapter of this folder."""
    return f'PeftModel.from_pretrained({auto_class}.from_pretrained("{hub}"{num_labels}), ".")'


def classifier_import(language: str) -> str:
    """The line of the card that imports the class of such a base."""
    comment = EXTRA_FILE_COMMENT.render(language)
    return f"from {_extra_module(CLASSIFIER_FILE)} import PooledClassifier  # {comment}"


def _extra_module(extra_file: Path) -> Path:
    """The name under which a method's own code lies beside the adapter."""
    return Path(f"studio_{extra_file.stem}")


FORMAT = ExportFormat(
    name="adapter",
    label=label("The small add-on (adapter): put on top of the base model"),
    write=write,
    library="peft",
    usage_imports=usage_imports,
    load_expression=load_expression,
)
