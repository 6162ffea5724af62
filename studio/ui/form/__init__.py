"""The form of the Data and Method tabs: its fields, their state, and the plan they describe."""
