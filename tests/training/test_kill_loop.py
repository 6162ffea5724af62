"""A training that is killed at random moments goes on, loses nothing and learns the same."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "kill_loop.py"


@pytest.mark.exhaustive  # test_resume.py kills one
def test_killed_trainings_go_on_with_the_same_numbers():
    command = [sys.executable, str(SCRIPT), "--count", "2", "--ways", "lora-chat", "frozen-classify"]
    result = subprocess.run([*command, "--seed", "3"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("0 points lost") == 2
