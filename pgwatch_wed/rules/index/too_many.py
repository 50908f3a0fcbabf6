"""Tables that carry more indexes than their writes can bear.

## Why it matters
Each insert, and each update that is not HOT, writes every index. With a dozen of them a row costs more in its indexes
than in its table, and planning slows down.

## How sure we are
D: the number is a heuristic. Which of them may go, `index-unused`, `index-duplicate` and `index-redundant` say with
better grounds.

## Not reported
Tables that are read more often through their indexes than they are written.

## Remedy
None to paste: begin with the findings about single indexes of this table.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Index, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _indexes as ix

NEEDS = ("indexes", "tables", "table_activity", "index_usage")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # As many indexes as these are too many where writes prevail.
    min_indexes: int = 10
    # Fewer row writes than these cost little in any number of indexes.
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
        title=f"{table.qualified} has {len(indexes)} indexes",
        detail=f"{writes:,} row writes had to maintain them, for {scans:,} scans.",
        evidence={
            "indexes": len(indexes),
            "index_bytes": size,
            "table_bytes": ix.table_bytes(snapshot, table),
            "row_writes": writes,
            "scans": scans,
            "never_scanned": idle[:50],
        },
        impact=Impact(risk=f"each row written costs up to {len(indexes)} index entries"),
        caveats=("A count is a heuristic: look at the findings about single indexes first.",),
    )
