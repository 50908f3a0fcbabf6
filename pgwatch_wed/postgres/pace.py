"""Counters relative to the time that they cover: what is a lot in an hour is nothing in a year."""

from datetime import datetime

from pgwatch_wed.facts import Snapshot

DAY_S = 86_400


def seconds(snapshot: Snapshot, reset: datetime | None) -> float | None:
    """Return how long counters of the whole server have run; None if that is unknown."""
    begins = max(filter(None, (snapshot.measured_since, reset)), default=None)
    return max((snapshot.now - begins).total_seconds(), 1.0) if begins else None


def window_seconds(snapshot: Snapshot) -> float | None:
    """Return how long the counters of this database have run."""
    length = snapshot.window.length
    return max(length.total_seconds(), 1.0) if length is not None else None


def per_day(amount: float, length_s: float | None) -> float | None:
    """Return the amount per day, for readers; None if the counters do not cover a day, which proves no rate."""
    known = length_s is not None and length_s >= DAY_S
    return least_per_day(amount, length_s) if known else None


def least_per_day(amount: float, length_s: float | None) -> float:
    """Return the amount per day, for thresholds.

    Counters that cover less than a day, or an unknown time, are not extrapolated: what has been counted so
    far is the least amount for that day.
    """
    return amount * DAY_S / max(length_s or 0.0, DAY_S)
