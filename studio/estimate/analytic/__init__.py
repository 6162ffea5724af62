"""The closed form: what a step takes in memory and time, computed from the model's shape without torch."""
