"""What the page's child processes see of the environment: what they need to run, no tokens, no secrets, no network of their own accord."""

import os
from collections.abc import Mapping
from pathlib import Path

PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "STUDIO_HOME")
ROOT = Path(__file__).resolve().parent.parent
ALONE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONSAFEPATH": "1", "THP_MEM_ALLOC_ENABLE": "1"}


def environment(given: Mapping[str, str], cards: bool = False, threads: int = 0) -> dict[str, str]:
    """The environment of a process that reads and computes: `cards` lets it see the graphics card, `threads` bounds its threads."""
    kept = {name: value for name, value in given.items() if name in PASSED}
    kept["CUDA_VISIBLE_DEVICES"] = given.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] if cards else ""
    if threads:
        kept["OMP_NUM_THREADS"] = str(threads)
    # The studio's own folder comes first, whatever lies where it was started.
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), given.get("PYTHONPATH"))))
    return {**kept, **ALONE}
