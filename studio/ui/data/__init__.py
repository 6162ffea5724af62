"""The Data tab: bring examples, see how they were read, check and edit them."""
