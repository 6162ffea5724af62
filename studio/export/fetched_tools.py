"""Programs that some exports need and the studio does not install: fetched on first use, pinned, checked."""

import shutil
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from filelock import FileLock

from studio import presets, processes
from studio.errors import NotPossible
from studio.i18n import Message
from studio.models.fetch import pip_error
from studio.storage import ProgressCallback, download_progress, home, no_progress, require_disk_space

NOT_FETCHED = Message("{tool} could not be fetched from the Python package index: {why}")
CONNECT = Message(
    "Connect this machine to its Python package index and start again, or take the whole model home, "
    "which needs nothing."
)


@dataclass(frozen=True)
class Toolset:
    """Packages that are fetched together into a folder of their own.

    Attributes:
        name: The name of their list in presets/export/, each with its version and hashes.
        label: What they are called.
        bytes: How much they take up on disk, about.
    """

    name: str
    label: str
    bytes: int


# On Linux; smaller elsewhere.
LLAMA_CPP = Toolset("llama-cpp", "llama.cpp", 115_000_000)
ONNX = Toolset("onnx", "ONNX", 124_000_000)


def fetch(toolset: Toolset, on_progress: ProgressCallback = no_progress) -> Path:
    """The folder of a toolset's packages, for `sys.path`; fetched once for each list and Python.

    Args:
        toolset: The packages.
        on_progress: Called with megabytes, of those expected.

    Raises:
        NotPossible: They cannot be fetched.
        OutOfDiskSpace: They do not fit on the disk.
    """
    requirements = presets.FOLDER / "export" / f"{toolset.name}.txt"
    version = sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = home() / "tools" / f"{toolset.name}-{version}"
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        if folder.is_dir():
            return folder
        require_disk_space(folder.parent, 2 * toolset.bytes)
        draft = folder.with_name(f".fetching-{folder.name}")
        shutil.rmtree(draft, ignore_errors=True)
        (draft / "temporary").mkdir(parents=True)
        with download_progress(draft, 2 * toolset.bytes, on_progress):
            _install(toolset, requirements, draft)
        (draft / "packages").rename(folder)
        shutil.rmtree(draft)
    return folder


def _install(toolset: Toolset, requirements: Path, draft: Path) -> None:
    """Let pip fetch the packages, without what they ask for beside the list, and check their hashes."""
    options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--disable-pip-version-check", "-q"]
    target = ["--target", str(draft / "packages"), "-r", str(requirements)]
    completed = processes.run_program(
        [sys.executable, "-m", "pip", "install", *options, *target],
        options=processes.ChildOptions(online=True),
        TMPDIR=str(draft / "temporary"),
    )
    if completed.returncode != 0:
        raise NotPossible(NOT_FETCHED, CONNECT, tool=toolset.label, why=pip_error(completed.stderr))
