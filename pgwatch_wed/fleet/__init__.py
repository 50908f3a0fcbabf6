"""Many clusters: who they are, one visit to each, and one review of all."""
