"""A stand-in for a Ray cluster: the HTTP API of its jobs, which run as processes of this machine.

In place of the driver it runs `fake_ray_driver.py`, which trains nothing. The file `mode` in its home says
how that one behaves, as at a box.
"""

import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

DRIVER = Path(__file__).parent / "launchers" / "fake_ray_driver.py"
TOKEN = "a-token-of-the-cluster"
NODE = "head"


class Cluster:
    """The cluster: its home, its logs, its jobs, and how it misbehaves."""

    def __init__(self, folder: Path) -> None:
        self.home, self.logs, self.packages = (
            folder / "home",
            folder / "session" / "logs",
            folder / "packages",
        )
        for path in (self.home, self.logs, self.packages):
            path.mkdir(parents=True)
        self.jobs, self.processes, self.headers_seen, self.package_sizes = {}, {}, [], []
        self.is_down, self.refused_path, self.token = False, "", TOKEN
        self.n_drivers = 0
        self.nodes = [
            {"CPU": 8.0, "GPU": 1.0, "accelerator_type:T4": 1.0, "memory": 3e10},
            {"CPU": 4.0, "memory": 2e10},
        ]
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def behave(self, mode: str) -> None:
        """How the driver behaves: dies, waits, hangs."""
        (self.home / "mode").write_text(mode, encoding="utf-8")

    def run_folder(self, run) -> Path:
        return self.home / ".studio-remote" / "ray" / run.id

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)  # the shell and what it runs
            process.wait()

    def start(self, request) -> None:
        job_id, command = request["submission_id"], request["entrypoint"]
        work, package = self.home, request["runtime_env"].get("working_dir")
        if package:
            work = self.packages / job_id
            with zipfile.ZipFile(self.packages / package.removeprefix("gcs://")) as archive:
                archive.extractall(work)
        if "studio.launchers.ray_job" in command:
            self.n_drivers += 1
            command = f"{sys.executable} {DRIVER} {command.split()[-1]} {self.logs}"
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "PYTHONPATH": str(work)}
        with (self.logs / f"job-driver-{job_id}.log").open("wb") as log:
            process = subprocess.Popen(
                command, shell=True, cwd=work, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes[job_id] = process
        self.jobs[job_id] = {"status": "RUNNING", "driver_node_id": NODE, "message": "", **request}

    def look_at(self, job_id):
        job = self.jobs.get(job_id)
        if job and job["status"] == "RUNNING" and (code := self.processes[job_id].poll()) is not None:
            job["status"] = "FAILED" if code else "SUCCEEDED"
            job["message"] = f"the job\nended with code {code}" if code else ""
        return job


def _handler(cluster):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.handle_all()

        do_POST = do_PUT = do_DELETE = do_GET

        def log_message(self, *_):
            pass

        def handle_all(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            cluster.headers_seen.append(dict(self.headers))
            if cluster.is_down:
                self.close_connection = True
                self.connection.close()
                return
            if cluster.token and self.headers.get("Authorization") != f"Bearer {cluster.token}":
                self.answer({"error": "unauthorized"}, 401 if not self.headers.get("Authorization") else 403)
                return
            url = urlparse(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            parts = url.path.strip("/").split("/")
            if cluster.refused_path and cluster.refused_path in self.path:
                self.answer({"error": "Traceback\nNo space left on device"}, 500)
            elif url.path == "/api/version":
                self.answer({"version": "4", "ray_version": "2.60.0"})
            elif parts[1] == "packages":
                cluster.package_sizes.append(len(body))
                (cluster.packages / parts[-1]).write_bytes(body)
                self.answer({})
            elif url.path == "/api/v0/nodes":
                nodes = [{"state": "ALIVE", "resources_total": node} for node in cluster.nodes]
                nodes.append({"state": "DEAD", "resources_total": {"GPU": 8.0}})
                self.answer({"result": True, "data": {"result": {"total": len(nodes), "result": nodes}}})
            elif url.path == "/api/v0/logs":
                root, _, pattern = query["glob"].partition("/")
                found = (cluster.logs / root).glob(pattern)
                names = [f"{path.relative_to(cluster.logs)}{'/' * path.is_dir()}" for path in found]
                self.answer({"result": True, "data": {"result": {"internal": names}}})
            elif url.path == "/api/v0/logs/file":
                self.answer((cluster.logs / query["filename"]).read_bytes())
            elif url.path == "/api/v0/logs/stream":
                self.stream(cluster.logs / f"job-driver-{query['submission_id']}.log")
            elif parts[:2] == ["api", "jobs"]:
                self.handle_job(parts[2:], body)
            else:
                self.answer({"error": "no such page"}, 404)

        def handle_job(self, parts, body):
            if not parts and self.command == "GET":
                self.answer(json.dumps([{**cluster.look_at(each)} for each in cluster.jobs]).encode())
                return
            if not parts:
                request = json.loads(body)
                cluster.start(request)
                self.answer({"submission_id": request["submission_id"]})
                return
            job = cluster.look_at(parts[0])
            if not job:
                self.answer(b"Job does not exist", 404)
            elif self.command == "DELETE":
                del cluster.jobs[parts[0]]
                self.answer({"deleted": True})
            elif parts[1:] == ["stop"]:
                os.killpg(cluster.processes[parts[0]].pid, 9)
                cluster.processes[parts[0]].wait()
                job["status"] = "STOPPED"
                self.answer({"stopped": True})
            else:
                self.answer(job)

        def stream(self, path):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            with path.open("rb") as file:
                while not cluster.is_down:
                    data = file.read()
                    try:
                        if data:
                            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                            self.wfile.flush()
                    except OSError:
                        break
                    time.sleep(0.05)
            self.close_connection = True

        def answer(self, content, status=200):
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler
