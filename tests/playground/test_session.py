"""Base and tuned model answer side by side, each provably with its own weights, and a crash costs one answer."""

import io
import json
import os
import queue
import sys
import threading

import pytest
import torch
from ways import NOT_BY_HEART

from studio import runs
from studio.errors import NotPossible, StudioError
from studio.i18n import Message
from studio.playground import server as model_server
from studio.playground import session as model_session
from studio.playground.session import ModelSession, Question

ASKED = "where is my lamp"


@pytest.fixture
def sides(way, finished):
    """Both models of a run, in this process."""
    return model_server.ModelPair(finished(*way))


def said(sides, **asked):
    """Everything both sides say to a question, in order."""
    events = []
    question = {"prompt": ASKED, "temperature": 0.0, "length": 40, "seed": 0, **asked}
    model_server.answer_both(sides, question, events.append, threading.Event())
    return events


def texts(events):
    return {
        side: "".join(event.get("text", "") for event in events if event["side"] == side)
        for side in ("base", "tuned")
    }


def test_the_proof_holds_for_every_method(sides):
    proof = sides.self_test
    assert proof["base_moved"] == 0
    assert proof["tuned_moved"] > 0
    assert proof["base"]["as_trained"]
    assert proof["tuned"]["as_trained"]
    assert proof["base"]["checksum"] != proof["tuned"]["checksum"]


def test_both_sides_answer_and_end(sides):
    events = said(sides)
    assert sorted(event["side"] for event in events if event.get("done")) == ["base", "tuned"]
    if sides.plan.task == "classify":
        for event in events:
            if "scores" in event:
                assert list(event["scores"]) == ["billing", "delivery", "returns"]
                assert sum(event["scores"].values()) == pytest.approx(1)
    else:
        assert "error" not in json.dumps(events)
        assert texts(events)["base"] != texts(events)["tuned"]


def test_the_tuned_side_has_learned_its_task(sides):
    if sides.plan.method.name in NOT_BY_HEART:
        pytest.skip("does not learn the toy answers by heart")
    asked = {"classify": "the parcel with the lamp has not arrived", "complete": "Thanks for asking"}
    events = said(sides, prompt=asked.get(sides.plan.task, ASKED))
    if sides.plan.task == "classify":
        (scores,) = [event["scores"] for event in events if event["side"] == "tuned" and "scores" in event]
        assert max(scores, key=scores.get) == "delivery"
    elif sides.plan.task == "complete":
        assert texts(events)["tuned"].startswith(" about the")
    else:
        assert texts(events)["tuned"].startswith("Thanks for asking about the")


def test_a_text_to_continue_goes_to_the_model_as_it_stands(tiny_chat):
    from studio.models import load

    tokenizer = load.tokenizer(tiny_chat)
    plain = tokenizer("Thanks for")["input_ids"]
    assert model_server.encode_prompt("complete", "Thanks for", tokenizer) == plain
    for task in ("chat", "prefer", "prompts"):
        assert model_server.encode_prompt(task, "Thanks for", tokenizer) == [
            2,
            *plain,
            1,
            3,
        ]  # <|user|> … </s> <|assistant|>


@pytest.fixture
def chat(finished):
    return model_server.ModelPair(finished("lora", "chat"))


