"""What the tests of the Train tab share."""

import pytest


@pytest.fixture(autouse=True)
def start_at_once(untraced_start):
    """Runs start without a trace."""
