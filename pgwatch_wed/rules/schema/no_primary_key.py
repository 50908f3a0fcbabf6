"""Tables without anything that identifies a row.

## Why it matters
Without a key, duplicate rows creep in and cannot be deleted individually, logical replication cannot replicate updates and
deletes, and ORMs and tools that compare or copy tables fail.

## How sure we are
B: there is neither a primary key nor a unique index on NOT NULL columns. Only the table's owner knows whether it needs one,
so this is info.

## Not reported
Tables with a unique index on NOT NULL columns, which is a key in all but name; partitions, whose parent is judged;
materialized views.

## Remedy
NOT NULL for the columns of a unique index; or a unique index, built concurrently, on a column that gets its values from a sequence,
and a primary key with it. If no such columns are known, a new identity column; on a large table, that rewrites it. The key of a
partitioned table includes the partition columns and cannot be built concurrently. Children of a table get the new column and a key
on it together with their parent.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import keys
from pgwatch_wed.remedies.primary_key import PrimaryKeys

NEEDS = ("tables", "columns", "indexes", "constraints", "sequences")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: a table either has a key or not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield a finding for each table without a key."""
    makers = PrimaryKeys(snapshot)
    lacking = {
        t.oid: t
        for t in snapshot.tables
        if t.kind in ("r", "p") and not t.is_partition and not _has_key(snapshot, t)
    }
    # children get the new column of their parent, and a key on it
    new = {oid for oid, t in lacking.items() if makers.adds_column(t)}
    for oid, table in lacking.items():
        if oid not in new or table.parent_oid not in new:
            yield _finding(snapshot, makers, table, tuple(_children(snapshot, table, new)))


def _children(snapshot: Snapshot, table: Table, new: set[int]) -> Iterator[Table]:
    """Yield the inheritance children, at every level, that get a column together with the table."""
    if table.kind == "r" and table.oid in new:
        for child in snapshot.partitions_of[table.oid]:
            if child.oid in new:
                yield child
                yield from _children(snapshot, child, new)


def _has_key(snapshot: Snapshot, table: Table) -> bool:
    return any(
        i.is_primary or keys.identifies(snapshot, i) for i in snapshot.indexes_of[table.oid]
    ) or any(c.kind == "p" for c in snapshot.constraints_of[table.oid])


def _finding(
    snapshot: Snapshot, makers: PrimaryKeys, table: Table, children: tuple[Table, ...]
) -> Finding:
    rows = ix.rows(snapshot, table)
    obstacle = makers.obstacle(table)
    return Finding(
        object=ix.table_object(snapshot, table),
        related=tuple(ix.table_object(snapshot, child) for child in children),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"{table.qualified} has no primary key",
        detail="No constraint and no unique index on NOT NULL columns identifies its rows.",
        evidence={
            "rows": round(rows),
            "size_bytes": ix.table_bytes(snapshot, table),
            "is_partitioned": table.kind == "p",
        },
        impact=Impact(risk="duplicate rows; no logical replication of updates and deletes"),
        remedy=() if obstacle else (makers.remedy(table, children),),
        caveats=(
            *((obstacle,) if obstacle else ()),
            "If other columns already identify a row, make them the primary key instead.",
        ),
    )
