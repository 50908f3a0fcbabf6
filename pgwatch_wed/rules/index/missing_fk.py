"""Foreign keys without an index that supports their checks.

## Why it matters
When a row of the referenced table is deleted or its key is updated, PostgreSQL looks for rows that refer to it. Without an
index it scans the whole referencing table for each such row, and holds locks meanwhile.

## How sure we are
B that no index supports the check. Whether that matters depends on deletes and key updates in the referenced table, which
determine the severity: without any, it is info.

## Not reported
Foreign keys whose columns are the leading columns of a valid B-tree, in any order; a hash index on a single column; a
partial index whose predicate only requires the columns to be not null. Foreign keys of several columns with an index on some
of them by which each check finds few rows: the planner uses it, and filters those; without statistics the verdict is
unknown. Individual partitions: the constraint of the
partitioned table is judged. Referencing tables so small that a full scan is as fast.

## Remedy
CREATE INDEX CONCURRENTLY; on a partitioned table, a script that builds the index on each partition and attaches it. Where the
index advisor suggests one that begins with the same columns, it is that one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Constraint, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import referential
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies.indexes import IndexBuilder

NEEDS = ("constraints", "indexes", "tables", "columns")
PRIMARY_ONLY = True

_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # If the referencing table has fewer rows, a full scan is as fast and an index would not be used.
    min_rows: int = 1_000
    # An index on some of the columns will do if each check finds at most this many rows by it.
    max_rows_per_check: float = referential.FEW_ROWS
    # At least this many rows are a warning, if rows of the referenced table are deleted.
    warn_rows: int = 10_000
    # At least this many deletes from the referenced table make it a warning.
    warn_parent_deletes: int = 1


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each foreign key whose check scans the whole referencing table."""
    builder = IndexBuilder(snapshot)
    for key in snapshot.constraints:
        table = snapshot.table_by_oid.get(key.table_oid)
        if key.kind != "f" or key.parent_oid is not None or table is None or not key.is_enforced:
            continue
        if ix.is_foreign_key_covered(snapshot, key):
            continue
        if ix.rows(snapshot, table) < limits.min_rows:
            continue
        if not referential.is_narrowed(snapshot, key, limits.max_rows_per_check):
            yield _unknown(snapshot, key, table) or _finding(snapshot, key, table, builder, limits)


def _unknown(snapshot: Snapshot, key: Constraint, table: Table) -> Unknown | None:
    """Return why it is not known how far an index on some of the columns narrows the check down."""
    found = referential.narrowing(snapshot, key)
    unmeasured = [i for i in found if referential.rows_per_check(snapshot, i, key) is None]
    if not unmeasured:
        return None
    return Unknown(
        f"{unmeasured[0].name} has some of its columns, but without their statistics it is not known whether that is "
        "enough",
        f"ANALYZE {ident(table.schema, table.name)};",
        ix.constraint_object(snapshot, key, table),
    )


def _finding(
    snapshot: Snapshot, key: Constraint, table: Table, builder: IndexBuilder, limits: Limits
) -> Finding:
    columns = snapshot.column_names(table.oid, key.columns)
    parent = snapshot.table_by_oid.get(key.referenced_oid or 0)
    deletes, updates = ix.changes(snapshot, key.referenced_oid)
    rows = ix.rows(snapshot, table)
    warns = deletes >= limits.warn_parent_deletes and rows >= limits.warn_rows
    read = ix.table_bytes(snapshot, table)
    advised = builder.advised_for(table, columns)
    script = advised or builder.build(table, f"({', '.join(map(ident, columns))})")
    referenced = parent.qualified if parent else "the referenced table"
    return Finding(
        object=ix.constraint_object(snapshot, key, table),
        related=(ix.table_object(snapshot, table),),
        severity=Severity.WARNING if warns else Severity.INFO,
        grade=Grade.B,
        title=f"{table.qualified} ({', '.join(columns)}) refers to {referenced} without an index",
        detail=_detail(snapshot, key, table, referenced, deletes),
        evidence={
            "columns": list(columns),
            "on_delete": _ACTIONS.get(key.on_delete, key.on_delete),
            "child_rows": round(rows),
            "child_size_bytes": read,
            "parent_deletes": deletes,
            "parent_updates": updates,
        },
        impact=Impact(risk=_risk(deletes, read)),
        remedy=(script.remedy,),
        caveats=tuple(_caveats(deletes, is_advised=advised is not None)),
    )


def _detail(
    snapshot: Snapshot, key: Constraint, table: Table, referenced: str, deletes: int
) -> str:
    each = (
        f"Each row deleted from {referenced} {'requires' if deletes else 'would require'} a scan of"
    )
    rows = {
        i.name: n
        for i in referential.narrowing(snapshot, key)
        if (n := referential.rows_per_check(snapshot, i, key)) is not None
    }
    if not rows:
        return f"{each} all of {table.qualified}."
    best = min(rows, key=rows.__getitem__)
    return f"{each} all of {table.qualified}, or of the {rows[best]:,.0f} rows that {best} finds by some of the columns."


def _caveats(deletes: int, *, is_advised: bool) -> Iterator[str]:
    if not deletes:
        yield "No row of the referenced table has been deleted since the counters began."
    if is_advised:
        yield "It is the same index as in the finding of index-missing: build it once."


def _risk(deletes: int, read: int) -> str:
    if deletes:
        return f"{units.count(deletes, 'deleted row')}, each of which required a scan of {units.size(read)}"
    return f"deleting a referenced row would scan {units.size(read)}"
