"""Default partitions that contain rows.

## Why it matters
Rows go to the default partition if no other partition matches: often because somebody forgot to create one in time. From
then on, a new partition for their range cannot be added until they are moved, adding any other partition scans the default
partition under an exclusive lock, and queries that the other partitions do not fully cover scan it too.

## How sure we are
B that it contains rows. The catalogs do not show whether that is intended, as with LIST partitions for some values and a
default for the rest: hence a warning for RANGE only.

## Not reported
Empty default partitions, which are a safety net.

## Remedy
Look at what it contains; then, in one transaction, detach it, create the missing partitions, move its rows there and
attach it again. With pg_partman: partition_data_time() or partition_data_id().
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.quote import ident
from pgwatch_wed.units import count

NEEDS = ("tables", "table_activity", "columns")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A single row already blocks the partition that it belongs to.
    min_rows: int = 1


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each default partition with rows."""
    for table in snapshot.tables:
        if table.is_default_partition and ix.rows(snapshot, table) >= limits.min_rows:
            yield _finding(snapshot, table)


def _finding(snapshot: Snapshot, table: Table) -> Finding:
    parent = snapshot.table_by_oid.get(table.parent_oid or 0)
    rows = ix.rows(snapshot, table)
    by_range = parent is None or parent.partition_strategy == "r"
    return Finding(
        object=ix.table_object(snapshot, table),
        related=(ix.table_object(snapshot, parent),) if parent else (),
        severity=Severity.WARNING if by_range else Severity.INFO,
        grade=Grade.B,
        title=f"The default partition {table.qualified} contains about {count(round(rows), 'row')}",
        detail=f"No other partition of {parent.qualified if parent else 'its parent'} matches them.",
        evidence={
            "rows": round(rows),
            "size_bytes": ix.table_bytes(snapshot, table),
            "strategy": {"r": "RANGE", "l": "LIST"}.get(
                (parent.partition_strategy or "") if parent else "", ""
            ),
            "partitions": len(snapshot.partitions_of[parent.oid]) if parent else None,
        },
        impact=Impact(risk="partitions for these rows cannot be added until they are moved"),
        remedy=tuple(_remedy(snapshot, table, parent)),
        caveats=(
            "You have to decide which partitions are missing; the query shows what is in there.",
        ),
    )


def _remedy(snapshot: Snapshot, table: Table, parent: Table | None) -> Iterator[Remedy]:
    columns = parent.partition_columns if parent else ()
    if parent is None or not columns or 0 in columns:
        return
    listed = ", ".join(ident(c) for c in snapshot.column_names(parent.oid, columns))
    yield Remedy(
        sql=f"SELECT {listed}, count(*) FROM {ident(table.schema, table.name)} "
        f"GROUP BY {listed} ORDER BY {listed} LIMIT 1000;",
        lock="ACCESS SHARE: blocks no reads or writes, but scans the whole partition",
        undo="-- nothing to undo: it only reads",
    )
