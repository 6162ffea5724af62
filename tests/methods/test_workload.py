"""Micro batches of like length stand for all texts of a phase."""

import pytest

from studio.methods import workload
from studio.methods.workload import MicroBatch


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
