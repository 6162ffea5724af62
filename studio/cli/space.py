"""`studio space`: the studio as a folder that Hugging Face runs as a Space; `--push` creates it there."""

import argparse
from dataclasses import replace
from pathlib import Path

from studio.cli import EXIT_FAILED, EXIT_OK, hub_login
from studio.hub import push, space_bundle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder, the name of the Space, and who may see it."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new folder for the Space's files")
    parser.add_argument("--push", metavar="NAME", help="create the Space of this name (or OWNER/NAME), too")
    parser.add_argument(
        "--public", action="store_true", help="let everyone use it; else only you or your team"
    )
    hub_login.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Write the folder and print it; with a name, create the Space and print its address."""
    person = hub_login.sign_in() if options.push else None
    folder = space_bundle.write(options.folder)
    print(folder)
    if not person:
        return EXIT_OK
    prepared = replace(space_bundle.prepare(folder, options.push, person), is_private=not options.public)
    if not hub_login.agrees(prepared, person, options.yes):
        return EXIT_FAILED
    print(push.upload(prepared, person))
    return EXIT_OK
