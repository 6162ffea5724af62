"""llama.cpp, fetched on first use: its converter, its runtime, and what is compared with them."""

from studio.export.fetched_tools import Toolset

# On Linux; smaller elsewhere.
TOOLSET = Toolset("llama-cpp", "llama.cpp", 115_000_000)
