"""Transactions that were rolled back because they waited for each other.

## Why it matters
Each deadlock costs one transaction its work, and all transactions involved a wait of one second (`deadlock_timeout`). If there
are many, two pieces of code lock the same rows in a different order.

## How sure we are
B: the database's own counter, over the time that it covers. Only the server log shows which statements were involved.

## Not reported
- Deadlocks in other databases: use `--all-databases`.
- If no deadlock has been counted, the verdict is clear only once the counters cover `window`.

## Remedy
Lock rows in the same order everywhere (`ORDER BY id FOR UPDATE`), update parents before children, keep transactions short, and
retry those that failed with SQLSTATE 40P01. The log contains both statements of each deadlock; `log_lock_waits` also shows near
misses.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.remedies import settings
from pgwatch_wed.units import count

NEEDS = ("databases",)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # At least this many per day are a warning, if there are also warn_deadlocks.
    warn_per_day: float = 24.0
    # The total number required for a warning.
    warn_deadlocks: int = 10
    # The counters must cover this time to show that there are none.
    window: timedelta = timedelta(days=1)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding if deadlocks have been counted for the database."""
    database = snapshot.database
    length = snapshot.window.length
    if database is None or database.deadlocks is None:
        yield Unknown("the database's counters cannot be read")
    elif database.deadlocks > 0:
        yield _finding(snapshot, database.deadlocks, length, limits)
    elif limits.window and (length is None or length < limits.window):
        yield Unknown(
            "no deadlocks were counted, but the counters do not cover enough time",
            "run again later",
        )


def _finding(
    snapshot: Snapshot, deadlocks: int, length: timedelta | None, limits: Limits
) -> Finding:
    days = max(length.total_seconds() / 86_400, 1.0) if length is not None else None
    covers = length is not None and length >= timedelta(days=1)
    rate = deadlocks / days if days else 0.0
    many = rate >= limits.warn_per_day and deadlocks >= limits.warn_deadlocks
    name = snapshot.server.database
    begins = snapshot.window.begins
    return Finding(
        object=Object("database", name, name),
        severity=Severity.WARNING if many else Severity.INFO,
        grade=Grade.B,
        title=f"{count(deadlocks, 'deadlock')} in {name}"
        + (f" since {begins:%Y-%m-%d}" if begins else ""),
        detail="PostgreSQL rolled back one transaction of each; both statements are in the server log.",
        evidence={
            "deadlocks": deadlocks,
            "per_day": round(deadlocks / days, 2) if days and covers else None,
            "window_days": round(length.total_seconds() / 86_400, 2) if length else None,
            "log_lock_waits": snapshot.setting("log_lock_waits"),
        },
        impact=Impact(risk="each deadlock costs a transaction, and all involved a wait"),
        remedy=_log_more(snapshot),
    )


def _log_more(snapshot: Snapshot) -> tuple[Remedy, ...]:
    if snapshot.setting("log_lock_waits") != "off":
        return ()
    return (settings.alter_system(snapshot, "log_lock_waits", "on"),)
