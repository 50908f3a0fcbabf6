"""Statements whose time varies wildly from call to call.

## Why it matters
The mean hides them: most calls are fast, and a few take seconds. Skewed values, changing plans, lock waits and cold caches are
the usual causes.

## How sure we are
A for the spread, which is measured; D for its cause.

## Not reported
Few calls; a worst call that is still short; little time in all.

## Remedy
auto_explain with log_min_duration between the mean and the worst time catches the slow calls and their plans.
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

    # Fewer calls have no spread to speak of.
    min_calls: int = 100
    # Standard deviation in means.
    min_stddev_to_mean: float = 3.0
    # The worst call in ms that somebody notices.
    min_max_ms: float = 500.0
    # A smaller part of the load is not worth the search.
    min_load_share: float = 0.02
    # The dearest few are what people act on.
    max_statements: int = 5


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement with a wide spread."""
    found = [
        s
        for s in workload.statements(snapshot)
        if s.calls >= limits.min_calls
        and s.mean_exec_ms > 0
        and s.stddev_exec_ms >= limits.min_stddev_to_mean * s.mean_exec_ms
        and s.max_exec_ms >= limits.min_max_ms
        and q.share(snapshot, s) >= limits.min_load_share
        and not (s.text and statement_text.is_utility(s.text))
    ]
    found.sort(key=lambda s: (-s.stddev_exec_ms * s.calls, s.query_id))
    for s in found[: limits.max_statements]:
        yield _finding(snapshot, s)


def _finding(snapshot: Snapshot, s: Statement) -> Finding:
    return Finding(
        object=q.object_of(snapshot, s),
        severity=Severity.INFO,
        grade=Grade.A,
        title=f"{s.min_exec_ms:.1f} to {s.max_exec_ms:,.0f} ms a call: {q.short(s)}",
        detail=f"The mean is {s.mean_exec_ms:.1f} ms, the standard deviation {s.stddev_exec_ms / s.mean_exec_ms:.1f} times that.",
        evidence={
            "min_exec_ms": round(s.min_exec_ms, 3),
            "max_exec_ms": round(s.max_exec_ms, 3),
            "stddev_exec_ms": round(s.stddev_exec_ms, 3),
            **q.evidence(snapshot, s),
        },
        impact=Impact(risk="some calls take far longer than users expect"),
        caveats=("Lock waits count as execution: the cause may be a blocker and not the plan.",),
    )
