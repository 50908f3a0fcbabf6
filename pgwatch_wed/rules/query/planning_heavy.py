"""Statements that take longer to plan than to run.

## Why it matters
Planning is paid at every call; a prepared statement pays once.

## How sure we are
A: measured, where pg_stat_statements.track_planning is on. It is off by default; then nothing is known, and the counters
are zero, which is not the same as fast.

## Not reported
Statements with little planning in all or a small part of the load, or whose execution is longer; utility statements.

## Remedy
Prepared statements in the driver (with plan_cache_mode = auto), fewer joins or partitions in one statement, a lower
statistics target where it was raised far. Nothing to paste.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _queries as q

NEEDS = ("statements", "statements_info")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Less planning in all is not worth a change.
    min_plan_ms: float = 200.0
    # Fewer plans are an accident of a cold cache.
    min_plans: int = 50
    # Planning longer than execution.
    min_plan_to_exec: float = 1.0
    # A smaller part of planning and execution of all statements is not worth a change.
    min_load_share: float = 0.02
    # The dearest few are what people act on.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement whose planning dominates."""
    load = q.Load.of(snapshot)
    found = [s for s in load.queries if _is_heavy(load, s, limits)]
    if not any(i.track_planning for i in snapshot.statements_info) and not found:
        yield Unknown(
            "pg_stat_statements.track_planning is off, so nobody measures planning",
            "ALTER SYSTEM SET pg_stat_statements.track_planning = on; SELECT pg_reload_conf(); "
            "(it costs a little on servers with many cores)",
        )
        return
    found.sort(key=lambda s: (-s.total_plan_ms, s.query_id))
    for s in found[: limits.max_statements]:
        yield _finding(load, s)


def _is_heavy(load: q.Load, s: Statement, limits: Limits) -> bool:
    whole = load.total_ms + sum(o.total_plan_ms for o in load.queries)
    return (
        s.plans >= limits.min_plans
        and s.total_plan_ms >= limits.min_plan_ms
        and s.total_plan_ms >= limits.min_plan_to_exec * s.total_exec_ms
        and s.total_plan_ms + s.total_exec_ms >= limits.min_load_share * whole
    )


def _finding(load: q.Load, s: Statement) -> Finding:
    each = s.total_plan_ms / max(s.plans, 1)
    return Finding(
        object=load.object_of(s),
        severity=Severity.INFO,
        grade=Grade.A,
        title=f"Planned for {each:,.3g} ms, run for {s.mean_exec_ms:,.3g} ms: {q.short(s)}",
        detail=f"It was planned {s.plans:,} times in {s.calls:,} calls. A prepared statement would plan it once.",
        evidence={
            "plans": s.plans,
            "total_plan_ms": round(s.total_plan_ms, 3),
            "mean_plan_ms": round(each, 3),
            **load.evidence(s),
        },
        impact=Impact(
            ms_per_day=load.per_day(s.total_plan_ms, s), risk="each call pays for a plan again"
        ),
    )
