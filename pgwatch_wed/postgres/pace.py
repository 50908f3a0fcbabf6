"""Counters against the time that they have run: what is much in an hour is nothing in a year."""

from datetime import datetime

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.postgres import statements


def seconds(snapshot: Snapshot, reset: datetime | None) -> float | None:
    """Return for how long counters of the whole server have run; None where that is unknown."""
    begins = snapshot.measured_since or reset
    return max((snapshot.now - begins).total_seconds(), 1.0) if begins else None


def window_seconds(snapshot: Snapshot) -> float | None:
    """Return for how long the counters of this database have run."""
    length = snapshot.window.length
    return max(length.total_seconds(), 1.0) if length is not None else None


def per_day(amount: float, length_s: float | None) -> float:
    """Return how much falls on a day.

    Younger counters are not stretched: what was counted so far is what the day has had at the least.
    So it is with counters of unknown age.
    """
    return statements.spread(amount, length_s or 0.0)
