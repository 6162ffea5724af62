"""`studio` without a command: opens the page."""

import argparse
import os

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 7860


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


def run(options: argparse.Namespace) -> int:
    """Tidy up what earlier sessions left, and serve the page until it is ended."""
    # The page's libraries, which the commands do without.
    from studio.data import store
    from studio.estimate.tracing.client import tracing_client
    from studio.ui import app

    store.remove_stale_drafts()
    tracing_client.remove_legacy_texts()
    return app.serve(options.host, options.port, tuple(options.allow_host), tuple(options.proxy))
