"""How large a candidate would be: rows, distinct keys and widths from the catalog's statistics."""

import math
from collections.abc import Iterable
from dataclasses import replace

from pgwatch_wed.sqltext import terms
from pgwatch_wed.whatif import sizes
from pgwatch_wed.whatif.catalog import Catalog, Column, ExistingIndex, Table
from pgwatch_wed.whatif.model import Index, Key
from pgwatch_wed.whatif.sizes import Size, Width

BRIN_RANGE = 128
_EXPRESSION = Width(-1, "i", 16.0)
_EXPRESSION_DISTINCT = 200.0


def widths(catalog: Catalog, index: ExistingIndex) -> list[Width]:
    """Return the widths of an existing index's attributes."""
    table = catalog.tables[index.table_oid]
    names = [*index.keys, *index.include]
    return [c.width if (c := table.columns.get(_bare(n))) else _EXPRESSION for n in names]


def size(catalog: Catalog, table: Table, index: Index, rows: float) -> Size:
    """Return the size of a candidate on one table with storage that holds ``rows`` entries."""
    keys = [_width(catalog, table, key) for key in index.keys]
    match index.method:
        case "btree":
            columns = [_column(table, key) for key in index.keys]
            return sizes.btree(
                rows,
                distinct(catalog, table, index.keys, rows),
                keys,
                [catalog.width(table, table.columns[name]) for name in index.include],
                deduplicates=all(c is None or c.deduplicates for c in columns),
            )
        case "brin":
            return sizes.brin(table.pages, BRIN_RANGE, keys)
        case "gin":
            width = sum(k.mean for k in keys)
            per_row = gin_keys_per_row(catalog, table, index)
            return sizes.gin(rows, per_row, gin_entries(catalog, table, index), min(width, 12.0))
        case "hash":
            return sizes.hash_index(rows)
        case _:
            return sizes.gist(rows, keys)


def distinct(catalog: Catalog, table: Table, keys: Iterable[Key], rows: float) -> float:
    """Return the number of different keys among ``rows`` rows.

    Columns count as independent, except where a foreign key or a unique key says otherwise.
    """
    keys = list(keys)
    columns = [_column(table, key) for key in keys]
    names = {c.name for c in columns if c is not None}
    if rows < 1 or _is_unique(catalog, table, names):
        return max(rows, 1.0)
    left, combinations = set(names), 1.0
    for cover, count in sorted(_references(catalog, table, names), key=lambda c: -len(c[0])):
        if cover <= left and len(cover) > 1:
            left -= cover
            combinations *= count
    combinations *= math.prod(table.columns[n].distinct for n in left)
    combinations *= math.prod(_values(table, k) for k in keys if k.column is None)
    if len(keys) == 1:
        return min(combinations, rows)
    # at least as many as its most various column has
    alone = max((c.distinct for c in columns if c is not None), default=1.0)
    return min(rows, max(alone, _occupied(combinations, rows)))


def gin_keys_per_row(catalog: Catalog, table: Table, index: Index) -> float:
    """Return a guess of the entries that one row makes: trigrams, array elements or JSON keys."""
    width = sum(_width(catalog, table, key).mean for key in index.keys)
    is_trigram = any("trgm" in key.operator_class for key in index.keys)
    return max(1.0, width if is_trigram else width / 10)


def gin_entries(catalog: Catalog, table: Table, index: Index) -> float:
    """Return a guess of the different entries of a GIN index."""
    return min(table.rows * gin_keys_per_row(catalog, table, index), 50_000.0)


def _occupied(cells: float, rows: float) -> float:
    """Return how many of ``cells`` equally likely values occur among ``rows`` rows."""
    return max(1.0, -cells * math.expm1(-rows / cells)) if cells < rows * 1e6 else rows


def _is_unique(catalog: Catalog, table: Table, names: set[str]) -> bool:
    return any(
        i.is_unique and i.predicate is None and {_bare(k) for k in i.keys} <= names
        for i in catalog.indexes_of.get(table.oid, ())
    )


def _references(
    catalog: Catalog, table: Table, names: set[str]
) -> Iterable[tuple[frozenset[str], float]]:
    for key in catalog.foreign_keys:
        referenced = catalog.tables.get(key.referenced_oid)
        if key.table_oid == table.oid and referenced is not None and key.columns <= names:
            yield key.columns, max(1.0, referenced.rows)


def _column(table: Table, key: Key) -> Column | None:
    return table.columns.get(key.column) if key.column is not None else None


def _width(catalog: Catalog, table: Table, key: Key) -> Width:
    column = _column(table, key)
    if column is not None:
        return catalog.width(table, column)
    widths = [c.mean_width for c in _inputs(table, key)]
    return replace(_EXPRESSION, mean=max(widths)) if widths else _EXPRESSION


def _values(table: Table, key: Key) -> float:
    """Return how many values an expression may have: as many as what it is made of."""
    inputs = _inputs(table, key)
    return math.prod(c.distinct for c in inputs) if inputs else _EXPRESSION_DISTINCT


def _inputs(table: Table, key: Key) -> list[Column]:
    return [table.columns[n] for n in terms.columns(key.text) & table.columns.keys()]


def _bare(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
