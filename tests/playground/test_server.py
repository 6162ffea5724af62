"""Base and tuned model answer side by side, each provably with its own weights."""

import threading

import pytest
import torch
from toys import KNOWN_ANSWER
from ways import NOT_BY_HEART, QUESTIONS_ALONE

from studio.i18n import Message
from studio.models import load
from studio.playground import server as model_server

PROMPT = "where is my lamp"
SIDES = ("base", "tuned")


@pytest.fixture(scope="module")
def load_pair(train_once, make_short_plan):
    """`load_pair(method, task)`: both models of a finished run, loaded once."""
    from studio import runs

    pairs = {}

    def load_once(method, task):
        if (method, task) not in pairs:
            folder = train_once(f"{method}-{task}", make_short_plan(method, task))
            run = runs.Run(folder.name, folder)
            pairs[method, task] = model_server.ModelPair(run)
        return pairs[method, task]

    return load_once


@pytest.fixture
def pair(way, load_pair):
    """Both models of a run of each method on each task."""
    return load_pair(*way)


@pytest.fixture
def chat_pair(finished):
    """Both models of a LoRA run, which the test may change."""
    return model_server.ModelPair(finished("lora", "chat"))


def ask(pair, **question):
    """Every event that both sides send for a question, in order."""
    events = []
    question = {"prompt": PROMPT, "temperature": 0.0, "length": 40, "seed": 0, **question}
    model_server.answer_both(pair, question, events.append, threading.Event())
    return events


def texts(events):
    return {
        side: "".join(event.get("text", "") for event in events if event["side"] == side) for side in SIDES
    }


def ends(events):
    """The last event of each side."""
    return {event["side"]: event for event in events if event.get("done")}


def errors(events):
    return [Message.from_json(event["error"]) for event in events if "error" in event]


@pytest.fixture
def endless_pair(chat_pair, monkeypatch):
    """The LoRA run's models, which write until their length is reached: no token ends an answer."""
    n_tokens = chat_pair.models["base"].config.vocab_size
    monkeypatch.setattr(model_server.answers, "stop_token_ids", lambda model, tokenizer: {n_tokens})
    return chat_pair


def test_the_proof_holds_for_every_method(pair):
    proof = pair.self_test
    assert proof["base_moved"] == 0
    assert proof["tuned_moved"] > 0
    assert proof["base"]["as_trained"]
    assert proof["tuned"]["as_trained"]
    assert proof["base"]["checksum"] != proof["tuned"]["checksum"]


def test_both_sides_answer_and_end(pair):
    events = ask(pair)
    assert set(ends(events)) == set(SIDES)
    assert errors(events) == []
    if pair.plan.task != "classify":
        assert texts(events)["base"] != texts(events)["tuned"]
        return
    for event in events:
        if "scores" in event:
            assert list(event["scores"]) == ["billing", "delivery", "returns"]
            assert sum(event["scores"].values()) == pytest.approx(1)


def test_the_tuned_side_has_learned_its_task(way, pair):
    if way == QUESTIONS_ALONE:
        assert KNOWN_ANSWER in texts(ask(pair, length=16))["tuned"]
    elif pair.plan.method.name in NOT_BY_HEART:
        pytest.skip("does not learn the toy answers by heart")
    elif pair.plan.task == "classify":
        events = ask(pair, prompt="the parcel with the lamp has not arrived")
        (scores,) = [event["scores"] for event in events if event["side"] == "tuned" and "scores" in event]
        assert max(scores, key=scores.get) == "delivery"
    elif pair.plan.task == "complete":
        assert texts(ask(pair, prompt="Thanks for asking"))["tuned"].startswith(" about the")
    else:
        assert texts(ask(pair))["tuned"].startswith("Thanks for asking about the")


def test_a_text_to_continue_goes_to_the_model_as_it_stands(tiny_chat):
    tokenizer = load.tokenizer(tiny_chat)
    plain_ids = tokenizer("Thanks for")["input_ids"]
    assert model_server.encode_prompt("complete", "Thanks for", tokenizer) == plain_ids
    templated_ids = [2, *plain_ids, 1, 3]  # <|user|> … </s> <|assistant|>
    for task in ("chat", "prefer", "prompts"):
        assert model_server.encode_prompt(task, "Thanks for", tokenizer) == templated_ids


def test_the_same_seed_gives_the_same_answers_and_another_one_others(chat_pair):
    first, repeated, other = (texts(ask(chat_pair, temperature=1.5, seed=seed)) for seed in (1, 1, 2))
    assert first == repeated
    assert first["base"] != other["base"]


def test_both_sides_are_told_piece_by_piece(endless_pair):
    events = ask(endless_pair, temperature=2.0, length=60)
    for side in SIDES:
        assert len([event for event in events if event["side"] == side and event.get("text")]) > 3


def test_the_length_counts_tokens(endless_pair):
    assert ends(ask(endless_pair, length=7))["base"]["tokens"] == 7


def test_a_question_longer_than_the_context_is_answered_with_a_sentence_on_both_sides(chat_pair):
    events = ask(chat_pair, prompt="where is the lamp " * 300)
    messages = errors(events)
    assert len(messages) == 2
    for message in messages:
        assert "Shorten the question" in message.render()
        assert "请缩短" in message.render("zh")
    assert set(ends(events)) == set(SIDES)


