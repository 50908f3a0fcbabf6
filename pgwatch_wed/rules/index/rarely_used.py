"""Indexes with many writes and few scans.

## Why it matters
An index that is written to a hundred thousand times and scanned only a few times may cost more than it saves.

## How sure we are
D: the number of scans says nothing about how much each of them saved. A weekly report may depend on the index.

## Not reported
Everything that `index-unused` leaves out, such as indexes that may be younger than the window; indexes whose scans return many rows each, as batch jobs do; indexes of tables
with few writes.

## Remedy
No SQL to run: find the statement that uses the index, then decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Index, IndexUsage, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.rules import _use
from pgwatch_wed.rules.index.unused import candidates
from pgwatch_wed.units import count

NEEDS = ("indexes", "index_usage", "nodes", "tables", "table_activity", "columns")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Long enough to cover monthly jobs.
    window: timedelta = timedelta(days=30)
    # Fewer writes are cheap.
    min_writes: int = 10_000
    # An index with at least this many writes per scan is rarely used.
    min_writes_per_scan: float = 10_000
    # Scans that return more rows are likely to be a batch job that needs the index.
    max_rows_per_scan: float = 1_000
    # Smaller indexes are cheap to keep.
    min_size_bytes: int = 1_000_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each index with far more writes than scans."""
    found = candidates(snapshot, limits.min_size_bytes)
    if not found:
        return
    young = _use.too_young(snapshot, limits.window)
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
            doubt = _use.unproven(snapshot, index, limits.window)
            if doubt is None:
                yield _finding(snapshot, index, scans, writes, read)
            else:
                yield Unknown(doubt, object=ix.object_of(snapshot, index))


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
        title=f"{index.qualified} was written to {count(writes, 'time')} but scanned only {count(scans, 'time')}",
        detail="It may cost more than it saves. Find the statements that use it before you decide.",
        evidence={
            "size_bytes": size,
            "scans": scans,
            "rows_read": read,
            "index_writes": writes,
            "definition": snapshot.definition_by_oid.get(index.oid),
        },
        impact=Impact(bytes=size),
        caveats=("A few scans may each save an hour, which a count of scans does not show.",),
    )
