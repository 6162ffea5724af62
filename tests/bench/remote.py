"""How long a run elsewhere takes to say its first word, and to come back: `python tests/bench/remote.py`.

Box and hub are stand-ins on this machine, so this is the share of the studio itself: no network, no installing.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TESTS = (
    "tests/launchers/test_ssh.py::test_the_same_folder_comes_back",
    "tests/launchers/test_hub_jobs.py::test_the_same_folder_comes_back_and_no_token_is_written",
    "tests/launchers/test_sshd.py::test_a_run_over_a_real_connection",
)


def main() -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "", "-rA", *TESTS]
    completed = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "STUDIO_BENCH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in completed.stdout.splitlines() if line.startswith("bench ")]
    print("\n".join(lines) or completed.stdout[-3000:])
    return completed.returncode


if __name__ == "__main__":
    sys.exit(main())
