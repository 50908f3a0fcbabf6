"""Deadlocks that the server had to break.

## Why it matters
Each cost a transaction its work, after deadlock_timeout of waiting; the cause is an order of locks in the application.

## How sure we are
B for the count. Which statements met is in the server's log alone.

## Not reported
A database without any since its counters began.

## Remedy
The log names both statements (log_lock_waits shows the waits before); let all code lock rows in one order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown

NEEDS = ("databases",)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A rarer deadlock is worth knowing of, no more.
    warn_per_day: float = 10.0


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for this database."""
    database = snapshot.database
    if database is None or database.deadlocks is None:
        yield Unknown("the counters of this database cannot be read")
        return
    if not database.deadlocks:
        return
    length = snapshot.window.length
    days = max(length.total_seconds() / 86_400, 1.0) if length else None
    rate = database.deadlocks / days if days else None
    warns = rate is not None and rate >= limits.warn_per_day
    yield Finding(
        object=Object("database", database.name, database=database.name),
        severity=Severity.WARNING if warns else Severity.INFO,
        grade=Grade.B,
        title=f"{database.deadlocks:,} deadlocks in {database.name}",
        detail="Transactions waited for each other in a circle, and one of each was rolled back.",
        evidence={
            "deadlocks": database.deadlocks,
            "per_day": None if rate is None else round(rate, 2),
            "since": snapshot.window.begins.isoformat() if snapshot.window.begins else None,
        },
        impact=Impact(risk="transactions fail and must be retried"),
        caveats=("The server's log names the statements; SQL cannot.",),
    )
