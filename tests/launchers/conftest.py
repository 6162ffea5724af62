"""Machines to train on without a network: a box whose `ssh` is a script of this machine, and the hub."""

import os
import stat
import sys
from pathlib import Path

import pytest
import yaml
from hub_fixture import hub, no_login
from stand_in import TOKEN

# Runs what it is told to in the box's own home; a file beside that says how it misbehaves.
SSH_SCRIPT = """#!/bin/sh
box={box}
echo "$@" >>$box/calls
while :; do
  case "$1" in -o|-l) shift 2;; --) shift;; *) break;; esac
done
shift
if [ -f $box/down ]; then cat $box/down >&2; exit 255; fi
cd $box/home && HOME=$box/home exec env -u STUDIO_HOME -u PYTHONPATH sh -c "$*"
"""
FAKE_WORKER = Path(__file__).parent / "fake_worker.py"
PYTHON_SCRIPT = """#!/bin/sh
case "$*" in *studio.training.worker*) exec {python} {worker} "$@";; esac
exec {python} "$@"
"""


class Box:
    """The stand-in of a box: its home, and how it misbehaves."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.root = self.home / ".studio-remote"

    def refuse(self, sentence: str) -> None:
        """From now on ssh does not connect and prints this."""
        (self.folder / "down").write_text(sentence + "\n", encoding="utf-8")

    def behave(self, mode: str) -> None:
        """How the worker there behaves: dies, waits, hangs or links."""
        (self.home / "mode").write_text(mode, encoding="utf-8")

    def recover(self) -> None:
        (self.folder / "down").unlink(missing_ok=True)

    def run_folder(self, run) -> Path:
        return self.root / "home" / "runs" / run.id

    @property
    def calls(self) -> str:
        return (self.folder / "calls").read_text(encoding="utf-8")


def write_machine(home: Path, machine_id: str, **row: str) -> None:
    path = home / "machines.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {"machines": {}}
    content["machines"][machine_id] = {"card": "rtx-4090", "name": machine_id, **row}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.fixture
def box(tmp_path, monkeypatch, studio_home):
    """A box called “box” that every `ssh ada@box` of this test reaches."""
    folder = tmp_path / "box"
    (folder / "home").mkdir(parents=True)
    (folder / "bin").mkdir()
    program = folder / "bin" / "ssh"
    program.write_text(SSH_SCRIPT.format(box=folder), encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    write_machine(studio_home, "box", ssh="ada@box", python=sys.executable)
    return Box(folder)


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
    python = box.folder / "bin" / "quick-python"
    python.write_text(PYTHON_SCRIPT.format(python=sys.executable, worker=FAKE_WORKER), encoding="utf-8")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    write_machine(studio_home, "box", ssh="ada@box", python=str(python))
    return box


__all__ = ["hub", "no_login"]


@pytest.fixture
def ada(hub, monkeypatch):
    """This machine is logged in to the stand-in hub as ada."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub
