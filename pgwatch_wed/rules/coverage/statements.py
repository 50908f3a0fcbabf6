"""pg_stat_statements discards, hides or misses part of the load.

## Why it matters
Statements are ranked by what has been counted. What was discarded, hidden or never tracked is missing from every ranking.

## How sure we are
B: evictions, settings and placeholder texts come from the server.

## Not reported
A few evictions: each discards the least-executed statements.

## Remedy
A larger pg_stat_statements.max (requires a restart), or fewer distinct statements: from 18 on, lists of varying length count as
one. pg_stat_statements.track = top or all.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot, StatementsInfo
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.postgres import statements
from pgwatch_wed.quote import literal
from pgwatch_wed.remedies import settings

NEEDS = ("statements_info", "statements")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # If all entries are replaced within this time, too much is lost.
    max_hours_to_renew: float = 48.0
    # At least this fraction of the measured time must be visible.
    min_visible_share: float = 0.9


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for evictions, for hidden texts, and if tracking is off."""
    for info in snapshot.statements_info:
        if info.track == "none":
            yield _not_tracked(snapshot)
        coverage = statements.coverage([snapshot], ())
        lost, seconds = statements.evicted(snapshot), statements.window_seconds(snapshot)
        if lost and seconds is not None and info.max_entries:
            hours = max(seconds / 3600, 1.0)
            if info.max_entries * hours / lost <= limits.max_hours_to_renew:
                yield _evicting(snapshot, info, lost, seconds)
        if coverage.visible_share is not None and coverage.visible_share < limits.min_visible_share:
            yield _hidden(snapshot, info, coverage.visible_share)


def _not_tracked(snapshot: Snapshot) -> Finding:
    return Finding(
        object=Object("setting", "pg_stat_statements.track"),
        severity=Severity.WARNING,
        grade=Grade.B,
        title="pg_stat_statements counts nothing: track is none",
        detail="It is loaded, but its tracking is off.",
        evidence={"pg_stat_statements.track": "none"},
        impact=Impact(risk="findings cannot refer to statements"),
        remedy=(settings.alter_system(snapshot, "pg_stat_statements.track", literal("top")),),
    )


def _evicting(snapshot: Snapshot, info: StatementsInfo, lost: float, seconds: float) -> Finding:
    room = info.max_entries or 0
    rate = lost * 3600 / seconds if seconds >= 3600 else None
    told = f"about {units.count(round(rate or lost), 'statement')}"
    when = "per hour" if rate else f"within {units.duration(seconds * 1000)}"
    return Finding(
        object=Object("setting", "pg_stat_statements.max"),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"pg_stat_statements discarded {told} {when}",
        detail=f"It has room for {units.count(room, 'entry', 'entries')}; discarded statements are missing from every "
        "ranking.",
        evidence={
            "evictions_per_hour": None if rate is None else round(rate, 2),
            "evicted": round(lost),
            "window_seconds": round(seconds, 1),
            "entries": info.entries,
            "max_entries": room,
            "dealloc": info.dealloc,
        },
        impact=Impact(risk="rankings miss statements"),
        remedy=(
            settings.alter_system(snapshot, "pg_stat_statements.max", str(max(room * 2, 10_000))),
        ),
    )


def _hidden(snapshot: Snapshot, info: StatementsInfo, visible: float) -> Finding:
    return Finding(
        object=Object("database", snapshot.server.database, database=snapshot.server.database),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"Only {visible:.0%} of the measured load can be read",
        detail="The rest is due to statements whose text is hidden or was not read.",
        evidence={"visible_share": visible, "hidden_entries": info.hidden_entries},
        impact=Impact(risk="rankings miss statements"),
    )
