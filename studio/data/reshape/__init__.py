"""Tables of another shape, reshaped into preference pairs and conversations."""
