"""Connections that are opened and closed all the time.

## Why it matters
A connection costs a process, authentication, TLS and cold caches: milliseconds before the first query. A thousand short ones a minute
cost more than their queries.

## How sure we are
B: the database's own counters of sessions (14 and later), spread over the time that they stand on. Sessions that ended
without saying good-bye, killed ones among them, are counted too.

## Not reported
- Fewer than `min_per_second` new sessions, or sessions that live longer than `max_seconds` on average.
- Other databases: `--all-databases`. Peaks within the window.
- Counters younger than `window` say nothing, and before 14 there are none: unknown.

## Remedy
A pool in the application, or a pooler before the server (PgBouncer in transaction mode).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Database, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown

NEEDS = ("databases",)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # New sessions a second, on average over the window.
    min_per_second: float = 1.0
    warn_per_second: float = 5.0
    # A session that lives longer than this was worth opening.
    max_seconds: float = 60.0
    # Too few to be a habit.
    min_sessions: int = 500
    # A share of sessions that broke off, of at least so many.
    max_broken_share: float = 0.07
    min_broken: int = 100
    # Rates over less are chance.
    window: timedelta = timedelta(hours=1)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding when sessions come and go too fast, or break off."""
    database, length = snapshot.database, snapshot.window.length
    if database is None or database.sessions is None:
        yield Unknown("sessions are counted from 14 on", "upgrade, or look at log_connections")
    elif length is None or length < limits.window:
        yield Unknown("the counters are too young for a rate", "run again later")
    else:
        seconds = max(length.total_seconds(), 1.0)
        churns = _churns(database, seconds, limits)
        if churns or _breaks(database, limits):
            yield _finding(snapshot, database, seconds, limits, churns=churns)


def _lifetime(database: Database) -> float:
    return (database.session_ms or 0.0) / 1000 / max(database.sessions or 0, 1)


def _churns(database: Database, seconds: float, limits: Limits) -> bool:
    opened = database.sessions or 0
    often = opened >= limits.min_sessions and opened / seconds >= limits.min_per_second
    return often and _lifetime(database) <= limits.max_seconds


def _broken(database: Database) -> int:
    return (database.sessions_abandoned or 0) + (database.sessions_fatal or 0)


def _breaks(database: Database, limits: Limits) -> bool:
    broken = _broken(database)
    return broken >= limits.min_broken and broken >= limits.max_broken_share * (
        database.sessions or 0
    )


def _finding(
    snapshot: Snapshot, database: Database, seconds: float, limits: Limits, *, churns: bool
) -> Finding:
    opened, rate = database.sessions or 0, (database.sessions or 0) / seconds
    name = snapshot.server.database
    title = f"{rate:.1f} new connections a second to {name}, each {_lifetime(database):.1f} s long"
    if not churns:
        title = f"{_broken(database):,} of {opened:,} connections to {name} broke off"
    return Finding(
        object=Object("database", name, name),
        severity=Severity.WARNING if churns and rate >= limits.warn_per_second else Severity.INFO,
        grade=Grade.B,
        title=title,
        detail=f"{opened:,} sessions began within {seconds / 3600:.1f} hours.",
        evidence={
            "sessions": opened,
            "per_second": round(rate, 3),
            "average_seconds": round(_lifetime(database), 3),
            "abandoned": database.sessions_abandoned,
            "fatal": database.sessions_fatal,
            "killed": database.sessions_killed,
            "window_hours": round(seconds / 3600, 2),
        },
        impact=Impact(risk="connecting costs more than querying"),
        caveats=(
            "There is no SQL for this: it takes a pool in the application or before the server.",
        ),
    )
