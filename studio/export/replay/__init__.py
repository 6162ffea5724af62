"""The held-out rows once more, on the exported file in the runtime it is for."""
