"""`studio` without a command: opens the page."""

import argparse
import getpass
import os
import sys
from threading import Thread

from studio.errors import NotPossible
from studio.i18n import Message

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 7860
PASSWORD_ENV = "STUDIO_PASSWORD"  # noqa: S105 - the name of a variable
MIN_PASSWORD_CHARS = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where the page listens; a Space says so through two variables of the environment."""
    parser.add_argument(
        "--host",
        default=os.environ.get("GRADIO_SERVER_NAME") or DEFAULT_HOST,
        help=f"address the page listens on (default {DEFAULT_HOST}: this machine alone)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=int(os.environ.get("GRADIO_SERVER_PORT") or DEFAULT_PORT),
        help=f"port of the page (default {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="one more name that the page is reached by, such as studio.example.org (may be repeated)",
    )
    parser.add_argument(
        "--proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="address of a proxy in front of the page, whose X-Forwarded headers count (may be repeated)",
    )
    parser.add_argument(
        "--open",
        action="store_true",
        help="let everyone in who reaches the page, without a password",
    )


def run(options: argparse.Namespace) -> int:
    """Tidy up what earlier sessions left, and serve the page until it is ended."""
    from studio.ui.security import LOCAL_HOSTS, build_access

    if options.host not in LOCAL_HOSTS:
        # Strangers ask the hub in nobody's name; its client reads this when it is imported.
        os.environ["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"  # noqa: S105 - a switch
    # The page's libraries, which the commands do without.
    from studio import launchers
    from studio.data import store
    from studio.estimate.tracing.client import tracing_client
    from studio.hub import push
    from studio.ui import app

    password = read_password(options.host, options.open)
    store.remove_stale_drafts()
    push.remove_stale()
    launchers.follow_again()
    Thread(target=launchers.discard_again, daemon=True).start()
    tracing_client.remove_legacy_texts()
    allowed = build_access(options.host, tuple(options.allow_host), tuple(options.proxy))
    return app.serve(options.host, options.port, allowed, password)


def read_password(host: str, is_open: bool) -> str:
    """The password of the page, from STUDIO_PASSWORD or typed in; "" where none is needed.

    None is needed on this machine alone, on a Space, whose owner says there who may enter, and where the
    person says that the page is open.

    Args:
        host: The address the page listens on.
        is_open: Whether `--open` was typed.

    Raises:
        NotPossible: A password is needed and there is none, or it is too short.
    """
    from studio.ui.security import LOCAL_HOSTS, SPACE_HOST_ENV

    password = os.environ.get(PASSWORD_ENV, "")
    is_password_needed = not (host in LOCAL_HOSTS or is_open or os.environ.get(SPACE_HOST_ENV))
    if not password and is_password_needed and sys.stdin.isatty():
        password = getpass.getpass(Message("Password for the page: ").render())
    if not password and is_password_needed:
        raise NotPossible(
            Message("On {host} others can reach the page, and it has no password."),
            Message("Set one in STUDIO_PASSWORD, or let everyone in: studio --host {host} --open"),
            host=host,
        )
    if password and len(password) < MIN_PASSWORD_CHARS:
        raise NotPossible(
            Message("The password of the page has {count} characters; it needs at least {minimum}."),
            Message("Choose a longer one."),
            count=len(password),
            minimum=MIN_PASSWORD_CHARS,
        )
    return password
