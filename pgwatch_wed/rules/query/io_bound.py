"""Statements that spend most of their time waiting for I/O.

## Why it matters
Faster CPUs do not help them, nor do plans that read the same blocks; reading fewer blocks does: an index, a smaller table, a
larger cache.

## How sure we are
A: measured, if track_io_timing is on. If it is off, the verdict is unknown. Parallel workers read at the same time, so their
waits may add up to more than the statement's time: B and an upper bound, unless it is known to run without them.

## Not reported
Statements with a small share of the load or little waiting; utility statements; statements that ran once.

## Remedy
Read fewer blocks: see `index-missing`, `table-bloat` and `cache-hit-ratio`. No SQL to run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.units import count

NEEDS = ("statements", "statements_info", "settings")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A statement that waits for at least this fraction of its time is I/O-bound.
    min_io_share: float = 0.5
    # A smaller share of the load is not worth the effort.
    min_load_share: float = 0.02
    # A shorter total wait is not significant.
    min_io_ms: float = 500.0
    # A statement that ran only once probably found a cold cache.
    min_calls: int = 2
    # Waiting for at least this long per day (1 hour) is a warning.
    warn_io_ms_per_day: float = 3_600_000.0
    # Only the costliest statements are reported.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement that mostly waits for I/O."""
    if snapshot.setting_on("track_io_timing") is not True:
        yield Unknown(
            "track_io_timing is off, so I/O times are not measured",
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


def _may_be_parallel(snapshot: Snapshot, s: Statement) -> bool:
    """Tell whether the waits may be those of several processes; from 18 on, workers are counted."""
    if s.parallel_workers_launched is not None:
        return s.parallel_workers_launched > 0
    return snapshot.setting_number("max_parallel_workers_per_gather") != 0


def _finding(load: q.Load, s: Statement, limits: Limits) -> Finding:
    daily = load.least_per_day(min(_io_ms(s), s.total_exec_ms), s)
    part = min(_io_ms(s) / s.total_exec_ms, 1.0) if s.total_exec_ms > 0 else 1.0
    is_bound = _may_be_parallel(load.snapshot, s)
    return Finding(
        object=load.object_of(s),
        severity=Severity.WARNING if daily >= limits.warn_io_ms_per_day else Severity.INFO,
        grade=Grade.B if is_bound else Grade.A,
        title=f"It waits for I/O {'up to ' if is_bound else ''}{part:.0%} of its time: {q.short(s)}",
        detail=f"Each call reads {count(round(s.shared_blks_read / s.calls), 'block')} that "
        f"{'is' if round(s.shared_blks_read / s.calls) == 1 else 'are'} not in shared buffers.",
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
        impact=Impact(
            cost=load.time(_io_ms(s), s), risk="every call reads what shared buffers do not hold"
        ),
    )
