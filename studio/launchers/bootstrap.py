"""The first program of a job at Hugging Face: it fetches the studio and the run, installs, and hands over.

Its text is the job's command, so it needs nothing but Python. The token is a secret of the job (HF_TOKEN); it
is in no argument.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path


def install(*packages: str) -> None:
    """Install packages: by uv where the image has it, which is several times as fast."""
    program = [sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action", "ignore"]
    if shutil.which("uv"):
        program = ["uv", "pip", "install", "--quiet", "--python", sys.executable, "--system"]
    subprocess.run([*program, *packages], check=True)  # noqa: S603 - our own requirements


def main(repo: str, run_id: str, first_seq: str, hub_requirement: str, max_minutes: str) -> None:
    """Prepare the job's disk and become its worker."""
    ends_at = time.time() + 60 * int(max_minutes)
    values = {"state": "preparing", "stage": "install"}
    event = {"seq": int(first_seq), "event": "status", "values": values}
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()
    install(hub_requirement)
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - installed a moment ago

    job = Path("studio-job").resolve()
    snapshot_download(repo, repo_type="dataset", allow_patterns="bundle/**", local_dir=job)
    code = job / "bundle" / "studio"
    install("-r", str(code / "requirements.txt"))
    home = job / "home"
    (home / "runs").mkdir(parents=True)
    shutil.move(job / "bundle" / "run", home / "runs" / run_id)
    if (job / "bundle" / "machines.yaml").is_file():
        shutil.move(job / "bundle" / "machines.yaml", home / "machines.yaml")
    environment = {**os.environ, "STUDIO_HOME": str(home), "PYTHONPATH": str(code), "PYTHONSAFEPATH": "1"}
    arguments = [repo, run_id, str(int(first_seq) + 1), max_minutes, str(ends_at)]
    command = [sys.executable, "-m", "studio.launchers.job_worker", *arguments]
    os.execve(sys.executable, command, environment)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
