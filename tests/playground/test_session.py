"""A session answers with both models in a child process, and a crash there costs one answer."""

import io
import json
import os
import queue
import sys
import threading

import pytest

from studio import runs
from studio.errors import NotPossible, StudioError
from studio.playground import server as model_server
from studio.playground import session as model_session
from studio.playground.session import ModelSession, Question, SessionHolder

PROMPT = "where is my lamp"
LONG_QUESTION = Question(PROMPT, temperature=5.0, length=60)
SHORT_QUESTION = Question(PROMPT, length=10)
# Only an emergency brake: a machine that computes something else as well takes many times as long.
LIMIT_SECONDS = 300


@pytest.fixture
def sessions():
    """A holder of the test's own; its child process is ended when the test is over."""
    holder = SessionHolder()
    yield holder
    holder.close()


class ServerInThread:
    """The serving loop in a thread of this process, spoken to through real pipes."""

    def __init__(self, run, monkeypatch):
        stdin, self._requests = os.pipe()
        replies, stdout = os.pipe()
        monkeypatch.setattr(sys, "argv", ["server", run.id])
        monkeypatch.setattr(sys, "stdin", io.open(stdin, encoding="utf-8"))  # noqa: UP020, SIM115
        monkeypatch.setattr(sys, "stdout", io.open(stdout, "w", encoding="utf-8"))  # noqa: UP020, SIM115
        monkeypatch.setattr(model_server, "limit_memory", lambda: None)  # it would hold for all further tests
        self._events = queue.Queue()
        threading.Thread(target=model_server.main, daemon=True).start()
        threading.Thread(target=self._listen, args=(replies,), daemon=True).start()

    def _listen(self, replies):
        with io.open(replies, encoding="utf-8") as lines:  # noqa: UP020
            for line in lines:
                self._events.put(json.loads(line))

    def send(self, *events):
        os.write(self._requests, "".join(json.dumps(event) + "\n" for event in events).encode())

    def next_event(self):
        return self._events.get(timeout=LIMIT_SECONDS)

    def close(self):
        os.close(self._requests)


def test_a_question_that_arrives_together_with_a_stop_is_answered(finished, monkeypatch):
    server = ServerInThread(finished("lora", "chat"), monkeypatch)
    assert server.next_event()["proof"]["base_moved"] == 0
    try:
        server.send({"stop": True}, {"prompt": PROMPT, "temperature": 0.0, "length": 5, "seed": 0})
        done = set()
        while len(done) < 2:
            event = server.next_event()
            if event.get("done"):
                done.add(event["side"])
                assert event["tokens"] > 1
    finally:
        server.close()


def test_a_run_that_has_learned_nothing_has_no_seat(make_plan):
    with pytest.raises(NotPossible, match=r"has not learned anything yet \(waiting\)"):
        ModelSession(runs.create(make_plan()))


@pytest.mark.thorough
def test_a_seat_answers_stops_and_is_loaded_anew_after_a_crash(finished, sessions):
    run = finished("lora", "chat")
    session = sessions.get(run)
    assert session.self_test.passed
    assert session.self_test.base_max_change == 0
    assert session.self_test.tuned_max_change > 0
    assert sessions.get(run) is session

    answer = ask(session)
    assert set(answer.done) == set(answer.speed) == {"base", "tuned"}
    assert answer.tuned.startswith("Thanks for asking")

    for _ in session.ask(Question(PROMPT, temperature=5.0, length=200)):
        break  # the person goes away; the next question does not get this one's words
    repeated = ask(session)
    assert (repeated.base, repeated.tuned) == (answer.base, answer.tuned)

    session._server.kill()
    for _ in range(2):
        with pytest.raises(StudioError, match="Ask again"):
            ask(session)
    assert not session.is_alive

    reloaded = sessions.get(run)
    assert reloaded is not session
    assert ask(reloaded).tuned == answer.tuned


def ask(session):
    """The answer to the test's question once it is complete."""
    return list(session.ask(Question(PROMPT, length=30)))[-1]


class SessionStandIn:
    """Stands for a ModelSession that holds no models."""

    def __init__(self, run):
        self.run, self.result_version = run, runs.result_version(run)
        self.lock, self.is_alive, self.n_stops = threading.Lock(), True, 0

    def close(self):
        self.is_alive = False

    def stop(self):
        self.n_stops += 1


def test_one_runs_models_are_held_and_those_of_an_earlier_result_are_not(finished, sessions, monkeypatch):
    monkeypatch.setattr(model_session, "ModelSession", SessionStandIn)
    run, other = finished("lora", "chat"), finished("full", "chat")
    first = sessions.get(run)
    assert sessions.get(run) is first
    os.utime(run.folder / "report.json")  # the run went on and learned more
    second = sessions.get(run)
    assert (second is first, first.is_alive, second.is_alive) == (False, False, True)
    sessions.stop_answers(other)
    sessions.stop_answers(run)
    assert second.n_stops == 1
    third = sessions.get(other)
    assert (third.run, second.is_alive) == (other, False)
    sessions.close()
    assert not third.is_alive


@pytest.mark.exhaustive
def test_models_that_cannot_be_loaded_say_why(finished):
    run = finished("lora", "chat")
    for file in run.model.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(StudioError) as caught:
        ModelSession(run)
    assert len(caught.value.render()) > 20
    assert "Traceback" not in caught.value.render()


@pytest.mark.exhaustive
def test_an_answer_that_nobody_reads_on_keeps_nobody_waiting(finished, sessions):
    """A visitor who leaves in the middle of an answer must not block the next question."""
    run = finished("lora", "chat")
    dropped = iter(sessions.get(run).ask(LONG_QUESTION))
    next(dropped)  # and never again
    answers = iter(sessions.get(run).ask(SHORT_QUESTION))
    first_answer = next(answers)
    dropped.close()  # thrown away at last, which must not stop the question after it
    assert set([first_answer, *answers][-1].done) == {"base", "tuned"}


@pytest.mark.exhaustive
def test_an_answer_that_nobody_reads_on_does_not_keep_the_next_run_waiting(finished, sessions):
    dropped = iter(sessions.get(finished("lora", "chat")).ask(LONG_QUESTION))
    next(dropped)
    other_session = sessions.get(finished("frozen", "chat"))
    assert set(list(other_session.ask(SHORT_QUESTION))[-1].done) == {"base", "tuned"}
