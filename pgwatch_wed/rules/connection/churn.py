"""Connections that are opened and closed all the time.

## Why it matters
A connection costs a process, authentication, TLS and cold caches: milliseconds before the first query. A thousand short ones per
minute cost more than their queries.

## How sure we are
B: the database's own session counters (14 and later), over the time that they cover. Sessions that were lost or killed are
counted as well.

## Not reported
- Fewer than `min_per_second` new sessions, or sessions that last longer than `max_seconds` on average.
- Other databases: use `--all-databases`. Peaks within the window.
- Unknown if the counters cover less than `window`, and before 14, which has none.

## Remedy
A connection pool in the application, or a pooler in front of the server (PgBouncer in transaction mode).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Database, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.units import count

NEEDS = ("databases",)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # New sessions per second, on average over the window.
    min_per_second: float = 1.0
    warn_per_second: float = 5.0
    # A session that lasts longer on average was worth opening.
    max_seconds: float = 60.0
    # Fewer are not a pattern.
    min_sessions: int = 500
    # The fraction of sessions that may have ended abnormally, and their least number.
    max_broken_share: float = 0.07
    min_broken: int = 100
    # Over a shorter time, a rate is not meaningful.
    window: timedelta = timedelta(hours=1)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding if sessions are too short, or too many end abnormally."""
    database, length = snapshot.database, snapshot.window.length
    if database is None or database.sessions is None:
        yield Unknown("sessions are counted only from 14 on", "upgrade, or use log_connections")
    elif length is None or length < limits.window:
        yield Unknown("the counters do not cover enough time for a rate", "run again later")
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
    title = f"{rate:.1f} new connections per second to {name}, which last {_lifetime(database):.1f} s on average"
    if not churns:
        title = f"{_broken(database):,} of {count(opened, 'connection')} to {name} ended abnormally"
    return Finding(
        object=Object("database", name, name),
        severity=Severity.WARNING if churns and rate >= limits.warn_per_second else Severity.INFO,
        grade=Grade.B,
        title=title,
        detail=f"{count(opened, 'session')} started within {seconds / 3600:.1f} hours.",
        evidence={
            "sessions": opened,
            "per_second": round(rate, 3),
            "average_seconds": round(_lifetime(database), 3),
            "abandoned": database.sessions_abandoned,
            "fatal": database.sessions_fatal,
            "killed": database.sessions_killed,
            "window_seconds": round(seconds, 1),
        },
        impact=Impact(risk="connecting costs more than querying"),
        caveats=("SQL cannot fix this: use a pool in the application or in front of the server.",),
    )
