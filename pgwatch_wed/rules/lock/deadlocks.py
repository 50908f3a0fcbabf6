"""Transactions that were killed because they waited for each other.

## Why it matters
Each deadlock costs one transaction its work and all of them a second of waiting (`deadlock_timeout`). Many of them mean that two pieces
of code lock the same rows in different order.

## How sure we are
B: the database's own counter over the time that it stands on. Who it was stands only in the server's log.

## Not reported
- Deadlocks of other databases: `--all-databases`.
- No deadlock counted is called clear only when the counters cover `window`.

## Remedy
Lock rows in one order everywhere (`ORDER BY id FOR UPDATE`), update parents before children, keep transactions short, repeat those that
failed with 40P01. The log holds both statements of each deadlock; `log_lock_waits` also tells the near misses.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.remedies import settings

NEEDS = ("databases",)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # So many a day are a pattern.
    warn_per_day: float = 24.0
    # And so many at all, so that a young counter does not shout.
    warn_deadlocks: int = 10
    # None within this time says that there are none.
    window: timedelta = timedelta(days=1)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding when the database has counted deadlocks."""
    database = snapshot.database
    length = snapshot.window.length
    if database is None or database.deadlocks is None:
        yield Unknown("the database's counters cannot be read")
    elif database.deadlocks > 0:
        yield _finding(snapshot, database.deadlocks, length, limits)
    elif limits.window and (length is None or length < limits.window):
        yield Unknown("no deadlock was counted, but the counters are young", "run again later")


def _finding(
    snapshot: Snapshot, deadlocks: int, length: timedelta | None, limits: Limits
) -> Finding:
    days = max(length.total_seconds() / 86_400, 1.0) if length is not None else None
    rate = deadlocks / days if days else 0.0
    many = rate >= limits.warn_per_day and deadlocks >= limits.warn_deadlocks
    name = snapshot.server.database
    begins = snapshot.window.begins
    return Finding(
        object=Object("database", name, name),
        severity=Severity.WARNING if many else Severity.INFO,
        grade=Grade.B,
        title=f"{deadlocks:,} deadlocks in {name}"
        + (f" since {begins:%Y-%m-%d}" if begins else ""),
        detail="PostgreSQL ended one transaction of each; both statements are in the server's log.",
        evidence={
            "deadlocks": deadlocks,
            "per_day": round(rate, 2),
            "window_days": round(length.total_seconds() / 86_400, 2) if length else None,
            "log_lock_waits": snapshot.setting("log_lock_waits"),
        },
        impact=Impact(risk="each costs a transaction, and a second of waiting for all in it"),
        remedy=_log_more(snapshot),
    )


def _log_more(snapshot: Snapshot) -> tuple[Remedy, ...]:
    if snapshot.setting("log_lock_waits") != "off":
        return ()
    return (settings.alter_system(snapshot, "log_lock_waits", "on"),)
