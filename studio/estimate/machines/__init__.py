"""The machines a run could go to, what this one has, and how fast each is."""
