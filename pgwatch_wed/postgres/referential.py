"""Which indexes make the check of a foreign key cheap without covering all of its columns."""

from collections.abc import Iterator

from pgwatch_wed.facts import ColumnStatistics, Constraint, Index, Snapshot, Table
from pgwatch_wed.postgres import indexes as ix

# A common value may have this many times the rows of an average one before the average misleads.
_SKEW = 10.0
# A check that finds no more rows than this by an index is as good as one with an index on all columns.
FEW_ROWS = 100.0


def rows_per_check(snapshot: Snapshot, index: Index, key: Constraint) -> float | None:
    """Return how many rows a check finds by the leading columns of an index; None if it cannot use the index.

    The check compares every column of the foreign key by equality, so a B-tree on some of them narrows it down, and
    the others are a filter. If several lead, the most selective one counts: they may depend on each other. A value
    much more common than the average counts instead of it.
    """
    table = snapshot.table_by_oid.get(index.table_oid)
    found = [_rows(snapshot, table, a) for a in _leading(snapshot, index, key)] if table else []
    known = [rows for rows in found if rows is not None]
    return min(known, default=None)


def _leading(snapshot: Snapshot, index: Index, key: Constraint) -> list[int]:
    """Return the leading key columns of a usable B-tree that the foreign key compares."""
    if not index.is_usable or index.access_method != "btree":
        return []
    own = set(snapshot.column_names(key.table_oid, key.columns))
    wanted = [c.attnum for c in snapshot.columns_of[index.table_oid] if c.name in own]
    demanded = index.predicate_not_null
    if demanded is None or not ix.is_implied(snapshot, index, demanded, wanted):
        return []
    leading: list[int] = []
    for attnum, collation in zip(index.keys, index.collations, strict=False):
        if attnum not in wanted or collation not in (
            0,
            ix.collation(snapshot, index.table_oid, attnum),
        ):
            break
        leading.append(attnum)
    return leading


def _rows(snapshot: Snapshot, table: Table, attnum: int) -> float | None:
    statistics = snapshot.statistics_by_key.get((table.oid, attnum))
    rows = ix.rows(snapshot, table)
    if statistics is None or not statistics.n_distinct:
        return None
    average = rows * (1 - statistics.null_fraction) / max(_distinct(statistics, rows), 1)
    common = rows * (statistics.mcv_top_fraction or 0.0)
    return common if common > _SKEW * average else average


def _distinct(statistics: ColumnStatistics, rows: float) -> float:
    given = statistics.n_distinct
    return -given * rows if given < 0 else given


def narrowing(snapshot: Snapshot, key: Constraint) -> tuple[Index, ...]:
    """Return the indexes that a check can use without covering the key."""
    return tuple(
        i
        for table in _with_the_key(snapshot, key)
        for i in snapshot.indexes_of[table.oid]
        if _leading(snapshot, i, key)
    )


def _with_the_key(snapshot: Snapshot, key: Constraint) -> Iterator[Table]:
    """Yield the table and its partitions; children by inheritance do not have the foreign key."""
    for oid in ix.partitions(snapshot, key.table_oid):
        table = snapshot.table_by_oid.get(oid)
        if table is not None and (oid == key.table_oid or table.is_partition):
            yield table


def is_narrowed(snapshot: Snapshot, key: Constraint, most: float) -> bool:
    """Tell whether on every partition with storage an index narrows the check down to so few rows."""
    stored = [t for t in _with_the_key(snapshot, key) if t.kind != "p"]
    return bool(stored) and all(_is_small(snapshot, t, key, most) for t in stored)


def _is_small(snapshot: Snapshot, table: Table, key: Constraint, most: float) -> bool:
    found = (rows_per_check(snapshot, i, key) for i in snapshot.indexes_of[table.oid])
    return any(rows is not None and rows <= most for rows in found)
