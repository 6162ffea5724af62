"""What answers without training, on toy questions."""

import json
from itertools import chain

import pytest

from studio.errors import NotPossible
from studio.training.baselines import process, texts


def ignore(stage, done, total):
    pass


@pytest.mark.parametrize(
    ("task", "measure", "kind"), [("chat", "loss", "errors"), ("prompts", "answer_accuracy", "hits")]
)
def test_the_base_is_asked_with_and_without_examples_on_the_same_rows(task, measure, kind, make_plan):
    measured = process.measure(make_plan("rlhf", task), ignore)
    base, few_shot = measured.entries
    assert (measured.measure, measured.kind) == (measure, kind)
    assert (base.name, few_shot.name) == ("base", "few_shot")
    assert measured.n == measured.n_held_out == 8  # a fifth of 40
    assert not base.shots
    assert sum(message["role"] == "assistant" for message in few_shot.shots) in texts.SHOT_COUNTS
    assert min(base.seconds, base.latency, few_shot.seconds, few_shot.latency) > 0
    assert base.score.low <= base.score.value <= base.score.high


def test_no_example_of_a_prompt_is_a_held_out_row_and_none_stands_in_two_prompts():
    train = [{"prompt": f"question {number}", "response": "answer"} for number in range(40)]
    shot_sets, judges = texts.draw_shot_sets(train, seed=1)
    questions = [[turn["content"] for turn in shots if turn["role"] == "user"] for shots in shot_sets]
    assert [len(asked) for asked in questions] == [2, 2, 4]
    used = [*chain(*questions), *(row["prompt"] for row in judges)]
    assert len(used) == len(set(used)) == 12
    assert set(used) <= {row["prompt"] for row in train}
    assert texts.draw_shot_sets(train, seed=1) == (shot_sets, judges)
    assert texts.draw_shot_sets(train, seed=2) != (shot_sets, judges)


def test_long_examples_stay_out_of_the_prompt_and_few_rows_make_no_prompt():
    train = [{"prompt": "q" * number, "response": "a"} for number in range(1, 41)]
    shot_sets, _ = texts.draw_shot_sets(train, seed=0)
    assert max(len(turn["content"]) for shots in shot_sets for turn in shots) <= 20
    assert texts.draw_shot_sets([{"prompt": "q"}], seed=0) == ([], [])


def test_examples_stand_behind_what_the_model_reads_first():
    shots = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    first, question = {"role": "system", "content": "be kind"}, {"role": "user", "content": "c"}
    answer = {"role": "assistant", "content": "d"}
    example = {"messages": json.dumps([first, question, answer])}
    assert texts.with_shots(example, shots) == [first, *shots, question]
    assert texts.with_shots({"prompt": "c", "response": "d"}, shots) == [*shots, question]


@pytest.mark.parametrize("task", ["complete", "prefer"])
def test_data_without_a_right_answer_is_refused_before_a_model_is_loaded(task, make_plan):
    with pytest.raises(NotPossible, match="no right answer is known"):
        process.measure(make_plan("rlhf" if task == "prefer" else "lora", task), ignore)
