"""Large libraries are imported, and left at the end, without work that nobody needs.

Python walks through all objects there are whenever their number has grown by a quarter, to find those that
only refer to each other. An import and the end of a process find none worth finding; the walks take a third
of the time of both (docs/architecture.md#how-a-process-starts).

On import bitsandbytes compiles functions for devices that it has no kernels for, such as Apple's GPU. torch
loads its compiler for that, which takes longer than all else that bitsandbytes does.
"""

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

# By the name of the package; imports within them, and of what they import, count as theirs.
LARGE_LIBRARIES = frozenset(
    {"torch", "transformers", "peft", "trl", "datasets", "torchao", "bitsandbytes", "pandas", "sklearn"}
    | {"gradio", "huggingface_hub", "scipy", "accelerate"}
)
# While it is "1", torch.compile gives back the function that it gets.
COMPILER_SWITCH = "TORCHDYNAMO_DISABLE"


class _LargeLibraryFinder:
    """Finds modules of large libraries as Python does, and lets them run without a search meanwhile."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] not in LARGE_LIBRARIES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if not (spec and spec.loader):
            return spec
        _run_without_search(spec.loader)
        if name == "bitsandbytes" and sys.platform != "darwin":
            _run_without_compiler(spec.loader)
        return spec


def _run_without_search(loader: object) -> None:
    execute = loader.exec_module  # type: ignore[attr-defined]

    def exec_module(module: ModuleType) -> None:
        is_outermost = gc.isenabled()
        gc.disable()
        try:
            execute(module)
        finally:
            if is_outermost:
                gc.enable()

    loader.exec_module = exec_module  # type: ignore[attr-defined]


def _run_without_compiler(loader: object) -> None:
    execute = loader.exec_module  # type: ignore[attr-defined]

    def exec_module(module: ModuleType) -> None:
        if COMPILER_SWITCH in os.environ:  # somebody has decided
            execute(module)
            return
        os.environ[COMPILER_SWITCH] = "1"
        try:
            execute(module)
        finally:
            del os.environ[COMPILER_SWITCH]

    loader.exec_module = exec_module  # type: ignore[attr-defined]


def install() -> None:
    """Set it up, before any of the libraries is imported."""
    sys.meta_path.insert(0, _LargeLibraryFinder)
    atexit.register(gc.freeze)
