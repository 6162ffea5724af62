"""The page for the meeting: what a run set out to do, what came of it, and what there is to decide."""
