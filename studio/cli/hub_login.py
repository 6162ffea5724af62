"""The hub's token in the terminal: from this machine's login or typed in unseen; and the person's consent."""

import argparse
import getpass
import sys

from studio import credentials
from studio.hub import account
from studio.hub.account import Account
from studio.hub.push import Upload
from studio.i18n import Message

ASK_TOKEN = Message("Token of your Hugging Face account (it is not kept): ")
ASK_CONSENT = Message("Upload it? [y/N] ")
NOT_UPLOADED = Message("Nothing was uploaded.")
YES = ("y", "yes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add whether to ask before anything is uploaded."""
    parser.add_argument("--yes", action="store_true", help="upload without asking first")


def sign_in() -> Account:
    """Sign in with the machine's own login, else with a token that is typed in.

    Raises:
        HubRefused: There is no token, or the hub does not take it.
    """
    token = credentials.hub_token()
    if not token and sys.stdin.isatty():
        token = getpass.getpass(ASK_TOKEN.render())
    return account.sign_in(token)


def agrees(prepared: Upload, person: Account, is_agreed: bool) -> bool:
    """Say what would be uploaded, and ask; without a terminal to ask at, `--yes` alone agrees."""
    print(prepared.consent(person).render(), file=sys.stderr)
    if prepared.warning:
        print(prepared.warning.render(), file=sys.stderr)
    if is_agreed:
        return True
    is_uploading = sys.stdin.isatty() and input(ASK_CONSENT.render()).strip().lower() in YES
    if not is_uploading:
        print(NOT_UPLOADED.render(), file=sys.stderr)
    return is_uploading
