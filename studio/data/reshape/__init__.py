"""Tables of another form become preference pairs and conversations."""
