"""What an export format is to the studio: one form in which the result of a run is taken home."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from studio.export.usage import Usage
from studio.i18n import Message
from studio.methods.spec import Method, Settings
from studio.runs import Run
from studio.storage import require_disk_space


def _is_own_format(name: str) -> Callable[[Method, Settings], bool]:
    return lambda method, settings: name in method.export_formats(settings)


def import_from_transformers(*names: str) -> str:
    """The line that imports classes of transformers, the tokenizer's always among them."""
    return f"from transformers import {', '.join(sorted({*names, 'AutoTokenizer'}))}"


def import_whole_model(usage: Usage) -> list[str]:
    """What a folder that is a whole model needs to be opened."""
    return [import_from_transformers(usage.auto_class)]


def load_whole_model(usage: Usage) -> list[str]:
    """The line that opens a folder which is a whole model."""
    return [f'model = {usage.auto_class}.from_pretrained(".")']


@dataclass(frozen=True)
class ExportFormat:
    """One form in which a result can be taken home.

    Attributes:
        name: Its name in commands and file names.
        label: What it is called on the page.
        write: Writes the result of a run into a new or empty folder; card and plan are added to it.
        is_offered: Whether a method gives this form under these settings; None asks the method.
        library: The library that opens it, as the hub calls it.
        import_lines: The card's code that imports what opens it.
        load_lines: The card's code that defines `model`.
    """

    name: str
    label: Message
    write: Callable[[Run, Path], None]
    is_offered: Callable[[Method, Settings], bool] | None = None
    library: str = "transformers"
    import_lines: Callable[[Usage], list[str]] = import_whole_model
    load_lines: Callable[[Usage], list[str]] = load_whole_model

    def is_available(self, method: Method, settings: Settings) -> bool:
        """Whether a method's result under these settings can be taken home in this form."""
        is_offered = self.is_offered or _is_own_format(self.name)
        return is_offered(method, settings)


def copy_model(run: Run, folder: Path) -> None:
    """Copy what the run saved; raises OutOfDiskSpace where it does not fit."""
    size_bytes = sum(path.stat().st_size for path in run.model.rglob("*") if path.is_file())
    require_disk_space(folder.parent, size_bytes)
    shutil.copytree(run.model, folder, dirs_exist_ok=True)
