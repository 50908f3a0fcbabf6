"""How fast the server writes WAL."""

from pgwatch_wed.facts import Snapshot, Wal
from pgwatch_wed.postgres import pace


def seconds(snapshot: Snapshot, wal: Wal) -> float | None:
    """Return how long the WAL counters have run."""
    return pace.seconds(snapshot, wal.stats_reset)


def per_second(snapshot: Snapshot, at_least_s: float) -> float | None:
    """Return bytes of WAL per second; a time below ``at_least_s`` counts as that, since it may not be typical."""
    for wal in snapshot.wal:
        length = seconds(snapshot, wal)
        if wal.wal_bytes is not None and length is not None:
            return wal.wal_bytes / max(length, at_least_s)
    return None
