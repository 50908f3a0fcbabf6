"""Statements that write temporary files on every call.

## Why it matters
A sort or hash that does not fit into work_mem is written to disk and read back, which is many times slower than memory.

## How sure we are
A for the volume, which pg_stat_statements counts; C for the memory required. Rows on disk are more compact than in memory, so
about twice the bytes written per call are assumed for one sort; less is needed if several plan nodes spill, or one spills in
several passes.

## Not reported
Statements that ran once, such as a data load or an ad hoc report; statements that spill little; utility statements such as
CREATE INDEX, which use maintenance_work_mem. The server does not count statements that failed.

## Remedy
work_mem for the role that runs it (ALTER ROLE … SET work_mem), up to a limit; beyond that none is suggested: an index that
provides the order, or sorting fewer rows, is the better way. Each session of the role may use that much.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.postgres import memory as mem
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import settings
from pgwatch_wed.rules import _queries as q

NEEDS = ("statements", "statements_info", "settings")

_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Less per call may just be the batches of a hash.
    min_bytes_per_call: int = 1_000_000
    # Less in total costs next to nothing.
    min_bytes: int = 10_000_000
    # A statement that ran only once was probably a data load or an ad hoc report.
    min_calls: int = 2
    # At least this much per day is a warning.
    warn_bytes_per_day: int = 50_000_000_000
    # More memory for one sort is not suggested without looking at the plan.
    max_work_mem_bytes: int = 256 * 1024 * 1024
    # The server's RAM (0: unknown). All connections together may use half of it.
    memory_bytes: int = 0
    # Only the costliest statements are reported.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement that spills on every call."""
    load = q.Load.of(snapshot)
    yield from load.unknowns()
    block = snapshot.server.block_size
    found = [
        s
        for s in load.queries
        if s.calls >= limits.min_calls
        and s.temp_blks_written * block >= limits.min_bytes
        and s.temp_blks_written * block >= limits.min_bytes_per_call * s.calls
    ]
    found.sort(key=lambda s: (-s.temp_blks_written, s.query_id))
    for statement in found[: limits.max_statements]:
        yield _finding(load, statement, limits)


def _finding(load: q.Load, s: Statement, limits: Limits) -> Finding:
    snapshot = load.snapshot
    total = s.temp_blks_written * snapshot.server.block_size
    each = round(total / s.calls)
    daily = load.per_day(total, s)
    current = mem.work_mem_of(snapshot, s.user)
    wanted = _rounded(current + 2 * each)
    return Finding(
        object=load.object_of(s),
        severity=Severity.WARNING if (daily or 0) >= limits.warn_bytes_per_day else Severity.INFO,
        grade=Grade.A,
        title=f"{units.size(each)} of temporary files per call: {q.short(s)}",
        detail=f"work_mem is {units.size(current)}; about {units.size(wanted)} would be needed to sort or "
        "hash in memory (an estimate, within a factor of two).",
        evidence={
            "temp_bytes_per_call": each,
            "temp_bytes": total,
            "temp_bytes_per_day": None if daily is None else round(daily),
            "temp_io_ms": s.temp_blk_ms,
            "work_mem_bytes": round(current),
            "work_mem_needed_bytes": wanted,
            **load.evidence(s),
        },
        impact=Impact(
            ms_per_day=load.per_day(s.temp_blk_ms, s) if s.temp_blk_ms else None,
            risk="every call writes data to disk and reads it back",
        ),
        remedy=_remedy(snapshot, s, wanted) if wanted <= _bound(snapshot, limits) else (),
        caveats=(
            "Each sort and hash of each session may use that much: set it for this role only.",
        )
        if wanted <= _bound(snapshot, limits)
        else (
            f"More than {units.size(_bound(snapshot, limits))} per sort is not advised: use an index that provides the order.",
        ),
    )


def _bound(snapshot: Snapshot, limits: Limits) -> float:
    """Return the most memory for one sort: less if there is not enough for all connections."""
    connections = snapshot.setting_number("max_connections") or 100.0
    if not limits.memory_bytes:
        return limits.max_work_mem_bytes
    return min(limits.max_work_mem_bytes, limits.memory_bytes / 2 / max(connections / 10, 1.0))


def _rounded(size: float) -> int:
    step = _MB if size < 16 * _MB else 8 * _MB
    return int(-(-size // step) * step)


def _remedy(snapshot: Snapshot, s: Statement, wanted: int) -> tuple[Remedy, ...]:
    if not s.user:
        return ()
    role = ident(s.user)
    return (
        Remedy(
            sql=f"ALTER ROLE {role} SET work_mem = '{wanted // _MB}MB';",
            lock="none; takes effect in new sessions of the role",
            undo=settings.undo_role_setting(snapshot, s.user, "work_mem"),
        ),
    )
