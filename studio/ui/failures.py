"""When a request cannot be answered: what the visitor reads, and the one line that the log keeps."""

import sys
import traceback
from pathlib import Path

from studio.i18n import Message

STUDIO_FOLDER = str(Path(__file__).parents[1])
UNREADABLE = Message("The page sent something that the studio cannot read.")
RELOAD = Message("Reload the page and try again.")
MAX_LOGGED_CHARS = 300


def log_failure(action: str, error: BaseException) -> None:
    """Write one line to stderr: what failed, why, and where in the studio and below it.

    A visitor can send anything, as often as they like; tracebacks would hide what matters.

    Args:
        action: What was asked of the page.
        error: Why it failed.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own_frames = [frame for frame in frames if frame.filename.startswith(STUDIO_FOLDER)]
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in (*own_frames[-1:], *frames[-1:])]
    why = " ".join(f"{type(error).__name__}: {error}".split())
    printable = "".join(character for character in why[:MAX_LOGGED_CHARS] if character.isprintable())
    sys.stderr.write(f"studio: {action}: {printable} ({', '.join(places)})\n")
