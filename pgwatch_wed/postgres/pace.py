"""Counters relative to the time that they cover: what is a lot in an hour is nothing in a year."""

from datetime import datetime

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.postgres import statements


def seconds(snapshot: Snapshot, reset: datetime | None) -> float | None:
    """Return how long counters of the whole server have run; None if that is unknown."""
    begins = snapshot.measured_since or reset
    return max((snapshot.now - begins).total_seconds(), 1.0) if begins else None


def window_seconds(snapshot: Snapshot) -> float | None:
    """Return how long the counters of this database have run."""
    length = snapshot.window.length
    return max(length.total_seconds(), 1.0) if length is not None else None


def per_day(amount: float, length_s: float | None) -> float:
    """Return the amount per day.

    Counters that cover less than a day, or an unknown time, are not extrapolated: what has been counted so
    far is the least amount for that day.
    """
    return statements.spread(amount, length_s or 0.0)
