"""Statements that take a large part of the server's time.

## Why it matters
Making a statement that takes half of the time twice as fast frees a quarter of the server; no other change has that effect.

## How sure we are
A for the time, which pg_stat_statements measured. Whether it can be made faster is another question; see `index-missing`, the
other `query-` rules and the plan. Its time is a cost, not a gain: findings that save a part of it are named.

## Not reported
Statements of this tool and others that read only catalogs; statements inside functions, whose time is included in their
caller's; BEGIN, COMMIT, VACUUM, CREATE INDEX and other maintenance; writes and utility statements that ran once, such as a
data load; loads so small that shares are meaningless. The same statement run by several roles counts as one.

## Remedy
Look at its plan: from 16 on, EXPLAIN (GENERIC_PLAN) needs no parameters. No SQL to run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.sqltext import text as statement_text
from pgwatch_wed.units import count, duration

NEEDS = ("statements", "statements_info")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Statements with a smaller share are not reported, unless they are among the costliest.
    min_share: float = 0.1
    # This many of the costliest are reported if they have at least this share and time.
    first: int = 5
    min_share_of_first: float = 0.02
    min_ms_of_first: float = 60_000.0
    # A smaller total load is not significant.
    min_total_ms: float = 1_000.0
    # Only the costliest statements are reported.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement with a large share."""
    load = q.Load.of(snapshot)
    yield from load.unknowns()
    if load.total_ms < limits.min_total_ms:
        return
    work = [s for s in load.statements if not _is_housekeeping(s)]
    found = [s for place, s in enumerate(work) if _is_large(load, s, place, limits)]
    for place, statement in enumerate(found[: limits.max_statements], 1):
        yield _finding(load, statement, place)


def _is_large(load: q.Load, s: Statement, place: int, limits: Limits) -> bool:
    share = load.share(s)
    return share >= limits.min_share or (
        place < limits.first
        and share >= limits.min_share_of_first
        and s.total_exec_ms >= limits.min_ms_of_first
    )


def _is_housekeeping(statement: Statement) -> bool:
    text = statement.text
    if text is None:
        return False
    if statement_text.is_maintenance(text):
        return True
    reads = q.first_word(statement) in ("select", "with", "table", "values")
    return statement.calls < 2 and not reads


def _finding(load: q.Load, s: Statement, place: int) -> Finding:
    return Finding(
        object=load.object_of(s),
        severity=Severity.INFO,
        grade=Grade.A,
        title=f"{load.share(s):.0%} of the execution time: {q.short(s)}",
        detail=f"{count(s.calls, 'call')} with an average of {duration(s.mean_exec_ms)}, "
        f"{s.total_exec_ms / 1000:,.1f} s in total.",
        evidence={"place": place, **load.evidence(s)},
        impact=Impact(cost=load.time(s.total_exec_ms, s)),
        caveats=tuple(q.waiting(s)),
    )
