"""Which indexes to try, and which set of them to recommend."""
