"""Stands in for the driver of a Ray job: the run is unpacked by the real one, and a fake worker trains."""

import base64
import json
import subprocess
import sys
import time
from pathlib import Path

from studio.launchers import ray_driver

WORKER = Path(__file__).parent / "fake_worker.py"


def main(text: str, logs: str) -> None:
    arguments = ray_driver.Arguments(**json.loads(base64.urlsafe_b64decode(text)))
    folder = arguments.home / "runs" / arguments.run
    ray_driver._unpack(folder)
    link = Path(logs) / ray_driver.link_name(arguments.run)
    link.unlink(missing_ok=True)
    link.symlink_to(folder)
    command = [sys.executable, str(WORKER), arguments.run, "--events-from", str(arguments.first_seq)]
    worker = subprocess.Popen(command, cwd=folder)
    while worker.poll() is None:
        ray_driver._write_line("")
        time.sleep(0.2)
    if worker.returncode == 0:
        ray_driver._write_line(ray_driver.END)
    sys.exit(worker.returncode)


if __name__ == "__main__":
    main(*sys.argv[1:])
