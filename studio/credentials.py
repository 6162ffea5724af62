"""Tokens that a person has typed into the page: one file of the studio's home, readable by its owner alone.

They stand in no log, event, plan or run folder. Where others reach the page, none is read or kept.
"""

import os

from huggingface_hub import constants, get_token

from studio.storage import home, read_json, write_json

CREDENTIALS_FILE = "credentials.json"
# The name of the token for the Hugging Face hub; that for a Ray cluster is named after the machine.
HUB = "hub"


def ray_name(machine_id: str) -> str:
    """The name under which the token of a Ray cluster is kept."""
    return f"ray:{machine_id}"


def hub_token() -> str:
    """The token of this machine's login to the hub (`hf auth login`, HF_TOKEN), or the one that was typed in.

    Empty where there is neither, and where others reach the page: a stranger asks in nobody's name.
    """
    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN or _is_open_to_others():
        return ""
    return get_token() or read(HUB)


def read(name: str) -> str:
    """The token that was typed in under a name; empty where there is none, or others reach the page."""
    token = read_json(home() / CREDENTIALS_FILE).get(name)
    return token if isinstance(token, str) and not _is_open_to_others() else ""


def keep(name: str, token: str) -> None:
    """Keep a token under a name; nothing is written where others reach the page."""
    if not _is_open_to_others():
        _write({**read_json(home() / CREDENTIALS_FILE), name: token})


def forget(name: str) -> None:
    """Remove a token, and the file with the last one."""
    tokens = read_json(home() / CREDENTIALS_FILE)
    if tokens.pop(name, None) is not None:
        _write(tokens)


def _write(tokens: dict[str, object]) -> None:
    path = home() / CREDENTIALS_FILE
    if not tokens:
        path.unlink(missing_ok=True)
        return
    write_json(path, tokens)  # by way of a file that mkstemp makes, which is its owner's alone
    path.chmod(0o600)


def _is_open_to_others() -> bool:
    """Whether visitors use this page (see ui/access.py)."""
    return os.environ.get("STUDIO_OPEN") == "1"
