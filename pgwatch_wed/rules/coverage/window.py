"""The counters are too young for some verdicts.

## Why it matters
"Never used" and "so often a day" mean little an hour after a reset, a crash or a restore.

## How sure we are
B: the server dates its resets. From 15 on a database that was never reset has no date; then its counters began with
the cluster, the last crash, or the database's creation where this role may see it.

## Not reported
A window that covers the limit.

## Remedy
Wait, or say how many days are enough for you with `--window DAYS`. Never reset statistics to "start fresh": every tool
on the server loses its memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.remedies.grants import grant_birth

NEEDS = ("databases",)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A month-end job must have had its chance.
    window: timedelta = timedelta(days=30)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding where the counters are younger than the window."""
    window = snapshot.proven_window
    if window.length is None:
        yield Unknown(
            "counters were never reset, and how old the database is cannot be read",
            grant_birth(snapshot),
        )
        return
    if window.length >= limits.window:
        return
    days = window.length.total_seconds() / 86_400
    yield Finding(
        object=Object("database", snapshot.server.database, database=snapshot.server.database),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"The counters of {snapshot.server.database} cover {days:.1f} days",
        detail=f"They run {window.reason}. Rules that wait for {limits.window.days} days, such as index-unused, cannot judge yet.",
        evidence={
            "since": window.begins.isoformat() if window.begins else None,
            "days": round(days, 3),
            "wanted_days": limits.window.total_seconds() / 86_400,
            "server_started_at": snapshot.server.started_at.isoformat(),
        },
        impact=Impact(risk="unused and rarely used indexes cannot be told yet"),
    )
