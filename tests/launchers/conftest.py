"""Machines to train on without a network: a box whose `ssh` is a script of this machine, and the hub."""

import pytest
from hub_fixture import hub, no_login
from stand_in import TOKEN
from stand_in_box import install_box, install_fake_worker, write_machine


@pytest.fixture
def box(tmp_path, monkeypatch, studio_home):
    """A box called “box” that every `ssh ada@box` of this test reaches."""
    return install_box(tmp_path / "box", studio_home, monkeypatch)


@pytest.fixture
def add_machine():
    """`add_machine(home, id, **row)`: a machine of the person's own."""
    return write_machine


@pytest.fixture
def name_python(studio_home):
    """`name_python(program)`: the box's Python is this program."""
    return lambda program: write_machine(studio_home, "box", ssh="ada@box", python=program)


@pytest.fixture
def quick_box(box, studio_home):
    """The box with a worker that does not train."""
    install_fake_worker(box, studio_home)
    return box


__all__ = ["hub", "no_login"]


@pytest.fixture
def ada(hub, monkeypatch):
    """This machine is logged in to the stand-in hub as ada."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub
