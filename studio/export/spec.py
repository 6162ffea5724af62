"""What an export format is to the studio: one form in which the result of a run is taken home."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from studio.i18n import Message
from studio.methods.spec import Method, Settings
from studio.runs import Run
from studio.storage import require_disk_space


def _is_own_format(name: str) -> Callable[[Method, Settings], bool]:
    return lambda method, settings: name in method.export_formats(settings)


def load_from_here(auto_class: str, hub: str, num_labels: str) -> str:
    """The expression that loads a folder which is a whole model."""
    return f'{auto_class}.from_pretrained("."{num_labels})'


@dataclass(frozen=True)
class ExportFormat:
    """One form in which a result can be taken home.

    Attributes:
        name: Its name in commands and file names.
        label: What it is called on the page.
        write: Writes the result of a run into a new or empty folder; card and plan are added to it.
        is_offered: Whether a method gives this form under these settings; None asks the method.
        library: The library that opens it, as the hub calls it.
        usage_imports: Lines of the card's code after that of transformers, for a method and a language.
        load_expression: The card's code that loads the model, from the Auto class, the base's name on the
            hub, and `, num_labels=…` (empty for text).
    """

    name: str
    label: Message
    write: Callable[[Run, Path], None]
    is_offered: Callable[[Method, Settings], bool] | None = None
    library: str = "transformers"
    usage_imports: Callable[[Method, str], list[str]] = lambda method, language: []
    load_expression: Callable[[str, str, str], str] = load_from_here

    def is_available(self, method: Method, settings: Settings) -> bool:
        """Whether a method's result under these settings can be taken home in this form."""
        is_offered = self.is_offered or _is_own_format(self.name)
        return is_offered(method, settings)


def copy_model(run: Run, folder: Path) -> None:
    """Copy what the run saved; raises OutOfDiskSpace where it does not fit."""
    size_bytes = sum(path.stat().st_size for path in run.model.rglob("*") if path.is_file())
    require_disk_space(folder.parent, size_bytes)
    shutil.copytree(run.model, folder, dirs_exist_ok=True)
