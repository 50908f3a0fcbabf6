"""Cheap statements that are called very often: perhaps a loop in the application.

## Why it matters
A thousand look-ups of a row each cost a thousand round trips; one statement with a list costs one. The server's
time is the smaller part of it.

## How sure we are
D: the numbers are measured, the loop is a guess. Look-ups by key are also what a healthy application does.

## Not reported
Statements that return many rows or take long; writes; a small part of the calls; few calls a second.

## Remedy
In the application: one query with = ANY(…) or a join, eager loading in the ORM. Nothing to paste.
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

    # Fewer calls are no loop.
    min_calls: int = 10_000
    # Part of all calls of the users.
    min_call_share: float = 0.3
    # A look-up of a row by its key takes less.
    max_mean_ms: float = 2.0
    # Rows a call: a look-up returns one or none.
    max_rows_per_call: float = 2.0
    # The most called few are what people act on.
    max_statements: int = 3


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each look-up that dominates the calls."""
    statements = workload.statements(snapshot)
    calls = sum(s.calls for s in statements)
    found = [
        s
        for s in statements
        if s.calls >= limits.min_calls
        and s.calls >= limits.min_call_share * calls
        and s.mean_exec_ms <= limits.max_mean_ms
        and s.rows <= limits.max_rows_per_call * s.calls
        and (s.text or "").lstrip().lower().startswith("select")
        and "from" in (s.text or "").lower()
    ]
    found.sort(key=lambda s: (-s.calls, s.query_id))
    for s in found[: limits.max_statements]:
        yield _finding(snapshot, s, calls)


def _finding(snapshot: Snapshot, s: Statement, calls: int) -> Finding:
    return Finding(
        object=q.object_of(snapshot, s),
        severity=Severity.INFO,
        grade=Grade.D,
        title=f"{s.calls / max(calls, 1):.0%} of all calls are: {q.short(s)}",
        detail=f"{s.calls:,} calls, {s.rows / max(s.calls, 1):.1f} rows and {s.mean_exec_ms:.2f} ms each. "
        "If a loop in the application makes them, one statement with a list would do.",
        evidence={
            "call_share": round(s.calls / max(calls, 1), 4),
            "rows_per_call": round(s.rows / max(s.calls, 1), 3),
            **q.evidence(snapshot, s),
        },
        impact=Impact(ms_per_day=workload.per_day(snapshot, s.total_exec_ms, s)),
        caveats=("Look-ups by key are also what a healthy application does.",),
    )
