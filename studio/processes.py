"""The page's child processes: what they see of the environment (no tokens, no secrets, no network of their own accord), and how they answer."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from studio.errors import StudioError
from studio.i18n import Message

ALLOWED_ENV = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "STUDIO_HOME")
ROOT = Path(__file__).resolve().parent.parent
FIXED_ENV = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONSAFEPATH": "1",
    "THP_MEM_ALLOC_ENABLE": "1",
}


def build_environment(
    parent_env: Mapping[str, str], cards: bool = False, threads: int = 0, online: bool = False
) -> dict[str, str]:
    """The environment of a process that reads and computes: `cards` lets it see the graphics card, `threads` bounds its threads, `online`
    lets it ask the hub."""
    env = {name: value for name, value in parent_env.items() if name in ALLOWED_ENV}
    env["CUDA_VISIBLE_DEVICES"] = parent_env.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] if cards else ""
    if threads:
        env["OMP_NUM_THREADS"] = str(threads)
    # The studio's own folder comes first, whatever lies where it was started.
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), parent_env.get("PYTHONPATH"))))
    env |= FIXED_ENV
    if online:
        del env["HF_HUB_OFFLINE"]
        env |= {name: parent_env[name] for name in ("HF_ENDPOINT",) if name in parent_env}
        env |= (
            {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"} if parent_env.get("STUDIO_OPEN") == "1" else {}
        )  # a stranger asks in nobody's name
    return env


def stream_replies(
    module: str, request: Mapping[str, Any], failure_message: Message, hint: Message, **env_options: Any
) -> Iterator[dict[str, Any]]:
    """Start `python -m module`, put a question to it as JSON, and yield its answers, one a line, until it ends.

    Closing the iterator ends the process. Raises StudioError (`silent` with {why}, `to_do`) where it breaks off, and what it says was
    wrong where an answer is {"problem": MESSAGE, "to_do": MESSAGE}. `seen` goes to `environment`.
    """
    process = subprocess.Popen(  # noqa: S603 - the studio's own modules alone
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
        env=build_environment(os.environ, **env_options),
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
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


# Where a child process writes its answers, where that is not its standard output of the moment.
OUTPUT_STREAMS: list[IO[str]] = []


def send_reply(reply: Mapping[str, Any]) -> None:
    """Write one answer, in a child process."""
    stream = OUTPUT_STREAMS[0] if OUTPUT_STREAMS else sys.stdout
    stream.write(json.dumps(reply, ensure_ascii=False) + "\n")
    stream.flush()


def send_error(error: StudioError) -> None:
    """Write what was wrong, in a child process."""
    send_reply({"problem": error.message.to_json(), "to_do": error.hint.to_json()})
