"""The form of the Data and Method tabs: its fields, their state at one moment, the plan they describe, and what a browser saves of them."""
