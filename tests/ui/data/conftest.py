"""What the tests of the Data tab share: data sets, and where imports and checks are computed."""

import pytest
from data_tab_steps import stream_replies_in_this_process
from plain_words import WORDS

from studio import processes
from studio.data import store

_stream_replies = processes.stream_replies


@pytest.fixture(autouse=True)
def jobs_in_this_process(monkeypatch):
    """Imports, checks and fixes are computed in this process: the same replies, and no child starts."""
    monkeypatch.setattr(processes, "stream_replies", stream_replies_in_this_process)


@pytest.fixture
def jobs_in_child_processes(jobs_in_this_process, monkeypatch):
    """Imports, checks and fixes are computed in child processes, as on the page."""
    monkeypatch.setattr(processes, "stream_replies", _stream_replies)


@pytest.fixture
def dataset(chat_csv):
    """A saved data set of 40 rows (prompt, response)."""
    return store.add(chat_csv)


@pytest.fixture
def untidy(tmp_path):
    """The source of a data set of thirty rows: three repeated, one without an answer, one with tags in it."""
    rows = [
        f"why is the {word} on shelf {n} so {word}?,Because the {word} stood in the rain all night {n}."
        for n, word in enumerate(WORDS)
    ]
    rows += [*rows[:3], "only asked,", "is <b>this</b> bold,<p>No&nbsp;it is not bold at all</p>"]
    path = tmp_path / "untidy.csv"
    path.write_text("prompt,response\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return store.add(path).source
