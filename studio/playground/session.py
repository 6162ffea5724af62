"""Ask both models: one child process per run holds them, so that a crash there costs one answer and not the page."""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from studio import processes, runs
from studio.errors import StudioError
from studio.i18n import Message
from studio.runs import Run

# Growing answers are shown this often (seconds); every token on its own would keep the browser busy.
FRAME_SECONDS = 0.08
LOAD_TIMEOUT_SECONDS = 600.0
SIDES = ("base", "tuned")


@dataclass(frozen=True)
class Question:
    """What both sides are asked, with what they share. `length` counts tokens; temperature 0 takes the likeliest word."""

    prompt: str
    temperature: float = 0.0
    length: int = 120
    seed: int = 0


@dataclass(frozen=True)
class Badge:
    """Which weights answered on one side; `as_trained` says that their checksum is the one the run wrote down."""

    name: str
    checksum: str
    as_trained: bool


@dataclass(frozen=True)
class SelfTestResult:
    """What the self-test found: the largest change of any word's score on a fixed sentence, against the base alone."""

    base: Badge
    tuned: Badge
    base_max_change: float
    tuned_max_change: float

    @property
    def passed(self) -> bool:
        """Whether both sides are what they claim: the base unmoved, the tuned side moved, both checksums as written down."""
        return (
            self.base.as_trained
            and self.tuned.as_trained
            and self.base_max_change == 0.0
            and self.tuned_max_change > 0.0
        )


@dataclass(frozen=True)
class Answer:
    """Both answers as far as they have come: text, or a share (0 to 1) per class, or why a side could not answer.

    `done` names the sides that have ended.
    """

    base: str = ""
    tuned: str = ""
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    speed: dict[str, float] = field(default_factory=dict)
    errors: dict[str, Message] = field(default_factory=dict)
    done: tuple[str, ...] = ()


class ModelSession:
    """A run's two models, loaded in a child process. Use it as a context manager, or close it."""

    def __init__(self, run: Run) -> None:
        runs.require_usable(run)
        self.run, self.result_version = run, runs.result_version(run)
        self.self_test: SelfTestResult
        self.lock = threading.Lock()
        self._n_unfinished, self._has_ended = 0, False
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        with (run.folder / "playground.log").open("ab") as log:
            self._server = processes.ModuleServer(
                "studio.playground.server", run.id, options=processes.WORKER, log=log
            )
        threading.Thread(target=self._listen, daemon=True).start()
        self._await_self_test()

    def __enter__(self) -> "ModelSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_alive(self) -> bool:
        """Whether the models are still loaded."""
        return self._server.is_alive

    def ask(self, question: Question) -> Iterator[Answer]:
        """Both answers as they grow, at most every FRAME seconds; ends when both sides have. Closing the iterator stops them.

        An iterator that is dropped half-way keeps nobody waiting: the answer ends in the child, which frees the seat.
        """
        self.lock.acquire()
        if self._has_ended:
            self._release()
            raise self._ended_error()
        events = self._events = (
            queue.Queue()
        )  # one per question, so that what is left unread reaches no other
        self._n_unfinished = len(SIDES)
        try:
            self._send(asdict(question))
        except StudioError:
            self._release()
            raise
        answer = Answer()
        try:
            while len(answer.done) < len(SIDES):
                answer = self._collect(events, answer)
                yield answer
        finally:
            if len(answer.done) < len(SIDES) and self._events is events:
                with suppress(StudioError):
                    self.stop()

    def stop(self) -> None:
        """End both answers where they are."""
        if self.is_alive:
            self._send({"stop": True})

    def close(self) -> None:
        """Put the models away."""
        self._server.close()

    def _send(self, event: dict[str, Any]) -> None:
        try:
            self._server.send(event)
        except BrokenPipeError:
            raise self._ended_error() from None

    def _listen(self) -> None:
        """Pass each event on to whoever asked; the seat is free once both sides have ended, read or not."""
        while (event := self._server.receive()) is not None:
            self._events.put(event)
            if event.get("done"):
                self._n_unfinished -= 1
                if not self._n_unfinished:
                    self._release()
        self._has_ended = True
        self._events.put(None)
        self._release()

    def _release(self) -> None:
        with suppress(RuntimeError):  # it was not taken
            self.lock.release()

    def _await_self_test(self) -> None:
        try:
            event = self._events.get(timeout=LOAD_TIMEOUT_SECONDS)
        except queue.Empty:
            event = None
        if event is None or "proof" not in event:
            self.close()
            failure = (event or {}).get("failed")
            raise (StudioError(Message.from_json(failure), Message("")) if failure else self._ended_error())
        proof = event["proof"]
        self.self_test = SelfTestResult(
            Badge(**proof["base"]), Badge(**proof["tuned"]), proof["base_moved"], proof["tuned_moved"]
        )

    def _collect(self, events: "queue.Queue[dict[str, Any] | None]", answer: Answer) -> Answer:
        """The answer with everything that has arrived within one frame."""
        deadline = time.monotonic() + FRAME_SECONDS
        event = events.get()
        while True:
            if event is None:
                raise self._ended_error()
            answer = _apply_event(answer, event)
            try:
                event = events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return answer

    def _ended_error(self) -> StudioError:
        return StudioError(
            Message("The process that holds the two models has ended, probably because memory ran out."),
            Message("Ask again to load them anew; close other programs if it happens again ({log})."),
            log=self.run.folder / "playground.log",
        )


def _apply_event(answer: Answer, event: dict[str, Any]) -> Answer:
    side = event["side"]
    if "error" in event:
        answer = replace(answer, errors={**answer.errors, side: Message.from_json(event["error"])})
    if "text" in event:
        answer = replace(answer, **{side: getattr(answer, side) + event["text"]})
    if "scores" in event:
        answer = replace(answer, scores={**answer.scores, side: event["scores"]})
    if event.get("done"):
        speed = {**answer.speed, side: event["tokens"] / event["seconds"] if event["seconds"] else 0.0}
        answer = replace(answer, done=(*answer.done, side), speed=speed)
    return answer


_SESSIONS: dict[str, ModelSession] = {}
_SESSIONS_LOCK = threading.Lock()


def get_session(run: Run) -> ModelSession:
    """The loaded models of a run; one run's at a time, the last one asked for."""
    with _SESSIONS_LOCK:
        session = _SESSIONS.get(run.id)
        if session and session.is_alive and session.result_version == runs.result_version(run):
            return session
        for other in _SESSIONS.values():
            other.lock.acquire()  # an answer on its way is let finish
            other.close()
        _SESSIONS.clear()
        _SESSIONS[run.id] = ModelSession(run)
        return _SESSIONS[run.id]


def stop_answers(run: Run) -> None:
    """End the answers that a run's models are giving, if they are."""
    session = _SESSIONS.get(run.id)
    if session:
        session.stop()
