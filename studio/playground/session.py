"""Asks base and tuned model: a child process holds a run's two models, so that a crash costs one answer."""

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

# Growing answers are shown this often (seconds); every single token would keep the browser busy.
FRAME_SECONDS = 0.08
LOAD_TIMEOUT_SECONDS = 600.0
SIDES = ("base", "tuned")


@dataclass(frozen=True)
class Turn:
    """An earlier question of a conversation, and what each side answered."""

    prompt: str
    base: str
    tuned: str


@dataclass(frozen=True)
class Question:
    """What both sides are asked.

    Attributes:
        prompt: The question, or the text to continue.
        temperature: Of the sampling; 0 decodes greedily.
        length: The most tokens of an answer.
        seed: Both sides sample repeatably with it.
        system: What a chat model reads first.
        turns: The conversation so far; each side reads its own answers.
    """

    prompt: str
    temperature: float = 0.0
    length: int = 120
    seed: int = 0
    system: str = ""
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True)
class Badge:
    """Which weights answer on one side.

    Attributes:
        name: The name of the model.
        checksum: The checksum of its weights.
        as_trained: Whether that is the one in the run's report.
        is_report_intact: Whether the report is as it was when the run ended.
    """

    name: str
    checksum: str
    as_trained: bool
    is_report_intact: bool = True

    @property
    def holds(self) -> bool:
        """Whether these are the weights of the run, by a report that nobody has changed."""
        return self.as_trained and self.is_report_intact


@dataclass(frozen=True)
class SelfTestResult:
    """The self-test's result: the largest change of any logit on a fixed sentence, against the base alone."""

    base: Badge
    tuned: Badge
    base_max_change: float
    tuned_max_change: float

    @property
    def passed(self) -> bool:
        """Whether both checksums are the report's, the base is unchanged and the tuned model is changed."""
        has_right_weights = self.base.holds and self.tuned.holds
        return has_right_weights and self.base_max_change == 0.0 and self.tuned_max_change > 0.0


@dataclass(frozen=True)
class Answer:
    """Both answers as far as they have come.

    Attributes:
        base: The base model's text.
        tuned: The tuned model's text.
        scores: For classification, the probability of each label by side.
        speed: Tokens per second of the sides that have ended.
        errors: Why a side could not answer.
        done: The sides that have ended.
    """

    base: str = ""
    tuned: str = ""
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    speed: dict[str, float] = field(default_factory=dict)
    errors: dict[str, Message] = field(default_factory=dict)
    done: tuple[str, ...] = ()


class ModelSession:
    """A run's two models, loaded in a child process. Use it as a context manager, or close it.

    Args:
        run: A run that has learned something.

    Raises:
        NotPossible: The run has no result yet.
        StudioError: The models could not be loaded.
    """

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
        """Both answers as they grow, at most one every FRAME_SECONDS, until both sides have ended.

        Closing the iterator stops the answers. An iterator that is dropped half-way blocks nobody: the
        answer ends in the child process, which releases the lock.

        Raises:
            StudioError: The child process has ended.
        """
        self.lock.acquire()
        if self._has_ended:
            self._release()
            raise self._ended_error()
        # One queue per question, so that what is not read of one does not reach another.
        events = self._events = queue.Queue()
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
            is_unfinished = len(answer.done) < len(SIDES)
            if is_unfinished and self._events is events:
                with suppress(StudioError):
                    self.stop()

    def stop(self) -> None:
        """End both answers where they are."""
        if self.is_alive:
            self._send({"stop": True})

    def close(self) -> None:
        """End the child process and free the memory of the models."""
        self._server.close()

    def _send(self, event: dict[str, Any]) -> None:
        try:
            self._server.send(event)
        except BrokenPipeError:
            raise self._ended_error() from None

    def _listen(self) -> None:
        """Pass each event on to its question; once both sides have ended, read or not, release the lock."""
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
        with suppress(RuntimeError):  # it was not locked
            self.lock.release()

    def _await_self_test(self) -> None:
        try:
            event = self._events.get(timeout=LOAD_TIMEOUT_SECONDS)
        except queue.Empty:
            event = None
        if event is None or "proof" not in event:
            self.close()
            raise self._load_error(event)
        proof = event["proof"]
        self.self_test = SelfTestResult(
            base=Badge(**proof["base"]),
            tuned=Badge(**proof["tuned"]),
            base_max_change=proof["base_moved"],
            tuned_max_change=proof["tuned_moved"],
        )

    def _collect(self, events: "queue.Queue[dict[str, Any] | None]", answer: Answer) -> Answer:
        """The answer with every event that arrives within one frame; waits for the first."""
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

    def _load_error(self, event: dict[str, Any] | None) -> StudioError:
        if event and event.get("failed"):
            return StudioError(Message.from_json(event["failed"]), Message(""))
        return self._ended_error()

    def _ended_error(self) -> StudioError:
        return StudioError(
            Message("The models were unloaded unexpectedly, probably because memory ran out."),
            Message("Ask again to reload them. If it keeps happening, close other programs ({log})."),
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
        tokens_per_second = event["tokens"] / event["seconds"] if event["seconds"] else 0.0
        answer = replace(answer, done=(*answer.done, side), speed={**answer.speed, side: tokens_per_second})
    return answer


class SessionHolder:
    """Holds the models of one run in memory: those of the run that was asked last."""

    def __init__(self) -> None:
        self._session: ModelSession | None = None
        self._lock = threading.Lock()

    def get(self, run: Run) -> ModelSession:
        """The loaded models of a run; other models are closed once their answer has ended."""
        with self._lock:
            session = self._session
            if session and session.is_alive and _belongs_to(session, run):
                return session
            if session:
                session.lock.acquire()  # an answer that is being written may end
                session.close()
            self._session = None
            self._session = ModelSession(run)
            return self._session

    def stop_answers(self, run: Run) -> None:
        """End the answers that a run's models are writing, if they are."""
        session = self._session
        if session and session.run.id == run.id:
            session.stop()

    def close(self) -> None:
        """End the child process, if there is one."""
        with self._lock:
            if self._session:
                self._session.close()
            self._session = None


def _belongs_to(session: ModelSession, run: Run) -> bool:
    return session.run.id == run.id and session.result_version == runs.result_version(run)


# The page's one holder: two pairs of models would not fit into memory.
SESSIONS = SessionHolder()


def get_session(run: Run) -> ModelSession:
    """The loaded models of a run; one run's at a time."""
    return SESSIONS.get(run)


def stop_answers(run: Run) -> None:
    """End the answers that a run's models are writing, if they are."""
    SESSIONS.stop_answers(run)
