"""Who may open the page beyond this machine: it asks for a password, or the person says that it is open."""

import os
import subprocess
import sys

import pytest

from studio import processes
from studio.cli import main, serve
from studio.errors import NotPossible


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """A terminal at which nobody sits, and no variable that says something about the page."""
    for name in (serve.PASSWORD_ENV, "SPACE_HOST", "STUDIO_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(serve.sys.stdin, "isatty", lambda: False, raising=False)


def test_on_this_machine_alone_no_password_is_needed():
    assert serve.read_password("127.0.0.1", is_open=False) == ""


def test_beyond_this_machine_the_page_opens_with_a_password_or_is_said_to_be_open(monkeypatch):
    with pytest.raises(NotPossible, match="no password"):
        serve.read_password("0.0.0.0", is_open=False)
    assert serve.read_password("0.0.0.0", is_open=True) == ""
    monkeypatch.setenv(serve.PASSWORD_ENV, "correct horse")
    assert serve.read_password("0.0.0.0", is_open=False) == "correct horse"
    assert serve.read_password("127.0.0.1", is_open=False) == "correct horse", "other users of the machine"


def test_a_person_at_the_terminal_is_asked_for_it(monkeypatch):
    monkeypatch.setattr(serve.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(serve.getpass, "getpass", lambda prompt: "correct horse")
    assert serve.read_password("0.0.0.0", is_open=False) == "correct horse"
    monkeypatch.setattr(serve.getpass, "getpass", lambda prompt: "")
    with pytest.raises(NotPossible, match="no password"):
        serve.read_password("0.0.0.0", is_open=False)


def test_a_password_that_is_soon_guessed_is_refused_and_not_repeated(monkeypatch):
    monkeypatch.setenv(serve.PASSWORD_ENV, "1234567")
    with pytest.raises(NotPossible, match="7 characters") as refusal:
        serve.read_password("0.0.0.0", is_open=False)
    assert "1234567" not in str(refusal.value)


def test_the_owner_of_a_space_says_there_who_may_enter(monkeypatch):
    monkeypatch.setenv("SPACE_HOST", "me-studio.hf.space")
    assert serve.read_password("0.0.0.0", is_open=False) == ""


# Serves no page: the port that is asked for is taken.
ASK_AS_WHOM = """
import argparse, socket, sys
from studio.cli import serve
taken = socket.create_server(("", 0))
port = taken.getsockname()[1]
try:
    serve.run(argparse.Namespace(host=sys.argv[1], port=port, open=True, allow_host=[], proxy=[]))
except Exception as error:
    assert "cannot open" in str(error), error
from huggingface_hub.utils import build_hf_headers
print("authorization" in build_hf_headers())
"""


@pytest.mark.parametrize(
    ("host", "sends_token"),
    [("0.0.0.0", False), pytest.param("127.0.0.1", True, marks=pytest.mark.exhaustive)],
)
def test_where_others_reach_the_page_the_owner_s_token_is_not_sent_by_itself(host, sends_token):
    environment = {**os.environ, "HF_TOKEN": "hf_the_owner_s", "PYTHONPATH": str(processes.ROOT)}
    command = [sys.executable, "-c", ASK_AS_WHOM, host]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(sends_token), done.stderr


def test_without_a_password_the_command_says_what_to_do(capsys):
    assert main.main(["--host", "0.0.0.0"]) == 1
    assert "--open" in capsys.readouterr().err
