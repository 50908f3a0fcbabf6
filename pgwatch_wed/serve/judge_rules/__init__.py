"""Anybody's alert rules judged: which cannot fire, which cannot end, which fire on a healthy server."""
