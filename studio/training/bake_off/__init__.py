"""A bake-off: methods or settings train in turns on the same split, and the winner goes on to the end."""
