"""`studio push`: a run's result or its data goes to a private repository of the hub, with one's own token."""

import argparse
from dataclasses import replace

from studio import runs
from studio.cli import EXIT_FAILED, EXIT_OK, hub_login
from studio.hub import push
from studio.i18n import languages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, the name on the hub, the form, who may see it, and the language of the card."""
    parser.add_argument("run", help="a run's id, its beginning, or `last`")
    parser.add_argument("name", help="the repository: a name, or OWNER/NAME")
    parser.add_argument(
        "--as",
        dest="form",
        metavar="FORM",
        help="data, or a form of `studio export` (default: the first that there is)",
    )
    parser.add_argument(
        "--public", action="store_true", help="let everyone see it; else only you or your team"
    )
    parser.add_argument(
        "--language", choices=languages(), default="en", help="the language of the card (default en)"
    )
    hub_login.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Sign in, say what is uploaded, upload it, and print its address."""
    pushed = runs.find(options.run)
    form = options.form or push.available_forms(pushed)[0]
    person = hub_login.sign_in()
    prepared = push.prepare(pushed, form, options.name, person, options.language)
    prepared = replace(prepared, is_private=not options.public)
    if not hub_login.agrees(prepared, person, options.yes):
        return EXIT_FAILED
    print(push.upload(prepared, person))  # the hub's client draws its progress on a terminal
    push.forget(prepared)
    return EXIT_OK
