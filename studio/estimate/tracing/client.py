"""Asks the estimator's child process, and remembers on disk what it said: a step is traced once, a data set counted once."""

import atexit
import json
import os
import threading
import time
from dataclasses import fields
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from studio import processes
from studio.estimate.op_counts import OpCounts
from studio.i18n import Message
from studio.storage import home, read_json, write_json

# A newer library may compute otherwise, and a newer studio count more: what was traced with another is asked again.
LIBRARIES = ("torch", "transformers", "peft", "torchao")
COUNT_FIELDS = tuple(field.name for field in fields(OpCounts))
# Longer than the longest trace on a busy machine; a child that says nothing by then is put away (seconds).
TIMEOUT_SECONDS = 120.0

# A question that could not be answered is asked again after so long (seconds): memory may have been short.
RETRY_AFTER_SECONDS = 600.0

_request_lock = threading.Lock()
_failures: dict[str, tuple[float, Message]] = {}
_responses: dict[str, dict[str, Any]] = {}
_servers: list[processes.ModuleServer] = []
_served_homes: list[Path] = []  # the home the child was started for


def cached_response(request: dict[str, Any]) -> dict[str, Any] | None:
    """What is remembered as the answer to a question; None where it was never asked."""
    key = _cache_key(request)
    if key not in _responses:
        _responses[key] = read_json(_cache_path(key))
    return _responses[key] or None


def has_failures() -> bool:
    """Whether any question was refused."""
    return bool(_failures)


def failure_reason(request: dict[str, Any]) -> Message | None:
    """Why a question was lately not answered; None where it was, or was never asked."""
    failed_at, reason = _failures.get(_cache_key(request), (-RETRY_AFTER_SECONDS, None))
    return reason if time.monotonic() - failed_at < RETRY_AFTER_SECONDS else None


def send_request(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question, remembered or fetched; `problem` (in both languages) where there is none. Takes seconds at most."""
    key = _cache_key(request)
    if reason := failure_reason(request):
        return {"problem": reason.to_json()}
    with _request_lock:
        response = _responses.get(key) or read_json(_cache_path(key)) or _fetch_response(request)
    if "problem" in response:
        _failures[key] = (time.monotonic(), Message.from_json(response["problem"]))
    else:
        _responses[key] = response
        if request["what"] != "seen":  # texts of a data set stay in its own folder
            _cache_path(key).parent.mkdir(exist_ok=True)
            write_json(_cache_path(key), response)
    return response


def remove_legacy_texts() -> None:
    """Remove what earlier versions wrote down here of a data set's texts."""
    for file in (home() / "estimates").glob("*.json"):
        with file.open("rb") as stream:
            has_texts = stream.read(20).split()[:2] == [b"{", b'"seen":']
        if has_texts:
            file.unlink(missing_ok=True)


def stop_server() -> None:
    """Put the child away."""
    while _servers:
        _servers.pop().close()


atexit.register(stop_server)


def _cache_key(request: dict[str, Any]) -> str:
    return json.dumps([os.environ.get("STUDIO_HOME", ""), request], sort_keys=True)


def _cache_path(key: str) -> Path:
    return (
        home()
        / "estimates"
        / f"{sha256(json.dumps([key, *_cache_versions()]).encode()).hexdigest()[:32]}.json"
    )


@cache
def _cache_versions() -> tuple[str, ...]:
    return *(version(name) for name in LIBRARIES), *COUNT_FIELDS


def _fetch_response(request: dict[str, Any]) -> dict[str, Any]:
    response = _ensure_server().ask(request, TIMEOUT_SECONDS)
    if response is None:
        stop_server()
        return {"problem": Message("The estimator's process ended without an answer.").to_json()}
    return response


def _ensure_server() -> processes.ModuleServer:
    if _servers and _servers[0].is_alive and _served_homes == [home()]:
        return _servers[0]
    stop_server()
    _served_homes[:] = [home()]
    _servers.append(
        processes.ModuleServer("studio.estimate.tracing.server", options=processes.ChildOptions(threads=1))
    )
    return _servers[0]
