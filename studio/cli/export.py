"""`studio export`: what a run learned, as files that open without the studio."""

import argparse
import sys
from pathlib import Path

from studio import export, runs
from studio.cli import EXIT_OK
from studio.cli.arguments import list_names
from studio.export import registry
from studio.export.spec import REPLAY_ROWS, ExportOptions
from studio.i18n import Message, languages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, the form, the folder, the precision and the language of the card."""
    names = sorted(export_format.name for export_format in registry.EXPORT_FORMATS)
    precisions = [name for name, _ in registry.get("gguf").precisions]
    parser.add_argument("run")
    parser.add_argument(
        "--to",
        nargs=2,
        required=True,
        metavar=("FORM", "DIR"),
        help=f"a form such as {list_names(names)}, and a new folder",
    )
    parser.add_argument(
        "--precision", default="", help=f"of gguf and browser: {list_names(precisions)} (default q8_0)"
    )
    parser.add_argument(
        "--rows",
        type=int,
        default=REPLAY_ROWS,
        help=f"held-out rows to check the export on, 0 for none (default {REPLAY_ROWS})",
    )
    parser.add_argument(
        "--language", choices=languages(), default="en", help="the language of the model card (default en)"
    )


def run(options: argparse.Namespace) -> int:
    """Write the result, print its folder, and say whether it scores as it did in the studio."""
    name, folder = options.to
    export_options = ExportOptions(
        precision=options.precision,
        language=options.language,
        rows=max(options.rows, 0),
        on_progress=show_progress,
    )
    written = export.save_result(runs.find(options.run), name, Path(folder), export_options)
    show_progress(Message(""))
    print(written)
    checked = export.read_check(written)
    if checked:
        headline, warnings, details = checked.sentences(bool(registry.get(name).precisions))
        for sentence in (headline, *warnings, *details):
            print(sentence.render())
    return EXIT_OK


def show_progress(step: Message) -> None:
    """Say on a terminal what is being done; a log has no use for it."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{step.render()}", end="", file=sys.stderr, flush=True)
