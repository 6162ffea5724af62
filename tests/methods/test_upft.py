"""UPFT learns from openings the model wrote itself: never from a given answer, never an invented end."""

import json
import re

import pytest
import torch

from studio import runs
from studio.data import examples
from studio.data.examples import IGNORE_INDEX
from studio.errors import BadData
from studio.evaluate import answers
from studio.methods import spec
from studio.methods.spec import StopRequested
from studio.methods.training import self_prefixes
from studio.models import load
from studio.training import worker


def learned_of(row):
    return [label for label in row.labels if label != IGNORE_INDEX]


def test_an_opening_is_as_long_as_asked_and_ends_only_under_the_template(make_job):
    job = make_job("upft", "prompts", {"prefix_length": 4, "full_share": 0.0})
    end = job.tokenizer.eos_token_id
    assert all(len(learned_of(row)) <= 5 and learned_of(row)[-1] == end for row in job.train)
    assert all(len(learned_of(row)) <= 4 for row in job.validation)


def test_without_the_template_no_end_is_taught_that_the_model_did_not_write(make_job):
    job = make_job("upft", "prompts", {"prefix_length": 4, "full_share": 0.0, "template": False})
    end = job.tokenizer.eos_token_id
    assert all(len(learned_of(row)) <= 4 for row in job.train)
    assert all(end not in learned_of(row)[:-1] for row in job.train)
    assert any(learned_of(row)[-1] != end for row in job.train)


def test_an_answer_ends_where_the_model_s_own_settings_stop_and_no_padding_is_learned(tiny_chat, monkeypatch):
    """Gemma's turns end in a token that is not its tokenizer's end.

    What is written after it beside longer answers is padding.
    """
    model, tokenizer = load.base_model(tiny_chat, "chat", [], 1), load.tokenizer(tiny_chat)
    turn, end, pad = 7, tokenizer.eos_token_id, tokenizer.pad_token_id
    model.generation_config.eos_token_id = [end, turn]
    told = [[3, 5, turn, pad, pad], [3, 6, 6, 6, 6], [3, turn, 5, end, pad], [3, 5, 5, end, pad]]
    monkeypatch.setattr(model, "generate", lambda **asked: torch.tensor(told))
    assert answers.generate(model, tokenizer, [[3]] * 4, 4) == [[5, turn], [6, 6, 6, 6], [turn], [5, 5, end]]
    assert answers.stop_token_ids(model, tokenizer) == {turn, end}


def test_the_question_is_read_and_not_learned(make_job):
    job = make_job("upft", "prompts", {"template": False, "full_share": 0.0})
    asked = [
        examples.apply_chat_template(
            job.tokenizer, examples.to_prompt_messages(example), add_generation_prompt=True
        )
        for example in job.examples[0]
    ]
    for row, ask in zip(job.train, asked, strict=True):
        assert row.input_ids[: len(ask)] == ask
        assert set(row.labels[: len(ask)]) == {IGNORE_INDEX}


@pytest.mark.parametrize(("share", "whole"), [(0.0, 0), (0.25, 6), (1.0, 24)])
def test_the_share_of_whole_answers_is_the_one_asked_for(make_job, share, whole):
    job = make_job("upft", "prompts", {"prefix_length": 2, "full_share": share})
    assert len(job.train) == 24
    assert sum(len(learned_of(row)) > 3 for row in job.train) <= whole


def test_given_answers_are_never_looked_at(make_job):
    job = make_job("upft", "chat", {"prefix_length": 4})
    text = " ".join(job.tokenizer.decode(row.input_ids) for row in job.train)
    assert "Yours, the shop" in " ".join(example["response"] for example in job.examples[0])
    other = make_job("upft", "chat", {"prefix_length": 4})
    for example in other.examples[0]:
        example["response"] = "poison"
    assert "poison" not in text


