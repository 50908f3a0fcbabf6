"""Service level objectives: how much of the error budget is used, how fast, and how much is not known."""