def test_the_same_seed_gives_the_same_answers_and_another_one_others(chat):
    first, again, other = (texts(said(chat, temperature=1.5, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first["base"] != other["base"]


def test_both_sides_are_told_piece_by_piece(chat):
    for model in chat.models.values():
        model.generation_config.eos_token_id = None
    events = said(chat, temperature=2.0, length=60)
    for side in ("base", "tuned"):
        assert len([event for event in events if event["side"] == side and event.get("text")]) > 3


def test_the_length_counts_tokens(chat):
    chat.models["base"].generation_config.eos_token_id = None
    (found,) = [event for event in said(chat, length=7) if event["side"] == "base" and event.get("done")]
    assert found["tokens"] == 7


def test_a_question_longer_than_the_context_is_answered_with_a_sentence_on_both_sides(chat):
    events = said(chat, prompt="where is the lamp " * 300)
    errors = [Message.from_json(event["error"]) for event in events if "error" in event]
    assert len(errors) == 2
    assert all(
        "Shorten the question" in error.render() and "请缩短" in error.render("zh") for error in errors
    )
    assert len([event for event in events if event.get("done")]) == 2


def test_a_stop_ends_both_sides_early(chat):
    for model in chat.models.values():
        model.generation_config.eos_token_id = None
    stop, events = threading.Event(), []

    def say(event):
        events.append(event)
        stop.set()

    model_server.answer_both(chat, {"prompt": ASKED, "temperature": 0.0, "length": 200, "seed": 0}, say, stop)
    assert all(event["tokens"] < 200 for event in events if event.get("done"))


def test_chance_draws_by_the_models_shares_and_repeatably():
    scores = torch.tensor([[0.0, 1.0986]]).repeat(4000, 1)  # shares of 1/4 and 3/4
    drawn = model_server.gumbel_sampler(1.0, 5)(None, scores).argmax(-1)
    assert float(drawn.float().mean()) == pytest.approx(0.75, abs=0.03)
    assert torch.equal(drawn, model_server.gumbel_sampler(1.0, 5)(None, scores).argmax(-1))


def test_a_low_temperature_takes_the_likeliest_and_a_high_one_anything():
    scores = torch.tensor([[0.0, 1.0986]]).repeat(4000, 1)
    assert float(model_server.gumbel_sampler(0.05, 5)(None, scores).argmax(-1).float().mean()) > 0.999
    assert float(
        model_server.gumbel_sampler(100.0, 5)(None, scores).argmax(-1).float().mean()
    ) == pytest.approx(0.5, abs=0.03)


class Served:
    """The serving loop in a thread of this process, spoken to through real pipes."""

    def __init__(self, run, monkeypatch):
        reads, self.to = os.pipe()
        self.said, writes = os.pipe()
        monkeypatch.setattr(sys, "argv", ["serve", run.id])
        monkeypatch.setattr(sys, "stdin", io.open(reads, encoding="utf-8"))  # noqa: UP020, SIM115
        monkeypatch.setattr(sys, "stdout", io.open(writes, "w", encoding="utf-8"))  # noqa: UP020, SIM115
        monkeypatch.setattr(model_server, "limit_memory", lambda: None)  # it would hold for all further tests
        self.events = queue.Queue()
        threading.Thread(target=model_server.main, daemon=True).start()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        with io.open(self.said, encoding="utf-8") as lines:  # noqa: UP020
            for line in lines:
                self.events.put(json.loads(line))

    def send(self, *events):
        os.write(self.to, "".join(json.dumps(event) + "\n" for event in events).encode())

    def next(self):
        return self.events.get(timeout=15)


def test_a_question_that_arrives_together_with_a_stop_is_answered(finished, monkeypatch):
    served = Served(finished("lora", "chat"), monkeypatch)
    assert served.next()["proof"]["base_moved"] == 0
    try:
        served.send({"stop": True}, {"prompt": ASKED, "temperature": 0.0, "length": 5, "seed": 0})
        done = set()
        while len(done) < 2:
            event = served.next()
            done |= {event["side"]} if event.get("done") else set()
    finally:
        os.close(served.to)


def test_a_run_that_has_learned_nothing_has_no_seat(make_plan):
    with pytest.raises(NotPossible, match=r"has not learned anything yet \(waiting\)"):
        ModelSession(runs.create(make_plan()))


@pytest.mark.thorough
def test_a_seat_answers_stops_and_is_loaded_anew_after_a_crash(finished):
    run = finished("lora", "chat")
    seat = model_session.get_session(run)
    try:
        assert seat.self_test.passed
        assert (seat.self_test.base_max_change, seat.self_test.tuned_max_change > 0) == (0, True)
        assert model_session.get_session(run) is seat

        whole = list(seat.ask(Question(ASKED, length=30)))[-1]
        assert set(whole.done) == {"base", "tuned"}
        assert whole.tuned.startswith("Thanks for asking")
        assert set(whole.speed) == {"base", "tuned"}

        for _ in seat.ask(Question(ASKED, temperature=5.0, length=200)):
            break  # the person goes away; the next question does not get this one's words
        again = list(seat.ask(Question(ASKED, length=30)))[-1]
        assert (again.base, again.tuned) == (whole.base, whole.tuned)

        seat._server.kill()
        with pytest.raises(StudioError, match="Ask again"):
            list(seat.ask(Question(ASKED)))
        assert not seat.is_alive
        with pytest.raises(StudioError, match="Ask again"):
            list(seat.ask(Question(ASKED)))

        anew = model_session.get_session(run)
        assert anew is not seat
        os.utime(run.folder / "report.json")  # the run went on and learned more
        assert model_session.get_session(run) is not anew
        assert not anew.is_alive
        anew = model_session.get_session(run)
        assert list(anew.ask(Question(ASKED, length=30)))[-1].tuned == whole.tuned
    finally:
        for left in []:
            left.close()
        model_session._SESSIONS.clear()


def test_models_that_cannot_be_loaded_say_why(finished):
    run = finished("lora", "chat")
    for file in run.model.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(StudioError) as caught:
        ModelSession(run)
    assert len(caught.value.render()) > 20
    assert "Traceback" not in caught.value.render()


@pytest.mark.thorough
def test_an_answer_that_nobody_reads_on_keeps_nobody_waiting(finished):
    """A visitor who leaves in the middle of an answer must not hold the seat: the next question, and the next run, get their turn."""
    run, wild, short = (
        finished("lora", "chat"),
        Question(ASKED, temperature=5.0, length=60),
        Question(ASKED, length=10),
    )
    try:
        dropped = iter(model_session.get_session(run).ask(wild))
        next(dropped)  # and never again
        asked = iter(model_session.get_session(run).ask(short))
        first = next(asked)
        dropped.close()  # thrown away at last, which must not stop the question after it
        assert set([first, *asked][-1].done) == {"base", "tuned"}

        dropped = iter(model_session.get_session(run).ask(wild))
        next(dropped)
        other = model_session.get_session(finished("frozen", "chat"))
        assert set(list(other.ask(short))[-1].done) == {"base", "tuned"}
    finally:
        for left in []:
            left.close()
        model_session._SESSIONS.clear()
