"""What an export format is to the studio: one form in which the result of a run is taken home."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, get_args

from studio import methods
from studio.export.runtime import Runtime
from studio.export.usage import Usage
from studio.i18n import Message
from studio.methods import compatibility
from studio.methods.compatibility import Incompatibility
from studio.plan import Plan, Task
from studio.runs import Run
from studio.storage import require_disk_space

# Page and command line replay so many held-out rows on an export.
REPLAY_ROWS = 50
ALL_TASKS: tuple[Task, ...] = get_args(Task)
NOT_OF_THIS_METHOD = Incompatibility(
    reason=Message("This method has no result of this form."),
    alternative=Message("Choose one of the forms that are offered."),
)


def import_from_transformers(*names: str) -> str:
    """The line that imports classes of transformers, the tokenizer's always among them."""
    return f"from transformers import {', '.join(sorted({*names, 'AutoTokenizer'}))}"


def import_whole_model(usage: Usage) -> list[str]:
    """What a folder that is a whole model needs to be opened."""
    return [import_from_transformers(usage.auto_class)]


def load_whole_model(usage: Usage) -> list[str]:
    """The line that opens a folder which is a whole model."""
    return [f'model = {usage.auto_class}.from_pretrained(".")']


class Snippet(NamedTuple):
    """A few lines that open an export in one runtime.

    Attributes:
        title: The runtime, and how it is installed.
        language: What the lines are written in, as Markdown names it.
        code: The lines.
    """

    title: str
    language: str
    code: str


def keep_silent(message: Message) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True)
class ExportOptions:
    """How a result is taken home.

    Attributes:
        precision: One of the format's precisions; "" for its first.
        language: The language of the card, and of a page that is written.
        rows: How many held-out rows are replayed on the export at most (`REPLAY_ROWS`); 0 for none.
        seconds: For how long, at most.
        on_progress: Called with what is being done.
    """

    precision: str = ""
    language: str = "en"
    rows: int = 0
    seconds: float = 120
    on_progress: Callable[[Message], None] = keep_silent


@dataclass(frozen=True)
class ExportFormat:
    """One form in which a result can be taken home.

    Attributes:
        name: Its name in commands and file names.
        label: What it is called on the page.
        write: Writes the result of a run into a new or empty folder; card and plan are added to it.
        source: The form of a method's result that it is made from; "" where it is one itself.
        tasks: The tasks whose results it can hold.
        wrong_task: Why not those of other tasks, and what works.
        precisions: The precisions there are, the default first; none where there is no choice.
        library: The library that opens it, as the hub calls it.
        relation: What it is to its base model, as the hub calls it.
        runtime: What opens it for the replay of the held-out rows.
        open_runtime: Opens an export for that replay; None where nothing here can.
        snippets: The lines that open it in a precision; None for those of transformers.
        import_lines: The card's code that imports what opens it.
        load_lines: The card's code that defines `model`.
    """

    name: str
    label: Message
    write: Callable[[Run, Path, ExportOptions], None]
    source: str = ""
    tasks: tuple[Task, ...] = ALL_TASKS
    wrong_task: Incompatibility = NOT_OF_THIS_METHOD
    precisions: tuple[tuple[str, Message], ...] = ()
    library: str = "transformers"
    relation: str = "finetune"
    runtime: str = "transformers"
    open_runtime: "Callable[[Run, ExportFormat, Path, ExportOptions], Runtime] | None" = None
    snippets: Callable[[Usage, str], tuple[Snippet, ...]] | None = None
    import_lines: Callable[[Usage], list[str]] = import_whole_model
    load_lines: Callable[[Usage], list[str]] = load_whole_model

    def find_refusal(self, plan: Plan) -> Incompatibility | None:
        """Why a plan's result cannot be taken home in this form, and what can; None where it can."""
        method, source = methods.get(plan.method.name), self.source or self.name
        if plan.task not in self.tasks:
            return self.wrong_task
        if source in method.export_formats(plan.method.settings):
            return None
        return compatibility.find_export_incompatibility(method.name, source) or NOT_OF_THIS_METHOD


def copy_model(run: Run, folder: Path) -> None:
    """Copy what the run saved; raises OutOfDiskSpace where it does not fit."""
    size_bytes = sum(path.stat().st_size for path in run.model.rglob("*") if path.is_file())
    require_disk_space(folder.parent, size_bytes)
    shutil.copytree(run.model, folder, dirs_exist_ok=True)
