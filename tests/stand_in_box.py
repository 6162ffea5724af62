"""The stand-in of a box over SSH: `ssh` runs here what it is told to, and a worker does not train."""

import os
import stat
import sys
from pathlib import Path

import pytest
import yaml

from studio.launchers import follower, ssh

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
FAKE_WORKER = Path(__file__).parent / "launchers" / "fake_worker.py"
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


def install_box(folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    """A box called “box” in this home's machines, which every `ssh ada@box` reaches until the test ends."""
    (folder / "home").mkdir(parents=True)
    (folder / "bin").mkdir()
    write_program(folder / "bin" / "ssh", SSH_SCRIPT.format(box=folder))
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    write_machine(home, "box", ssh="ada@box", python=sys.executable)
    # Looked at more often, a worker is seen to end at once.
    follow = ssh.FOLLOW.replace("sleep 2", "sleep 0.1").replace("sleep 1", "sleep 0.2")
    monkeypatch.setattr(ssh, "FOLLOW", follow)
    monkeypatch.setattr(follower, "POLL_SECONDS", 0.05)
    return Box(folder)


def install_fake_worker(box: Box, home: Path) -> None:
    """From now on the box's worker does not train."""
    python = box.folder / "bin" / "quick-python"
    write_program(python, PYTHON_SCRIPT.format(python=sys.executable, worker=FAKE_WORKER))
    write_machine(home, "box", ssh="ada@box", python=str(python))


def write_program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
