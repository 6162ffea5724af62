"""What this machine can do: Python, memory, disk, cards, models at hand, and whether the hub answers."""

import platform
import shutil
import sys
from collections.abc import Iterator

import psutil

from studio import presets, processes, runs
from studio.models import fetch
from studio.storage import home

TORCH_PROBE_SCRIPT = (
    "import torch;"
    "c=torch.cuda;"
    "print(f'torch {torch.__version__}; '+(', '.join(f'{c.get_device_name(i)} with {c.get_device_properties(i).total_memory/1e9:.0f} GB' for i in range(c.device_count())) or 'no CUDA card: training runs on the processor'))"
)


def describe_machine() -> Iterator[str]:
    """One line per fact; what takes a moment comes last."""
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(home())
    yield f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {psutil.cpu_count()} cores"
    yield f"memory: {memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"
    yield f"disk: {disk.free / 1e9:.1f} GB free for {home()}"
    yield f"runs: {len(runs.all_runs())}"
    for card in presets.models().values():
        if card.wheel:
            local_copy = fetch.find_cached(card.id)
            yield f"{card.id}: " + (
                f"here, {local_copy.note.render()}"
                if local_copy
                else f"not here yet; fetched when first used ({card.wheel.bytes / 1e6:.0f} MB)"
            )
    yield "hub: " + (
        "answers" if fetch.is_hub_reachable() else "does not answer; the embedded models work without it"
    )
    torch_probe = processes.run_program(
        [sys.executable, "-c", TORCH_PROBE_SCRIPT],
        options=processes.ChildOptions(gpus="all", is_worker=True),
    )
    yield (
        torch_probe.stdout.strip()
        if torch_probe.returncode == 0
        else f"torch does not start: {torch_probe.stderr.strip().splitlines()[-1:]}; install the studio again"
    )
