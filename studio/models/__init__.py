"""Base models: their shape, where they come from, and how they are loaded."""
