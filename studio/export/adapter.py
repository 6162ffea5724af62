"""The adapter: what was learned alone, put on top of the base model by PEFT."""

import shutil
from pathlib import Path

from studio import methods
from studio.export.card_messages import EXTRA_FILE_COMMENT, TRAINED_ON_4_BIT_BASE
from studio.export.spec import ExportFormat, copy_model
from studio.i18n import label
from studio.methods.spec import Method
from studio.runs import Run


def write(run: Run, folder: Path) -> None:
    """Copy the adapter, and the code that PEFT needs to read it where it is of the method's own kind."""
    copy_model(run, folder)
    extra_file = methods.get(run.plan.method.name).extra_file
    if extra_file:
        shutil.copyfile(extra_file, folder / _extra_module(extra_file).with_suffix(".py"))


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
