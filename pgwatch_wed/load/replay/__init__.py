"""Replay: the statements of production in a window, as a load on a copy; see docs/load.md."""
