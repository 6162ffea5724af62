"""Files of every kind become rows."""