def test_openings_are_kept_and_a_run_that_goes_on_reads_them(make_job):
    first = make_job("upft", "prompts")
    path = first.folder / "data" / "openings.json"
    kept = json.loads(path.read_text())
    kept["train"] = kept["train"][:3]
    path.write_text(json.dumps(kept))
    again = make_job("upft", "prompts", folder=first.folder)
    assert again.train == first.train[:3]
    assert again.notes["openings"] == first.notes["openings"]


def test_an_instruction_stands_before_every_question_in_whatever_the_template_writes(make_job):
    job = make_job("upft", "prompts", {"instruction": 'Solve {{ "this" }} % first: '})
    told = job.tokenizer.apply_chat_template([{"role": "user", "content": "where is my rug"}], tokenize=False)
    assert told == '<|user|>Solve {{ "this" }} % first: where is my rug</s>'


def test_how_alike_openings_are_is_a_share(make_job):
    found = make_job("upft", "prompts").notes["openings"]
    assert 1 / 16 <= found["alike"] <= 1
    assert (found["questions"], found["answers"]) == (8, 16)


def test_how_alike_openings_are_is_told_before_any_is_written(make_plan, monkeypatch):
    def halt(*_):
        raise StopRequested

    monkeypatch.setattr(self_prefixes._Sampler, "sample", halt)
    run = runs.create(make_plan("upft", "prompts"))
    worker.run(run.id)
    assert runs.status(run).state == "stopped"
    first, *_ = spec.read_notes(run.folder)
    assert re.fullmatch(
        r"Of 16 answers .* same question, [\d.]+ begin with the same 4 tokens \(on average, over 8 "
        r"questions\).*",
        first.render(),
    )
    assert first.render("zh").startswith("让模型把同一个问题回答 16 遍")


@pytest.mark.parametrize(("same", "sentences"), [(16, 1), (3, 1), (2, 2), (1, 2)])
def test_where_hardly_two_openings_are_alike_something_else_is_advised(
    make_job, monkeypatch, same, sentences
):
    job = make_job("upft", "prompts", rows=4)
    written = [[1, 2, 3, 4]] * same + [[7, 7, 7, number] for number in range(16 - same)]
    monkeypatch.setattr(answers, "generate", lambda model, tokenizer, asked, *_, **__: written[: len(asked)])
    (job.folder / "data" / "openings.json").unlink()
    self_prefixes.generate_rows(job)
    assert job.notes["openings"]["alike"] == same / 16
    told = spec.read_notes(job.folder)
    assert f" {same} begin with the same" in told[0].render()
    assert len(told) == sentences


def test_a_run_with_known_answers_tells_how_many_are_right_before_and_after(make_plan):
    plan = make_plan("upft", "prompts")
    columns = {"prompt": "prompt", "answer": "answer"}
    run = runs.create(plan.model_copy(update={"data": plan.data.model_copy(update={"columns": columns})}))
    worker.run(run.id)
    report = runs.report(run)
    assert report["before"]["n_questions"] == report["data"]["validation"]
    assert 0 <= report["after"]["answer_accuracy"] <= 1


@pytest.mark.parametrize(
    ("said", "known", "right"),
    [
        ("So 3 + 4 = 7", "7", True),
        ("The answer is 1,200.", "#### 1200", True),
        ("It is 7 or 8", "7", False),
        ("seven", "7", False),
        ("A lamp, of course", "lamp", True),
        ("7.0", "7", True),
        ("", "7", False),
    ],
)
def test_an_answer_is_right_by_its_last_number_or_by_its_words(said, known, right):
    assert answers.is_correct(said, known) is right


@pytest.mark.parametrize("room", [8, 40])
def test_questions_too_long_for_an_opening_are_told_with_their_length(make_plan, toys, room):
    plan = make_plan("upft", "prompts", max_length=room)
    run = runs.create(plan)
    with pytest.raises(
        BadData,
        match=rf"No question leaves room for an (answer|opening) within {room} tokens.* the shortest has \d+",
    ):
        worker.run(run.id)
