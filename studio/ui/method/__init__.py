"""The Method tab: the comparison table, the chooser, the settings and where a run would go."""
