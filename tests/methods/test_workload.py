"""Micro batches of like length stand for all texts of a phase."""

import pytest
from estimate_cases import CPU, METHOD_NAMES, TASKS, make_context, make_plan_for, make_run

from studio import presets
from studio.methods import workload
from studio.methods.workload import MicroBatch, RowTokens, Workload
from studio.models import shape
from studio.plan import Training


def test_micro_batches_are_of_like_length_and_the_last_is_the_longest_of_all():
    lengths = [(tokens, 5) for tokens in range(10, 90)]
    micro_batches = workload.build_micro_batches(lengths, 8, 800)
    assert sum(micro_batch.repeats for micro_batch in micro_batches) == 100
    tokens = [micro_batch.tokens for micro_batch in micro_batches]
    assert tokens == sorted(tokens)
    assert tokens[-1] == 89
    assert micro_batches[-1].repeats == 1
    mean = sum(micro_batch.tokens * micro_batch.repeats for micro_batch in micro_batches) / 100
    assert mean == pytest.approx(49.5 + 4, abs=2), "padded to the longest of eight neighbours"
    assert workload.build_micro_batches(lengths, 8, 3) == (MicroBatch(3, 89, 7, True, 1.0),)
    assert workload.build_micro_batches([], 8, 3) == ()


def test_one_very_long_text_decides_the_memory():
    lengths = [(50, 10)] * 99 + [(1000, 900)]
    micro_batches = workload.build_micro_batches(lengths, 4, 100)
    assert micro_batches[-1] == MicroBatch(4, 1000, 960, True, 1.0)
    assert {micro_batch.tokens for micro_batch in micro_batches[:-1]} == {50}


def test_scores_are_counted_wherever_one_text_of_a_micro_batch_is_learned():
    # 20 tokens of which the last 5 are learned, and 30 of which the last 5 are: from position 15 to 30.
    micro_batches = workload.build_micro_batches([(20, 5), (30, 5)], 2, 2)
    assert micro_batches == (MicroBatch(2, 30, 15, True, 1.0),)


def test_packed_texts_count_as_texts_of_their_mean_length():
    (micro_batch,) = workload.build_micro_batches([(20, 5), (31, 7)], 2, 2, packed=True)
    assert micro_batch == MicroBatch(2, 26, 6, padded=False, repeats=1.0, packed_longest=31)


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_a_processor_trains_causal_models_without_padding(name):
    run, context = make_run(name), make_context(make_plan_for(name=name, task=TASKS.get(name, "chat")), CPU)
    packs_texts = context.run_of(run.method).workload.packs_texts
    assert packs_texts == (run.cost_profile.virtual_tokens == 0)


def test_general_examples_add_their_steps_and_their_own_lengths_to_the_training_alone():
    # 100 examples of 50 tokens, a fifth aside; 20 general ones of 10 tokens beside 80 are a fifth of all.
    small = shape.from_config(presets.models()["smollm2-135m"].config)
    training = Training(epochs=2, batch_size=4, max_length=64, replay_share=0.2)
    rows, general = (RowTokens(40, 10),) * 100, (RowTokens(5, 5),) * 7
    load = Workload("chat", rows, 100, 0.2, training, small, replay_rows=general)
    assert (load.n_train, load.n_validation, load.steps) == (100, 20, 50)
    phases = {phase.name: phase for phase in workload.build_supervised_phases(load, "lora")}
    assert {batch.tokens for batch in phases["check"].micro_batches} == {50}
    tokens = sum(batch.tokens * batch.rows * batch.repeats for batch in phases["train"].micro_batches)
    assert tokens == pytest.approx(80 * 50 + 20 * 10, rel=0.1)


def test_a_long_plain_text_takes_a_step_for_each_of_its_pieces():
    # 20 texts of 1,000 tokens, two of them aside, each in 3 pieces of 400, 400 and 200 tokens.
    small = shape.from_config(presets.models()["smollm2-135m"].config)
    training = Training(epochs=2, batch_size=6, max_length=400)
    load = Workload("complete", (RowTokens(0, 1_000),) * 20, 20, 0.1, training, small)
    assert load.steps == 2 * 18 * 3 / 6


def test_a_training_is_checked_on_500_examples_and_its_base_and_result_on_all():
    # 10,000 examples, a tenth aside: 1,000 validation examples. 11 checks of 500, and 2 of 1,000.
    small = shape.from_config(presets.models()["smollm2-135m"].config)
    training = Training(epochs=1, batch_size=20, max_length=64)
    load = Workload("chat", (RowTokens(40, 10),) * 100, 10_000, 0.1, training, small)
    phases = {phase.name: phase for phase in workload.build_supervised_phases(load, "lora")}
    n_rows = sum(batch.rows * batch.repeats for batch in phases["check"].micro_batches)
    assert n_rows * phases["check"].passes == pytest.approx(11 * 500 + 2 * 1_000)


def test_of_a_conversation_earlier_answers_are_scored_too():
    # 20 tokens before the first answer of 10, then a question of 30 and the last answer of 20.
    row = RowTokens(60, 20, history_tokens=40, earlier_answer_tokens=10)
    assert workload.truncate_rows([row], 100) == [(80, 60)]
    assert workload.truncate_rows([row], 100, packed=True) == [(80, 30)]
    assert workload.truncate_rows([row], 50) == [(50, 30)], "an earlier answer is within the limit"
    assert workload.truncate_rows([row], 20) == []
    small = shape.from_config(presets.models()["smollm2-135m"].config)
    load = Workload("chat", (row,), 1, 0.1, Training(max_length=50), small)
    assert workload.leaves_room({}, load, row)
