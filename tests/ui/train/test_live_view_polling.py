"""What the browser is sent of a run: each point once, and everything anew where the file is another or shorter."""

import pytest

from studio import runs
from studio.ui.train import live_view


@pytest.fixture
def run(make_plan):
    """A run with three points."""
    run = runs.create(make_plan())
    for step in (1, 2, 3):
        runs.add_point(run, "train", step, step / 10, loss=4.0 - step)
    return run


def poll(run, offset=0, file="", samples=0):
    return live_view.poll([run.id, offset, "en", file, samples])


def steps(reply):
    return [point[1] for point in reply["points"]]


def test_each_point_is_sent_once(run):
    first = poll(run)
    assert (steps(first), first["restart"]) == ([1, 2, 3], False)
    assert poll(run, first["offset"], first["file"])["points"] == []
    runs.add_point(run, "train", 4, 0.4, loss=0.5)
    following = poll(run, first["offset"], first["file"])
    assert (steps(following), following["restart"]) == ([4], False)


def test_a_file_that_became_shorter_is_sent_anew(run):
    first = poll(run)
    lines = run.metrics_path.read_bytes().splitlines(keepends=True)
    with run.metrics_path.open("r+b") as file:  # the same file (inode), cut back in place
        file.truncate(len(lines[0]))
    again = poll(run, first["offset"], first["file"])
    assert again["file"] == first["file"]
    assert (steps(again), again["restart"], again["offset"]) == ([1], True, len(lines[0]))
    unnamed = poll(run, first["offset"])
    assert (steps(unnamed), unnamed["restart"]) == ([1], True)


def test_a_file_that_was_replaced_is_sent_anew_though_it_is_as_long(run):
    first = poll(run)
    runs.rewind(run, "train", 1)
    for step in (2, 3, 4, 5):
        runs.add_point(run, "train", step, step / 10, loss=1.0)
    again = poll(run, first["offset"], first["file"])
    assert again["file"] != first["file"]
    assert (steps(again), again["restart"]) == ([1, 2, 3, 4, 5], True)


def test_a_browser_that_has_nothing_yet_is_not_told_to_start_again(run):
    assert poll(run, 0, "another file")["restart"] is False


@pytest.mark.parametrize("query", [None, [], ["../x", 0, "en"], ["0" * 32, 0, "en"], ["0" * 32, "x", "en"]])
def test_a_query_that_names_no_run_is_gone(query):
    assert live_view.poll(query) == {"gone": True}
