"""`studio push` says what it uploads and where to, asks, and needs a token that it keeps nowhere."""

import os
import subprocess
import sys

import pytest
from stand_in import TOKEN

from studio import processes
from studio.cli.main import main
from studio.hub import account, publish, push, refusals


@pytest.fixture
def studio_push(hub, studio_home):
    """`studio_push(*arguments, token="")`: the command in a process of its own; without a terminal."""

    def call(*arguments, token=""):
        environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "0"}
        environment |= {"HF_HOME": str(studio_home / "hf"), "PYTHONPATH": str(processes.ROOT)}
        if token:
            environment["HF_TOKEN"] = token
        command = [sys.executable, "-m", "studio", "push", *arguments]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )

    return call


def test_it_uploads_with_the_login_of_the_machine_and_prints_the_address(finished, hub, studio_push):
    run = finished()
    done = studio_push(run.id[:8], "tone", "--as", push.DATA_FORM, "--yes", token=TOKEN)
    assert (done.returncode, done.stdout.strip()) == (0, f"{hub.address}/datasets/ada/tone")
    assert hub.repos["ada/tone"].private
    assert push.PRIVATE.render() in done.stderr
    assert "train.jsonl" in hub.repos["ada/tone"].files
    assert TOKEN not in done.stdout + done.stderr
    assert not (push.uploads_folder(run) / "data-en").exists(), "what has arrived is not kept twice"


@pytest.mark.exhaustive
def test_without_a_yes_or_a_token_nothing_is_uploaded(finished, hub, studio_push):
    run = finished()
    unasked = studio_push(run.id, "tone", "--as", push.DATA_FORM, token=TOKEN)
    assert unasked.returncode == 1
    assert f"{hub.address}/datasets/ada/tone" in unasked.stderr
    no_token = studio_push(run.id, "tone", "--yes")
    assert (no_token.returncode, no_token.stdout) == (1, "")
    assert account.NO_TOKEN.render() in no_token.stderr
    assert hub.repos == {}


def test_the_studio_becomes_a_private_space(hub, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["space", str(tmp_path / "bundle"), "--push", "studio", "--yes"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "bundle"), f"{hub.address}/spaces/ada/studio"]
    assert hub.repos["ada/studio"].private
    assert "studio/app.py" in hub.repos["ada/studio"].files


def test_a_space_that_costs_something_is_said_with_the_free_ways(hub, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.refuse("POST", "/repos/create", 402, "cpu-basic needs PRO")
    assert main(["space", str(tmp_path / "bundle"), "--push", "studio", "--yes"]) == 1
    assert refusals.FREE_SPACES.render() in capsys.readouterr().err


def test_a_classifier_is_not_published_into_a_browser(finished, hub, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    run = finished("lora", "classify")
    assert main(["publish", run.id, "kind", "--as", "static", "--yes"]) == 1
    assert publish.NO_STATIC.render(name=run.plan.name) in capsys.readouterr().err
    assert hub.repos == {}
