"""The Train tab: start, watch and stop a run, and what came out of it."""
