"""The health of a data set: checks, findings and one-click fixes."""
