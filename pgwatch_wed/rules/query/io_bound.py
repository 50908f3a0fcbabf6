"""Statements that spend their time waiting for blocks.

## Why it matters
Faster CPUs and better plans of the same blocks do not help them; fewer blocks do: an index, a smaller table, more cache.

## How sure we are
A: measured, where track_io_timing is on. With it off nothing is known.

## Not reported
Statements with a small part of the load, or that wait little; utility statements.

## Remedy
Read fewer blocks: see `index-missing`, `table-bloat` and `cache-hit-ratio`. Nothing to paste.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import statement_text, workload
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _queries as q

NEEDS = ("statements", "statements_info", "settings")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Waiting for more than half of its time makes it I/O-bound.
    min_io_share: float = 0.5
    # A smaller part of the load is not worth the work.
    min_load_share: float = 0.05
    # A load below this says nothing.
    min_io_ms: float = 1_000.0
    # Part of the load from which on it is a warning.
    warn_load_share: float = 0.2
    # The dearest few are what people act on.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement that mostly waits for blocks."""
    if snapshot.setting_on("track_io_timing") is not True:
        yield Unknown(
            "track_io_timing is off, so nobody measures the wait for blocks",
            "ALTER SYSTEM SET track_io_timing = on; SELECT pg_reload_conf();",
        )
        return
    found = [
        s
        for s in workload.statements(snapshot)
        if _io_ms(s) >= limits.min_io_ms
        and _io_ms(s) >= limits.min_io_share * s.total_exec_ms
        and q.share(snapshot, s) >= limits.min_load_share
        and not (s.text and statement_text.is_utility(s.text))
    ]
    found.sort(key=lambda s: (-_io_ms(s), s.query_id))
    for statement in found[: limits.max_statements]:
        yield _finding(snapshot, statement, limits)


def _io_ms(s: Statement) -> float:
    return s.blk_read_ms + s.blk_write_ms


def _finding(snapshot: Snapshot, s: Statement, limits: Limits) -> Finding:
    part = q.share(snapshot, s)
    return Finding(
        object=q.object_of(snapshot, s),
        severity=Severity.WARNING if part >= limits.warn_load_share else Severity.INFO,
        grade=Grade.A,
        title=f"{_io_ms(s) / s.total_exec_ms:.0%} of its time it waits for blocks: {q.short(s)}",
        detail=f"Each call reads {s.shared_blks_read / max(s.calls, 1):,.0f} blocks from outside the cache.",
        evidence={
            "io_ms": round(_io_ms(s), 3),
            "io_share": round(min(_io_ms(s) / s.total_exec_ms, 1.0), 4),
            "blocks_read": s.shared_blks_read,
            "blocks_hit": s.shared_blks_hit,
            "load_share": round(part, 4),
            **q.evidence(snapshot, s),
        },
        impact=Impact(ms_per_day=workload.per_day(snapshot, _io_ms(s), s)),
    )
