"""A plain box over SSH: the person's own `ssh` and keys, rsync (tar where there is none), and a tail.

Nothing stays behind but the worker while it trains. All lies in one folder there, which may be deleted.
"""

import errno
import shlex
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio import processes
from studio.errors import StudioError, explain
from studio.estimate.machines.catalogue import Machine
from studio.i18n import Message
from studio.launchers import bundle
from studio.launchers.bundle import NOT_A_RUN, USE_NOTHING
from studio.launchers.spec import (
    ConnectionLost,
    Job,
    JobStatus,
    LauncherRefused,
    StageProgress,
)
from studio.runs import Run

# Everything of the studio's on a box, in the home of the account there.
ROOT = ".studio-remote"
# No question is asked where nobody can answer; a dead connection is noticed within half a minute.
SSH_OPTIONS = (
    *("-o", "BatchMode=yes", "-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"),
)
COMMAND_SECONDS, TRANSFER_SECONDS, INSTALL_SECONDS = 60.0, 6 * 3600.0, 3600.0
# How often an installation looks for the wish to stop.
POLL_SECONDS = 1.0
# ssh itself ends with this code where it could not connect.
NOT_CONNECTED = 255
# What a virtual environment with torch takes, and a run beside it.
INSTALL_GB, RUN_GB = 8.0, 1.0
UNREACHABLE = Message("“{machine}” does not answer: {why}")
TRY_SSH = Message("Check that it is on and that `ssh {address}` works in a terminal.")
KEY_REFUSED = Message("“{machine}” does not take this machine's SSH key.")
COPY_KEY = Message("Copy it there with `ssh-copy-id {address}`, or load it with `ssh-add`, and try again.")
UNKNOWN_HOST = Message("This machine does not know “{machine}” yet, or its identity has changed: {why}")
CONNECT_ONCE = Message("Run `ssh {address}` once in a terminal and compare the fingerprint.")
NO_SSH = Message("There is no `ssh` program on this machine.")
INSTALL_SSH = Message("Install OpenSSH's client, and try again.")
NO_PYTHON = Message("“{machine}” has no Python 3.11 or newer under the name {python}.")
NAME_PYTHON = Message(
    "Install one there, or name it with its path, such as /opt/env/bin/python3 (python: in machines.yaml)."
)
DISK_FULL = Message(
    "The disk of “{machine}” is full: {free:.1f} GB are free where {wanted:.1f} GB are needed."
)
NO_SPACE = Message("The disk of “{machine}” is full: {why}")
FREE_SPACE = Message("Free some space there, then resume the run.")
NO_PS = Message("“{machine}” has no `ps`, which tells whether a training there goes on.")
INSTALL_PS = Message("Install it there (in most systems it comes with the package procps), and try again.")
NOT_INSTALLED = Message("Installing the studio on “{machine}” broke off: {why}")
INSTALL_THERE = Message("Install it there by hand, or name a Python that has it in machines.yaml.")
COMMAND_FAILED = Message("“{machine}” answered: {why}")
LOOK_THERE = Message("Look there with `ssh {address}`, then resume the run.")
# What the programs say -> the sentence for it; the first that fits counts.
REFUSALS = (
    ("no space left", NO_SPACE, FREE_SPACE),
    ("disk quota exceeded", NO_SPACE, FREE_SPACE),
    ("permission denied (", KEY_REFUSED, COPY_KEY),
    ("too many authentication failures", KEY_REFUSED, COPY_KEY),
    ("host key verification failed", UNKNOWN_HOST, CONNECT_ONCE),
)
# One look at a box, a `name=value` a line.
PROBE = """
echo home=$(pwd)
echo free_kb=$(df -Pk . | tail -n 1 | awk '{{print $4}}')
echo cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null)
echo memory_kb=$(awk '/^MemTotal/ {{print $2}}' /proc/meminfo 2>/dev/null)
nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | sed 's/^/gpu=/'
echo gpus=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | grep -c .)
command -v rsync >/dev/null && echo rsync=1
ps -ww -p $$ -o args= >/dev/null 2>&1 && echo ps=1
test -d {root}/{code} && echo code=1
test -f {root}/venv/{code}.installed && echo venv=1
{python} -c 'import sys; print("python=%d" % (sys.version_info >= (3, 11)))' 2>/dev/null
{python} -c 'from importlib.util import find_spec
print("libraries=1" if all(map(find_spec, ["accelerate", "peft", "torch", "transformers", "trl"])) else "")'
true
"""
# What was sent takes its name once all of it is there.
NAME_CODE = "test -d {code} || mv {part} {code}; rm -rf {part}"
# Several runs may arrive at once, and one whose connection broke may still install: the shell holds the lock,
# its Python takes it for it, as not every system has flock(1). Its number lies in the run's folder meanwhile.
INSTALL = """
set -e
echo $$ >{folder}/install.$$
trap 'rm -f {folder}/install.$$' EXIT
exec 9>{root}/install.lock
{python} -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
test ! -f {root}/venv/{code}.installed || exit 0
{python} -m venv {root}/venv
{root}/venv/bin/python -m pip install --quiet -r {root}/{code}/requirements.txt
touch {root}/venv/{code}.installed
"""
# A number of a process may be used again: it is the worker's unless `ps` shows a command that names no such
# run. A `ps` that says nothing, as where memory is short, does not mean that the worker has ended.
IS_ALIVE = "kill -0 {pid} 2>/dev/null && ! ps -ww -p {pid} -o args= 2>/dev/null | grep -qv {run}"
# The worker of a run is known by the run alone: the answer with its number may have been lost.
FIND_WORKER = "ps -ww -e -o pid= -o args= | grep '[s]tudio.training.worker {run}' | while read -r pid args"
# As on this machine, the worker sees the first GPU alone (processes.WORKER).
START = """
cd {root}/home/runs/{run} && rm -f stop
first_gpu=${{CUDA_VISIBLE_DEVICES-0}}
export CUDA_VISIBLE_DEVICES="${{first_gpu%%,*}}"
export STUDIO_HOME={root}/home PYTHONPATH={root}/{code} {environment}
nohup {python} -m studio.training.worker {run} --events-from {seq} >events.jsonl 2>>worker.log </dev/null &
echo $! >worker.pid
echo pid=$!
"""
# The first event says of which attempt a worker is that may have ended; its number lies beside it.
FIND_ATTEMPT = """
{workers}; do echo "$pid"; done
head -n 1 {folder}/events.jsonl 2>/dev/null | grep -q '"seq": {seq},' && cat {folder}/worker.pid
true
"""
# The empty line every few seconds tells this side that the connection stands, and ends the other side once it
# no longer does.
FOLLOW = """
tail -n +1 -f {folder}/events.jsonl & tail=$!
trap 'kill $tail' EXIT
while {alive}; do echo; sleep 2; done
sleep 1
"""
CANCEL = "touch {folder}/stop"
# Nothing is removed under a worker that cannot be found. An installation is ended with all that it started:
# what is halted starts nothing more while that is looked for.
END = """
ps -ww -p $$ -o args= >/dev/null || exit
end_all() {{
  kill -STOP "$1" || return
  for child in $(ps -e -o pid= -o ppid= | awk -v own="$1" '$2 == own {{print $1}}'); do end_all "$child"; done
  kill -9 "$1"
}}
for installer in $(find {folder} -maxdepth 1 -name 'install.*' -exec cat {{}} + 2>/dev/null); do
  ps -ww -p "$installer" -o args= | grep -q install.lock && end_all "$installer"
done
find {folder} -maxdepth 1 -name 'install.*' -exec rm {{}} + 2>/dev/null
{workers}; do kill -9 "$pid"; done
{remove}
"""
# What a worker gets on any machine; what its libraries want more is set there.
ENVIRONMENT = " ".join(
    f"{name}={value}" for name, value in {**processes.FIXED_ENV, **processes.WORKER_ENV}.items()
)


