"""How a table's rows are distributed over the keys of an index, from its columns' statistics."""

import math
from collections.abc import Iterable, Sequence

from pgwatch_wed.postgres import key_groups
from pgwatch_wed.postgres.key_groups import Cells, Spread, cells, crossed
from pgwatch_wed.postgres.packing import KeyGroup
from pgwatch_wed.sqltext import terms
from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable
from pgwatch_wed.whatif.model import Key

_UNKNOWN_VALUES = 200.0


def groups(
    catalog: Catalog, table: CatalogTable, keys: Sequence[Key], rows: float
) -> list[KeyGroup]:
    """Return how many keys ``rows`` rows of a table have, and how many rows each key has.

    Columns are assumed to be independent, unless a foreign key or a unique key says otherwise.
    """
    columns = [catalog.column(table, key) for key in keys]
    names = {k.column for k in keys if k.column is not None}
    if rows < 1 or table.rows < 1 or is_unique(catalog, table, names):
        return [KeyGroup(max(rows, 1.0), 1.0, is_exact=True)]
    part = min(1.0, rows / table.rows)
    if len(keys) == 1 and columns[0] is not None:
        return _of_column(catalog, table, columns[0], part)
    together = [
        KeyGroup(c.number, c.share * table.rows * part) for c in _joint(catalog, table, keys, names)
    ]
    most_various = max(
        (c for c in columns if c is not None), key=lambda c: values(table, c), default=None
    )
    if most_various is None:
        return together
    # independence would scatter rows: there are at least as many keys as one column has values
    alone = _of_column(catalog, table, most_various, part)
    return key_groups.fuller(together, alone)


def values(table: CatalogTable, column: CatalogColumn) -> float:
    """Return how many values a column has; see :func:`pgwatch_wed.postgres.key_groups.values`."""
    return key_groups.values(
        column.distinct, table.rows, table.pages, column.correlation, column.bins
    )


def _spread(catalog: Catalog, table: CatalogTable, column: CatalogColumn) -> Spread:
    common = tuple(Cells(1.0, share) for share in catalog.common(table, column))
    return Spread(common, column.null_fraction, values(table, column))


def _of_column(
    catalog: Catalog, table: CatalogTable, column: CatalogColumn, part: float
) -> list[KeyGroup]:
    # clustered rows may all match a partial index's predicate, or not: between the two
    together = 0.5 if key_groups.is_clustered(column.correlation) else 0.0
    spread = _spread(catalog, table, column)
    return key_groups.of_column(spread, table.rows, part, together=together)


def _joint(
    catalog: Catalog, table: CatalogTable, keys: Iterable[Key], names: set[str]
) -> list[Cells]:
    left, found = set(names), [Cells(1.0, 1.0)]
    for cover, count in sorted(_references(catalog, table, names), key=lambda c: -len(c[0])):
        if cover <= left and len(cover) > 1:
            left -= cover
            found = crossed(found, [Cells(count, 1 / count)])
    for key in keys:
        if key.column is not None and key.column not in left:
            continue
        column = catalog.column(table, key)
        count = _expression_values(table, key)
        one = (
            cells(_spread(catalog, table, column))
            if column is not None
            else [Cells(count, 1 / count)]
        )
        found = crossed(found, one)
    return found


def is_unique(catalog: Catalog, table: CatalogTable, names: set[str]) -> bool:
    """Tell whether no two rows of a table have equal values of all of these columns."""
    return any(
        i.is_unique and i.predicate is None and {bare(k) for k in i.keys} <= names
        for i in catalog.indexes_of.get(table.oid, ())
    )


def _references(
    catalog: Catalog, table: CatalogTable, names: set[str]
) -> Iterable[tuple[frozenset[str], float]]:
    for key in catalog.foreign_keys:
        referenced = catalog.tables.get(key.referenced_oid)
        if key.table_oid == table.oid and referenced is not None and key.columns <= names:
            yield key.columns, max(1.0, referenced.rows)


def _expression_values(table: CatalogTable, key: Key) -> float:
    """Return how many values an expression may have: as many as its columns."""
    inputs = inputs_of(table, key)
    return math.prod(c.distinct for c in inputs) if inputs else _UNKNOWN_VALUES


def inputs_of(table: CatalogTable, key: Key) -> list[CatalogColumn]:
    """Return the columns of an expression."""
    return [table.columns[n] for n in terms.columns(key.text) & table.columns.keys()]


def bare(text: str) -> str:
    """Return a column's name without quotes."""
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
