"""The cache misses often, and the misses are many.

## Why it matters
A block that is not in shared_buffers comes from the operating system's cache or from the disk.

## How sure we are
D: a miss may still have come from the operating system's cache, which PostgreSQL cannot see. The ratio alone says little,
so it is reported only with volume, and names the tables that miss.

## Not reported
Few reads; a window under an hour unless the volume is large; a good ratio. Never advised: a larger shared_buffers
from a ratio alone. Missing indexes and sequential scans are the more usual cause.

## Remedy
None to paste: look at the tables named, and at `index-missing` and `query-io-bound`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown

NEEDS = ("databases", "table_activity", "tables")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Below it the cache works badly for OLTP.
    min_ratio: float = 0.9
    # Fewer blocks read than these (about 400 MB) are a cold start.
    min_blocks_read: int = 50_000
    # Read at this pace (blocks a second, about 8 MB/s) it is a warning.
    warn_blocks_per_second: float = 1_000.0
    # The pace is told only from windows of this length on.
    min_window_seconds: float = 3_600.0


PROFILES = {"analytics": {"min_ratio": 0.5}, "oltp": {"min_ratio": 0.95}}


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding for the database where misses are many."""
    database = snapshot.database
    if database is None or database.blks_read is None or database.blks_hit is None:
        yield Unknown(
            "the counters of this database cannot be read", "GRANT pg_monitor TO the role"
        )
        return
    read, hit = database.blks_read, database.blks_hit
    if read < limits.min_blocks_read or hit / (hit + read) >= limits.min_ratio:
        return
    length = snapshot.window.length
    seconds = length.total_seconds() if length else 0.0
    pace = read / seconds if seconds >= limits.min_window_seconds else None
    ratio = hit / (hit + read)
    warns = pace is not None and pace >= limits.warn_blocks_per_second
    block = snapshot.server.block_size
    yield Finding(
        object=Object("database", database.name, database=database.name),
        severity=Severity.WARNING if warns else Severity.INFO,
        grade=Grade.D,
        title=f"{1 - ratio:.0%} of the blocks that {database.name} wanted were not in the cache",
        detail="A miss may have come from the operating system's cache. The tables that miss most are named.",
        evidence={
            "hit_ratio_share": round(ratio, 4),
            "read_bytes": read * block,
            "hit_bytes": hit * block,
            "read_bytes_per_second": None if pace is None else round(pace * block),
            "read_ms": database.blk_read_ms or None,
            "tables": _worst(snapshot),
        },
        impact=Impact(risk="queries wait for blocks"),
    )


def _worst(snapshot: Snapshot, most: int = 5) -> list[dict[str, Any]]:
    reads = [
        (a.heap_blks_read + a.idx_blks_read + a.toast_blks_read, t.qualified)
        for a in snapshot.table_activity
        if (t := snapshot.table_by_oid.get(a.oid)) is not None
    ]
    reads.sort(key=lambda r: (-r[0], r[1]))
    block = snapshot.server.block_size
    return [{"table": name, "read_bytes": n * block} for n, name in reads[:most] if n]
