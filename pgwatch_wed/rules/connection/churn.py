"""Clients that connect anew for every few statements.

## Why it matters
Each connection is a new process with cold caches and an authentication; at several a second that is a good
part of the server's work.

## How sure we are
B for the counts (14 and later), D for the advice: a pooler is usual, not always possible.

## Not reported
Windows under an hour; slow rates; sessions that last.

## Remedy
A connection pool in the application, or PgBouncer before the server.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Database, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown

NEEDS = ("databases",)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # New sessions a second, over the whole window.
    min_per_second: float = 1.0
    # Sessions that last longer than this pay for themselves.
    max_mean_seconds: float = 60.0
    # A shorter window says little about a day.
    min_window_seconds: float = 3_600.0
    # Part of the sessions that ended by a lost client.
    warn_abandoned_share: float = 0.07


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for this database."""
    database, length = snapshot.database, snapshot.window.length
    if database is None or database.sessions is None:
        yield Unknown("sessions are counted from PostgreSQL 14 on", "upgrade")
        return
    seconds = length.total_seconds() if length else 0.0
    if seconds < limits.min_window_seconds:
        yield Unknown("the counters cover less than an hour", "run again later")
        return
    rate = database.sessions / seconds
    mean = (database.session_ms or 0.0) / 1000 / max(database.sessions, 1)
    if rate >= limits.min_per_second and mean <= limits.max_mean_seconds:
        yield _finding(database, rate, mean, limits)


def _finding(database: Database, rate: float, mean: float, limits: Limits) -> Finding:
    sessions = database.sessions or 1
    abandoned = (database.sessions_abandoned or 0) / sessions
    return Finding(
        object=Object("database", database.name, database=database.name),
        severity=Severity.WARNING if abandoned >= limits.warn_abandoned_share else Severity.INFO,
        grade=Grade.D,
        title=f"{rate:.1f} new connections a second to {database.name}, {mean:.1f} s each",
        detail="Clients connect for a moment. A pool would keep the connections open.",
        evidence={
            "sessions": sessions,
            "per_second": round(rate, 2),
            "mean_seconds": round(mean, 2),
            "abandoned_share": round(abandoned, 4),
            "fatal": database.sessions_fatal,
            "killed": database.sessions_killed,
        },
        impact=Impact(risk="time goes into connecting"),
    )
