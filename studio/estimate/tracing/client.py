"""Sends requests to the estimator's server process, and remembers its responses in memory and on disk."""

import atexit
import json
import os
import threading
import time
from collections import OrderedDict
from dataclasses import fields
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

from studio.estimate.op_counts import OpCounts
from studio.i18n import Message
from studio.processes import ChildOptions, ModuleServer
from studio.storage import home, read_json, write_json

# A newer library may compute otherwise, and a newer studio count more: what was traced with others is asked
# for again.
LIBRARIES = ("torch", "transformers", "peft", "torchao")
COUNT_FIELDS = tuple(field.name for field in fields(OpCounts))
# Longer than the longest trace on a busy machine; a server without a response by then is stopped (seconds).
TIMEOUT_SECONDS = 120.0
# A request that failed is sent again after so long (seconds): memory may have been short.
RETRY_AFTER_SECONDS = 600.0
# Responses and failures that are kept in memory, the least recently used ones dropped first. The table of
# ten methods needs about a hundred.
MAX_CACHED_RESPONSES = 2_000
SERVER_MODULE = "studio.estimate.tracing.server"
SERVER_ENDED = Message("The estimator's process ended without an answer.")

V = TypeVar("V")


class _LruCache(Generic[V]):
    """The most recently used values by key, at most `max_size` of them; safe to use from several threads."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._values: OrderedDict[str, V] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> V | None:
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: str, value: V) -> None:
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            if len(self._values) > self._max_size:
                self._values.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._values.clear()


class TracingClient:
    """A client of one server process (studio.estimate.tracing.server), which it starts when it is needed.

    Responses are cached on disk: a step is traced once, a data set counted once. Requests and responses are
    JSON objects; a response with "problem", a message, says that the request failed.

    Args:
        max_cached: Responses and failures that are kept in memory.
    """

    def __init__(self, max_cached: int = MAX_CACHED_RESPONSES) -> None:
        self._responses: _LruCache[dict[str, Any]] = _LruCache(max_cached)
        self._failures: _LruCache[tuple[float, Message]] = _LruCache(max_cached)
        self._request_lock = threading.Lock()
        self._server: ModuleServer | None = None
        self._server_home: Path | None = None  # the studio's home when the server was started

    def cached_response(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Return the response to a request that was sent before; None where it never was."""
        key = _cache_key(request)
        response = self._responses.get(key)
        if response is None:
            # An empty response in memory says that there is none on disk either.
            response = read_json(_cache_path(key))
            self._responses.put(key, response)
        return response or None

    def has_failures(self) -> bool:
        """Return whether any request has failed."""
        return len(self._failures) > 0

    def failure_reason(self, request: dict[str, Any]) -> Message | None:
        """Return why a request lately failed; None where it did not, or was never sent."""
        failure = self._failures.get(_cache_key(request))
        if failure is None:
            return None
        failed_at, reason = failure
        return reason if time.monotonic() - failed_at < RETRY_AFTER_SECONDS else None

    def send_request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the response to a request, from the cache or from the server. Takes seconds at most.

        A request that lately failed is not sent again before RETRY_AFTER_SECONDS have passed.
        """
        key = _cache_key(request)
        if reason := self.failure_reason(request):
            return {"problem": reason.to_json()}
        with self._request_lock:
            response = self._responses.get(key) or read_json(_cache_path(key)) or self._fetch(request)
        if "problem" in response:
            self._failures.put(key, (time.monotonic(), Message.from_json(response["problem"])))
            return response
        self._responses.put(key, response)
        if request["what"] != "seen":  # texts of a data set stay in its own folder
            path = _cache_path(key)
            path.parent.mkdir(exist_ok=True)
            write_json(path, response)
        return response

    def remove_legacy_texts(self) -> None:
        """Remove the texts of data sets that earlier versions cached on disk."""
        for file in (home() / "estimates").glob("*.json"):
            with file.open("rb") as stream:
                has_texts = stream.read(20).split()[:2] == [b"{", b'"seen":']
            if has_texts:
                file.unlink(missing_ok=True)

    def clear_memory(self) -> None:
        """Forget all responses and failures, but for those on disk."""
        self._responses.clear()
        self._failures.clear()

    def stop_server(self) -> None:
        """Stop the server process, if there is one."""
        server, self._server = self._server, None
        if server:
            server.close()

    def _fetch(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request to the server; stops the server where no response comes."""
        response = self._ensure_server().ask(request, TIMEOUT_SECONDS)
        if response is None:
            self.stop_server()
            return {"problem": SERVER_ENDED.to_json()}
        return response

    def _ensure_server(self) -> ModuleServer:
        """Return the running server; starts one where there is none, or only one for another home."""
        if self._server and self._server.is_alive and self._server_home == home():
            return self._server
        self.stop_server()
        self._server_home = home()
        self._server = ModuleServer(SERVER_MODULE, options=ChildOptions(threads=1))
        return self._server


# Raised with every change of what a step computes: answers of before are not used again.
STEP_VERSION = "5: LoRA in one function, norms in one kernel"

# The client that the whole process shares, so that one server at most is running.
tracing_client = TracingClient()
atexit.register(tracing_client.stop_server)


def _cache_key(request: dict[str, Any]) -> str:
    return json.dumps([os.environ.get("STUDIO_HOME", ""), request], sort_keys=True)


def _cache_path(key: str) -> Path:
    digest = sha256(json.dumps([key, *_cache_versions()]).encode()).hexdigest()
    return home() / "estimates" / f"{digest[:32]}.json"


@cache
def _cache_versions() -> tuple[str, ...]:
    """Return what a response depends on beside its request."""
    return *(version(name) for name in LIBRARIES), *COUNT_FIELDS, STEP_VERSION
