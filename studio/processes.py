"""The one place that starts, asks, streams from and ends the studio's child processes.

It also decides what they see of the environment: one allow-list, no secrets.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Literal

from studio import cgroups
from studio.errors import StudioError, explain
from studio.i18n import Message
from studio.storage import home

ROOT = Path(__file__).resolve().parent.parent
# The one allow-list of the environment: what a child process may see of its parent's, by what it is for.
SYSTEM_VARIABLES = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    # Without these Python does not start on Windows, or finds no home and no folder for temporary files.
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
)
# For a process that fetches from the hub or the Python package index: mirrors, proxies and certificates.
NETWORK_VARIABLES = (
    "HF_ENDPOINT",
    "PIP_*",
    "HTTP*",
    "http*",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY*",
    "no_proxy*",
    "SSL_*",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)
# For a process that trains a model or loads a trained one: what its libraries read for themselves.
LIBRARY_VARIABLES = (
    "HF_*",
    "OMP_*",
    "MKL_*",
    "TORCH_*",
    "PYTORCH_*ALLOC_CONF",
    "STUDIO_*",
    "TRACKIO_DIR",
    "XDG_*",
    "NVIDIA_*",
)
# For a process that reaches other machines by SSH: where the person's keys are held.
SSH_VARIABLES = ("SSH_AUTH_SOCK",)
# For a process that reaches Ray clusters: the person's token for them, or the file that holds it.
RAY_VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
# Names that hold a secret. A worker's hub client alone gets the owner's token, a process that reaches a Ray
# cluster the token for it; neither does on a page open to others.
SECRET_VARIABLES = ("*TOKEN*", "*SECRET*", "*PASSWORD*", "*API_KEY*")
OWNER_TOKENS = "HF_*TOKEN*"

# Where a process that sees the first graphics card alone has all of them, as CUDA_VISIBLE_DEVICES takes them.
GPUS_VARIABLE = "STUDIO_GPUS"

# What every child process gets, whatever its parent has.
FIXED_ENV = {
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONSAFEPATH": "1",
    "PYTHONUTF8": "1",  # pipes carry UTF-8, also on Windows
}
# glibc reads this when a process starts.
HEAP_VARIABLE = "GLIBC_TUNABLES"
WORKER_ENV = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PYTHONUNBUFFERED": "1",
    # What Apple's GPU cannot compute goes to the processor, instead of ending the run.
    "PYTORCH_ENABLE_MPS_FALLBACK": "1",
    # One heap in large pages for all threads, without caches of small pieces. glibc would give each thread
    # a heap of its own, and a backward pass, which runs in another thread, would never use what the forward
    # pass has freed. A cache would keep the few bytes that aligning a tensor's block cuts off beside it, and
    # a block that is freed would never again be whole (docs/methods.md#the-heap-on-a-cpu).
    HEAP_VARIABLE: "glibc.malloc.arena_max=1:glibc.malloc.hugetlb=1"
    ":glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0",
}


MEMORY_KILL_FILES = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
    Path("/proc/vmstat"),
)


@dataclass(frozen=True)
class ChildOptions:
    """What a child process may use.

    Attributes:
        gpus: The graphics cards it sees. A process that trains uses one alone: with several, Trainer would
            split what is no batch.
        threads: The most threads its libraries compute with; 0 leaves it to them.
        online: Whether it may ask the hub and the package index.
        is_worker: Whether it trains or loads a trained model: it gets the variables of its libraries
            too, and the owner's hub token.
        uses_ssh: Whether it reaches other machines by SSH.
        uses_ray: Whether it reaches Ray clusters.
    """

    gpus: Literal["none", "first", "all"] = "none"
    threads: int = 0
    online: bool = False
    is_worker: bool = False
    uses_ssh: bool = False
    uses_ray: bool = False


READER = ChildOptions()
WORKER = ChildOptions(gpus="first", online=True, is_worker=True)
SSH = ChildOptions(uses_ssh=True)
# Follows a run that trains elsewhere.
FOLLOWER = ChildOptions(online=True, is_worker=True, uses_ssh=True, uses_ray=True)


def child_environment(options: ChildOptions = READER) -> dict[str, str]:
    """The environment of a child process: what the allow-list lets pass, and fixed settings."""
    env = {name: value for name, value in os.environ.items() if _may_pass(name, options)}
    env |= FIXED_ENV
    env["STUDIO_HOME"] = str(home())
    # The studio's own folder comes first, whatever lies where the child is started.
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    if options.gpus == "none":
        env["CUDA_VISIBLE_DEVICES"] = ""
    elif options.gpus == "first":
        env |= _first_gpu_variables()
    elif "CUDA_VISIBLE_DEVICES" in os.environ:
        env["CUDA_VISIBLE_DEVICES"] = os.environ["CUDA_VISIBLE_DEVICES"]
    if options.threads:
        env["OMP_NUM_THREADS"] = str(options.threads)
    if options.is_worker:
        env = {**_thread_limit(), **env, **WORKER_ENV}
    if not options.online:
        env["HF_HUB_OFFLINE"] = "1"
    elif _is_open_to_others():  # a stranger asks in nobody's name
        env["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"  # noqa: S105 - a switch
    return env


def name_gpu(index: int) -> str:
    """A graphics card that runs may use, counted from 0, as CUDA_VISIBLE_DEVICES takes it."""
    names = _all_gpus().split(",") if _all_gpus() else []
    return names[index].strip() if index < len(names) else str(index)


def _all_gpus() -> str:
    return os.environ.get(GPUS_VARIABLE) or os.environ.get("CUDA_VISIBLE_DEVICES", "")


def _thread_limit() -> dict[str, str]:
    """For a container that may use fewer cores than it sees: libraries would start a thread for each."""
    n_cores = int(cgroups.available_cores())
    return {"OMP_NUM_THREADS": str(max(1, n_cores))} if n_cores < cgroups.visible_cores() else {}


def _first_gpu_variables() -> dict[str, str]:
    """What a process gets that sees the first graphics card alone."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    return {"CUDA_VISIBLE_DEVICES": first, GPUS_VARIABLE: _all_gpus()}


