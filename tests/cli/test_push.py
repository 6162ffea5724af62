"""`studio push` says what it uploads and where to, asks, and needs a token that it keeps nowhere."""

import os
import subprocess
import sys

import pytest
from stand_in import TOKEN

from studio import processes
from studio.hub import account, push


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


def test_without_a_yes_or_a_token_nothing_is_uploaded(finished, hub, studio_push):
    run = finished()
    unasked = studio_push(run.id, "tone", "--as", push.DATA_FORM, token=TOKEN)
    assert unasked.returncode == 1
    assert f"{hub.address}/datasets/ada/tone" in unasked.stderr
    no_token = studio_push(run.id, "tone", "--yes")
    assert (no_token.returncode, no_token.stdout) == (1, "")
    assert account.NO_TOKEN.render() in no_token.stderr
    assert hub.repos == {}
