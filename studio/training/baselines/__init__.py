"""Is training needed at all? Measures before a run what needs no training."""