def restart_with_one_heap() -> None:
    """Start this program anew with the heap of a worker, which glibc sets up once.

    Nothing happens elsewhere than on Linux, and where somebody has set up the heap.
    """
    if sys.platform == "linux" and HEAP_VARIABLE not in os.environ:
        os.environ[HEAP_VARIABLE] = WORKER_ENV[HEAP_VARIABLE]
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the same program


@contextmanager
def worker_environment() -> Iterator[None]:
    """Give this process what a worker gets beyond its parent's environment, as long as the block runs."""
    before = dict(os.environ)
    os.environ.update({**_thread_limit(), **os.environ, **FIXED_ENV, **WORKER_ENV, **_first_gpu_variables()})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _may_pass(name: str, options: ChildOptions) -> bool:
    allowed: tuple[str, ...] = SYSTEM_VARIABLES
    if options.online:
        allowed += NETWORK_VARIABLES
    if options.is_worker:
        allowed += LIBRARY_VARIABLES
    if options.uses_ssh:
        allowed += SSH_VARIABLES
    if options.uses_ray:
        allowed += RAY_VARIABLES
    if not _matches(name, allowed):
        return False
    if not _matches(name.upper(), SECRET_VARIABLES):
        return True
    is_for_ray = options.uses_ray and name in RAY_VARIABLES
    is_for_hub = options.is_worker and fnmatchcase(name, OWNER_TOKENS)
    return (is_for_hub or is_for_ray) and not _is_open_to_others()


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _is_open_to_others() -> bool:
    """Whether visitors use this page (see ui/access.py)."""
    return os.environ.get("STUDIO_OPEN") == "1"


def _own_session() -> dict[str, Any]:
    """The arguments of Popen that keep a Ctrl-C in the terminal from reaching the child."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _module_command(module: str, arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def count_memory_kills(files: Sequence[Path] = MEMORY_KILL_FILES) -> int | None:
    """How many processes the system has ended for lack of memory so far; None where it does not say.

    Args:
        files: Where Linux counts them: for this container, else for the machine.
    """
    for path in files:
        with suppress(OSError, ValueError):
            for line in path.read_text(encoding="utf-8").splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return None


def has_program(name: str) -> bool:
    """Whether a program of this name can be started."""
    return shutil.which(name) is not None


def run_program(
    command: Sequence[str],
    input_text: str = "",
    options: ChildOptions = READER,
    timeout: float | None = None,
    **extra_env: str,
) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end and return what it wrote; its exit code is the caller's to judge.

    Args:
        command: The program and its arguments; no shell reads them.
        input_text: What it reads on stdin.
        options: What it may use.
        timeout: Seconds until it is ended; None waits.
        extra_env: Variables it gets beyond those of its options.

    Raises:
        OSError: The program could not be started.
        subprocess.TimeoutExpired: It took longer than `timeout`.
    """
    return subprocess.run(  # noqa: S603 - our own arguments, no shell
        command,
        input=input_text,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=timeout,
        env={**child_environment(options), **extra_env},
        check=False,
    )


