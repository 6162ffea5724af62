"""UPFT learns from openings the model wrote itself: never from a given answer, never an invented end."""

import json

import pytest

from studio.data import examples
from studio.data.examples import IGNORE_INDEX
from studio.evaluate import answers
from studio.methods import spec
from studio.methods.training import sampling_sizes, self_prefixes


def learned_ids(row):
    return [label for label in row.labels if label != IGNORE_INDEX]


def test_an_opening_is_as_long_as_asked_and_ends_only_under_the_template(make_job):
    job = make_job("upft", "prompts", {"prefix_length": 4, "full_share": 0.0})
    end = job.tokenizer.eos_token_id
    for row in job.train:
        assert len(learned_ids(row)) <= 5
        assert learned_ids(row)[-1] == end
    assert all(len(learned_ids(row)) <= 4 for row in job.validation)


def test_without_the_template_no_end_is_taught_that_the_model_did_not_write(make_job):
    job = make_job("upft", "prompts", {"prefix_length": 4, "full_share": 0.0, "template": False})
    end = job.tokenizer.eos_token_id
    for row in job.train:
        assert len(learned_ids(row)) <= 4
        assert end not in learned_ids(row)[:-1]
    assert any(learned_ids(row)[-1] != end for row in job.train)


def test_the_question_is_read_and_not_learned(make_job):
    job = make_job("upft", "prompts", {"template": False, "full_share": 0.0})
    train_examples, _ = job.examples
    for row, example in zip(job.train, train_examples, strict=True):
        messages = examples.to_prompt_messages(example)
        prompt_ids = examples.apply_chat_template(job.tokenizer, messages, add_generation_prompt=True)
        assert row.input_ids[: len(prompt_ids)] == prompt_ids
        assert set(row.labels[: len(prompt_ids)]) == {IGNORE_INDEX}


@pytest.mark.parametrize(("share", "n_full"), [(0.0, 0), (0.25, 6), (1.0, 24)])
def test_the_share_of_full_answers_is_the_one_asked_for(make_job, share, n_full):
    job = make_job("upft", "prompts", {"prefix_length": 2, "full_share": share})
    assert len(job.train) == 24
    assert sum(len(learned_ids(row)) > 3 for row in job.train) <= n_full


@pytest.mark.parametrize(
    ("share", "n_questions", "expected"), [(-1, 999, 0.3), (-1, 1000, 0.1), (0, 10, 0), (0.5, 10_000, 0.5)]
)
def test_a_share_left_out_is_that_of_the_paper_by_the_number_of_questions(share, n_questions, expected):
    assert sampling_sizes.full_answer_share(share, n_questions) == expected


def test_how_many_questions_are_learned_whole_is_told(make_job):
    job = make_job("upft", "prompts")
    assert (job.notes["openings"]["n_train"], job.notes["openings"]["n_full"]) == (24, 7)
    texts = [message.render() for message in spec.read_notes(job.folder)]
    assert any(text.startswith("Of 24 questions 7 (29%) are learned with the whole answer") for text in texts)


def test_an_opening_is_learned_under_the_request_for_the_first_step(make_job):
    job = make_job("upft", "prompts", {"prefix_length": 4, "full_share": 0.0})
    text = job.tokenizer.decode(job.train[0].input_ids)
    assert "This step may serve as a foundation but might not encompass the entire solution." in text


def test_answers_in_the_data_are_never_looked_at(make_job):
    job = make_job("upft", "chat", {"prefix_length": 4})
    train_examples, _ = job.examples
    assert "Yours, the shop" in " ".join(example["response"] for example in train_examples)
    poisoned = make_job("upft", "chat", {"prefix_length": 4})
    for part in poisoned.examples:
        for example in part:
            example["response"] = "poison"
    (poisoned.folder / "data" / "openings.json").unlink()
    assert self_prefixes.generate_rows(poisoned) == (job.train, job.validation)


def test_openings_are_stored_and_a_run_that_goes_on_reads_them(make_job):
    first = make_job("upft", "prompts")
    path = first.folder / "data" / "openings.json"
    stored = json.loads(path.read_text())
    stored["train"] = stored["train"][:3]
    path.write_text(json.dumps(stored))
    resumed = make_job("upft", "prompts", folder=first.folder)
    assert resumed.train == first.train[:3]
    assert resumed.notes["openings"] == first.notes["openings"]


def test_an_instruction_stands_before_every_question_in_whatever_the_template_writes(make_job):
    job = make_job("upft", "prompts", {"instruction": 'Solve {{ "this" }} % first: '})
    question = [{"role": "user", "content": "where is my rug"}]
    text = job.tokenizer.apply_chat_template(question, tokenize=False)
    assert text == '<|user|>Solve {{ "this" }} % first: where is my rug</s>'


def test_how_alike_openings_are_is_a_share(make_job):
    note = make_job("upft", "prompts").notes["openings"]
    assert 1 / 16 <= note["alike"] <= 1
    assert (note["questions"], note["answers"]) == (8, 16)


@pytest.mark.parametrize(("n_same", "n_messages"), [(16, 1), (3, 1), (2, 2), (1, 2)])
def test_where_hardly_two_openings_are_alike_something_else_is_advised(
    make_job, monkeypatch, n_same, n_messages
):
    job = make_job("upft", "prompts", rows=4)
    completions = [[1, 2, 3, 4]] * n_same + [[7, 7, 7, index] for index in range(16 - n_same)]
    monkeypatch.setattr(
        answers, "generate", lambda model, tokenizer, prompts, *_, **__: completions[: len(prompts)]
    )
    (job.folder / "data" / "openings.json").unlink()
    self_prefixes.generate_rows(job)
    assert job.notes["openings"]["alike"] == n_same / 16
    messages = spec.read_notes(job.folder)
    assert messages[0].values["same"] == str(n_same)
    expected = [self_prefixes.SELF_CONSISTENCY, self_prefixes.LOW_SELF_CONSISTENCY][:n_messages]
    expected.append(self_prefixes.FULL_ANSWERS)
    assert [message.text for message in messages] == [message.text for message in expected]
