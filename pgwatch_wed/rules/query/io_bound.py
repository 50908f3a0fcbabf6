"""Statements that spend their time waiting for blocks.

## Why it matters
Faster CPUs and better plans of the same blocks do not help them; fewer blocks do: an index, a smaller table, more cache.

## How sure we are
A: measured, where track_io_timing is on. With it off nothing is known, and the verdict is unknown. Parallel workers read at
the same time, so that their waits may add up to more than the statement's time.

## Not reported
Statements with a small part of the load, or that wait little; utility statements; statements that ran once.

## Remedy
Read fewer blocks: see `index-missing`, `table-bloat` and `cache-hit-ratio`. Nothing to paste.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _queries as q

NEEDS = ("statements", "statements_info", "settings")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Waiting for half of its time makes it I/O-bound.
    min_io_share: float = 0.5
    # A smaller part of the load is not worth the work.
    min_load_share: float = 0.02
    # Waiting for less in all says nothing.
    min_io_ms: float = 500.0
    # A statement that ran once found a cold cache.
    min_calls: int = 2
    # Waiting for an hour a day it is a warning.
    warn_io_ms_per_day: float = 3_600_000.0
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
    load = q.Load.of(snapshot)
    yield from load.unknowns()
    found = [
        s
        for s in load.queries
        if s.calls >= limits.min_calls
        and _io_ms(s) >= limits.min_io_ms
        and _io_ms(s) >= limits.min_io_share * s.total_exec_ms
        and load.share(s) >= limits.min_load_share
    ]
    found.sort(key=lambda s: (-_io_ms(s), s.query_id))
    for statement in found[: limits.max_statements]:
        yield _finding(load, statement, limits)


def _io_ms(s: Statement) -> float:
    return s.blk_read_ms + s.blk_write_ms


def _finding(load: q.Load, s: Statement, limits: Limits) -> Finding:
    daily = load.per_day(_io_ms(s), s)
    part = min(_io_ms(s) / s.total_exec_ms, 1.0) if s.total_exec_ms > 0 else 1.0
    return Finding(
        object=load.object_of(s),
        severity=Severity.WARNING if (daily or 0) >= limits.warn_io_ms_per_day else Severity.INFO,
        grade=Grade.A,
        title=f"{part:.0%} of its time it waits for blocks: {q.short(s)}",
        detail=f"Each call reads {s.shared_blks_read / s.calls:,.0f} blocks from outside the cache.",
        evidence={
            "io_ms": round(_io_ms(s), 3),
            "io_share": round(part, 4),
            "blocks_read": s.shared_blks_read,
            "blocks_hit": s.shared_blks_hit,
            "read_bytes_per_call": round(
                s.shared_blks_read * load.snapshot.server.block_size / s.calls
            ),
            **load.evidence(s),
        },
        impact=Impact(ms_per_day=daily, risk="each call waits for the disk"),
    )