def run_module(
    module: str,
    *arguments: str,
    input_text: str = "",
    options: ChildOptions = READER,
    timeout: float | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run `python -m module` to its end; arguments and errors as in `run_program`."""
    return run_program(_module_command(module, arguments), input_text, options, timeout)


# Processes that outlive this one. Asking after those that have ended lets the system forget them.
_DETACHED: "list[subprocess.Popen[bytes]]" = []


def start_detached(
    module: str,
    *arguments: str,
    log_path: Path,
    options: ChildOptions = READER,
    extra_env: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """Start `python -m module` in a session of its own and return its process id at once.

    It outlives this process; what it prints is appended to `log_path`. It gets the variables of `extra_env`
    beyond those of its options.
    """
    with log_path.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
            _module_command(module, arguments),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            close_fds=True,
            env={**child_environment(options), **extra_env},
            **_own_session(),
        )
    _DETACHED[:] = [child for child in _DETACHED if child.poll() is None]
    _DETACHED.append(process)
    return process.pid


def start_beside(
    module: str,
    *arguments: str,
    log_path: Path,
    options: ChildOptions = READER,
    extra_env: Mapping[str, str] = MappingProxyType({}),
) -> "subprocess.Popen[bytes]":
    """Start `python -m module`, which `end_with_parent` lets end when this process does.

    Args:
        module: The module.
        arguments: Its arguments.
        log_path: What it prints is appended here.
        options: What it may use.
        extra_env: Variables it gets beyond those of its options.
    """
    with log_path.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own arguments, no shell
            _module_command(module, arguments),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**child_environment(options), **extra_env},
            **_own_session(),
        )


def end_with_parent() -> None:
    """In a process of `start_beside`: end it at once when its parent has ended, however that came about."""

    def wait_for_end() -> None:
        os.read(sys.stdin.fileno(), 1)
        os._exit(1)

    threading.Thread(target=wait_for_end, daemon=True).start()


class ModuleServer:
    """A child process that answers JSON lines on stdin with JSON lines on stdout, until it is closed."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        options: ChildOptions = READER,
        log: int | IO[bytes] = subprocess.DEVNULL,
    ) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
            _module_command(module, arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            env=child_environment(options),
            **_own_session(),
        )
        assert self._process.stdin and self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._reading = threading.Lock()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def send(self, request: Mapping[str, Any]) -> None:
        """Send one request; raises BrokenPipeError where the process has ended."""
        try:
            self._stdin.write(json.dumps(request) + "\n")
            self._stdin.flush()
        except (OSError, ValueError):  # ValueError: the pipe is closed on this side
            raise BrokenPipeError from None

    def receive(self) -> dict[str, Any] | None:
        """Its next reply; None once it has ended. Waits until there is one."""
        with self._reading:
            try:
                line = self._stdout.readline()
                return dict(json.loads(line)) if line else None
            except ValueError:  # it ended in the middle of a line, or was closed
                return None

    def ask(self, request: Mapping[str, Any], timeout: float) -> dict[str, Any] | None:
        """The reply to one request; None where the process ended without one.

        A process that stays silent for `timeout` seconds is ended.
        """
        timer = threading.Timer(timeout, self._process.kill)
        timer.start()
        try:
            self.send(request)
            return self.receive()
        except BrokenPipeError:
            return None
        finally:
            timer.cancel()

    def kill(self) -> None:
        """End the process and wait until it has."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and close its pipes; what was not yet read on either side is lost."""
        self.kill()
        with suppress(OSError):
            self._stdin.close()
        with self._reading:  # a thread that waits for a reply has seen the end by now
            self._stdout.close()


def stream_replies(
    module: str,
    request: Mapping[str, Any],
    failure_message: Message,
    hint: Message,
    options: ChildOptions = READER,
) -> Generator[dict[str, Any], None, None]:
    """Start `python -m module`, send it one request as JSON, and yield its replies until it ends.

    Closing the iterator ends the process.

    Raises:
        StudioError: The process broke off (`failure_message`, whose `{why}` is the last line it wrote to
            stderr, and `hint`), or a reply is {"problem": MESSAGE, "to_do": MESSAGE}.
    """
    process = subprocess.Popen(  # noqa: S603 - the studio's own modules alone
        _module_command(module, ()),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=child_environment(options),
        **_own_session(),
    )
    assert process.stdin and process.stdout and process.stderr
    try:
        process.stdin.write(json.dumps(request))
        process.stdin.close()
        for line in process.stdout:
            reply = json.loads(line)
            if "problem" in reply:
                raise StudioError(Message.from_json(reply["problem"]), Message.from_json(reply["to_do"]))
            yield reply
        if process.wait():
            stderr_tail = process.stderr.read().strip().splitlines()[-1:] or ["?"]
            raise StudioError(failure_message, hint, why=stderr_tail[0][:200])
    finally:
        _kill_with_children(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


def _kill_with_children(process: "subprocess.Popen[str]") -> None:
    """End a process that has a session of its own, and the programs that it runs in it."""
    if process.poll() is None and sys.platform != "win32":
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


# Where a child process writes its replies, where that is not its standard output of the moment.
OUTPUT_STREAMS: list[IO[str]] = []


def send_reply(reply: Mapping[str, Any]) -> None:
    """Write one reply, in a child process."""
    stream = OUTPUT_STREAMS[0] if OUTPUT_STREAMS else sys.stdout
    stream.write(json.dumps(reply, ensure_ascii=False) + "\n")
    stream.flush()


def send_error(error: StudioError) -> None:
    """Write what was wrong, in a child process."""
    send_reply({"problem": error.message.to_json(), "to_do": error.hint.to_json()})


def serve_request(answer: Callable[[dict[str, Any]], None]) -> int:
    """Be the child process of `stream_replies`: answer the one request on stdin, or say what was wrong.

    What libraries print goes to stderr, so that nothing comes between the replies.

    Args:
        answer: Gets the request, and sends its replies by `send_reply`.

    Returns:
        The exit code.
    """
    request = json.loads(sys.stdin.read())
    OUTPUT_STREAMS[:], sys.stdout = [sys.stdout], sys.stderr
    try:
        answer(request)
    except Exception as error:
        send_error(explain(error))
    return 0
