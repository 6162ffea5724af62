"""Ask both models: one child process per run holds them, so that a crash there costs one answer and not the page."""

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from studio import runs
from studio.errors import StudioError
from studio.runs import Run
from studio.train import launch
from studio.words import Words

# Growing answers are shown this often (seconds); every token on its own would keep the browser busy.
FRAME = 0.08
LOADING_SECONDS = 600.0
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
class Proof:
    """What the self-test found: the largest change of any word's score on a fixed sentence, against the base alone."""

    base: Badge
    tuned: Badge
    base_moved: float
    tuned_moved: float

    @property
    def holds(self) -> bool:
        """Whether both sides are what they claim: the base unmoved, the tuned side moved, both checksums as written down."""
        return self.base.as_trained and self.tuned.as_trained and self.base_moved == 0.0 and self.tuned_moved > 0.0


@dataclass(frozen=True)
class Answer:
    """Both answers as far as they have come: text, or a share (0 to 1) per class, or why a side could not answer.

    `done` names the sides that have ended.
    """

    base: str = ""
    tuned: str = ""
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    speed: dict[str, float] = field(default_factory=dict)
    errors: dict[str, Words] = field(default_factory=dict)
    done: tuple[str, ...] = ()


class Seat:
    """A run's two models, loaded in a child process. Use it as a context manager, or close it."""

    def __init__(self, run: Run) -> None:
        runs.require_usable(run)
        self.run, self.result = run, runs.result(run)
        self.proof: Proof
        self.busy = threading.Lock()
        self._open, self._ended = 0, False
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        with (run.folder / "playground.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
                [sys.executable, "-m", "studio.playground.serve", run.id],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                start_new_session=True,
                env=launch.environment(),
            )
        threading.Thread(target=self._listen, daemon=True).start()
        self._prove()

    def __enter__(self) -> "Seat":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the models are still loaded."""
        return self._process.poll() is None

    def ask(self, question: Question) -> Iterator[Answer]:
        """Both answers as they grow, at most every FRAME seconds; ends when both sides have. Closing the iterator stops them.

        An iterator that is dropped half-way keeps nobody waiting: the answer ends in the child, which frees the seat.
        """
        self.busy.acquire()
        if self._ended:
            self._free()
            raise self._gone()
        events = self._events = queue.Queue()  # one per question, so that what is left unread reaches no other
        self._open = len(SIDES)
        try:
            self._send(asdict(question))
        except StudioError:
            self._free()
            raise
        answer = Answer()
        try:
            while len(answer.done) < len(SIDES):
                answer = self._gather(events, answer)
                yield answer
        finally:
            if len(answer.done) < len(SIDES) and self._events is events:
                with suppress(StudioError):
                    self.stop()

    def stop(self) -> None:
        """End both answers where they are."""
        if self.alive:
            self._send({"stop": True})

    def close(self) -> None:
        """Put the models away."""
        self._process.kill()
        self._process.wait()
        with suppress(OSError):  # what was not yet read on the other side is lost, as meant
            assert self._process.stdin is not None
            self._process.stdin.close()

    def _send(self, event: dict[str, Any]) -> None:
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(event) + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise self._gone() from None

    def _listen(self) -> None:
        """Pass each event on to whoever asked; the seat is free once both sides have ended, read or not."""
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                event = json.loads(line)
                self._events.put(event)
                if event.get("done"):
                    self._open -= 1
                    if not self._open:
                        self._free()
        self._ended = True
        self._events.put(None)
        self._free()

    def _free(self) -> None:
        with suppress(RuntimeError):  # it was not taken
            self.busy.release()

    def _prove(self) -> None:
        try:
            event = self._events.get(timeout=LOADING_SECONDS)
        except queue.Empty:
            event = None
        if event is None or "proof" not in event:
            self.close()
            said = (event or {}).get("failed")
            raise StudioError(Words(said["en"], said["zh"]), Words("", "")) if said else self._gone()
        proof = event["proof"]
        self.proof = Proof(Badge(**proof["base"]), Badge(**proof["tuned"]), proof["base_moved"], proof["tuned_moved"])

    def _gather(self, events: "queue.Queue[dict[str, Any] | None]", answer: Answer) -> Answer:
        """The answer with everything that has arrived within one frame."""
        until = time.monotonic() + FRAME
        event = events.get()
        while True:
            if event is None:
                raise self._gone()
            answer = _grown(answer, event)
            try:
                event = events.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return answer

    def _gone(self) -> StudioError:
        return StudioError(
            Words(
                "The process that holds the two models has ended, probably because memory ran out.",
                "承载两个模型的进程已结束，可能是内存不足。",
            ),
            Words(
                "Ask again to load them anew; close other programs if it happens again ({log}).",
                "再问一次会重新加载；如果还是这样，请关闭其他程序（{log}）。",
            ),
            log=self.run.folder / "playground.log",
        )


def _grown(answer: Answer, event: dict[str, Any]) -> Answer:
    side = event["side"]
    if "error" in event:
        answer = replace(answer, errors={**answer.errors, side: Words(event["error"]["en"], event["error"]["zh"])})
    if "text" in event:
        answer = replace(answer, **{side: getattr(answer, side) + event["text"]})
    if "scores" in event:
        answer = replace(answer, scores={**answer.scores, side: event["scores"]})
    if event.get("done"):
        speed = {**answer.speed, side: event["tokens"] / event["seconds"] if event["seconds"] else 0.0}
        answer = replace(answer, done=(*answer.done, side), speed=speed)
    return answer


_SEAT: dict[str, Seat] = {}
_SEATING = threading.Lock()


def seat(run: Run) -> Seat:
    """The loaded models of a run; one run's at a time, the last one asked for."""
    with _SEATING:
        found = _SEAT.get(run.id)
        if found and found.alive and found.result == runs.result(run):
            return found
        for other in _SEAT.values():
            other.busy.acquire()  # an answer on its way is let finish
            other.close()
        _SEAT.clear()
        _SEAT[run.id] = Seat(run)
        return _SEAT[run.id]


def stop(run: Run) -> None:
    """End the answers that a run's models are giving, if they are."""
    found = _SEAT.get(run.id)
    if found:
        found.stop()
