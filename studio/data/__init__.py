"""Data: from a person's file to the examples a method trains on."""
