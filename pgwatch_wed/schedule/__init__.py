"""The guide's daily to quarterly tasks, written for the schedulers that people have."""
