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
Make the columns that identify a row the primary key. If there are none, add an identity column; on a large table, that
rewrites it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import keys
from pgwatch_wed.quote import ident

NEEDS = ("tables", "columns", "indexes", "constraints")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: a table either has a key or not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield a finding for each table without a key."""
    for table in snapshot.tables:
        if table.kind in ("r", "p") and not table.is_partition and not _has_key(snapshot, table):
            yield _finding(snapshot, table)


def _has_key(snapshot: Snapshot, table: Table) -> bool:
    return any(
        i.is_primary or keys.identifies(snapshot, i) for i in snapshot.indexes_of[table.oid]
    ) or any(c.kind == "p" for c in snapshot.constraints_of[table.oid])


def _finding(snapshot: Snapshot, table: Table) -> Finding:
    rows = ix.rows(snapshot, table)
    return Finding(
        object=ix.table_object(snapshot, table),
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
        remedy=tuple(_remedy(snapshot, table)),
        caveats=("If some columns already identify a row, make them the primary key instead.",),
    )


def _remedy(snapshot: Snapshot, table: Table) -> Iterator[Remedy]:
    """Yield an identity column as key; a partitioned table's key must include the partition columns."""
    partition_columns = snapshot.column_names(table.oid, table.partition_columns)
    may_have_identity = snapshot.server.features.has_identity_of_partitioned_tables()
    if table.kind == "p" and (not may_have_identity or 0 in table.partition_columns):
        return
    taken = {c.name for c in snapshot.columns_of[table.oid]}
    for child in ix.partitions(snapshot, table.oid):
        taken |= {c.name for c in snapshot.columns_of[child]}
    name = next(n for n in _names(table) if n not in taken)
    columns = ", ".join(ident(c) for c in (name, *dict.fromkeys(partition_columns)))
    where = ident(table.schema, table.name)
    yield Remedy(
        sql=f"ALTER TABLE {where} ADD COLUMN {ident(name)} bigint GENERATED ALWAYS AS IDENTITY, "
        f"ADD PRIMARY KEY ({columns});",
        lock="ACCESS EXCLUSIVE on the table while it is rewritten: blocks all reads and writes",
        undo=f"ALTER TABLE {where} DROP COLUMN {ident(name)};",
    )


def _names(table: Table) -> Iterator[str]:
    yield from ("id", "row_id", f"{table.name[:60]}_id")
    number = 2
    while True:
        yield f"row_id{number}"
        number += 1
