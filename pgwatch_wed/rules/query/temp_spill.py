"""Statements that write temporary files at each call.

## Why it matters
A sort or hash that does not fit into work_mem goes to disk and back, many times slower than in memory.

## How sure we are
A for the volume, which pg_stat_statements counts; C for the memory that would hold it: about the bytes written a
call, more for hashes, less when several nodes spill.

## Not reported
Statements that seldom spill or spill little; utility statements such as CREATE INDEX, which use maintenance_work_mem.

## Remedy
work_mem for the role that runs it (ALTER ROLE … SET work_mem), bounded here; or an index that gives the order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import statement_text, workload
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident
from pgwatch_wed.rules import _queries as q

NEEDS = ("statements", "statements_info", "settings")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Less a call is within the noise of a hash's batches.
    min_bytes_per_call: int = 1_000_000
    # Less in all is an occasional report.
    min_bytes: int = 50_000_000
    # Part of the load from which on it is a warning.
    warn_share: float = 0.2
    # More memory than this for one sort is not advised without a look at the plan.
    max_work_mem_bytes: int = 256 * 1024 * 1024
    # The dearest few are what people act on.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement that spills at every call."""
    if (nothing := q.nothing_counted(snapshot)) is not None:
        yield nothing
        return
    block = snapshot.server.block_size
    found = [
        s
        for s in workload.statements(snapshot)
        if s.calls
        and s.temp_blks_written * block >= limits.min_bytes
        and s.temp_blks_written * block / s.calls >= limits.min_bytes_per_call
        and not (s.text and statement_text.is_utility(s.text))
        and s.calls > 1
    ]
    found.sort(key=lambda s: (-s.temp_blks_written, s.query_id))
    for statement in found[: limits.max_statements]:
        yield _finding(snapshot, statement, limits)


def _finding(snapshot: Snapshot, s: Statement, limits: Limits) -> Finding:
    each = round(s.temp_blks_written * snapshot.server.block_size / s.calls)
    current = snapshot.setting_number("work_mem") or 4 * 1024 * 1024
    part = q.share(snapshot, s)
    wanted = min(_rounded(current + 2 * each), limits.max_work_mem_bytes)
    enough = current + 2 * each <= limits.max_work_mem_bytes
    return Finding(
        object=q.object_of(snapshot, s),
        severity=Severity.WARNING if part >= limits.warn_share else Severity.INFO,
        grade=Grade.A,
        title=f"{each / 1e6:,.1f} MB of temporary files at each call: {q.short(s)}",
        detail=f"work_mem is {current / 1048576:.0f} MB; about {_rounded(current + 2 * each) / 1048576:,.0f} MB "
        "would hold what it sorts or hashes (a model: factor of two).",
        evidence={
            "temp_bytes_per_call": each,
            "temp_bytes": s.temp_blks_written * snapshot.server.block_size,
            "work_mem_bytes": current,
            "load_share": round(part, 4),
            **q.evidence(snapshot, s),
        },
        impact=Impact(
            ms_per_day=workload.per_day(snapshot, s.temp_blk_ms, s) if s.temp_blk_ms else None,
            risk="it waits for its own temporary files",
        ),
        remedy=_remedy(s, wanted) if enough and s.user else (),
        caveats=("work_mem is taken per sort and per session: give it to the role that needs it.",),
    )


def _rounded(size: float) -> int:
    megabyte = 1024 * 1024
    return int(-(-size // (8 * megabyte)) * 8 * megabyte)


def _remedy(s: Statement, wanted: int) -> tuple[Remedy, ...]:
    role = ident(s.user or "")
    return (
        Remedy(
            sql=f"ALTER ROLE {role} SET work_mem = '{wanted // 1048576}MB';",
            lock="none; new sessions of the role take it up",
            undo=f"ALTER ROLE {role} RESET work_mem;",
        ),
    )
