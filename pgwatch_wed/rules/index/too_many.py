"""Tables with more indexes than their write load justifies.

## Why it matters
Every insert, and every update that is not HOT, writes to every index. With a dozen indexes, a row costs more in its indexes
than in its table, and planning becomes slower.

## How sure we are
D: the number is a heuristic. `index-unused`, `index-duplicate` and `index-redundant` are a better guide to which of them
can be dropped.

## Not reported
Tables that are read through their indexes more often than they are written.

## Remedy
No SQL to run: start with the findings about individual indexes of this table.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Index, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.units import count

NEEDS = ("indexes", "tables", "table_activity", "index_usage")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # At least this many indexes are too many if writes predominate.
    min_indexes: int = 10
    # Fewer row writes cost little, whatever the number of indexes.
    min_writes: int = 10_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table with too many indexes for its writes."""
    for table in snapshot.tables:
        indexes = [i for i in snapshot.indexes_of[table.oid] if i.is_ready]
        if table.is_partition or len(indexes) < limits.min_indexes:
            continue
        writes = ix.writes(snapshot, table.oid)
        scans = sum(ix.scans(snapshot, i) for i in indexes)
        if writes >= limits.min_writes and writes >= scans:
            yield _finding(snapshot, table, indexes, writes, scans)


def _finding(
    snapshot: Snapshot, table: Table, indexes: list[Index], writes: int, scans: int
) -> Finding:
    size = sum(ix.size_bytes(snapshot, i) for i in indexes)
    idle = [i.name for i in indexes if not ix.scans(snapshot, i) and not i.is_unique]
    return Finding(
        object=ix.table_object(snapshot, table),
        related=tuple(ix.object_of(snapshot, i) for i in indexes[:20]),
        severity=Severity.INFO,
        grade=Grade.D,
        title=f"{table.qualified} has {count(len(indexes), 'index', 'indexes')}",
        detail=f"{count(writes, 'row write')} had to maintain them, for {count(scans, 'scan')}.",
        evidence={
            "indexes": len(indexes),
            "index_bytes": size,
            "table_bytes": ix.table_bytes(snapshot, table),
            "row_writes": writes,
            "scans": scans,
            "never_scanned": idle[:50],
        },
        impact=Impact(
            risk=f"each row written costs up to {count(len(indexes), 'index entry', 'index entries')}"
        ),
        caveats=(
            "The number is only a heuristic: look at the findings about individual indexes first.",
        ),
    )
