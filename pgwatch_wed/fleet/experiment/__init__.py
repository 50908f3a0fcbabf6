"""The fleet as an experiment: clusters of a group that run the same statements are each other's controls."""
