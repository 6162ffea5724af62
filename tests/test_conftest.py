"""A test of pure code starts at once: what all tests share loads no heavy library."""

import gc
import subprocess
import sys
from pathlib import Path

HEAVY_LIBRARIES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "accelerate",
    "gradio",
    "pandas",
    "plotly",
)
SCRIPT = (
    f"import conftest, toys, ways, sys; print([name for name in {HEAVY_LIBRARIES!r} if name in sys.modules])"
)

MADE_BY_COLLECTING = [SCRIPT]


def test_what_every_test_imports_loads_nothing_heavy():
    completed = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=Path(__file__).parent,
        env={"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parent.parent}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert completed.stdout.strip() == "[]"


def test_what_was_collected_is_not_searched_for_what_is_no_longer_used():
    assert not any(searched is MADE_BY_COLLECTING for searched in gc.get_objects())
