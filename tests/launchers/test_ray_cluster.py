"""A real Ray cluster, without a network: a lost rank changes no number, and each fault is a sentence."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "bench" / "ray_cluster.py"


@pytest.mark.exhaustive  # needs Ray, which is no part of the `test` extra, and may make namespaces
def test_a_lost_rank_changes_no_number_and_each_fault_leaves_a_run_that_goes_on():
    pytest.importorskip("ray")
    if not shutil.which("unshare") or subprocess.run(["unshare", "--net", "true"], check=False).returncode:
        pytest.skip("no network namespace can be made here")
    command = [sys.executable, str(SCRIPT), "--kills", "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    said = result.stdout
    assert "1 kills: 1 of 1 runs have the very same losses" in said
    assert float(re.search(r"first event after ([\d.]+) s", said)[1]) < 60
    for name in ("driver killed", "disk full", "token denied"):
        assert f"{name}: failed: " in said, said
        assert f"{name}, resumed: done" in said, said
    assert "cap of 0.25 minutes: stopped" in said
    assert "stopped: , usable True" in said
    assert "at most 2 trained at once" in said
    assert "Waits for 1 free cores of the cluster: 0 of 2 are free." in said
