"""An existing Ray cluster, by the HTTP API of its jobs: nothing of Ray has to be installed on this machine.

The run lies in a folder of the cluster's head while it trains. A link to it beside Ray's logs lets the same
API bring it back. Small jobs of the shell leave the wish to stop there, and delete it.
"""

import base64
import math
import os
import shlex
import ssl
import time
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import httpx

from studio import credentials, processes
from studio.errors import StudioError
from studio.estimate.machines.catalogue import Machine
from studio.i18n import Message
from studio.launchers import bundle, ray_driver
from studio.launchers.bundle import NOT_A_RUN, USE_NOTHING
from studio.launchers.spec import ConnectionLost, Job, JobLost, JobStatus, LauncherRefused, StageProgress
from studio.launchers.ssh import COMMAND_FAILED
from studio.runs import Run
from studio.storage import require_disk_space

# Where Ray's own client looks for the token (ray/_private/authentication).
TOKEN_VARIABLE, TOKEN_PATH_VARIABLE, TOKEN_FILE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token"
ROOT = "~/.studio-remote/ray"
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
# So much takes the cluster's dashboard at once (ray/_private/ray_constants.py: DASHBOARD_CLIENT_MAX_SIZE),
# and its head holds it in memory: what is larger goes in pieces of this size, one after the other.
MAX_PACKAGE_BYTES, PIECE_MIB, MIB = 100_000_000, 95, 1 << 20
PIECE_FILE = "piece"
# Writes a piece to its place and cuts off what lies behind, so that sending it again does no harm.
PLACE = """
folder={folder}; mkdir -p -m 700 "$folder" &&
dd if={piece} of="$folder/{archive}" bs={mib} seek={seek} && rm -f {piece}
"""
# What comes back is no more than this: nobody fills this machine's disk by it.
MAX_RESULT_BYTES = 200 * 10**9
ANSWER_SECONDS, UPLOAD_SECONDS, SMALL_JOB_SECONDS, TRANSFER_SECONDS = 30.0, 600.0, 90.0, 86_400
# The driver prints an empty line every few seconds; a stream that is silent for so long has ended.
SILENCE_SECONDS = 20.0
POLL_SECONDS = 0.5
LAST_STATES = ("SUCCEEDED", "FAILED", "STOPPED")
ENVIRONMENT = {
    **processes.FIXED_ENV,
    **processes.WORKER_ENV,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    # Each rank sees its own GPU alone, as on this machine: Ray sets the device of one thread, and in those in
    # which transformers loads weights “cuda” is the first GPU that is seen.
    "TRAIN_ENABLE_SHARE_CUDA_VISIBLE_DEVICES": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
UNREACHABLE = Message("The Ray cluster “{machine}” does not answer: {why}")
TRY_ADDRESS = Message("Check that it runs and that {address} opens in a browser of this machine.")
TOKEN_REFUSED = Message("The Ray cluster “{machine}” does not take this machine's token.")
TOKEN_MISSING = Message("The Ray cluster “{machine}” asks for a token, and this machine has none.")
SET_TOKEN = Message(
    "Run `ray get-auth-token` there. Type what it prints under “Your own machines” on the Method tab, or put "
    "it into RAY_AUTH_TOKEN here, or into {file}."
)
NOT_RAY = Message("What answers at {address} is no Ray cluster: {why}")
CHECK_ADDRESS = Message("Name the address of its dashboard, such as http://HOST:8265.")
RESULT_TOO_LARGE = Message("What comes back from “{machine}” is more than {most:.0f} GB.")
NO_JOB = Message("The Ray cluster “{machine}” no longer knows this run: it was started anew.")
SUBMIT_AGAIN = Message("Resume the run: it is submitted again, and goes on from what still lies there.")
ENDED_BADLY = Message("Ray ended the job ({why}).")
STOPPED_THERE = Message("Someone stopped the job on the cluster.")
LOOK_THERE = Message("Look at {address} in a browser, then resume the run.")


def find_token() -> str:
    """The token of this person for Ray clusters, where Ray's own client would find it; empty without one."""
    if token := os.environ.get(TOKEN_VARIABLE):
        return token.strip()
    path = Path(os.environ.get(TOKEN_PATH_VARIABLE) or TOKEN_FILE).expanduser()
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


@cache
def _certificates() -> ssl.SSLContext:
    """Reading them anew for every question takes longer than the question."""
    return httpx.create_ssl_context()


class RayLauncher:
    """Trains at a Ray cluster that exists."""

    def __init__(self, machine: Machine, typed_token: str = "") -> None:
        self.machine, self._typed_token = machine, typed_token

    @property
    def _token(self) -> str:
        """The token that was typed in for this cluster, else the person's own for Ray clusters."""
        return self._typed_token or credentials.read(credentials.ray_name(self.machine.id)) or find_token()

    @property
    def root(self) -> str:
        """The folder of the cluster in which runs lie, each in one of its own."""
        return (self.machine.storage or ROOT).rstrip("/")

    @property
    def is_readable_on_the_way(self) -> bool:
        """Whether the way to the cluster is not encrypted and leads over a network."""
        url = httpx.URL(self.machine.ray)
        return url.scheme == "http" and url.host not in LOOPBACK_HOSTS

    def look(self) -> str:
        """The cluster's version of Ray; nothing is changed there.

        Raises:
            ConnectionLost: It does not answer.
            LauncherRefused: It refuses the token, or is no Ray cluster.
        """
        answer = self._ask("GET", "/api/version")
        version = answer.get("ray_version")
        if not isinstance(version, str):
            raise self._refused(NOT_RAY, CHECK_ADDRESS, why=str(answer)[:200])
        return version

    def list_nodes(self) -> list[dict[str, Any]]:
        """What each node of the cluster has, as its state API says it; empty where it does not."""
        try:
            answer = self._ask("GET", "/api/v0/nodes")
        except LauncherRefused:
            return []
        result = (answer.get("data") or {}).get("result") or {}
        nodes = result.get("result") if isinstance(result, dict) else None
        return [node for node in nodes or () if isinstance(node, dict) and node.get("state") == "ALIVE"]

    def submit(self, run: Run, first_seq: int, on_progress: StageProgress) -> Job:
        """Upload run and studio and start the job, unless the one of an answer that was lost is there."""
        self.look()
        job_id = f"studio-{run.id}-{first_seq}"
        job = {"id": job_id, "run": run.id, "folder": f"{self.root}/{run.id}"}
        if self._find(job_id):
            return job
        on_progress("send", 0, 0)
        package = self._upload(run, job, on_progress)
        arguments = ray_driver.Arguments(
            run=run.id,
            first_seq=first_seq,
            n_ranks=self.machine.cards,
            on_gpu=self.machine.is_gpu,
            folder=job["folder"],
        )
        on_progress("machine", 0, 0)
        text = base64.urlsafe_b64encode(arguments.to_json().encode()).decode()
        self._start(job_id, f"{self.machine.python} -m studio.launchers.ray_job {text}", package)
        return job

    def _upload(self, run: Run, job: Job, on_progress: StageProgress) -> str:
        """Hand studio and run over to the cluster; returns the package in which the job begins."""
        code, folder = bundle.write_code(), bundle.remote_folder() / run.id
        bundle.remove(folder)
        bundle.write_run(run, folder / "run", run.plan)
        bundle.write_price(run, self.machine, folder)
        archive = bundle.remote_folder() / f"{run.id}.zip"
        try:
            _pack(archive, code, folder)
            if archive.stat().st_size > MAX_PACKAGE_BYTES:
                _pack(archive, folder)
                self._send_pieces(archive, job, on_progress)
                _pack(archive, code)
            return self._put(archive)
        finally:
            bundle.remove(folder)
            archive.unlink(missing_ok=True)

    def _send_pieces(self, archive: Path, job: Job, on_progress: StageProgress) -> None:
        """Send a large archive into the run's folder there, a package at a time: the driver unpacks it."""
        n_pieces = math.ceil(archive.stat().st_size / (PIECE_MIB * MIB))
        package = archive.with_suffix(".piece.zip")
        values = {"folder": _quote(job["folder"]), "archive": ray_driver.ARCHIVE_FILE, "piece": PIECE_FILE}
        try:
            with archive.open("rb") as content:
                for n_sent in range(n_pieces):
                    on_progress("send", n_sent, n_pieces)
                    with zipfile.ZipFile(package, "w") as file:
                        file.writestr(PIECE_FILE, content.read(PIECE_MIB * MIB))
                    command = PLACE.format(mib=MIB, seek=n_sent * PIECE_MIB, **values)
                    self._run_there(command, self._put(package))
        finally:
            package.unlink(missing_ok=True)

    def _put(self, package: Path) -> str:
        """Hand a package over to the cluster; returns its name there, which no other has had."""
        name = f"_ray_pkg_{uuid.uuid4().hex[:16]}.zip"
        with package.open("rb") as content:
            self._ask("PUT", f"/api/packages/gcs/{name}", UPLOAD_SECONDS, content=content)
        return f"gcs://{name}"

    def _start(self, job_id: str, command: str, package: str = "") -> None:
        runtime_env: dict[str, Any] = {"env_vars": ENVIRONMENT} if package else {}
        if package:
            runtime_env["working_dir"] = package
        request = {"entrypoint": command, "submission_id": job_id, "runtime_env": runtime_env}
        self._ask("POST", "/api/jobs/", json=request)

    def events(self, job: Job) -> Iterator[str]:
        """The lines of the driver's log, from the first, until it says that it ends or is gone."""
        while not (node := self._find_known(job).get("driver_node_id")):
            if self.status(job).state == "ended":
                return
            time.sleep(POLL_SECONDS)
        query = {"node_id": node, "submission_id": job["id"], "lines": -1, "interval": POLL_SECONDS}
        with self._errors(), self._client(SILENCE_SECONDS) as client:
            try:
                with client.stream("GET", "/api/v0/logs/stream", params=query) as response:
                    self._check(response)
                    for line in response.iter_lines():
                        if line == ray_driver.END:
                            return
                        yield line
            except httpx.ReadTimeout:
                return  # the follower asks whether it has ended

    def status(self, job: Job) -> JobStatus:
        """Where the cluster says that the job stands."""
        info = self._find_known(job)
        state = info.get("status")
        if state == "PENDING":
            return JobStatus("waiting")
        if state not in LAST_STATES:
            return JobStatus("running")
        if state == "STOPPED":
            return JobStatus("ended", STOPPED_THERE)
        if state == "FAILED":
            lines = str(info.get("message") or "?").strip().splitlines()
            return JobStatus("ended", ENDED_BADLY.format(why=lines[-1][:300]))
        return JobStatus("ended")

    def cancel(self, job: Job, at_once: bool = False) -> None:
        """Leave the wish to stop beside the run; a job that has not begun, or at once, is ended by Ray."""
        if at_once or self.status(job).state == "waiting":
            self._ask("POST", f"/api/jobs/{job['id']}/stop")
            return
        self._run_there(f"touch {_quote(job['folder'])}/home/runs/{job['run']}/stop")

    def fetch(self, job: Job, folder: Path) -> None:
        """Bring the run's folder here, file by file."""
        folder.mkdir(parents=True, exist_ok=True)
        node = self._find_known(job).get("driver_node_id")
        link = ray_driver.link_name(job["run"])
        n_bytes = 0
        for name in self._list_files(node, link):
            relative = PurePosixPath(name).relative_to(link)
            target = folder.joinpath(*relative.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            n_bytes += self._download(node, name, target, MAX_RESULT_BYTES - n_bytes)

    def remove(self, job: Job) -> None:
        """Delete the run's folder there, and let the cluster forget its job."""
        self._run_there(f"rm -rf {_quote(job['folder'])}")
        self._delete_job(job["id"])

    def discard(self, run: Run, job: Job, keep: bool) -> None:
        """Let Ray end the run's jobs and wait until it has; unless `keep`, delete the run's folder there."""
        prefix = f"studio-{run.id}-"
        jobs = [str(listed.get("submission_id") or "") for listed in self._list_jobs()]
        own_jobs = [job_id for job_id in jobs if job_id.startswith(prefix)]
        for job_id in own_jobs:
            if self._find(job_id).get("status") not in LAST_STATES:
                self._ask("POST", f"/api/jobs/{job_id}/stop")
            self._wait_for_end(job_id)
        if keep:
            return
        self._run_there(f"rm -rf {_quote(f'{self.root}/{run.id}')}")
        for job_id in own_jobs:
            self._delete_job(job_id)

    def _list_files(self, node: Any, link: str) -> list[str]:
        """The files of the run there, but what it was sent for the training alone."""
        if not node:
            return []
        query = {"node_id": node, "glob": f"{link}/**/*", "timeout": int(ANSWER_SECONDS)}
        answer = self._ask("GET", "/api/v0/logs", params=query)
        groups = (answer.get("data") or {}).get("result") or {}
        names = [str(name) for group in groups.values() for name in group if not str(name).endswith("/")]
        for name in names:
            parts = name.split("/")
            if parts[0] != link or {"", ".", ".."} & set(parts) or "\\" in name or "\0" in name:
                raise StudioError(NOT_A_RUN, USE_NOTHING, machine=self.machine.name, path=name[:200])
        skipped = (f"{link}/{bundle.BASE_FOLDER}/", f"{link}/{ray_driver.EVENTS_FILE}")
        return sorted(name for name in names if not name.startswith(skipped) and not name.endswith(".tmp"))

    def _download(self, node: Any, name: str, target: Path, max_bytes: int) -> int:
        """Write a file of the run here; returns its size."""
        query = {"node_id": node, "filename": name, "lines": -1, "timeout": TRANSFER_SECONDS}
        n_bytes = 0
        with (
            self._errors(),
            self._client(ANSWER_SECONDS) as client,
            client.stream("GET", "/api/v0/logs/file", params=query) as response,
            target.open("wb") as file,
        ):
            self._check(response)
            for chunk in response.iter_bytes(1 << 20):
                n_bytes += len(chunk)
                if n_bytes > max_bytes:
                    raise self._refused(RESULT_TOO_LARGE, USE_NOTHING, most=MAX_RESULT_BYTES / 1e9)
                require_disk_space(target.parent, len(chunk))
                file.write(chunk)
        return n_bytes

    def _run_there(self, command: str, package: str = "") -> None:
        """Run a line of the shell on the cluster's head, as a job of its own that begins in this package."""
        job_id = f"studio-shell-{time.time_ns()}"
        self._start(job_id, command, package)
        info = self._wait_for_end(job_id)
        message = str(info.get("message") or "?")
        self._delete_job(job_id)
        if info.get("status") != "SUCCEEDED":
            raise self._refused(COMMAND_FAILED, LOOK_THERE, why=message.strip().splitlines()[-1][:300])

    def _wait_for_end(self, job_id: str) -> dict[str, Any]:
        """What the cluster knows of a job once it has ended; raises ConnectionLost where that takes long."""
        ends_at = time.monotonic() + SMALL_JOB_SECONDS
        while (info := self._find(job_id)).get("status") not in LAST_STATES:
            if time.monotonic() > ends_at:
                raise self._lost(f"{SMALL_JOB_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)
        return info

    def _delete_job(self, job_id: str) -> None:
        """Let the cluster forget a job that has ended; one that is still about to end stays listed."""
        try:
            self._ask("DELETE", f"/api/jobs/{job_id}")
        except LauncherRefused:
            return

    def _list_jobs(self) -> list[dict[str, Any]]:
        """Every job that the cluster knows."""
        with self._errors(), self._client(ANSWER_SECONDS) as client:
            response = client.get("/api/jobs/")
            self._check(response)
            try:
                jobs = response.json()
            except ValueError:
                return []
        return [job for job in jobs if isinstance(job, dict)] if isinstance(jobs, list) else []

    def _find(self, job_id: str) -> dict[str, Any]:
        """What the cluster knows of a job; empty where it does not know it."""
        return self._ask("GET", f"/api/jobs/{job_id}", may_miss=True)

    def _find_known(self, job: Job) -> dict[str, Any]:
        """What the cluster knows of the run's job; raises JobLost where it does not know it."""
        info = self._find(job["id"])
        if not info:
            raise JobLost(NO_JOB, SUBMIT_AGAIN, machine=self.machine.name)
        return info

    def _client(self, timeout: float) -> httpx.Client:
        token = self._token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(
            base_url=self.machine.ray, headers=headers, timeout=timeout, verify=_certificates()
        )

    def _ask(
        self, method: str, path: str, timeout: float = ANSWER_SECONDS, may_miss: bool = False, **request: Any
    ) -> dict[str, Any]:
        """The cluster's answer as JSON; empty where it is none, or where what may miss is not there."""
        with self._errors(), self._client(timeout) as client:
            response = client.request(method, path, **request)
            if may_miss and response.status_code == 404:
                return {}
            self._check(response)
            try:
                answer = response.json()
            except ValueError:
                return {}
        return answer if isinstance(answer, dict) else {}

    def _check(self, response: httpx.Response) -> None:
        """Raise what a refusal means."""
        if response.status_code in (401, 403):
            message = TOKEN_REFUSED if self._token else TOKEN_MISSING
            raise self._refused(message, SET_TOKEN, file=TOKEN_FILE)
        if response.status_code >= 400:
            lines = response.read().decode(errors="replace").strip().splitlines() or ["?"]
            why = f"{response.status_code} {lines[-1][:300]}"
            if response.status_code in (429, 502, 503, 504):
                raise self._lost(why)
            raise self._refused(COMMAND_FAILED, LOOK_THERE, why=why)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise self._lost(str(error)[:300] or type(error).__name__) from None

    def _lost(self, why: str) -> ConnectionLost:
        hint = TRY_ADDRESS.format(address=self.machine.ray)
        return ConnectionLost(UNREACHABLE, hint, machine=self.machine.name, why=why)

    def _refused(self, message: Message, hint: Message, **values: Any) -> LauncherRefused:
        values = {"machine": self.machine.name, "address": self.machine.ray, **values}
        return LauncherRefused(message, hint, **values)


def _pack(archive: Path, *folders: Path) -> None:
    """Write the content of these folders into a new archive."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    file.write(path, path.relative_to(folder).as_posix())


def _quote(folder: str) -> str:
    """A folder as a shell reads it, whose ~ is still the home."""
    if folder.startswith("~/"):
        return f"~/{shlex.quote(folder[2:])}"
    return shlex.quote(folder)
