"""The jobs of the stand-in hub: each runs its command as a process here, with a disk of its own."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

HARDWARE = [
    {
        "name": name,
        "prettyName": name,
        "cpu": "4 vCPU",
        "ram": "15 GB",
        "accelerator": None,
        "unitCostMicroUSD": micro_usd,
        "unitCostUSD": micro_usd / 1e6,
        "unitLabel": "minute",
    }
    for name, micro_usd in (("cpu-basic", 167), ("t4-small", 7500))
]


@dataclass
class HubJob:
    """One job: what was asked for, its process, and what it has printed."""

    id: str
    owner: str
    spec: dict
    folder: Path
    process: subprocess.Popen | None = None
    lines: list[str] = field(default_factory=list)
    stage: str = "SCHEDULING"
    message: str | None = None
    # Whoever sees the job may end it while it is being started.
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Run the command; what it prints are the log, as in a container's."""
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "PIP_NO_INDEX": "1",
            "OMP_NUM_THREADS": "1",
            "STUDIO_PRECISION": "float32",
            "STUDIO_JOB_POLL_SECONDS": "0.5",
            **self.spec["environment"],
            **self.spec.get("secrets", {}),
        }
        with self._lock:
            if self.stage != "SCHEDULING":
                return
            self.process = subprocess.Popen(
                self.spec["command"],
                cwd=self.folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            self.stage = "RUNNING"
        threading.Thread(target=self._read, daemon=True).start()
        timer = threading.Timer(self.spec["timeoutSeconds"], self.end, ("ERROR", "Job timeout"))
        timer.daemon = True
        timer.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
        code = self.process.wait()
        if self.stage == "RUNNING":
            self.stage = "COMPLETED" if code == 0 else "ERROR"
            self.message = None if code == 0 else f"Job failed with exit code: {code}"

    def end(self, stage: str, message: str | None = None) -> None:
        """End the container, with all that runs in it."""
        with self._lock:
            if self.stage not in ("SCHEDULING", "RUNNING"):
                return
            self.stage, self.message = stage, message
            if self.process:
                os.killpg(self.process.pid, signal.SIGKILL)

    def as_json(self) -> dict:
        return {
            "id": self.id,
            "createdAt": "2026-11-28T00:00:00.000Z",
            "owner": {"id": "1", "name": self.owner, "type": "user"},
            "dockerImage": self.spec.get("dockerImage"),
            "command": self.spec["command"],
            "environment": self.spec["environment"],
            "flavor": self.spec["flavor"],
            "labels": self.spec.get("labels"),
            "status": {"stage": self.stage, "message": self.message},
        }


def add_routes(app: FastAPI, hub) -> None:
    """The jobs, and the files of repositories, for the real client."""

    @app.get("/api/jobs/hardware")
    async def hardware():
        return HARDWARE

    @app.post("/api/jobs/{owner}")
    async def create(owner: str, request: Request):
        job = HubJob(f"{len(hub.jobs):024x}", owner, await request.json(), Path(tempfile.mkdtemp()))
        hub.jobs[job.id] = job
        if not hub.holds_jobs:
            job.start()
        return job.as_json()

    @app.get("/api/jobs/{owner}")
    async def list_jobs(owner: str, request: Request):
        labels = dict(label.split("=", 1) for label in request.query_params.getlist("label"))
        return [
            job.as_json()
            for job in hub.jobs.values()
            if labels.items() <= (job.spec.get("labels") or {}).items()
        ]

    @app.get("/api/jobs/{owner}/{job_id}")
    async def inspect(owner: str, job_id: str):
        job = hub.jobs.get(job_id)
        return job.as_json() if job else JSONResponse({"error": "Job not found"}, 404)

    @app.post("/api/jobs/{owner}/{job_id}/cancel")
    async def cancel(owner: str, job_id: str):
        hub.jobs[job_id].end("CANCELED")
        return hub.jobs[job_id].as_json()

    @app.get("/api/jobs/{owner}/{job_id}/logs")
    def logs(owner: str, job_id: str):
        job = hub.jobs[job_id]

        def stream():
            sent = 0
            while True:
                has_ended = job.stage not in ("SCHEDULING", "RUNNING")
                for line in job.lines[sent:]:
                    sent += 1
                    yield f"data: {json.dumps({'timestamp': '2026-11-28T00:00:00.000Z', 'data': line})}\n\n"
                    if sent in hub.cut_logs:
                        hub.cut_logs.discard(sent)
                        raise ConnectionResetError
                if has_ended:
                    return
                time.sleep(0.1)

        return StreamingResponse(stream(), media_type="text/event-stream")

    @app.get("/api/{kind}/{owner}/{name}/tree/{revision}")
    async def tree(kind: str, owner: str, name: str, revision: str):
        repo = hub.repos.get(f"{owner}/{name}")
        if not repo:
            return Response(status_code=404, headers={"X-Error-Code": "RepoNotFound"})
        return [
            {"type": "file", "path": path, "size": len(content), "oid": digest(content)}
            for path, content in repo.files.items()
        ]

    @app.post("/api/{kind}/{owner}/{name}/paths-info/{revision}")
    async def paths_info(kind: str, owner: str, name: str, revision: str, request: Request):
        paths = (await request.form()).getlist("paths") or (await request.json())["paths"]
        files = hub.repos[f"{owner}/{name}"].files
        return [
            {"type": "file", "path": path, "size": len(files[path]), "oid": digest(files[path])}
            for path in paths
            if path in files
        ]

    @app.api_route("/{owner}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
    @app.api_route("/{kind}/{owner}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
    async def resolve(owner: str, name: str, path: str, request: Request):
        repo, account = hub.repos.get(f"{owner}/{name}"), request.state.account[0]
        if not repo or (repo.private and account != owner):
            return Response(status_code=404, headers={"X-Error-Code": "RepoNotFound"})
        if repo.accepted is not None and account not in repo.accepted:
            return Response(status_code=403 if account else 401, headers={"X-Error-Code": "GatedRepo"})
        if path not in repo.files:
            return Response(status_code=404, headers={"X-Error-Code": "EntryNotFound"})
        content = repo.files[path]
        commit = hashlib.sha1(str(repo.commits).encode()).hexdigest()
        headers = {
            "X-Repo-Commit": commit,
            "ETag": f'"{digest(content)}"',
            "Content-Length": str(len(content)),
        }
        return Response(b"" if request.method == "HEAD" else content, headers=headers)

    @app.delete("/api/repos/delete")
    async def delete(request: Request):
        asked = await request.json()
        hub.repos.pop(f"{asked['organization']}/{asked['name']}", None)
        return {}


def digest(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
