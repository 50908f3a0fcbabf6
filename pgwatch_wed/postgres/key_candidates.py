"""Which columns may identify the rows of a table that has no key, and how well that is known."""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Column, Index, Snapshot, Table
from pgwatch_wed.facts.derived import derived
from pgwatch_wed.postgres import indexes as ix


@dataclass(frozen=True, slots=True)
class KeyCandidate:
    """Columns that may identify a row.

    ``is_unique`` if an index enforces it, except for NULLs or until the end of a transaction; ``is_sampled`` if
    ANALYZE has found no value twice.
    """

    columns: tuple[Column, ...]
    is_unique: bool = False
    is_sampled: bool = False
    index: Index | None = None

    @property
    def nullable(self) -> tuple[Column, ...]:
        """The columns that are not NOT NULL."""
        return tuple(c for c in self.columns if not c.is_not_null)


def candidate(snapshot: Snapshot, table: Table) -> KeyCandidate | None:
    """Return the best known columns; None if there are none that may identify a row."""
    found = [*_of_indexes(snapshot, table), *_fed(snapshot, table)]
    return next(
        (c for c in found if all(_has_no_nulls(snapshot, table, n) for n in c.nullable)), None
    )


def _of_indexes(snapshot: Snapshot, table: Table) -> Iterator[KeyCandidate]:
    """Yield what unique indexes enforce, except for NULLs and until the end of a transaction."""
    for index in snapshot.indexes_of[table.oid]:
        keys = [snapshot.column_by_key.get((table.oid, a)) for a in index.keys]
        columns = tuple(c for c in keys if c is not None)
        is_whole = index.predicate is None and len(columns) == len(index.keys) > 0
        if index.is_unique and index.is_usable and is_whole:
            yield KeyCandidate(columns, is_unique=True, index=index)


def _fed(snapshot: Snapshot, table: Table) -> Iterator[KeyCandidate]:
    """Yield columns that get their values from a sequence, unless a sample has found repeated ones.

    In parents and children, a key would make the column NOT NULL in other tables as well.
    """
    is_related = table.kind == "r" and (table.has_children or table.parent_oid is not None)
    for column in snapshot.columns_of[table.oid]:
        if is_related and not column.is_not_null:
            continue
        known = snapshot.statistics_by_key.get((table.oid, column.attnum))
        repeats = known is not None and known.n_distinct != -1
        if _is_fed(snapshot, table, column) and (is_empty(snapshot, table) or not repeats):
            yield KeyCandidate((column,), is_sampled=known is not None)


def _is_fed(snapshot: Snapshot, table: Table, column: Column) -> bool:
    return bool(column.identity) or (table.oid, column.attnum) in _defaults(snapshot)


@derived
def _defaults(snapshot: Snapshot) -> frozenset[tuple[int, int]]:
    """Return the columns whose default is the next value of a sequence that does not start again."""
    return frozenset(
        key
        for s in snapshot.sequences
        if not s.is_cycling
        for key in zip(s.default_tables, s.default_columns, strict=False)
    )


def _has_no_nulls(snapshot: Snapshot, table: Table, column: Column) -> bool:
    known = snapshot.statistics_by_key.get((table.oid, column.attnum))
    return is_empty(snapshot, table) or (known is not None and known.null_fraction == 0)


def is_empty(snapshot: Snapshot, table: Table) -> bool:
    """Tell whether a table and its children have no rows, as far as the counters tell."""
    tables = map(snapshot.table_by_oid.__getitem__, ix.partitions(snapshot, table.oid))
    return all(t.pages == 0 and t.rows <= 0 for t in tables) and not _has_inserts(snapshot, table)


def _has_inserts(snapshot: Snapshot, table: Table) -> bool:
    oids = ix.partitions(snapshot, table.oid)
    return any((a := snapshot.activity_by_oid.get(o)) is not None and a.n_live_tup for o in oids)
