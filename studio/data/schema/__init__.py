"""What the columns of a table are for: their names, their contents, and the roles guessed from both."""
