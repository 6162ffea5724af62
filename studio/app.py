"""The entry point of a Space, which runs `python studio/app.py`: without a command, the page opens."""

import sys
from pathlib import Path

if __package__ in (None, ""):  # started as a file: the folder of this file must not shadow other packages
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    sys.path.insert(0, str(here.parent))

from studio import space
from studio.cli.main import main

if __name__ == "__main__":
    space.choose_folders()
    sys.exit(main())
