"""One review of many clusters: read from the history, reckoned, and rendered in several formats."""
