"""The studio's folder, and files that are whole or not there."""

import json
import shutil
import stat
from collections import namedtuple
from pathlib import Path

import pytest

from studio import storage
from studio.errors import OutOfDiskSpace
from studio.storage import home, require_disk_space, write_json, write_text

Usage = namedtuple("Usage", "total used free")


def test_the_home_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "a" / "b"))
    assert home() == tmp_path / "a" / "b"
    assert home().is_dir()


def test_the_home_is_its_owners_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "own"))
    assert stat.S_IMODE(home().stat().st_mode) == 0o700


def test_without_a_word_the_home_is_in_the_users_own(tmp_path, monkeypatch):
    monkeypatch.delenv("STUDIO_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".studio"


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    file = tmp_path / "status.json"
    write_json(file, {"state": "waiting"})
    write_json(file, {"state": "完成"})
    assert json.loads(file.read_text(encoding="utf-8")) == {"state": "完成"}
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["status.json"]


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    file = tmp_path / "plan.yaml"
    write_text(file, "old")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(file, "new")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["plan.yaml"]


def test_room_is_wanted_with_a_tenth_to_spare(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10e9, 8.8e9, 1.2e9))
    require_disk_space(tmp_path, 1_000_000_000)  # a tenth more is 1.1 GB
    with pytest.raises(OutOfDiskSpace) as caught:
        require_disk_space(tmp_path, 2_000_000_000)
    assert "1.2 GB free where 2.2 GB are needed" in caught.value.render()
    assert "--home" in caught.value.render()


def test_a_sealed_file_shows_that_it_was_changed_and_an_older_one_without_a_seal_does_not(tmp_path):
    path = tmp_path / "report.json"
    storage.write_sealed_json(path, {"after": {"accuracy": 0.75}, "steps": {10: 1, 9: (1, 2)}})
    assert storage.is_seal_intact(path)
    path.write_text(path.read_text().replace("0.75", "0.95"))
    assert not storage.is_seal_intact(path)
    storage.write_json(path, {"after": {"accuracy": 0.75}})
    assert storage.is_seal_intact(path)
