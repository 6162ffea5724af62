"""What stands in a cell: conversations, and how much a text says."""
