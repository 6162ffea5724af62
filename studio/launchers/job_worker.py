"""The worker of a job at Hugging Face: its disk is lost, so what it makes goes to a private repository.

`python -m studio.launchers.job_worker REPO RUN FIRST_SEQ MAX_MINUTES ENDS_AT` runs the ordinary worker,
uploads each new checkpoint and the result, and looks in the repository for the wish to stop.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from huggingface_hub import HfApi

from studio import plan as plans
from studio import processes, runs
from studio.launchers.hub_jobs import RESULT_FOLDER, is_stop_wished, with_cap
from studio.runs import Run
from studio.storage import write_text
from studio.training import caps, file_list

STOP_POLL_SECONDS = float(os.environ.get("STUDIO_JOB_POLL_SECONDS", "10"))
CHECKPOINT_POLL_SECONDS = 60.0
# How long an upload is tried that the hub does not take: a checkpoint's while the training goes on beside it,
# and the result's, for which the last minutes of the job are kept (hub_jobs.upload_minutes).
CHECKPOINT_UPLOAD_SECONDS = 15.0
RESULT_UPLOAD_SECONDS = float(os.environ.get("STUDIO_JOB_UPLOAD_SECONDS", "900"))
MAX_WAIT_SECONDS = 30.0
NOT_RESULT = ["base/**", "process.json", ".ballast", "stop"]
# While it trains: the list of what the run leaves names a result that may never be uploaded.
NOT_YET = [*NOT_RESULT, "model/**", file_list.LIST_FILE]
COMMIT_TITLE = "Result of the training studio"


def main(repo: str, run_id: str, first_seq: str, max_minutes: str, ends_at: str) -> int:
    """Train, and upload what comes of it; returns the worker's exit code."""
    run, api = runs.get(run_id), HfApi()
    write_cap(run, int(max_minutes), float(ends_at))
    environment = processes.child_environment(processes.WORKER)
    command = [sys.executable, "-m", "studio.training.worker", run_id, "--events-from", first_seq]
    with (
        (run.folder / "worker.log").open("ab") as log,
        # Its events go where this process prints: into the job's log.
        subprocess.Popen(command, cwd=run.folder, env=environment, stderr=log) as worker,  # noqa: S603
    ):
        _watch(worker, run, api, repo)
    _upload(api, repo, run.folder, NOT_RESULT, RESULT_UPLOAD_SECONDS)
    return worker.returncode


def write_cap(run: Run, max_minutes: int, ends_at: float) -> None:
    """Let the training end in time for its result: what came before it in this job is measured, not assumed.

    Args:
        run: The run, whose plan here gets the cap.
        max_minutes: After how many minutes the hub ends the job.
        ends_at: When that is (seconds since 1970).
    """
    gone_minutes = max_minutes - (ends_at - time.time()) / 60
    plan = with_cap(run.plan, max_minutes, gone_minutes - caps.used_minutes(run))
    write_text(run.folder / "plan.yaml", plans.dump(plan))


def _watch(worker: "subprocess.Popen[bytes]", run: Run, api: HfApi, repo: str) -> None:
    """Until the worker ends: pass on the wish to stop, and upload each new checkpoint."""
    uploaded, looked_at = _last_checkpoint(run), time.monotonic()
    while True:
        try:
            worker.wait(STOP_POLL_SECONDS)
            return
        except subprocess.TimeoutExpired:
            pass
        try:
            if not run.stop_file.exists() and is_stop_wished(api, repo):
                run.stop_file.touch()
            newest = _last_checkpoint(run)
            if newest != uploaded and time.monotonic() - looked_at > CHECKPOINT_POLL_SECONDS:
                looked_at = time.monotonic()
                _upload(api, repo, run.folder, NOT_YET, CHECKPOINT_UPLOAD_SECONDS)
                uploaded = newest
        except Exception as error:  # the training goes on without it
            sys.stderr.write(f"the hub does not answer: {type(error).__name__}\n")


def _last_checkpoint(run: Run) -> str:
    complete = sorted(run.folder.glob("checkpoints/*/checkpoint-*/watch.json"), key=os.path.getmtime)
    return str(complete[-1]) if complete else ""


def _upload(api: HfApi, repo: str, folder: Path, ignore: list[str], patience_seconds: float) -> None:
    """Upload a run's folder into the repository, in place of what was there; raises once patience is over."""
    given_up_at, wait_seconds = time.monotonic() + patience_seconds, 1.0
    while True:
        try:
            api.upload_folder(
                repo_id=repo,
                repo_type="dataset",
                folder_path=folder,
                path_in_repo=RESULT_FOLDER,
                ignore_patterns=ignore,
                delete_patterns=["checkpoints/**"],
                commit_message=COMMIT_TITLE,
            )
            return
        # A file that was deleted meanwhile is a ValueError, a lost connection in the middle a RuntimeError.
        except Exception as error:
            if time.monotonic() + wait_seconds > given_up_at:
                raise
            sys.stderr.write(f"upload: {type(error).__name__}: {error!s:.200}\n")
            time.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, MAX_WAIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
