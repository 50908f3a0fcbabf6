"""Statements that write most of the WAL.

## Why it matters
WAL is written, archived, sent to every standby and replayed there. Full-page images after each checkpoint
are often most of it.

## How sure we are
A: measured by pg_stat_statements.

## Not reported
Little WAL; loads and index builds that ran once; a statement that writes little a call and is one among many.

## Remedy
Fewer rows or columns written (no update that changes nothing), fewer indexes on the table, longer distance between
checkpoints (`wal-checkpoints-requested`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import statement_text, workload
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _queries as q

NEEDS = ("statements", "statements_info")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Less WAL in all than this is no burden: 1 GB.
    min_bytes: int = 1_000_000_000
    # Part of the WAL of all statements.
    min_wal_share: float = 0.2
    # A statement that ran once was a load.
    min_calls: int = 2
    # The first few are what people act on.
    max_statements: int = 5


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement with a large part of the WAL."""
    statements = workload.statements(snapshot)
    total = sum(s.wal_bytes for s in statements)
    found = [
        s
        for s in statements
        if s.wal_bytes >= limits.min_bytes
        and s.wal_bytes >= limits.min_wal_share * total
        and s.calls >= limits.min_calls
        and not (s.text and statement_text.is_utility(s.text))
    ]
    found.sort(key=lambda s: (-s.wal_bytes, s.query_id))
    for s in found[: limits.max_statements]:
        yield _finding(snapshot, s, total)


def _finding(snapshot: Snapshot, s: Statement, total: int) -> Finding:
    images = s.wal_fpi * snapshot.server.block_size / s.wal_bytes if s.wal_bytes else 0.0
    return Finding(
        object=q.object_of(snapshot, s),
        severity=Severity.INFO,
        grade=Grade.A,
        title=f"{s.wal_bytes / max(total, 1):.0%} of the WAL comes from: {q.short(s)}",
        detail=f"{s.wal_bytes / max(s.calls, 1) / 1024:,.1f} kB a call; up to {min(images, 1):.0%} of it full-page images.",
        evidence={
            "wal_bytes": s.wal_bytes,
            "wal_share": round(s.wal_bytes / max(total, 1), 4),
            "wal_bytes_per_call": round(s.wal_bytes / max(s.calls, 1)),
            "full_page_images": s.wal_fpi,
            **q.evidence(snapshot, s),
        },
        impact=Impact(risk="WAL is archived, sent and replayed"),
    )
