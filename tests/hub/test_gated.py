"""A model whose terms a person has accepted is fetched with the token that they typed in once."""

import stat

import pytest
from form_fields import ENGLISH
from stand_in import OTHERS_TOKEN, READ_TOKEN, Repo

from studio import credentials
from studio.errors import ModelUnavailable
from studio.models import fetch
from studio.ui import access
from studio.ui.method import own_machines

MODEL = "meta/terms"
TERMS = "its licence must be accepted first"


@pytest.fixture
def gated(hub, tiny_chat):
    """A hub with a model whose terms Ada alone has accepted."""
    hub.anonymous = True
    files = {path.name: path.read_bytes() for path in tiny_chat.iterdir() if path.is_file()}
    hub.repos[MODEL] = Repo("model", False, {}, files, accepted={"ada"})
    return hub


def type_token(token):
    values = {"kind": "hub", "name": "", "ssh": "", "ray": "", "python": "", "hardware": "", "cards": 1}
    notice, *_ = own_machines.add(ENGLISH, *(values | {"storage": "", "token": token}).values())
    assert notice["kind"] == "good", notice


def test_a_typed_token_fetches_it_and_lies_in_one_file_alone(gated, studio_home, capfd):
    with pytest.raises(ModelUnavailable, match=TERMS) as caught:
        fetch.fetch(MODEL)
    assert "Your own machines" in caught.value.render()
    type_token(READ_TOKEN)
    gated.sent_tokens.clear()
    fetched = fetch.fetch(MODEL)
    assert (fetched.folder / "model.safetensors").read_bytes() == gated.repos[MODEL].files[
        "model.safetensors"
    ]
    assert READ_TOKEN in gated.sent_tokens
    path = studio_home / credentials.CREDENTIALS_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    files = [file for file in studio_home.rglob("*") if file.is_file()]
    assert [file for file in files if READ_TOKEN.encode() in file.read_bytes()] == [path]
    assert READ_TOKEN not in "".join(capfd.readouterr())


def test_a_token_of_whoever_has_not_accepted_does_not(gated):
    type_token(OTHERS_TOKEN)
    with pytest.raises(ModelUnavailable, match=TERMS) as caught:
        fetch.fetch(MODEL)
    assert OTHERS_TOKEN not in caught.value.render()


def test_where_others_reach_the_page_it_is_fetched_in_nobody_s_name(gated, monkeypatch):
    type_token(READ_TOKEN)
    monkeypatch.setenv(access.OPEN_TO_OTHERS_ENV, "1")
    gated.sent_tokens.clear()
    with pytest.raises(ModelUnavailable, match=TERMS):
        fetch.fetch(MODEL)
    assert set(gated.sent_tokens) == {""}
