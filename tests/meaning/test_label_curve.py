"""The learning curve of labels."""

import pytest
from meaning_steps import clusters

from studio.meaning import label_curve


def test_where_classes_lie_apart_more_labels_would_hardly_help():
    vectors, classes = clusters(400, spread=0.05)
    results, projection = label_curve.measure(vectors, [str(number) for number in classes])
    assert [result.n_rows for result in results] == [70, 140, 280]
    assert projection.is_small
    lines = [message.render() for message in label_curve.describe((results, projection))]
    assert "hardly help" in lines[0]
    assert lines[-1].startswith("Measured on 120 labelled texts")


@pytest.mark.parametrize("labels", [["a", "b"] * 30, ["a"] * 200])
def test_too_few_labels_or_one_alone_make_no_curve(labels):
    vectors, _ = clusters(len(labels))
    assert label_curve.measure(vectors, labels) is None
    assert "80 labels" in label_curve.describe(None)[0].render()
