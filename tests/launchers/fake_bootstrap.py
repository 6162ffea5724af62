"""Stands in for the first program of a job, where a test is of the hub and not of training."""

import os
import subprocess
import sys
import time
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

MODE, WORKER = "", ""


def main(repo: str, seq: str) -> None:
    Path("mode").write_text(MODE, encoding="utf-8")
    snapshot_download(repo, repo_type="dataset", allow_patterns="bundle/run/**", local_dir="job")
    run, api = Path("job/bundle/run").resolve(), HfApi()
    environment = {**os.environ, "HOME": str(Path.cwd())}
    worker = subprocess.Popen([sys.executable, WORKER, "--events-from", seq], cwd=run, env=environment)
    while worker.poll() is None:
        time.sleep(0.2)
        if api.get_paths_info(repo, ["stop"], repo_type="dataset"):
            (run / "stop").touch()
    time.sleep(1.5 if MODE == "lingers" else 0)
    if MODE == "unsent":  # as where the hub takes no upload
        return
    ignored = ["base/**", "stop"]
    api.upload_folder(
        repo_id=repo, repo_type="dataset", folder_path=run, path_in_repo="result", ignore_patterns=ignored
    )


main(sys.argv[1], sys.argv[3])
