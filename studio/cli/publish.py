"""`studio publish`: a run's result as a Space, in the visitor's own browser or beside its base model."""

import argparse
from dataclasses import replace

from studio import runs
from studio.cli import EXIT_FAILED, EXIT_OK, hub_login
from studio.hub import publish, push
from studio.i18n import languages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, the name of the Space, its kind, who may see it, and its language."""
    parser.add_argument("run", help="a run's id, its beginning, or `last`")
    parser.add_argument("name", help="the Space: a name, or OWNER/NAME")
    parser.add_argument(
        "--as",
        dest="kind",
        choices=tuple(publish.KIND_LABELS),
        help="static: free, runs in the visitor's browser; gradio: base and tuned side by side "
        "(default: static where the result can)",
    )
    parser.add_argument(
        "--public", action="store_true", help="let everyone open it; else only you or your team"
    )
    parser.add_argument(
        "--language", choices=languages(), default="en", help="the language of its page (default en)"
    )
    hub_login.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Sign in, say what is published, publish it, and print its address."""
    published = runs.find(options.run)
    kind = options.kind or publish.available_kinds(published)[0]
    person = hub_login.sign_in()
    prepared = publish.prepare(published, kind, options.name, person, options.language)
    prepared = replace(prepared, is_private=not options.public)
    if not hub_login.agrees(prepared, person, options.yes):
        return EXIT_FAILED
    print(push.upload(prepared, person))
    push.forget(prepared)
    return EXIT_OK
