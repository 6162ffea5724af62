"""Child processes see what the allow-list names and nothing else, reply line by line, and are ended with
whoever asked.
"""

import ctypes
import os
import subprocess
import sys
import time

import psutil
import pytest

from studio import cgroups, processes
from studio.errors import StudioError
from studio.i18n import Message
from studio.processes import READER, WORKER, ChildOptions, ModuleServer, child_environment

FAILURE, HINT = Message("It broke off: {why}"), Message("Try again.")
ONLINE = ChildOptions(online=True)


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def is_running(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """Write a module that `python -m` finds in a child process, and return its name."""

    def write(code, name="toy_child"):
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        return name

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return write


# The environment.


@pytest.mark.parametrize("options", [READER, ONLINE, WORKER], ids=["reader", "online", "worker"])
def test_a_child_gets_no_secrets_and_the_same_home(options, monkeypatch, studio_home):
    for name in ("AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "STUDIO_PASSWORD", "PIP_TOKEN", "DATABASE_URL"):
        monkeypatch.setenv(name, "secret")
    env = child_environment(options)
    assert "secret" not in env.values()
    assert env["STUDIO_HOME"] == str(studio_home)
    assert env["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("options", [READER, ONLINE], ids=["reader", "online"])
def test_only_a_worker_gets_the_owners_token(options, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert "secret" not in child_environment(options).values()
    assert child_environment(WORKER)["HF_TOKEN"] == "secret"


def test_on_an_open_page_a_worker_gets_no_token(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("STUDIO_OPEN", "1")
    assert "secret" not in child_environment(WORKER).values()
    assert child_environment(WORKER)["HF_HUB_DISABLE_IMPLICIT_TOKEN"] == "1"
    assert child_environment(ONLINE)["HF_HUB_DISABLE_IMPLICIT_TOKEN"] == "1"


def test_a_reader_stays_off_the_hub_and_an_online_child_goes_through_the_proxy(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example")
    assert child_environment(READER)["HF_HUB_OFFLINE"] == "1"
    assert not {"HTTPS_PROXY", "HF_ENDPOINT", "PIP_INDEX_URL"} & set(child_environment(READER))
    for options in (ONLINE, WORKER):
        env = child_environment(options)
        assert env["HTTPS_PROXY"] == "http://proxy:1"
        assert env["HF_ENDPOINT"] == "https://mirror.example"
        assert env["PIP_INDEX_URL"] == "https://index.example"
    assert "HF_HUB_OFFLINE" not in child_environment(ONLINE)


def test_a_worker_sees_one_card(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert child_environment(WORKER)["CUDA_VISIBLE_DEVICES"] == "2"
    assert child_environment(READER)["CUDA_VISIBLE_DEVICES"] == ""
    assert child_environment(ChildOptions(gpus="all"))["CUDA_VISIBLE_DEVICES"] == "2,3"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert child_environment(WORKER)["CUDA_VISIBLE_DEVICES"] == "0"
    assert "CUDA_VISIBLE_DEVICES" not in child_environment(ChildOptions(gpus="all"))


@pytest.mark.parametrize(
    ("quotas", "asked", "threads"),
    [([2.5], None, "2"), ([0.5], None, "1"), ([2.5], "6", "6"), ([], None, None)],
)
def test_a_worker_starts_no_more_threads_than_its_container_has_cores(monkeypatch, quotas, asked, threads):
    """Libraries see all cores of the host, and their threads would wait for each other by spinning."""
    monkeypatch.setattr(cgroups, "_core_quotas", lambda cgroup: quotas)
    monkeypatch.setattr(cgroups, "visible_cores", lambda: 16)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert child_environment(WORKER).get("OMP_NUM_THREADS") == threads
    with processes.worker_environment():
        assert os.environ.get("OMP_NUM_THREADS") == threads


def test_the_threads_of_a_child_are_bounded_where_it_is_said(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert child_environment(ChildOptions(threads=1))["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in child_environment(READER)
    assert child_environment(WORKER)["OMP_NUM_THREADS"] == "7"


def test_the_studios_own_folder_comes_first(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    assert child_environment(READER)["PYTHONPATH"] == f"{processes.ROOT}{os.pathsep}elsewhere"
    assert child_environment(READER)["PYTHONSAFEPATH"] == "1"


def test_a_run_in_the_foreground_has_a_workers_environment_and_gives_it_back(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    before = dict(os.environ)
    with processes.worker_environment():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "2"
        assert processes.WORKER_ENV.items() <= os.environ.items()
    assert dict(os.environ) == before


def test_a_ctrl_c_in_the_terminal_does_not_reach_a_child_on_windows_either(monkeypatch):
    assert processes._own_session() == {"start_new_session": True}
    monkeypatch.setattr(processes.sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 512, raising=False)
    assert processes._own_session() == {"creationflags": 512}


# Running to the end.


def test_a_module_runs_to_its_end_and_its_exit_code_is_returned(write_module):
    module = write_module("import sys; print(sys.argv[1], sys.stdin.read(), '中'); sys.exit(3)")
    completed = processes.run_module(module, "one", input_text="two")
    assert (completed.stdout.strip(), completed.returncode) == ("one two 中", 3)


def test_a_module_that_takes_too_long_is_ended(write_module):
    module = write_module("import time; time.sleep(60)")
    with pytest.raises(subprocess.TimeoutExpired):
        processes.run_module(module, timeout=0.5)


def test_a_program_gets_what_it_is_handed_beyond_the_allow_list():
    code = "import os; print(os.environ['COLOUR'])"
    completed = processes.run_program([sys.executable, "-c", code], COLOUR="blue")
    assert completed.stdout.strip() == "blue"


def test_a_detached_process_outlives_its_parent_and_writes_to_its_log(write_module, tmp_path):
    module = write_module("import sys; print('working on', sys.argv[1], flush=True)")
    starter = (
        "from pathlib import Path; from studio import processes;"
        f"print(processes.start_detached({module!r}, 'it', log_path=Path({str(tmp_path / 'log')!r})))"
    )
    completed = processes.run_program([sys.executable, "-c", starter])
    assert completed.returncode == 0, completed.stderr
    pid = int(completed.stdout)
    wait_until(lambda: not is_running(pid))
    assert (tmp_path / "log").read_text() == "working on it\n"


# Streaming replies.


def test_replies_are_streamed_one_a_line(write_module):
    module = write_module(
        "import json, sys\nfrom studio import processes\nrequest = json.load(sys.stdin)\n"
        "for index in range(request['count']):\n    processes.send_reply({'index': index, 'text': '中'})"
    )
    replies = list(processes.stream_replies(module, {"count": 3}, FAILURE, HINT))
    assert replies == [{"index": index, "text": "中"} for index in range(3)]


def test_a_child_that_breaks_off_is_an_error_with_its_last_line(write_module):
    module = write_module("import sys; sys.stdin.read(); sys.exit('no such file')")
    with pytest.raises(StudioError) as caught:
        list(processes.stream_replies(module, {}, FAILURE, HINT))
    assert caught.value.sentences() == ("It broke off: no such file", "Try again.")


def test_a_problem_that_a_child_replies_is_raised_as_it_is(write_module):
    module = write_module(
        "import sys\nfrom studio import processes\nfrom studio.errors import BadData\nfrom studio.i18n "
        "import Message\n"
        "sys.stdin.read()\nprocesses.send_error(BadData(Message('No {what}.'), Message('Bring it.'), "
        "what='file'))"
    )
    with pytest.raises(StudioError) as caught:
        list(processes.stream_replies(module, {}, FAILURE, HINT))
    assert caught.value.sentences() == ("No file.", "Bring it.")


def test_closing_the_stream_ends_the_child(write_module):
    module = write_module(
        "import os, sys, time\nfrom studio import processes\nsys.stdin.read()\n"
        "processes.send_reply({'pid': os.getpid()})\ntime.sleep(60)"
    )
    stream = processes.stream_replies(module, {}, FAILURE, HINT)
    pid = next(stream)["pid"]
    assert is_running(pid)
    stream.close()
    assert not is_running(pid)


# A server on pipes.

ECHO = (
    "import json, sys, time\n"
    "for line in sys.stdin:\n"
    "    request = json.loads(line)\n"
    "    if request.get('end'): break\n"
    "    if request.get('garble'): print('{\"half', end='', flush=True); break\n"
    "    if request.get('sleep'): time.sleep(60)\n"
    "    print(json.dumps(request), flush=True)"
)


@pytest.fixture
def echo(write_module):
    """A server that sends back what it is sent."""
    server = ModuleServer(write_module(ECHO))
    yield server
    server.close()


def test_a_server_replies_to_one_request_after_the_other(echo):
    assert [echo.ask({"index": index}, timeout=30) for index in range(3)] == [
        {"index": index} for index in range(3)
    ]
    assert echo.is_alive


@pytest.mark.parametrize("request_", [{"end": True}, {"garble": True}], ids=["ended", "half a line"])
def test_a_server_that_ends_without_a_reply_gives_none(echo, request_):
    assert echo.ask(request_, timeout=30) is None
    wait_until(lambda: not echo.is_alive)
    assert echo.receive() is None
    with pytest.raises(BrokenPipeError):
        echo.send({})
    assert echo.ask({}, timeout=30) is None


def test_a_server_that_stays_silent_is_ended(echo):
    echo.ask({}, timeout=30)  # it has started
    assert echo.ask({"sleep": True}, timeout=0.2) is None
    wait_until(lambda: not echo.is_alive)


def test_a_closed_server_is_gone_and_may_be_closed_again(echo):
    pid = echo.pid
    echo.close()
    assert not is_running(pid)
    assert echo.receive() is None
    with pytest.raises(BrokenPipeError):
        echo.send({})
    echo.close()


def test_the_memory_kills_of_this_container_count_before_those_of_the_machine(tmp_path):
    container, machine = tmp_path / "memory.events", tmp_path / "vmstat"
    machine.write_text("nr_free_pages 1\noom_kill 7\n")
    assert processes.count_memory_kills((container, machine)) == 7
    container.write_text("oom 3\noom_kill 2\n")
    assert processes.count_memory_kills((container, machine)) == 2
    assert processes.count_memory_kills((tmp_path / "none",)) is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no groups of processes to end")
def test_a_program_that_a_child_runs_ends_with_the_child(write_module):
    module = write_module(
        "import subprocess, sys, time\n"
        "from studio import processes\n"
        "program = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])\n"
        "processes.send_reply({'pid': program.pid})\n"
        "time.sleep(100)\n"
    )
    stream = processes.stream_replies(module, {}, FAILURE, HINT)
    pid = next(stream)["pid"]
    assert is_running(pid)
    stream.close()
    wait_until(lambda: not is_running(pid))


HEAPS_SCRIPT = """
import ctypes, sys, threading
from studio import cgroups, processes
if sys.argv[2:]:
    processes.restart_with_one_heap()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
threads = [threading.Thread(target=lambda: bytearray(100_000)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc tells its heaps")
@pytest.mark.parametrize(
    ("options", "arguments"), [(WORKER, []), (READER, ["in the terminal"])], ids=["worker", "terminal"]
)
def test_the_threads_of_a_process_that_trains_share_one_heap(options, arguments, tmp_path):
    path, environment = tmp_path / "heaps.xml", child_environment(options)
    command = [sys.executable, "-c", HEAPS_SCRIPT, str(path), *arguments]
    subprocess.run(command, check=True, env=environment)
    assert path.read_text().count("<heap nr=") == 1


# Steps of tensors of many sizes, freed in another order; something small stays of each, as a training keeps
# what it notes. Printed is what the heap, by its own books, has grown by since the first step's tensors were
# held, and what a step holds (bytes). What is in memory of it says less: the system takes pages in and out.
GROWTH_SCRIPT = """
import ctypes, random
import torch

class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd".split()]
    _fields_ += [(name, ctypes.c_size_t) for name in "usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Mallinfo2
chance, kept, heap_bytes = random.Random(0), [], []
sizes = [chance.randrange(200_000, 3_000_000) for _ in range(60)]
for _ in range(40):
    tensors = []
    for size in sizes:
        tensors.append(torch.ones(size // 4))
        kept.append(torch.empty(8))
    info = libc.mallinfo2()
    heap_bytes.append(info.arena + info.hblkhd)
    chance.shuffle(tensors)
    while tensors:
        tensors.pop()
print(heap_bytes[-1] - heap_bytes[0], sum(sizes))
"""


@pytest.mark.thorough
@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="only glibc 2.33+ tells"
)
def test_a_process_that_trains_finds_what_it_has_freed():
    command = [sys.executable, "-c", GROWTH_SCRIPT]
    output = subprocess.run(command, check=True, env=child_environment(WORKER), capture_output=True).stdout
    growth, step_bytes = map(int, output.split())
    assert growth < 0.3 * step_bytes, "with caches it is 0.7 of them"


def test_a_heap_that_somebody_has_set_up_stays(monkeypatch):
    monkeypatch.setenv(processes.HEAP_VARIABLE, "glibc.malloc.arena_max=4")
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("started anew"))
    processes.restart_with_one_heap()
    assert os.environ[processes.HEAP_VARIABLE] == "glibc.malloc.arena_max=4"
