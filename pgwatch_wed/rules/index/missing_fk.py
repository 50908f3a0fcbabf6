"""Foreign keys without an index that serves their checks.

## Why it matters
When a row of the parent is deleted, or its key updated, PostgreSQL looks for rows of the child that refer to it. Without
an index it reads the whole child for each parent row, and holds locks meanwhile.

## How sure we are
B that no index serves the check. Whether it matters depends on deletes and key updates of the parent, which decide
the severity: without any it is for information.

## Not reported
Foreign keys whose columns lead a valid B-tree in any order; a hash index on the single column; a partial index whose
predicate demands only that the columns are not NULL. Partitions one by one: the constraint of the partitioned
table is judged. Child tables so small that reading them whole is as fast.

## Remedy
CREATE INDEX CONCURRENTLY; on a partitioned table the script that builds each partition's index and attaches it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Constraint, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.rules import _indexes as ix

NEEDS = ("constraints", "indexes", "tables", "columns")
PRIMARY_ONLY = True

_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A child of fewer rows is read as fast whole; an index would not be used.
    min_rows: int = 1_000
    # A larger child makes it a warning once its parent loses rows.
    warn_rows: int = 10_000
    # This many deletes from the parent make it a warning.
    warn_parent_deletes: int = 1


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each foreign key whose check reads the whole child."""
    for key in snapshot.constraints:
        table = snapshot.table_by_oid.get(key.table_oid)
        if key.kind != "f" or key.parent_oid is not None or table is None or not key.is_enforced:
            continue
        if ix.is_foreign_key_covered(snapshot, key):
            continue
        if ix.rows(snapshot, table) >= limits.min_rows:
            yield _finding(snapshot, key, table, limits)


def _finding(snapshot: Snapshot, key: Constraint, table: Table, limits: Limits) -> Finding:
    columns = snapshot.column_names(table.oid, key.columns)
    parent = snapshot.table_by_oid.get(key.referenced_oid or 0)
    deletes, updates = ix.changes(snapshot, key.referenced_oid)
    rows = ix.rows(snapshot, table)
    warns = deletes >= limits.warn_parent_deletes and rows >= limits.warn_rows
    read = ix.table_bytes(snapshot, table)
    referenced = parent.qualified if parent else "its parent"
    return Finding(
        object=Object(
            "constraint",
            key.name,
            database=snapshot.server.database,
            schema=table.schema,
            table=table.name,
        ),
        related=(ix.table_object(snapshot, table),),
        severity=Severity.WARNING if warns else Severity.INFO,
        grade=Grade.B,
        title=f"{table.qualified} ({', '.join(columns)}) refers to {referenced} without an index",
        detail=f"Each delete from {referenced} reads all of {table.qualified}"
        + ("." if deletes else ", once there are deletes."),
        evidence={
            "columns": list(columns),
            "on_delete": _ACTIONS.get(key.on_delete, key.on_delete),
            "child_rows": round(rows),
            "child_size_bytes": read,
            "parent_deletes": deletes,
            "parent_updates": updates,
        },
        impact=Impact(risk=_risk(deletes, read)),
        remedy=(ix.create(snapshot, table, columns),),
        caveats=() if deletes else ("The parent lost no row since the counters began.",),
    )


def _risk(deletes: int, read: int) -> str:
    size = f"{read / 1_000_000:,.1f} MB"
    if deletes:
        return f"{deletes:,} parent deletes read {size} each"
    return f"a delete from the parent would read {size}"
