"""A no-code training studio: one plan goes in, one folder comes out, every screen is a view of those two."""

import os

from studio import quick_imports, quiet

__version__ = "0.1.0"

# Before anything imports pyarrow, whose own allocator reserves a gigabyte of what a run may have.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
quiet.silence_libraries()
quick_imports.install()
