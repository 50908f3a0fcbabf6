"""How long the planner may take."""

MOST_MS = 60_000
SET = "select pg_catalog.set_config('statement_timeout', %s, true)"
"""Limits the statements of a transaction; takes what :func:`limit` returns."""


def limit(seconds: float | None) -> str:
    """Return a ``statement_timeout`` in milliseconds."""
    most = MOST_MS if seconds is None else int(seconds * 1000)
    return str(max(1, min(most, MOST_MS)))
