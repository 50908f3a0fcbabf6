"""Indexes that consist mostly of NULLs.

## Why it matters
A B-tree has an entry for each NULL, which costs space and writes, although few queries look for NULLs. A partial index
WHERE column IS NOT NULL serves the same queries.

## How sure we are
C: the fraction of NULLs comes from ANALYZE's sample, and the saving is computed from it: from 13 on, equal keys share one
entry, so it is 6 bytes per row; before 13 it is 16 or more.

## Not reported
Unique indexes and those of constraints; indexes with several columns, INCLUDE columns or expressions; indexes with a
predicate; those that a visible statement needs for IS NULL, ORDER BY, min() or max() of the column; small savings. If the
role may not see column statistics, or statements have not been recorded for the whole window, the verdict is unknown.

## Remedy
Create the partial index, check that plans use it, then drop the old one. It is not used for a query whose WHERE clause does
not imply that the column is not null.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from pgwatch_wed.facts import Index, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import updates
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies.indexes import IndexBuilder, shape
from pgwatch_wed.rules import _use

NEEDS = ("indexes", "tables", "columns", "column_statistics", "index_definitions")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # The fraction of NULLs at which a partial index pays off.
    min_null_share: float = 0.5
    # Saving less is not worth a change.
    min_saved_bytes: int = 100_000
    # Saving at least this much is a warning.
    warn_saved_bytes: int = 100_000_000
    # Statements must have been recorded for this time to show which queries there are.
    window: timedelta = timedelta(days=30)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each plain index on a column that is mostly NULL."""
    builder = IndexBuilder(snapshot)
    young = _use.statements_too_young(snapshot, limits.window)
    for index in snapshot.indexes:
        table = snapshot.table_by_oid.get(index.table_oid)
        if table is None or not _is_plain(index):
            continue
        column = snapshot.column_by_key.get((table.oid, index.keys[0]))
        statistics = snapshot.statistics_by_key.get((table.oid, index.keys[0]))
        if column is None or statistics is None:
            continue
        share = statistics.null_fraction
        saved = round(share * _entries(snapshot, index, table) * _null_bytes(index))
        saved = min(saved, round(share * ix.size_bytes(snapshot, index)))
        if share < limits.min_null_share or saved < limits.min_saved_bytes:
            continue
        if updates.reads_in_order_or_null(snapshot, table, column.name):
            continue
        if young is not None:
            yield replace(young, object=ix.object_of(snapshot, index))
        else:
            yield _finding(builder, snapshot, (index, table, column.name), share, saved, limits)


def _is_plain(index: Index) -> bool:
    return (
        index.access_method == "btree"
        and index.is_usable
        and not index.is_unique
        and not ix.is_bound(index)
        and index.predicate is None
        and len(index.columns) == 1
        and index.keys[0] > 0
    )


def _entries(snapshot: Snapshot, index: Index, table: Table) -> float:
    return max(sum(leaf.rows for leaf in ix.leaves(snapshot, index)), ix.rows(snapshot, table), 0.0)


def _null_bytes(index: Index) -> float:
    """Return what the entry of a NULL takes: a tuple identifier, or a tuple and its pointer."""
    shared = index.option("deduplicate_items") not in ("off", "false")
    return 6.5 if shared else 20.0


def _finding(
    builder: IndexBuilder,
    snapshot: Snapshot,
    case: tuple[Index, Table, str],
    share: float,
    saved: int,
    limits: Limits,
) -> Finding:
    index, table, column = case
    return Finding(
        object=ix.object_of(snapshot, index),
        severity=Severity.WARNING if saved >= limits.warn_saved_bytes else Severity.INFO,
        grade=Grade.C,
        title=f"{share:.0%} of {index.qualified} is NULL",
        detail=f"A partial index WHERE {column} IS NOT NULL serves all queries that look for a value of "
        f"{table.qualified}.{column}.",
        evidence={
            "column": column,
            "null_fraction": round(share, 4),
            "size_bytes": ix.size_bytes(snapshot, index),
            "saved_bytes": saved,
            "definition": snapshot.definition_by_oid.get(index.oid),
        },
        impact=Impact(
            bytes=saved, risk="each row with a NULL needs an index entry that no query looks for"
        ),
        remedy=_remedy(builder, snapshot, case),
        caveats=tuple(_caveats(snapshot)),
    )


def _remedy(
    builder: IndexBuilder, snapshot: Snapshot, case: tuple[Index, Table, str]
) -> tuple[Remedy, ...]:
    index, table, column = case
    old = shape(snapshot, index)
    if old is None:
        return ()
    return builder.replaced(table, index, f"{old} WHERE {ident(column)} IS NOT NULL")


def _caveats(snapshot: Snapshot) -> Iterator[str]:
    yield "Check that plans use the new index before you drop the old one."
    if "statements" in snapshot.missing:
        yield "Queries that look for NULLs could not be ruled out: pg_stat_statements could not be read."
