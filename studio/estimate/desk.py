"""Asks the estimator's child process, and remembers on disk what it said: a step is traced once, a data set counted once."""

import atexit
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import fields
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from studio import child
from studio.estimate.tally import Tally
from studio.home import home, read_json, write_json
from studio.words import Words

# A newer library may compute otherwise, and a newer studio count more: what was traced with another is asked again.
LIBRARIES = ("torch", "transformers", "peft", "torchao")
TOLD = tuple(field.name for field in fields(Tally))
# Longer than the longest trace on a busy machine; a child that says nothing by then is put away (seconds).
PATIENCE = 120.0

# A question that could not be answered is asked again after so long (seconds): memory may have been short.
AGAIN = 600.0

_asking = threading.Lock()
_refused: dict[str, tuple[float, Words]] = {}
_answers: dict[str, dict[str, Any]] = {}
_child: list["subprocess.Popen[str]"] = []
_served: list[Path] = []  # the home the child was started for


def known(asked: dict[str, Any]) -> dict[str, Any] | None:
    """What is remembered as the answer to a question; None where it was never asked."""
    key = _key(asked)
    if key not in _answers:
        _answers[key] = read_json(_place(key))
    return _answers[key] or None


def troubled() -> bool:
    """Whether any question was refused."""
    return bool(_refused)


def refused(asked: dict[str, Any]) -> Words | None:
    """Why a question was lately not answered; None where it was, or was never asked."""
    since, why = _refused.get(_key(asked), (-AGAIN, None))
    return why if time.monotonic() - since < AGAIN else None


def ask(asked: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question, remembered or fetched; `problem` (in both languages) where there is none. Takes seconds at most."""
    key = _key(asked)
    if why := refused(asked):
        return {"problem": {"en": why.en, "zh": why.zh}}
    with _asking:
        found = _answers.get(key) or read_json(_place(key)) or _fetched(asked)
    if "problem" in found:
        _refused[key] = (time.monotonic(), Words.of(found["problem"]))
    else:
        _answers[key] = found
        if asked["what"] != "seen":  # texts of a data set stay in its own folder
            _place(key).parent.mkdir(exist_ok=True)
            write_json(_place(key), found)
    return found


def sweep() -> None:
    """Remove what earlier versions wrote down here of a data set's texts."""
    for file in (home() / "estimates").glob("*.json"):
        with file.open("rb") as answer:
            texts = answer.read(20).split()[:2] == [b"{", b'"seen":']
        if texts:
            file.unlink(missing_ok=True)


def close() -> None:
    """Put the child away."""
    while _child:
        process = _child.pop()
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]


atexit.register(close)


def _key(asked: dict[str, Any]) -> str:
    return json.dumps([os.environ.get("STUDIO_HOME", ""), asked], sort_keys=True)


def _place(key: str) -> Path:
    return home() / "estimates" / f"{sha256(json.dumps([key, *_versions()]).encode()).hexdigest()[:32]}.json"


@cache
def _versions() -> tuple[str, ...]:
    return *(version(name) for name in LIBRARIES), *TOLD


def _fetched(asked: dict[str, Any]) -> dict[str, Any]:
    process = _started()
    assert process.stdin is not None and process.stdout is not None
    timer = threading.Timer(PATIENCE, process.kill)
    timer.start()
    try:
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        found = json.loads(line)
    except (OSError, ValueError):  # it has ended, or was put away for saying nothing
        close()
        return {"problem": {"en": "The estimator's process ended without an answer.", "zh": "估算进程未作答就结束了。"}}
    finally:
        timer.cancel()
    return dict(found)


def _started() -> "subprocess.Popen[str]":
    if _child and _child[0].poll() is None and _served == [home()]:
        return _child[0]
    close()
    _served[:] = [home()]
    _child.append(
        subprocess.Popen(
            [sys.executable, "-m", "studio.estimate.serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            start_new_session=True,
            env=child.environment(os.environ, threads=1),
        )
    )
    return _child[0]
