"""`studio export`: what a run learned, as files that open without the studio."""

import argparse
from pathlib import Path

from studio import export, runs
from studio.cli import EXIT_OK
from studio.cli.arguments import list_names
from studio.export import registry
from studio.i18n import languages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, the form, the folder and the language of the card."""
    names = sorted(export_format.name for export_format in registry.EXPORT_FORMATS)
    parser.add_argument("run")
    parser.add_argument(
        "--to",
        nargs=2,
        required=True,
        metavar=("FORM", "DIR"),
        help=f"a form such as {list_names(names)}, and a new folder",
    )
    parser.add_argument(
        "--language", choices=languages(), default="en", help="the language of the model card (default en)"
    )


def run(options: argparse.Namespace) -> int:
    """Write the result and print its folder."""
    export_format, folder = options.to
    print(export.save_result(runs.find(options.run), export_format, Path(folder), options.language))
    return EXIT_OK
