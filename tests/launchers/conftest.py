"""Machines to train on without a network: a box whose `ssh` is a script of this machine, and the hub."""

from pathlib import Path

import pytest
from fake_ray import TOKEN as CLUSTER_TOKEN
from fake_ray import Cluster
from hub_fixture import hub, no_login
from stand_in import TOKEN
from stand_in_box import install_box, install_fake_worker, write_machine

from studio.launchers import follower, hub_jobs, ray_jobs


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


@pytest.fixture
def cluster(tmp_path, studio_home, add_machine, monkeypatch):
    """A Ray cluster called “cluster”, whose driver does not train."""
    cluster = Cluster(tmp_path / "cluster")
    add_machine(studio_home, "cluster", ray=cluster.address)
    monkeypatch.setenv("RAY_AUTH_TOKEN", CLUSTER_TOKEN)
    monkeypatch.setattr(ray_jobs, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(ray_jobs, "SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(follower, "FIRST_RETRY_SECONDS", 0.1)
    monkeypatch.setattr(follower, "POLL_SECONDS", 0.05)
    yield cluster
    cluster.close()


@pytest.fixture
def behave(monkeypatch, tmp_path):
    """`behave(mode)`: jobs do not train but act as fake_worker does in this mode."""
    source = (Path(__file__).parent / "fake_bootstrap.py").read_text(encoding="utf-8")

    def set_mode(mode=""):
        program = tmp_path / f"bootstrap-{mode}.py"
        values = f'MODE, WORKER = {mode!r}, "{Path(__file__).parent / "fake_worker.py"}"'
        program.write_text(source.replace('MODE, WORKER = "", ""', values), encoding="utf-8")
        monkeypatch.setattr(hub_jobs, "BOOTSTRAP", program)

    monkeypatch.setattr(follower, "FIRST_RETRY_SECONDS", 0.1)
    monkeypatch.setattr(follower, "POLL_SECONDS", 0.05)
    set_mode()
    return set_mode


__all__ = ["hub", "no_login"]


@pytest.fixture
def ada(hub, monkeypatch):
    """This machine is logged in to the stand-in hub as ada."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub
