"""What the methods share while they train; imported by workers only, except for parameter counts."""
