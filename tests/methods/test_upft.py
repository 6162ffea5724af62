"""UPFT end to end: a run on questions alone, and what it says of how alike openings are."""

import pytest

from studio import runs
from studio.errors import BadData
from studio.methods import spec, upft
from studio.methods.spec import StopRequested
from studio.methods.training import self_prefixes
from studio.methods.workload import RowTokens, Workload
from studio.training import worker


def test_how_alike_openings_are_is_told_before_any_is_written(make_plan, monkeypatch):
    def stop(*_):
        raise StopRequested

    monkeypatch.setattr(self_prefixes._Sampler, "sample", stop)
    run = runs.create(make_plan("upft", "prompts"))
    worker.run(run.id)
    assert runs.status(run).state == "stopped"
    note, *_ = spec.read_notes(run.folder)
    assert note.text == self_prefixes.SELF_CONSISTENCY.text
    assert (note.values["answers"], note.values["tokens"], note.values["questions"]) == (16, 4, 8)
    assert 1 <= float(note.values["same"]) <= 16


def test_a_run_with_known_answers_tells_how_many_are_right_before_and_after(make_plan):
    plan = make_plan("upft", "prompts")
    columns = {"prompt": "prompt", "answer": "answer"}
    run = runs.create(plan.model_copy(update={"data": plan.data.model_copy(update={"columns": columns})}))
    worker.run(run.id)
    report = runs.report(run)
    assert report["before"]["n_questions"] == report["data"]["validation"]
    assert 0 <= report["after"]["answer_accuracy"] <= 1


@pytest.mark.parametrize("max_length", [8, 40])
def test_questions_too_long_for_an_opening_are_told_with_their_length(make_plan, max_length):
    run = runs.create(make_plan("upft", "prompts", max_length=max_length))
    pattern = rf"No question leaves room for an (answer|opening) within {max_length} tokens"
    with pytest.raises(BadData, match=pattern + r".* the shortest has \d+"):
        worker.run(run.id)


@pytest.mark.parametrize(("count", "n_full"), [(100, 24), (2000, 160)])
def test_the_estimate_counts_a_whole_answer_for_three_in_ten_of_few_questions_and_one_of_many(
    make_plan, count, n_full
):
    training = make_plan("upft", "prompts", max_length=512).training
    rows = tuple(RowTokens(20) for _ in range(100))
    workload = Workload("prompts", rows, count, 0.2, training, shape=None, first_step_tokens=25)
    settings = upft.METHOD.resolve_settings({})
    _, openings, full_answers, *_ = upft.phases(settings, workload)
    n_texts = [
        sum(batch.rows * batch.repeats for batch in phase.micro_batches) for phase in (openings, full_answers)
    ]
    assert n_texts == pytest.approx([count - n_full, n_full], abs=upft.GENERATION_BATCH_SIZE)
    assert (openings.new_tokens, full_answers.new_tokens) == (16, 256)
    share = n_full / workload.n_train
    generated = upft._generated_rows(settings, workload, share)
    assert sum(row == RowTokens(20, 256) for row in generated) == round(100 * share)
    assert {row for row in generated if row.completion_tokens < 256} == {RowTokens(20 + 25, 16 + 1)}
