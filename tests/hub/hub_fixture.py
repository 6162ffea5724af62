"""The stand-in of the hub for every test of this folder, and what its client reads."""

import pytest
import stand_in
from huggingface_hub import constants


@pytest.fixture
def hub(monkeypatch):
    """A hub on this machine that the real client talks to; no token of the machine's own."""
    held = stand_in.Hub()
    server = stand_in.start(held)
    monkeypatch.setattr(constants, "ENDPOINT", held.address)
    template = held.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", held.address)
    yield held
    server.should_exit = True


@pytest.fixture(autouse=True)
def no_login(monkeypatch, tmp_path):
    """This machine is not logged in to the hub."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
