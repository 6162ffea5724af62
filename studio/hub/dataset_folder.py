"""The data of a run as a data set for the hub: its three parts as JSON Lines, with a card."""

import shutil
from pathlib import Path

import yaml

from studio import runs
from studio.errors import NotPossible
from studio.export.card import data_licence, sanitize_line
from studio.i18n import Message
from studio.runs import Run

# Part of a run -> the name that the hub knows for it.
SPLITS = {"train": "train", "validation": "validation", "test": "test"}
NO_DATA = Message("The run “{name}” has no data of its own.")
TRAIN_AGAIN = Message("Train it again, then upload its data.")


def write(run: Run, folder: Path) -> None:
    """Write the parts of a run's data and a card into a new folder.

    Raises:
        NotPossible: The run has no data.
    """
    parts = [name for name in SPLITS if (run.folder / "data" / f"{name}.jsonl").is_file()]
    if not parts:
        raise NotPossible(NO_DATA, TRAIN_AGAIN, name=run.plan.name)
    folder.mkdir(parents=True)
    for name in parts:
        shutil.copyfile(run.folder / "data" / f"{name}.jsonl", folder / f"{name}.jsonl")
    (folder / "README.md").write_text(_render_card(run, parts), encoding="utf-8")


def _render_card(run: Run, parts: list[str]) -> str:
    """The card of the data set: which file is which split, and what the rows are."""
    data = runs.report(run).get("data", {})
    licence = data_licence(run.plan, data)
    files = [{"split": name, "path": f"{name}.jsonl"} for name in parts]
    front_matter = {
        "license": licence.lower() if licence.lower() in HUB_LICENCES else "other",
        "tags": ["training-studio"],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    counts = ", ".join(f"{name} {data.get(name, 0)}" for name in parts)
    lines = [
        "---",
        yaml.safe_dump(front_matter, sort_keys=False).strip(),
        "---",
        "",
        f"# {sanitize_line(str(data.get('name') or run.plan.name))}",
        "",
        f"The rows of the run “{sanitize_line(run.plan.name)}” (task `{run.plan.task}`), split as it learned "
        f"from them: {counts}.",
        "",
        f"Licence: {sanitize_line(licence) or 'not given'}.",
    ]
    return "\n".join(lines) + "\n"


# What the hub's cards know by these names, of what people write; all else is “other”.
HUB_LICENCES = ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "odc-by")
