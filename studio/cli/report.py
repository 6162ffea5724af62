"""`studio report`: the page for the meeting, one printable HTML file made from a run's folder."""

import argparse
from pathlib import Path

from studio import runs
from studio.cli import EXIT_OK
from studio.export.meeting import page
from studio.i18n import languages
from studio.storage import write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, the file and the language."""
    parser.add_argument("run", help="a run's id, its beginning, or `last`")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default report-RUN.html, in this folder")
    parser.add_argument("--language", "--lang", choices=languages(), default="en", help="default en")


def run(options: argparse.Namespace) -> int:
    """Write the page and print where it is."""
    reported = runs.find(options.run)
    path = options.out or Path(f"report-{reported.id[:8]}.html")
    text = page.render_page(reported, options.language)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    print(path)
    return EXIT_OK
