"""llama.cpp, fetched on first use: its converter and its runtime."""