@pytest.mark.parametrize(
    ("method", "settings", "virtual_tokens"),
    [
        ("lora", {}, 0),
        ("prefix", {"virtual_tokens": 20}, 20),
        ("peft", {"type": "prompt_tuning", "prompt_tuning_num_virtual_tokens": 12}, 12),
    ],
)
def test_virtual_tokens_take_room_of_the_context(method, settings, virtual_tokens, make_job):
    model = make_job(method, "chat", settings, rows=4).model
    context = model.config.max_position_embeddings - virtual_tokens
    assert model_server.usable_context(model) == context


def test_a_question_that_fits_beside_no_prefix_is_refused_beside_one(load_pair, monkeypatch):
    pair = load_pair("prefix", "chat")
    prompt_tokens = len(model_server.encode_prompt("chat", PROMPT, pair.tokenizer))
    longest_answer = pair.models["base"].config.max_position_embeddings - prompt_tokens
    monkeypatch.setattr(model_server, "stream_generation", lambda *_: None)
    events = ask(pair, length=longest_answer)
    assert [event["side"] for event in events if "error" in event] == ["tuned"]
    longest_question = prompt_tokens - 20  # a prefix has 20 virtual tokens
    assert f"can read {longest_question}." in errors(events)[0].render()


def test_a_stop_ends_both_sides_early(endless_pair):
    stop, events = threading.Event(), []

    def send(event):
        events.append(event)
        stop.set()

    question = {"prompt": PROMPT, "temperature": 0.0, "length": 200, "seed": 0}
    model_server.answer_both(endless_pair, question, send, stop)
    assert all(event["tokens"] < 200 for event in ends(events).values())


def test_a_failure_while_writing_is_raised_and_nobody_waits_for_ever(chat_pair):
    model = chat_pair.models["base"]
    with pytest.raises(ValueError, match="max_new_tokens"):
        model_server.stream_generation(
            model, chat_pair.tokenizer, [2, 3], {"max_new_tokens": -1}, lambda text: None
        )


def test_chance_draws_by_the_models_shares_and_repeatably():
    logits = torch.tensor([[0.0, 1.0986]]).repeat(4000, 1)  # shares of 1/4 and 3/4
    drawn = model_server.gumbel_sampler(1.0, 5)(None, logits).argmax(-1)
    assert float(drawn.float().mean()) == pytest.approx(0.75, abs=0.03)
    assert torch.equal(drawn, model_server.gumbel_sampler(1.0, 5)(None, logits).argmax(-1))


def test_a_low_temperature_takes_the_likeliest_and_a_high_one_anything():
    logits = torch.tensor([[0.0, 1.0986]]).repeat(4000, 1)

    def share_of_likeliest(temperature):
        drawn = model_server.gumbel_sampler(temperature, 5)(None, logits).argmax(-1)
        return float(drawn.float().mean())

    assert share_of_likeliest(0.05) > 0.999
    assert share_of_likeliest(100.0) == pytest.approx(0.5, abs=0.03)


def ask_apart(pair, **question):
    """What the sides answer in a thread each."""
    pair.answers_together = False
    try:
        return texts(ask(pair, **question))
    finally:
        pair.answers_together = True


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_in_one_batch_a_lora_and_its_base_answer_as_each_alone(chat_pair, temperature):
    assert chat_pair.answers_together
    together = texts(ask(chat_pair, temperature=temperature, seed=3))
    assert together == ask_apart(chat_pair, temperature=temperature, seed=3)
    assert together["base"] != together["tuned"]


def test_in_one_batch_each_side_goes_on_from_its_own_answers(chat_pair):
    turns = [{"prompt": "hi", "base": "the lamp", "tuned": "Thanks for asking about the lamp and the chair"}]
    assert texts(ask(chat_pair, turns=turns)) == ask_apart(chat_pair, turns=turns)


def test_in_one_batch_a_side_ends_before_the_other(chat_pair):
    for seed in range(9):
        events = ask(chat_pair, temperature=2.5, seed=seed)
        tokens = {side: event["tokens"] for side, event in ends(events).items()}
        if tokens["base"] != tokens["tuned"]:
            break
    shorter = min(tokens, key=tokens.get)
    sides_afterwards = [event["side"] for event in events[events.index(ends(events)[shorter]) + 1 :]]
    assert sides_afterwards
    assert shorter not in sides_afterwards


def test_a_failure_in_one_batch_ends_both_sides_with_its_reason(chat_pair, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(model_server.shared_batch, "generate", fail)
    events = ask(chat_pair)
    assert len(errors(events)) == 2
    assert set(ends(events)) == set(SIDES)


@pytest.mark.parametrize(
    ("method", "settings", "is_possible"),
    [
        ("lora", {}, True),
        ("lora", {"dora": True}, False),
        ("qlora", {}, True),
        ("prefix", {}, False),
        ("adapter", {}, False),
    ],
)
def test_only_a_plain_lora_shares_a_batch_with_its_base(method, settings, is_possible, make_job, bases):
    job = make_job(method, "chat", settings, rows=4)
    base = job.model.get_base_model() if hasattr(job.model, "get_base_model") else job.model
    assert model_server.shared_batch.is_possible(base, job.model) is is_possible


def test_other_weights_are_no_base_for_the_same_batch(make_job):
    lora, other = (make_job("lora", "chat", rows=4).model for _ in range(2))
    assert not model_server.shared_batch.is_possible(other.get_base_model(), lora)
