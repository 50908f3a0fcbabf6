"""Statements that write a lot of WAL on every call.

## Why it matters
WAL is written, archived, sent to every standby and replayed there. Often most of it is full-page images after a checkpoint.

## How sure we are
A: measured by pg_stat_statements.

## Not reported
Statements that write little per call, unless they write tens of gigabytes per day and a large share of all WAL; little WAL in
total; data loads and index builds that ran once, and other utility statements.

## Remedy
Write fewer rows or columns (no updates that change nothing), have fewer indexes on the table, and space checkpoints further
apart (`wal-checkpoints-requested`). No SQL to run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _queries as q

NEEDS = ("statements", "statements_info")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A call that changes a few rows writes a few kB; a megabyte is hundreds of pages.
    min_bytes_per_call: int = 1_000_000
    # Less in total does not matter.
    min_bytes: int = 20_000_000
    # The least share of the WAL of all statements.
    min_wal_share: float = 0.05
    # Statements with less per call are reported if they write at least this much per day and this share.
    min_bytes_per_day: int = 20_000_000_000
    min_wal_share_of_light: float = 0.2
    # A statement that ran only once was probably a data load.
    min_calls: int = 2
    # Only the costliest statements are reported.
    max_statements: int = 5


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement that writes a lot of WAL."""
    load = q.Load.of(snapshot)
    yield from load.unknowns()
    total = sum(s.wal_bytes for s in load.statements)
    found = [s for s in load.queries if _is_heavy(load, s, total, limits)]
    found.sort(key=lambda s: (-s.wal_bytes, s.query_id))
    for s in found[: limits.max_statements]:
        yield _finding(load, s, total)


def _is_heavy(load: q.Load, s: Statement, total: int, limits: Limits) -> bool:
    if s.calls < limits.min_calls or s.wal_bytes < limits.min_bytes:
        return False
    if s.wal_bytes >= limits.min_bytes_per_call * s.calls:
        return s.wal_bytes >= limits.min_wal_share * total
    daily = load.least_per_day(s.wal_bytes, s)
    return (
        daily >= limits.min_bytes_per_day and s.wal_bytes >= limits.min_wal_share_of_light * total
    )


def _finding(load: q.Load, s: Statement, total: int) -> Finding:
    images = min(s.wal_fpi * load.snapshot.server.block_size / max(s.wal_bytes, 1), 1.0)
    each = s.wal_bytes / max(s.calls, 1)
    return Finding(
        object=load.object_of(s),
        severity=Severity.INFO,
        grade=Grade.A,
        title=f"{units.size(each)} of WAL per call: {q.short(s)}",
        detail=f"{s.wal_bytes / max(total, 1):.0%} of the WAL of all statements; up to {images:.0%} of it is "
        "full-page images.",
        evidence={
            "wal_bytes": s.wal_bytes,
            "wal_share": round(s.wal_bytes / max(total, 1), 4),
            "wal_bytes_per_call": round(each),
            "wal_bytes_per_row": round(s.wal_bytes / s.rows) if s.rows else None,
            "full_page_images": s.wal_fpi,
            **load.evidence(s),
        },
        impact=Impact(risk="WAL is archived, sent to every standby and replayed there"),
    )
