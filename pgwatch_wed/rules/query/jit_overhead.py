"""Statements for which compiling (JIT) costs a large part of their time.

## Why it matters
JIT pays for long analytic statements. For others it adds its compilation to every call.

## How sure we are
A: measured by pg_stat_statements (server 15 and later).

## Not reported
Little compilation in all, or a small part of the statement's time.

## Remedy
A higher jit_above_cost, or jit = off for the role; both can be tried per session first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import workload
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident
from pgwatch_wed.rules import _queries as q

NEEDS = ("statements", "statements_info")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Part of the statement's time that goes into compiling.
    min_jit_share: float = 0.2
    # Less in all is not worth a change.
    min_jit_ms: float = 1_000.0
    # The dearest few are what people act on.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement that compiles too much."""
    statements = workload.statements(snapshot)
    if statements and all(s.jit_ms is None for s in statements):
        yield Unknown(
            "the installed pg_stat_statements does not count JIT",
            "it comes with version 1.10 of the extension, server 15",
        )
        return
    found = [
        s
        for s in statements
        if (s.jit_ms or 0) >= limits.min_jit_ms
        and (s.jit_ms or 0) >= limits.min_jit_share * s.total_exec_ms
    ]
    found.sort(key=lambda s: (-(s.jit_ms or 0), s.query_id))
    for s in found[: limits.max_statements]:
        yield _finding(snapshot, s)


def _finding(snapshot: Snapshot, s: Statement) -> Finding:
    spent = s.jit_ms or 0.0
    role = ident(s.user) if s.user else None
    return Finding(
        object=q.object_of(snapshot, s),
        severity=Severity.INFO,
        grade=Grade.A,
        title=f"{spent / s.total_exec_ms:.0%} of its time goes into compiling: {q.short(s)}",
        detail=f"{(s.jit_functions or 0):,} functions were compiled in {s.calls:,} calls.",
        evidence={
            "jit_ms": round(spent, 3),
            "jit_share": round(min(spent / s.total_exec_ms, 1.0), 4),
            "jit_functions": s.jit_functions,
            **q.evidence(snapshot, s),
        },
        impact=Impact(ms_per_day=workload.per_day(snapshot, spent, s)),
        remedy=(
            Remedy(
                sql=f"ALTER ROLE {role} SET jit = off;",
                lock="none; new sessions of the role take it up",
                undo=f"ALTER ROLE {role} RESET jit;",
            ),
        )
        if role
        else (),
        caveats=(
            "Without JIT the execution itself may become slower; compare in a session first.",
        ),
    )
