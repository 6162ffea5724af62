"""General examples are mixed into the training in the share that a plan names, and into nothing else."""

import re

import pytest

from studio.data import replay
from studio.data.split import Splits
from studio.plan import Training

CHINESE = re.compile(r"[\u4e00-\u9fff]")


def own_examples(count):
    return [{"prompt": f"p{index}", "response": "r"} for index in range(count)]


def test_the_general_examples_are_short_varied_and_in_both_languages():
    general = replay.load_examples()
    assert len({example["prompt"] for example in general}) == len(general) >= 100
    assert all(example.keys() == {"prompt", "response"} for example in general)
    assert max(len(example["prompt"] + example["response"]) for example in general) < 400
    n_chinese = sum(bool(CHINESE.search(example["response"])) for example in general)
    assert 0.4 < n_chinese / len(general) < 0.6


@pytest.mark.parametrize(
    ("n_own", "share", "expected"), [(90, 0.1, 10), (70, 0.3, 30), (8, 0.5, 8), (9, 0, 0)]
)
def test_the_share_is_of_all_training_examples(n_own, share, expected):
    splits = Splits(own_examples(n_own), own_examples(4), own_examples(3))
    mixed = replay.mix_in(splits, Training(replay_share=share))
    assert mixed.train[:n_own] == splits.train
    general = mixed.train[n_own:]
    assert len(general) == expected == replay.count_examples(n_own, share)
    assert all(example in replay.load_examples() for example in general)
    assert (mixed.validation, mixed.test) == (splits.validation, splits.test)


def test_the_seed_chooses_and_where_all_are_used_they_come_again():
    n_general = len(replay.load_examples())
    splits = Splits(own_examples(n_general + 5), [], [])
    first, again, other = (
        replay.mix_in(splits, Training(replay_share=0.5, seed=seed)).train[n_general + 5 :]
        for seed in (1, 1, 2)
    )
    assert first == again != other
    assert first[:5] == first[n_general:]
    assert sorted(map(str, first[:n_general])) == sorted(map(str, replay.load_examples()))
