"""`studio doctor`: what this machine can do (memory, disk, GPUs, models at hand, whether the hub answers)."""

import argparse
import platform
import shutil
import sys
from collections.abc import Iterator

import psutil

from studio import presets, processes, runs
from studio.cli import EXIT_OK
from studio.models import fetch
from studio.storage import home

TORCH_PROBE = """
from studio.errors import StudioError
from studio.models import device

try:
    print(device.describe())
except StudioError as error:
    print(error)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none of its own."""


def run(options: argparse.Namespace) -> int:
    """Print one line per fact."""
    for line in describe_machine():
        print(line)
    return EXIT_OK


def describe_machine() -> Iterator[str]:
    """One line per fact; what takes a moment comes last."""
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(home())
    system = f"{platform.system()} {platform.machine()}"
    yield f"Python {platform.python_version()} on {system}, {psutil.cpu_count()} cores"
    yield f"memory: {memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"
    yield f"disk: {disk.free / 1e9:.1f} GB free for {home()}"
    yield f"runs: {len(runs.all_runs())}"
    for card in presets.models().values():
        if card.wheel:
            yield f"{card.id}: {_describe_embedded_model(card.id, card.wheel.bytes)}"
    hub = "answers" if fetch.is_hub_reachable() else "does not answer; the embedded models work without it"
    yield f"hub: {hub}"
    yield _describe_torch()


def _describe_embedded_model(model_id: str, wheel_bytes: int) -> str:
    cached_model = fetch.find_cached(model_id)
    if cached_model:
        return f"here, {cached_model.note.render()}"
    return f"not here yet; fetched when first used ({wheel_bytes / 1e6:.0f} MB)"


def _describe_torch() -> str:
    """The version of torch and the GPUs it sees, asked of a child process: this one does without torch."""
    options = processes.ChildOptions(gpus="all", is_worker=True)
    probe = processes.run_program([sys.executable, "-c", TORCH_PROBE], options=options)
    if probe.returncode == 0:
        return probe.stdout.strip()
    return f"torch does not start: {probe.stderr.strip().splitlines()[-1:]}; install the studio again"
