"""The form of the Method tab: its fields, the plan they describe, and what a browser remembers of them."""
