"""Which texts are suggested to be labelled next."""

import numpy as np
import pytest
from meaning_steps import clusters

from studio.meaning import next_labels


def test_texts_between_two_classes_come_before_those_that_are_clear():
    vectors, classes = clusters(60)
    labels = [f"class {number}" for number in classes]
    between = (vectors[0] + vectors[1]) / np.linalg.norm(vectors[0] + vectors[1])
    waiting = np.concatenate([clusters(200, seed=1)[0], between[None]])
    suggested = next_labels.suggest(vectors, labels, waiting, 5)
    assert suggested[0].index == 200
    assert [item.certainty for item in suggested] == sorted(item.certainty for item in suggested)
    assert {item.label for item in suggested} <= set(labels)


def test_near_copies_are_not_suggested_together():
    vectors, classes = clusters(60)
    labels = [str(number) for number in classes]
    between = [vectors[0] + vectors[1], vectors[1] + vectors[2], vectors[0] + vectors[2]]
    rng = np.random.default_rng(0)
    copies = np.concatenate([np.tile(each, (6, 1)) for each in between])
    copies = (copies + 1e-3 * rng.normal(size=copies.shape)).astype(np.float32)
    copies /= np.linalg.norm(copies, axis=1, keepdims=True)
    suggested = next_labels.suggest(vectors, labels, copies, 3)
    assert sorted(item.index // 6 for item in suggested) == [0, 1, 2]


@pytest.mark.parametrize("labels", [[], ["only"] * 4])
def test_without_two_labels_texts_are_spread_and_nothing_is_guessed(labels):
    waiting, classes = clusters(90, spread=0.02)
    suggested = next_labels.suggest(waiting[: len(labels)], labels, waiting, 3)
    assert sorted(int(classes[item.index]) for item in suggested) == [0, 1, 2]
    assert {item.label for item in suggested} == {""}


def test_fewer_texts_than_wanted_and_equal_ones_are_no_error():
    vectors, classes = clusters(30)
    labels = [str(number) for number in classes]
    assert len(next_labels.suggest(vectors, labels, vectors[:2], 20)) == 2
    assert len(next_labels.suggest(vectors, labels, np.repeat(vectors[:1], 9, axis=0), 5)) == 1
