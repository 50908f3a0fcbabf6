"""Indexes that cost many writes and serve few scans.

## Why it matters
An index that is maintained a hundred thousand times and read a handful of times may cost more than it saves.

## How sure we are
D: a count of scans says nothing about what one scan saved. A report that runs once a week may need it badly.

## Not reported
Whatever `index-unused` leaves out; indexes whose scans read many rows each, which a batch job lives on; indexes of
tables that are hardly written.

## Remedy
None to paste: find the statement that uses it, then decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Index, IndexUsage, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _indexes as ix
from pgwatch_wed.rules.index.unused import candidates, too_young

NEEDS = ("indexes", "index_usage", "nodes", "tables", "table_activity", "columns")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # The counters must cover the jobs of a month.
    window: timedelta = timedelta(days=30)
    # Fewer writes than these are cheap.
    min_writes: int = 10_000
    # This many writes for one scan make it rare.
    min_writes_per_scan: float = 10_000
    # Scans that read more rows than these are a batch job's, not an accident.
    max_rows_per_scan: float = 1_000
    # Smaller indexes are cheap to keep.
    min_size_bytes: int = 1_000_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each index whose writes dwarf its scans."""
    found = candidates(snapshot, limits.min_size_bytes)
    if not found:
        return
    young = too_young(snapshot, limits.window)
    if young is not None:
        yield young
        return
    for index in found:
        usages = _usages(snapshot, index)
        scans = sum(u.idx_scan for u in usages)
        writes = ix.writes(snapshot, index.table_oid)
        read = sum(u.idx_tup_read for u in usages)
        if (
            scans > 0
            and writes >= limits.min_writes
            and writes / scans >= limits.min_writes_per_scan
            and read / scans <= limits.max_rows_per_scan
        ):
            yield _finding(snapshot, index, scans, writes, read)


def _usages(snapshot: Snapshot, index: Index) -> list[IndexUsage]:
    nodes = (snapshot.usage_by_oid, *snapshot.usage_on_nodes)
    oids = [leaf.oid for leaf in ix.leaves(snapshot, index)]
    return [u for usages in nodes for oid in oids if (u := usages.get(oid))]


def _finding(snapshot: Snapshot, index: Index, scans: int, writes: int, read: int) -> Finding:
    size = ix.size_bytes(snapshot, index)
    return Finding(
        object=ix.object_of(snapshot, index),
        severity=Severity.INFO,
        grade=Grade.D,
        title=f"{index.qualified} was written {writes:,} times for {scans:,} scans",
        detail="It may cost more than it saves. Find the statements that use it before you decide.",
        evidence={
            "size_bytes": size,
            "scans": scans,
            "rows_read": read,
            "index_writes": writes,
            "definition": snapshot.definition_by_oid.get(index.oid),
        },
        impact=Impact(bytes=size),
        caveats=("A few scans may each save an hour; a count of scans does not show it.",),
    )
