"""How large a candidate would be: rows, distinct keys and widths from the catalog's statistics."""

import math
from dataclasses import replace

from pgwatch_wed.postgres import btree
from pgwatch_wed.postgres.btree import IndexSize, Width
from pgwatch_wed.whatif import spreads
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable, ExistingIndex
from pgwatch_wed.whatif.model import Candidate, Key
from pgwatch_wed.whatif.sizes import layout, postings
from pgwatch_wed.whatif.sizes.postings import Content

BRIN_RANGE = 128
_MOST = 0.5
_EXPRESSION = Width(-1, "i", 16.0)


def widths(catalog: Catalog, index: ExistingIndex) -> list[Width]:
    """Return the widths of an existing index's attributes."""
    table = catalog.tables[index.table_oid]
    names = [*index.keys, *index.include]
    return [c.width if (c := table.columns.get(spreads.bare(n))) else _EXPRESSION for n in names]


def size(catalog: Catalog, table: CatalogTable, index: Candidate, rows: float) -> IndexSize:
    """Return the size of a candidate with ``rows`` entries on one table with storage."""
    keys = [_width(catalog, table, key) for key in index.keys]
    match index.method:
        case "btree":
            columns = [catalog.column(table, key) for key in index.keys]
            return btree.btree(
                rows,
                spreads.groups(catalog, table, index.keys, rows),
                keys,
                [catalog.width(table, table.columns[name]) for name in index.include],
                deduplicates=all(c is None or c.deduplicates for c in columns),
            )
        case "brin":
            return layout.brin(table.pages, BRIN_RANGE, keys)
        case "gin":
            return IndexSize(gin(catalog, table, index, rows).total)
        case "hash":
            return layout.hash_index(rows)
        case _:
            return layout.gist(rows, [_in_gist(catalog, table, key) for key in index.keys])


def _in_gist(catalog: Catalog, table: CatalogTable, key: Key) -> Width:
    """Return the width of a key as GiST stores it: points as boxes, texts as their trigrams."""
    width = _width(catalog, table, key)
    column = catalog.column(table, key)
    if "trgm" in key.operator_class:
        return replace(_EXPRESSION, mean=3 * (width.mean + 2) + 9)
    if column is not None and column.base_type in ("point", "inet", "cidr"):
        return Width(32, "d", 32.0) if column.base_type == "point" else Width(20, "i", 20.0)
    return width


def gin(catalog: Catalog, table: CatalogTable, index: Candidate, rows: float) -> postings.Pages:
    """Return the pages of a GIN index on ``rows`` rows of a table, and its number of entries."""
    part = min(1.0, rows / max(table.rows, 1.0))
    contents = [
        catalog.contents.get((table.oid, key)) or _guessed(catalog, table, key)
        for key in index.keys
    ]
    entries = [
        postings.Elements(
            e.number * -math.expm1(-e.rows * part) if part < 1 else e.number, e.rows * part
        )
        for content in contents
        for e in content.elements
    ]
    width = max(content.key_bytes for content in contents)
    return postings.pages(entries, width + (2 if len(contents) > 1 else 0), table.pages)


def common_pages(catalog: Catalog, table: CatalogTable, index: Candidate) -> float:
    """Return the pages of the rows of the most common key of documents in a GIN index; 0 if most rows have none in common.

    Hashes of paths contain no keys.
    """
    found = [
        each.rows
        for key in index.keys
        if index.method == "gin" and "path" not in key.operator_class
        if (column := catalog.column(table, key)) is not None and column.base_type == "jsonb"
        if (content := catalog.contents.get((table.oid, key))) is not None
        for each in content.elements
    ]
    most = max(found, default=0.0)
    return postings.tree_pages(most, table.pages) if most > _MOST * table.rows else 0.0


def _guessed(catalog: Catalog, table: CatalogTable, key: Key) -> Content:
    """Guess the contents of a key without statistics: one entry per ten bytes of a value."""
    each = max(1.0, _width(catalog, table, key).mean / 10)
    number = max(1.0, min(table.rows * each, 50_000.0))
    return Content((postings.Elements(number, table.rows * each / number),), 10.0)


def _width(catalog: Catalog, table: CatalogTable, key: Key) -> Width:
    column = catalog.column(table, key)
    if column is not None:
        return catalog.width(table, column)
    widths = [c.mean_width for c in spreads.inputs_of(table, key)]
    return replace(_EXPRESSION, mean=max(widths)) if widths else _EXPRESSION
