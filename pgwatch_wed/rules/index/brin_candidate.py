"""B-trees on large tables whose rows are in column order: a BRIN index would do.

## Why it matters
If new rows always have larger values, such as the time of an event, a BRIN index of a few pages finds the same ranges as
a B-tree of several gigabytes, at next to no cost for writes.

## How sure we are
C: the correlation between physical order and value comes from ANALYZE's sample. BRIN finds ranges of blocks: good for
ranges of values, slower for single rows.

## Not reported
Small tables; tables whose rows are updated or deleted, which destroys the order; unique indexes; indexes with several
columns, INCLUDE columns, expressions or a predicate; indexes whose scans return few rows each; columns that a visible
statement uses in ORDER BY, min() or max(), which BRIN cannot serve; columns that already have a BRIN index.
Until statements have been recorded for the whole window, the verdict is unknown.

## Remedy
Create the BRIN index with autosummarize, compare the plans of your range queries, then drop the B-tree.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from pgwatch_wed.facts import Column, ColumnStatistics, Index, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import updates
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies.indexes import IndexBuilder
from pgwatch_wed.rules import _use

NEEDS = ("indexes", "tables", "table_activity", "columns", "column_statistics", "index_usage")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # BRIN pays off if the table has many ranges of 128 pages, which is 1 MB each.
    min_table_bytes: int = 20_000_000
    # Smaller B-trees are not worth replacing.
    min_index_bytes: int = 5_000_000
    # The correlation of physical order and value, 0 to 1, in either direction.
    min_correlation: float = 0.99
    # The fraction of rows that may have been updated or deleted.
    max_changed_share: float = 0.01
    # Scans that return fewer rows look for single rows.
    min_rows_per_scan: float = 100
    # Saving at least this much is a warning.
    warn_saved_bytes: int = 1_000_000_000
    # Statements must have been recorded for this time to show which queries there are.
    window: timedelta = timedelta(days=30)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each B-tree that a BRIN index could replace."""
    builder = IndexBuilder(snapshot)
    young = _use.statements_too_young(snapshot, limits.window)
    for index in snapshot.indexes:
        table = snapshot.table_by_oid.get(index.table_oid)
        if table is None or table.kind != "r" or not _is_plain(snapshot, index, limits):
            continue
        column = snapshot.column_by_key.get((table.oid, index.keys[0]))
        statistics = snapshot.statistics_by_key.get((table.oid, index.keys[0]))
        if column is None or statistics is None or not _is_appended(snapshot, table, limits):
            continue
        if abs(statistics.correlation or 0) >= limits.min_correlation and _is_read_by_range(
            snapshot, index, table, column, limits
        ):
            if young is not None:
                yield replace(young, object=ix.object_of(snapshot, index))
                continue
            yield _finding(builder, snapshot, (index, table, column, statistics), limits)


def _is_plain(snapshot: Snapshot, index: Index, limits: Limits) -> bool:
    return (
        index.access_method == "btree"
        and index.is_usable
        and not index.is_unique
        and not ix.is_bound(index)
        and index.predicate is None
        and len(index.columns) == 1
        and index.keys[0] > 0
        and ix.size_bytes(snapshot, index) >= limits.min_index_bytes
    )


def _is_appended(snapshot: Snapshot, table: Table, limits: Limits) -> bool:
    deletes, updates = ix.changes(snapshot, table.oid)
    return (
        ix.table_bytes(snapshot, table) >= limits.min_table_bytes
        and deletes + updates <= ix.rows(snapshot, table) * limits.max_changed_share
    )


def _is_read_by_range(
    snapshot: Snapshot, index: Index, table: Table, column: Column, limits: Limits
) -> bool:
    usage = snapshot.usage_by_oid.get(index.oid)
    single = (
        usage is not None
        and usage.idx_scan > 0
        and usage.idx_tup_read < usage.idx_scan * limits.min_rows_per_scan
    )
    served = any(
        i.access_method == "brin" and index.keys[0] in i.keys and i.is_usable
        for i in snapshot.indexes_of[table.oid]
    )
    return (
        not single
        and not served
        and not updates.reads_in_order_or_null(snapshot, table, column.name)
    )


def _finding(
    builder: IndexBuilder,
    snapshot: Snapshot,
    case: tuple[Index, Table, Column, ColumnStatistics],
    limits: Limits,
) -> Finding:
    index, table, column, statistics = case
    size = ix.size_bytes(snapshot, index)
    scans = ix.scans(snapshot, index)
    shape = f"USING brin ({ident(column.name)}) WITH (autosummarize = on)"
    return Finding(
        object=ix.object_of(snapshot, index),
        severity=Severity.WARNING if size >= limits.warn_saved_bytes else Severity.INFO,
        grade=Grade.C,
        title=f"{index.qualified} could be a BRIN index",
        detail=f"The rows of {table.qualified} are stored in order of {column.name} and are hardly ever changed.",
        evidence={
            "column": column.name,
            "correlation": round(statistics.correlation or 0, 4),
            "size_bytes": size,
            "table_bytes": ix.table_bytes(snapshot, table),
            "scans": scans,
            "definition": snapshot.definition_by_oid.get(index.oid),
        },
        impact=Impact(bytes=size),
        remedy=builder.replaced(table, index, shape),
        caveats=tuple(_caveats(scans)),
    )


def _caveats(scans: int) -> Iterator[str]:
    yield "BRIN serves ranges; looking up single rows, ORDER BY … LIMIT and joins need the B-tree."
    if not scans:
        yield "It has not been scanned: if index-unused agrees, drop it without replacement."
