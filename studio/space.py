"""What a Hugging Face Space says of itself, and where the studio keeps its files there."""

import os
from pathlib import Path

SPACE_ID_ENV, ZERO_GPU_ENV = "SPACE_ID", "SPACES_ZERO_GPU"
# Where a Space mounts what outlives a restart; without it everything is lost then.
VOLUME = Path("/data")


def space_id() -> str:
    """`owner/name` of the Space that this is; "" elsewhere."""
    return os.environ.get(SPACE_ID_ENV, "")


def is_zero_gpu() -> bool:
    """Whether this is a Space that borrows its graphics card for one function at a time."""
    return bool(space_id()) and os.environ.get(ZERO_GPU_ENV, "").lower() in ("1", "t", "true")


def has_volume() -> bool:
    """Whether the Space has a folder that outlives a restart."""
    return VOLUME.is_dir() and os.access(VOLUME, os.W_OK)


def duplicate_address() -> str:
    """The address at which a visitor makes a copy of this Space for themselves."""
    return f"https://huggingface.co/spaces/{space_id()}?duplicate=true"


def choose_folders() -> None:
    """Keep the studio's files and the hub's cache on the Space's volume, unless a variable says where."""
    if space_id() and has_volume():
        os.environ.setdefault("STUDIO_HOME", str(VOLUME / "studio"))
        os.environ.setdefault("HF_HOME", str(VOLUME / "huggingface"))
