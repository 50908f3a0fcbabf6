"""Statements that take longer to plan than to run.

## Why it matters
Planning is paid at every call; a prepared statement pays once.

## How sure we are
A: measured, where pg_stat_statements.track_planning is on. It is off by default; then nothing is known.

## Not reported
Statements with little planning in all, or whose execution is longer.

## Remedy
Prepared statements in the driver (with plan_cache_mode = auto), fewer joins or partitions in one statement.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import workload
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _queries as q

NEEDS = ("statements", "statements_info")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Less planning in all is not worth a change.
    min_plan_ms: float = 1_000.0
    # Fewer plans are an accident of a cold cache.
    min_plans: int = 100
    # Planning longer than execution.
    min_plan_to_exec: float = 1.0
    # The dearest few are what people act on.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement whose planning dominates."""
    if not any(i.track_planning for i in snapshot.statements_info):
        yield Unknown(
            "pg_stat_statements.track_planning is off, so nobody measures planning",
            "ALTER SYSTEM SET pg_stat_statements.track_planning = on; SELECT pg_reload_conf(); "
            "(it costs a little on servers with many cores)",
        )
        return
    found = [
        s
        for s in workload.statements(snapshot)
        if s.plans >= limits.min_plans
        and s.total_plan_ms >= limits.min_plan_ms
        and s.total_plan_ms >= limits.min_plan_to_exec * s.total_exec_ms
    ]
    found.sort(key=lambda s: (-s.total_plan_ms, s.query_id))
    for s in found[: limits.max_statements]:
        yield _finding(snapshot, s)


def _finding(snapshot: Snapshot, s: Statement) -> Finding:
    return Finding(
        object=q.object_of(snapshot, s),
        severity=Severity.INFO,
        grade=Grade.A,
        title=f"Planned for {s.total_plan_ms / max(s.plans, 1):.2f} ms, run for {s.mean_exec_ms:.2f} ms: {q.short(s)}",
        detail="Planning takes longer than the work. A prepared statement would plan it once.",
        evidence={
            "plans": s.plans,
            "total_plan_ms": round(s.total_plan_ms, 3),
            **q.evidence(snapshot, s),
        },
        impact=Impact(ms_per_day=workload.per_day(snapshot, s.total_plan_ms, s)),
    )
