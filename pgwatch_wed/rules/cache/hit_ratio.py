"""Many blocks are not found in the cache.

## Why it matters
A block that is not in shared_buffers has to be read from the operating system's cache or from disk.

## How sure we are
D: a miss may still have been served from the operating system's cache, which PostgreSQL cannot see. The ratio alone means
little, so it is reported only together with the volume and the tables and statements with the most misses. Sequential scans of
large tables and VACUUM miss by design: they use a small ring buffer and leave the cache alone; from 16 on, their share of all
reads is given.

## Not reported
Few reads per day, such as after a restart; a good ratio; reads by dumps, data loads, CREATE INDEX and VACUUM, as far as
pg_stat_statements has counted them, and by autovacuum (from 16 on). A larger shared_buffers is never advised because of a
ratio: missing indexes and sequential scans are the more common cause.

## Remedy
No SQL to run: look at the tables and statements given, and at `index-missing` and `query-io-bound`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pgwatch_wed import units
from pgwatch_wed.facts import Database, Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, MeasuredTime, Object, Severity, Unknown
from pgwatch_wed.postgres import pace, privileges, statements
from pgwatch_wed.rules.cache import _maintenance as maintenance

NEEDS = ("databases", "table_activity", "tables")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A lower hit ratio is bad for OLTP.
    min_ratio: float = 0.9
    # Fewer blocks read per day (about 400 MB) may just be a cold start.
    min_blocks_read_per_day: int = 50_000
    # Waiting for I/O for at least this long per day (1 hour) is a warning. Requires track_io_timing.
    warn_wait_ms_per_day: float = 3_600_000.0


PROFILES = {"analytics": {"min_ratio": 0.5}, "oltp": {"min_ratio": 0.95}}


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding if the database has many misses."""
    database = snapshot.database
    if database is None or database.blks_read is None or database.blks_hit is None:
        yield Unknown(
            "the counters of this database cannot be read",
            privileges.grant_stats(snapshot.server),
        )
        return
    blocks = _of_queries(snapshot, database)
    daily = pace.least_per_day(blocks.read, pace.window_seconds(snapshot))
    many = daily >= max(limits.min_blocks_read_per_day, 1)
    if many and blocks.ratio < limits.min_ratio:
        yield _finding(snapshot, database, blocks, limits)


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Blocks that queries read from outside and found in the cache."""

    read: int
    hit: int
    maintenance_read: int

    @property
    def ratio(self) -> float:
        return self.hit / max(self.hit + self.read, 1)


def _of_queries(snapshot: Snapshot, database: Database) -> _Blocks:
    """Return the blocks without maintenance, which reads whole tables by design."""
    utilities = maintenance.statements(snapshot, database)
    read, hit = database.blks_read or 0, database.blks_hit or 0
    by_others = sum(s.shared_blks_read for s in utilities)
    by_others = min(by_others + maintenance.autovacuum_reads(snapshot, database), read)
    found = min(sum(s.shared_blks_hit for s in utilities), hit)
    return _Blocks(read - by_others, hit - found, by_others)


def _finding(snapshot: Snapshot, database: Database, blocks: _Blocks, limits: Limits) -> Finding:
    block = snapshot.server.block_size
    seconds = pace.window_seconds(snapshot)
    waited = database.blk_read_ms or 0.0
    daily = pace.least_per_day(waited, seconds) if seconds is not None else 0.0
    worst = _worst_statements(snapshot)
    return Finding(
        object=Object("database", database.name, database=database.name),
        severity=Severity.WARNING if daily >= limits.warn_wait_ms_per_day else Severity.INFO,
        grade=Grade.D,
        title=f"{1 - blocks.ratio:.0%} of the blocks that {database.name} needed were not in shared buffers",
        detail=f"{units.size(blocks.read * block)} had to be read, possibly from the operating system's cache. "
        "The tables and statements with the most misses are listed.",
        evidence={
            "hit_ratio_share": round(blocks.ratio, 4),
            "read_bytes": blocks.read * block,
            "hit_bytes": blocks.hit * block,
            "maintenance_read_bytes": blocks.maintenance_read * block,
            "window_seconds": None if seconds is None else round(seconds, 1),
            "read_bytes_per_second": round(blocks.read * block / seconds) if seconds else None,
            "read_wait_ms": database.blk_read_ms or None,
            "ring_read_share": _ring_share(snapshot),
            "tables": _worst_tables(snapshot),
            "query_ids": [s.query_id for s in worst],
            "queries": [{"query": s.text, "read_bytes": s.shared_blks_read * block} for s in worst],
        },
        impact=Impact(
            cost=MeasuredTime(waited, seconds) if waited else None, risk="queries wait for I/O"
        ),
        caveats=(
            "Scans of large tables miss by design; a larger shared_buffers does not change that.",
        ),
    )


def _ring_share(snapshot: Snapshot) -> float | None:
    """Return the share of the whole server's reads that used ring buffers (16 and later)."""
    reads = [(r.context, r.read_bytes or 0) for r in snapshot.io if r.object == "relation"]
    everything = sum(n for _, n in reads)
    if not everything:
        return None
    ring = sum(n for context, n in reads if context in ("bulkread", "vacuum"))
    return round(ring / everything, 4)


def _worst_tables(snapshot: Snapshot, most: int = 5) -> list[dict[str, Any]]:
    reads = [
        (a.heap_blks_read + a.idx_blks_read + a.toast_blks_read + a.tidx_blks_read, t.qualified, a)
        for a in snapshot.table_activity
        if (t := snapshot.table_by_oid.get(a.oid)) is not None
    ]
    reads.sort(key=lambda r: (-r[0], r[1]))
    block = snapshot.server.block_size
    return [
        {"table": name, "read_bytes": n * block, "seq_scans": a.seq_scan}
        for n, name, a in reads[:most]
        if n
    ]


def _worst_statements(snapshot: Snapshot, most: int = 5) -> list[Statement]:
    known = statements.of_users(snapshot)
    reading = [s for s in known if s.shared_blks_read and not maintenance.is_maintenance(s)]
    return sorted(reading, key=lambda s: (-s.shared_blks_read, s.query_id))[:most]
