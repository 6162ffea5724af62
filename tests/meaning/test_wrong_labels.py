"""Labels that are likely wrong."""

from meaning_steps import clusters

from studio.meaning import wrong_labels
from studio.storage import no_progress


def test_exchanged_labels_are_found_with_the_right_ones_and_the_others_are_left():
    vectors, classes = clusters(300, spread=0.05)
    labels = [f"class {number}" for number in classes]
    exchanged = range(0, 60, 10)
    for index in exchanged:
        labels[index] = f"class {(classes[index] + 1) % 3}"
    found = wrong_labels.find(vectors, labels, no_progress).doubts
    assert sorted(doubt.index for doubt in found) == list(exchanged)
    assert all(doubt.label == f"class {classes[doubt.index]}" for doubt in found)
    assert all(doubt.certainty > 0.9 for doubt in found)


def test_where_classes_cannot_be_told_apart_nothing_is_called_wrong_and_that_is_said():
    vectors, classes = clusters(300, spread=10.0)
    found = wrong_labels.find(vectors, [str(number) for number in classes], no_progress)
    assert found.doubts == ()
    assert found.agreement < 0.5
    assert not found.is_judged


def test_rare_classes_are_left_out_and_one_class_has_nothing_wrong():
    vectors, _ = clusters(40)
    found = wrong_labels.find(vectors, ["a"] * 38 + ["rare"] * 2, no_progress)
    assert (found.doubts, found.is_judged) == ((), True)
