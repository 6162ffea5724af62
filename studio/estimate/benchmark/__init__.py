"""Measure this machine with a few real training steps."""