@dataclass(frozen=True)
class Box:
    """What one look at a box shows.

    Attributes:
        home: The folder that ssh leads to.
        free_gb: What is free on its disk.
        has_rsync: Whether files are sent by rsync, which goes on where it broke off.
        has_code: Whether this very studio lies there.
        has_libraries: Whether a Python there has what the studio needs.
        python: That Python, as a shell reads it; without one, that from which it is installed.
        gpu: What nvidia-smi calls its GPU; empty where it names none.
        n_gpus: How many it names.
        cores: How many cores it has; 0 where it does not say.
        memory_gb: Its memory (GiB); 0 where it does not say.
    """

    home: str
    free_gb: float
    has_rsync: bool
    has_code: bool
    has_libraries: bool
    python: str
    gpu: str = ""
    n_gpus: int = 0
    cores: int = 0
    memory_gb: float = 0.0


class SshLauncher:
    """Trains at a box that answers to ssh."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def look(self) -> Box:
        """What the box has and lacks; nothing is changed there.

        Raises:
            ConnectionLost: It does not answer.
            LauncherRefused: It refuses the key, or has no Python or no `ps`.
        """
        code = bundle.write_code().name
        script = PROBE.format(root=ROOT, code=code, python=self.machine.python)
        answer = dict(line.split("=", 1) for line in self._run(script).splitlines() if "=" in line)
        if answer.get("python") != "1":
            raise self._refused(NO_PYTHON, NAME_PYTHON, python=self.machine.python)
        if "ps" not in answer:
            raise self._refused(NO_PS, INSTALL_PS)
        home = answer.get("home", "")
        has_venv = "venv" in answer
        return Box(
            home=home,
            free_gb=_read_count(answer.get("free_kb")) * 1024 / 1e9,
            has_rsync="rsync" in answer and processes.has_program("rsync"),
            has_code="code" in answer,
            has_libraries=has_venv or "libraries" in answer,
            python=shlex.quote(f"{home}/{ROOT}/venv/bin/python") if has_venv else self.machine.python,
            gpu=answer.get("gpu", "").strip()[:100],
            n_gpus=_read_count(answer.get("gpus")),
            cores=_read_count(answer.get("cores")),
            memory_gb=_read_count(answer.get("memory_kb")) / 1024**2,
        )

    def submit(self, run: Run, first_seq: int, on_progress: StageProgress) -> Job:
        """Send studio and run, install what is missing, and start the worker, unless it is there."""
        box = self.look()
        values = {"workers": FIND_WORKER.format(run=run.id), "folder": self._folder({"run": run.id})}
        workers = self._run(FIND_ATTEMPT.format(seq=first_seq, **values)).split()
        if workers:
            return {"pid": int(workers[0]), "run": run.id, "has_rsync": box.has_rsync}
        on_progress("send", 0, 0)
        wanted_gb = RUN_GB if box.has_libraries else INSTALL_GB
        if box.free_gb < wanted_gb:
            raise self._refused(DISK_FULL, FREE_SPACE, free=box.free_gb, wanted=wanted_gb)
        code = bundle.write_code()
        self._run(f"mkdir -p -m 700 {ROOT} && mkdir -p {ROOT}/home/runs/{run.id}")
        if not box.has_code:
            part = f"{ROOT}/{code.name}.{run.id[:12]}.part"
            self._send(code, part, box)
            self._run(NAME_CODE.format(code=f"{ROOT}/{code.name}", part=part))
        if not box.has_libraries:
            box = self._install(run, box, code.name, on_progress)
        on_progress("send", 0, 0)
        folder = bundle.remote_folder() / run.id
        bundle.write_run(run, folder, run.plan)
        self._send(folder, f"{ROOT}/home/runs/{run.id}", box)
        bundle.write_price(run, self.machine, folder)
        if (folder / "machines.yaml").is_file():
            self._send(folder / "machines.yaml", f"{ROOT}/home", box)
        bundle.remove(folder)
        on_progress("machine", 0, 0)
        script = START.format(
            root=shlex.quote(f"{box.home}/{ROOT}"),
            run=run.id,
            code=code.name,
            environment=ENVIRONMENT,
            python=box.python,
            seq=first_seq,
        )
        answer = dict(line.split("=", 1) for line in self._run(script).splitlines() if "=" in line)
        if not answer.get("pid", "").isdecimal():
            raise self._refused(COMMAND_FAILED, LOOK_THERE, why=str(answer)[:200])
        return {"pid": int(answer["pid"]), "run": run.id, "has_rsync": box.has_rsync}

    def _install(self, run: Run, box: Box, code: str, on_progress: StageProgress) -> Box:
        """Make a virtual environment there with what the studio needs; the person has agreed to it.

        Where `on_progress` raises that the run is to stop, it is ended there.
        """
        folder = self._folder({"run": run.id})
        script = INSTALL.format(root=ROOT, code=code, python=box.python, folder=folder)
        try:
            self._run_install(run, script, on_progress)
        except LauncherRefused as error:
            if error.message.text == NO_SPACE.text:
                raise
            why = error.message.values.get("why", "")
            raise self._refused(NOT_INSTALLED, INSTALL_THERE, why=why) from None
        return self.look()

    def _run_install(self, run: Run, script: str, on_progress: StageProgress) -> None:
        ends_at = time.monotonic() + INSTALL_SECONDS
        with self._open(script, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            try:
                while True:
                    self._report_install(run, on_progress)
                    if time.monotonic() > ends_at:
                        raise self._lost(f"{INSTALL_SECONDS:.0f} s")
                    with suppress(subprocess.TimeoutExpired):
                        _, errors = process.communicate(timeout=POLL_SECONDS)
                        break
            finally:
                process.kill()
        if process.returncode:
            raise self._explain(errors.decode(errors="replace"), process.returncode)

    def _report_install(self, run: Run, on_progress: StageProgress) -> None:
        try:
            on_progress("install", 0, 0)
        except BaseException:  # it is to stop
            with suppress(StudioError):  # `discard` tries it again, and says why it cannot
                self._end(run.id, keep=True)
            raise

    def events(self, job: Job) -> Iterator[str]:
        """The worker's lines, by a tail that ends with it."""
        script = FOLLOW.format(folder=self._folder(job), alive=IS_ALIVE.format(**job))
        with subprocess.Popen(  # noqa: S603 - our own arguments, no shell on this side
            [*self._ssh(), script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=processes.child_environment(processes.SSH),
        ) as process:
            assert process.stdout and process.stderr
            errors: list[str] = []
            reader = threading.Thread(target=lambda: errors.extend(process.stderr or []), daemon=True)
            reader.start()
            try:
                yield from process.stdout
                process.wait()
            finally:
                process.kill()
        reader.join(timeout=5)
        if process.returncode == NOT_CONNECTED:
            raise self._explain("".join(errors), NOT_CONNECTED)

    def status(self, job: Job) -> JobStatus:
        """Whether the worker is still there."""
        answer = self._run(f"if {IS_ALIVE.format(**job)}; then echo running; else echo ended; fi")
        return JobStatus("running" if "running" in answer else "ended")

    def cancel(self, job: Job, at_once: bool = False) -> None:
        """Leave the wish to stop beside the run, as on this machine; at once the worker is ended."""
        if at_once:
            self._end(job["run"], keep=True)
        else:
            self._run(CANCEL.format(folder=self._folder(job)))

    def fetch(self, job: Job, folder: Path) -> None:
        """Bring the run's folder here; by rsync, what broke off goes on."""
        folder.mkdir(parents=True, exist_ok=True)
        source = self._folder(job)
        if not job.get("has_rsync"):
            self._fetch_by_tar(source, folder)
            return
        try:
            self._rsync(f"{self.machine.ssh}:{source}/", f"{folder}/", "--exclude=/base", "--exclude=*.tmp")
        except LauncherRefused as error:
            if error.message.text == NO_SPACE.text:  # what rsync writes is written here
                raise explain(OSError(errno.ENOSPC, "")) from None
            raise

    def remove(self, job: Job) -> None:
        """Delete the run's folder there, and end a worker that is still in it."""
        self._end(job["run"], keep=False)

    def discard(self, run: Run, job: Job, keep: bool) -> None:
        """End the run's worker or installation there; unless `keep`, delete the run's folder."""
        self._end(run.id, keep)

    def _end(self, run_id: str, keep: bool) -> None:
        folder = self._folder({"run": run_id})
        remove = ":" if keep else f"rm -rf {folder}"
        self._run(END.format(workers=FIND_WORKER.format(run=run_id), folder=folder, remove=remove))

    def _folder(self, job: Job) -> str:
        return f"{ROOT}/home/runs/{job['run']}"

    def _send(self, source: Path, target: str, box: Box) -> None:
        """Copy a folder's content, or a file, into a folder there."""
        if box.has_rsync:
            self._rsync(f"{source}/" if source.is_dir() else str(source), f"{self.machine.ssh}:{target}/")
            return
        unpack = f"mkdir -p {target} && tar -xf - -C {target}"
        with self._open(unpack, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
            assert process.stdin and process.stderr
            with suppress(BrokenPipeError), tarfile.open(fileobj=process.stdin, mode="w|") as archive:
                archive.add(source, "." if source.is_dir() else source.name)
            with suppress(BrokenPipeError):  # what is still in the buffer
                process.stdin.close()
            errors = process.stderr.read().decode(errors="replace")
        if process.returncode:
            raise self._explain(errors, process.returncode)

    def _open(self, command: str, stdin: int, stdout: int) -> subprocess.Popen[bytes]:
        """A command there, whose errors can be read here."""
        return subprocess.Popen(  # noqa: S603 - as above
            [*self._ssh(), command],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=processes.child_environment(processes.SSH),
        )

    def _fetch_by_tar(self, source: str, folder: Path) -> None:
        pack = f"tar -cf - -C {source} --exclude=./base ."
        with self._open(pack, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            assert process.stdout and process.stderr
            try:
                with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                    archive.extractall(folder, filter="data")
            except tarfile.FilterError as error:
                process.kill()
                path = error.tarinfo.name
                raise StudioError(NOT_A_RUN, USE_NOTHING, machine=self.machine.name, path=path) from None
            except tarfile.ReadError:  # ssh has said why
                process.kill()
            errors = process.stderr.read().decode(errors="replace")
        if process.returncode:
            raise self._explain(errors, process.returncode)

    def _rsync(self, source: str, target: str, *options: str) -> None:
        """Copy by rsync: times and files, no links; what broke off goes on."""
        shell = " ".join(["ssh", *SSH_OPTIONS])
        command = ["rsync", "-rt", "--partial", "-e", shell, *options, "--", source, target]
        self._run_program(command, TRANSFER_SECONDS)

    def _ssh(self) -> list[str]:
        return ["ssh", *SSH_OPTIONS, "--", self.machine.ssh]

    def _run(self, script: str, timeout: float = COMMAND_SECONDS) -> str:
        """What a shell script prints there."""
        return self._run_program([*self._ssh(), script], timeout)

    def _run_program(self, command: Sequence[str], timeout: float) -> str:
        try:
            completed = processes.run_program(command, options=processes.SSH, timeout=timeout)
        except FileNotFoundError:
            raise self._refused(NO_SSH, INSTALL_SSH) from None
        except subprocess.TimeoutExpired:
            raise self._lost(f"{timeout:.0f} s") from None
        if completed.returncode:
            raise self._explain(completed.stderr, completed.returncode)
        return completed.stdout

    def _explain(self, errors: str, code: int) -> ConnectionLost | LauncherRefused:
        """What a program's complaint means."""
        lines = [line.strip() for line in errors.splitlines() if line.strip()]
        why = lines[-1][:300] if lines else str(code)
        for marker, message, hint in REFUSALS:
            if marker in errors.lower():
                return self._refused(message, hint, why=why)
        # rsync says 12 where the connection broke, 30 and 35 where it stood still.
        if code in (NOT_CONNECTED, 12, 30, 35):
            return self._lost(why)
        return self._refused(COMMAND_FAILED, LOOK_THERE, why=why)

    def _lost(self, why: str) -> ConnectionLost:
        hint = TRY_SSH.format(address=self.machine.ssh)
        return ConnectionLost(UNREACHABLE, hint, machine=self.machine.name, why=why)

    def _refused(self, message: Message, hint: Message, **values: Any) -> LauncherRefused:
        hint = hint.format(address=self.machine.ssh)
        return LauncherRefused(message, hint, machine=self.machine.name, **values)


def _read_count(text: str | None) -> int:
    """A number that a box printed; 0 where it is none."""
    return int(text) if text and text.strip().isdecimal() else 0
