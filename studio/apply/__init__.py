"""Use a run on a sheet: each row gets its label with a certainty, its number, or its answer."""
