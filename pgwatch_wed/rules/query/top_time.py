"""Statements that take a large part of the server's time.

## Why it matters
Making the statement that takes half of the time twice as fast frees a quarter of the server; no other change does.

## How sure we are
A for the time: pg_stat_statements measured it. That it can be made faster is not claimed; `index-missing` and the plan say.

## Not reported
Statements of this tool and of others that read only catalogs; statements inside functions, whose time their caller has
already; utility statements that ran once, such as a load or an index build; small loads, whose shares mean nothing.

## Remedy
Look at its plan: EXPLAIN (GENERIC_PLAN) needs no parameters from 16 on.
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

    # Below this part of the load a statement is one among many.
    min_share: float = 0.1
    # From this part on it is a warning, if it is real work.
    warn_share: float = 0.4
    # A server that is this busy with one statement for this long a day: ten minutes.
    warn_ms_per_day: float = 600_000.0
    # A load below this says nothing.
    min_total_ms: float = 1_000.0
    # The first few are what people act on.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement with a large share."""
    if (nothing := q.nothing_counted(snapshot)) is not None:
        yield nothing
        return
    total = q.load_ms(snapshot)
    if total < limits.min_total_ms:
        return
    found = [
        s
        for s in workload.statements(snapshot)
        if s.total_exec_ms >= limits.min_share * total and not _happened_once(s)
    ]
    found.sort(key=lambda s: (-s.total_exec_ms, s.query_id))
    for statement in found[: limits.max_statements]:
        yield _finding(snapshot, statement, total, limits)


def _happened_once(statement: Statement) -> bool:
    text = statement.text
    return statement.calls < 2 and (
        text is None or statement_text.is_utility(text) or not _reads(text)
    )


def _reads(text: str) -> bool:
    return text.lstrip(" \n\t(").lower().startswith(("select", "with", "table", "values"))


def _finding(snapshot: Snapshot, s: Statement, total: float, limits: Limits) -> Finding:
    part = s.total_exec_ms / total
    daily = workload.per_day(snapshot, s.total_exec_ms, s)
    warns = part >= limits.warn_share and (daily or 0.0) >= limits.warn_ms_per_day
    return Finding(
        object=q.object_of(snapshot, s),
        severity=Severity.WARNING if warns else Severity.INFO,
        grade=Grade.A,
        title=f"{part:.0%} of the time goes into: {q.short(s)}",
        detail=f"{s.calls:,} calls of {s.mean_exec_ms:,.1f} ms each.",
        evidence={"load_share": round(part, 4), **q.evidence(snapshot, s)},
        impact=Impact(ms_per_day=daily),
        caveats=()
        if daily is not None
        else ("The counters are younger than an hour; time a day is not told.",),
    )
