"""The studio as a Space: a folder that the hub builds and starts as it is."""

import importlib.metadata
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import yaml

from studio import presets, processes
from studio.errors import NotPossible
from studio.hub.account import Account
from studio.hub.push import Upload
from studio.i18n import Message

PACKAGE = Path(processes.__file__).parent
PROJECT_FILE, PROJECT_NAME = processes.ROOT / "pyproject.toml", "training-studio"
REQUIREMENTS_FILE, CARD_FILE = "requirements.txt", "README.md"
HARDWARE = "zero-a10g"
# What ZeroGPU offers (hub documentation of August 2026): Python 3.12, torch up to 2.11.
PYTHON_VERSION = "3.12"
ZERO_GPU_TORCH = "torch>=2.8,<2.12"
# Written for what stands outside the package: the pictures of the README, and what Python leaves behind.
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "_shipped", "*.png", ".*")
FRONT_MATTER: dict[str, Any] = {
    "title": "Training studio",
    "emoji": "🎛️",
    "colorFrom": "indigo",
    "colorTo": "gray",
    "sdk": "gradio",
    "app_file": "studio/app.py",
    "python_version": PYTHON_VERSION,
    "suggested_hardware": HARDWARE,
    "license": "apache-2.0",
    "short_description": "Teach a small language model from a spreadsheet",
    "pinned": False,
}
CARD = """
# Training studio

Teach a language model from your own examples, without writing code, and compare it with the original.

**On this Space.** Each visitor sees only their own data and runs. On a public Space a visitor has one run
at a time, limited rows, minutes and disk space, and what nobody changed for a day is removed. Short runs
train on a card that ZeroGPU lends, longer ones on the Space's processors.

**What is lost.** Without a storage volume at `/data` all data, models and runs are gone when the Space
restarts or falls asleep.

**For private work** duplicate this Space: the copy is yours, and private unless you say otherwise.
"""
CONTENT = Message("the studio as a Space on {hardware}")
FOLDER_NOT_EMPTY = Message("The folder {folder} is not empty.")
NAME_NEW_FOLDER = Message("Name a new folder, so nothing is overwritten.")


def write(folder: Path) -> Path:
    """Write the bundle into a new or empty folder.

    Raises:
        NotPossible: The folder is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NotPossible(FOLDER_NOT_EMPTY, NAME_NEW_FOLDER, folder=folder)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(PACKAGE, folder / "studio", ignore=LEFT_OUT)
    shutil.copytree(presets.FOLDER, folder / "presets", ignore=LEFT_OUT)
    shutil.copytree(presets.ASSETS, folder / "assets", ignore=LEFT_OUT)
    (folder / REQUIREMENTS_FILE).write_text("\n".join(requirements()) + "\n", encoding="utf-8")
    (folder / CARD_FILE).write_text(render_card(), encoding="utf-8")
    return folder


def render_card() -> str:
    """The Space's card; its front matter tells the hub what to build and start."""
    front_matter = {**FRONT_MATTER, "sdk_version": importlib.metadata.version("gradio")}
    text = yaml.safe_dump(front_matter, sort_keys=False, allow_unicode=True)
    return f"---\n{text}---\n{CARD}"


def requirements() -> list[str]:
    """What a Space installs: the project's own requirements, torch as ZeroGPU offers it, and its library.

    Gradio is left out: the Space's `sdk_version` says which one it is.
    """
    required, extras = read_project()
    unchanged = [line for line in required if _distribution(line) not in ("gradio", "torch")]
    return sorted([*unchanged, ZERO_GPU_TORCH, *extras])


def read_project() -> tuple[list[str], list[str]]:
    """The project's requirements, and those of its extra `space`: from its file, else as it was installed."""
    if PROJECT_FILE.is_file():
        project = tomllib.loads(PROJECT_FILE.read_text(encoding="utf-8"))["project"]
        return list(project["dependencies"]), list(project["optional-dependencies"]["space"])
    lines = importlib.metadata.requires(PROJECT_NAME) or []
    required = [line for line in lines if "extra ==" not in line]
    extras = [line.partition(";")[0].strip() for line in lines if re.search(r"extra == .space.", line)]
    return required, extras


def _distribution(requirement: str) -> str:
    """The name in a line of requirements."""
    match = re.match(r"[\w.-]+", requirement)
    return match[0].lower() if match else ""


def prepare(folder: Path, repo: str, account: Account) -> Upload:
    """A bundle that is ready to go to the hub.

    Args:
        folder: The bundle.
        repo: The name of the Space, or `owner/name`.
        account: Whose Space it will be.
    """
    content = CONTENT.format(hardware=HARDWARE)
    return Upload(folder, content, account.full_name(repo), "space", sdk="gradio", hardware=HARDWARE)
