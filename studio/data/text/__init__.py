"""The texts in cells: conversations in all their forms, and how long a text is."""
