"""Statements that take longer to plan than to execute.

## Why it matters
Every call is planned again; a prepared statement is planned only once.

## How sure we are
A: measured, if pg_stat_statements.track_planning is on. It is off by default; then the counters are zero, which means that
nothing is known.

## Not reported
Statements with little planning in total or a small share of the load, or whose execution takes longer; utility statements.

## Remedy
Prepared statements in the driver (with plan_cache_mode = auto), fewer joins or partitions in one statement, a lower statistics
target if it was raised a lot. No SQL to run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.units import count, duration

NEEDS = ("statements", "statements_info")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Less planning time in total is not worth a change.
    min_plan_ms: float = 200.0
    # With fewer plans, a cold cache may be the reason.
    min_plans: int = 50
    # The ratio of planning time to execution time.
    min_plan_to_exec: float = 1.0
    # A smaller share of the planning and execution time of all statements is not worth a change.
    min_load_share: float = 0.02
    # Only the costliest statements are reported.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement that is dominated by planning."""
    load = q.Load.of(snapshot)
    whole_ms = load.total_ms + sum(s.total_plan_ms for s in load.queries)
    found = [s for s in load.queries if _is_heavy(s, whole_ms, limits)]
    if not any(i.track_planning for i in snapshot.statements_info) and not found:
        yield Unknown(
            "pg_stat_statements.track_planning is off, so planning times are not measured",
            "ALTER SYSTEM SET pg_stat_statements.track_planning = on; SELECT pg_reload_conf(); "
            "(it has a small cost on servers with many cores)",
        )
        return
    found.sort(key=lambda s: (-s.total_plan_ms, s.query_id))
    for s in found[: limits.max_statements]:
        yield _finding(load, s)


def _is_heavy(s: Statement, whole_ms: float, limits: Limits) -> bool:
    return (
        s.plans >= limits.min_plans
        and s.total_plan_ms >= limits.min_plan_ms
        and s.total_plan_ms >= limits.min_plan_to_exec * s.total_exec_ms
        and s.total_plan_ms + s.total_exec_ms >= limits.min_load_share * whole_ms
    )


def _finding(load: q.Load, s: Statement) -> Finding:
    each = s.total_plan_ms / max(s.plans, 1)
    return Finding(
        object=load.object_of(s),
        severity=Severity.INFO,
        grade=Grade.A,
        title=f"Planning takes {duration(each)}, execution {duration(s.mean_exec_ms)}: {q.short(s)}",
        detail=f"It was planned {count(s.plans, 'time')} in {count(s.calls, 'call')}. "
        "A prepared statement would be planned once.",
        evidence={
            "plans": s.plans,
            "total_plan_ms": round(s.total_plan_ms, 3),
            "mean_plan_ms": round(each, 3),
            **load.evidence(s),
        },
        impact=Impact(cost=load.planning(s), risk="every call is planned again"),
    )
