"""What is decided about labels becomes one change."""

from studio.data.quality import fixes
from studio.data.quality.fixes import Change
from studio.data.readers.read import Table
from studio.meaning.decisions import build_addition, build_change

TABLE = Table("t", ("text", "label"), tuple({"text": f"text {n}", "label": "old"} for n in range(5)))


def test_labels_are_given_kept_and_rows_dropped_and_nothing_else_is_believed():
    decisions = [(0, "label: new "), (1, "keep"), (2, "drop"), (3, "skip"), (4, "label: "), (9, "drop")]
    change = build_change("relabel", TABLE, "label", [*decisions, (-1, "drop"), (3, "nonsense")])
    assert change == Change("relabel", (2,), ((0, "label", "new"), (1, "label", "old")))
    changed = fixes.apply(TABLE, [change])
    assert [row["label"] for row in changed.rows] == ["new", "old", "old", "old"]
    assert fixes.find_reviewed([change]) == {0, 1}
    assert build_change("relabel", TABLE, "no column", decisions) == Change("relabel")


def test_reviewed_rows_are_followed_when_others_are_dropped():
    changes = [Change("relabel", (1,), ((3, "label", "x"),)), Change("edit", (0,)), Change("edit", (1,))]
    assert fixes.find_reviewed(changes[:1]) == {2}
    assert fixes.find_reviewed(changes[:2]) == {1}
    assert fixes.find_reviewed(changes) == frozenset()


def test_new_texts_of_another_file_are_added_once_without_labels():
    others = Table(
        "o", ("message", "id"), tuple({"message": text, "id": "7"} for text in ("text 1", "new", "new", ""))
    )
    change = build_addition(TABLE, others, "text")
    assert change == Change("add_texts", added=((("text", "new"),),))
    assert fixes.apply(TABLE, [change]).rows[-1] == {"text": "new", "label": ""}
