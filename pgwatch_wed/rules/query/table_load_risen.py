"""Tables of which many more rows are written, or read by sequential scans, than before.

## Why it matters
A new job that rewrites a table, or a query that lost its index, is first seen at the table: as rows a day.

## How sure we are
B: the server's own counters. The latest intervals (a day, or the last quarter of what is known) are compared with those before at
the same hours; the rise is larger than chance, with all tables that were compared counted, and than any within the base.
docs/regressions.md describes the statistics.

## Not reported
Less than twice as many; fewer than 100,000 rows more written, or 10 million rows more read, a day; a single interval, such as
a bulk load or a backup. With fewer than 12 intervals nothing is told.

## Remedy
No SQL: `query-regression` and `index-missing` say what to do about statements that scan it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.rows import LevelShift
from pgwatch_wed.findings import Finding, Grade, Impact, Severity
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.rules import _risen
from pgwatch_wed.units import short

NEEDS = ("level_shifts", "tables")
_DONE = {"table_writes": "written", "table_seq_rows": "read by sequential scans"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Only the largest rises are reported.
    max_tables: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
    """Yield a finding for each table that does much more than before."""
    found: dict[int, list[LevelShift]] = {}
    for kind in _DONE:
        for shift in _risen.of(snapshot, kind):
            if shift.oid in snapshot.table_by_oid:
                found.setdefault(shift.oid, []).append(shift)
    largest = sorted(found, key=lambda oid: (-max(s.ratio for s in found[oid]), oid))
    for oid in largest[: limits.max_tables]:
        yield _finding(snapshot, oid, found[oid])


def _finding(snapshot: Snapshot, oid: int, shifts: list[LevelShift]) -> Finding:
    table = snapshot.table_by_oid[oid]
    first = shifts[0]
    evidence = {}
    for each in shifts:
        evidence[f"{each.kind}_per_day_before"] = round(each.before)
        evidence[f"{each.kind}_per_day_after"] = round(each.after)
    told = " ".join(
        f"{short(s.after)} rows a day are {_DONE[s.kind]}, and {short(s.before)} were before."
        for s in shifts
    )
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"{short(first.ratio)} times as many rows of {table.qualified} are {_DONE[first.kind]} as before",
        detail=f"Since {_risen.since(first)}, at this rate: {told}",
        evidence={**evidence, **_risen.evidence(first)},
        impact=Impact(risk="the load of the server grows"),
    )
