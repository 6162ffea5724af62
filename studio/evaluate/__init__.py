"""Scores of a model on examples it has not seen."""
