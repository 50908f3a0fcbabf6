"""The counters do not cover enough time for some verdicts.

## Why it matters
"Never used" and "so many times per day" mean little one hour after a reset, a crash or a restore.

## How sure we are
B: the server records when statistics were reset. From 15 on, a database that was never reset has no date; its counters then began
with the cluster, the last crash, or the creation of the database if this role may see it.

## Not reported
A window that covers the limit.

## Remedy
Wait, or require fewer days with `--window DAYS`. Never reset statistics to "start fresh": every tool that uses them loses its
history.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.remedies.grants import grant_birth

NEEDS = ("databases",)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Long enough for a month-end job to have run.
    window: timedelta = timedelta(days=30)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding if the counters cover less than the window."""
    window = snapshot.proven_window
    if window.length is None:
        yield Unknown(
            "counters were never reset, and the age of the database cannot be read",
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
        title=f"The counters of {snapshot.server.database} cover only {units.words(window.length)}",
        detail=f"Window: {window.reason}. Rules that require {units.count(limits.window.days, 'day')}, such as index-unused, "
        "cannot judge yet.",
        evidence={
            "since": window.begins.isoformat() if window.begins else None,
            "days": round(days, 3),
            "wanted_days": limits.window.total_seconds() / 86_400,
            "server_started_at": snapshot.server.started_at.isoformat(),
        },
        impact=Impact(risk="unused and rarely used indexes cannot be identified yet"),
    )
