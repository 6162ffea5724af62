"""Blind votes: people say which of two answers is better without knowing whose it is."""
