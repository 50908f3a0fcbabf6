"""A day that never was: known incidents and traps, to measure what the alerts make of it."""
