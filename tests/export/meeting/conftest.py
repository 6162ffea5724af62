"""Runs to write a page about."""

import meeting_runs
import pytest


@pytest.fixture
def make_run(studio_home):
    """`meeting_runs.make_run` in this test's home."""
    return meeting_runs.make_run
