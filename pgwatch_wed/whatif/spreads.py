"""How a table's rows fall on the keys of an index, by its columns' statistics."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgwatch_wed.sqltext import terms
from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable
from pgwatch_wed.whatif.model import Key
from pgwatch_wed.whatif.sizes.packing import KeyGroup

_UNKNOWN_VALUES = 200.0
# ANALYZE reads this many blocks for each unit of the statistics target
BLOCKS_A_TARGET = 300
_CLUSTERED = 0.9
_CELLS_A_FACTOR = 10  # of e
_ALMOST_ONE = 1e-6


@dataclass(frozen=True, slots=True)
class _Cells:
    """So many values, each of which has this share of the rows."""

    number: float
    share: float


def groups(
    catalog: Catalog, table: CatalogTable, keys: Sequence[Key], rows: float
) -> list[KeyGroup]:
    """Return how many keys ``rows`` rows of a table have, and how many rows each.

    Columns count as independent, except where a foreign key or a unique key says otherwise.
    """
    columns = [catalog.column(table, key) for key in keys]
    names = {k.column for k in keys if k.column is not None}
    if rows < 1 or table.rows < 1 or _is_unique(catalog, table, names):
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
    # independence would scatter rows: there are at least as many keys as its one column has values
    alone = _of_column(catalog, table, most_various, part)
    return max(together, alone, key=lambda found: sum(g.occupied for g in found))


def values(table: CatalogTable, column: CatalogColumn) -> float:
    """Return how many values a column has; more than ANALYZE says where it misses neighbours.

    ANALYZE takes its rows from a few blocks. Where equal values are neighbours (the lines of an
    order), rows of one block look like rows of the whole table that repeat, and values seem to
    be fewer by as much as blocks were left out. With s the share of blocks read, the mean number of
    rows of a value is s times the one stated, plus 1 - s: Haas and Stokes' estimator, which ANALYZE
    uses, solved for a sample from that share alone.
    """
    stated, pages = column.distinct, table.pages
    if column.bins is None or abs(column.correlation or 0.0) < _CLUSTERED or not pages:
        return stated
    read = min(1.0, BLOCKS_A_TARGET * column.bins / pages)
    rows_each = table.rows / stated
    if rows_each > table.rows / pages:
        return stated
    return table.rows / (read * rows_each + 1 - read)


def _of_column(
    catalog: Catalog, table: CatalogTable, column: CatalogColumn, part: float
) -> list[KeyGroup]:
    common = catalog.common(table, column)
    found = [KeyGroup(1.0, table.rows * share * part, is_exact=True) for share in common]
    if column.null_fraction:
        found.append(KeyGroup(1.0, table.rows * column.null_fraction * part, is_exact=True))
    rest = max(0.0, 1 - column.null_fraction - sum(common)) * table.rows
    number = max(0.0, values(table, column) - len(common))
    if number < 1 or rest < 1:
        return found or [KeyGroup(1.0, table.rows * part, is_exact=True)]
    rate = _rate(rest / number)
    if rate < _ALMOST_ONE:
        return [*found, KeyGroup(rest * part, 1.0, is_exact=True)]
    # as many more keys as would have no row, since these are known to have one
    all_keys = number / -math.expm1(-rate)
    if part < 1 and abs(column.correlation or 0.0) > _CLUSTERED:
        # neighbours may share what a partial index asks for, or not: between the two
        return [*found, KeyGroup(all_keys / 2, rate * part), KeyGroup(all_keys * part / 2, rate)]
    return [*found, KeyGroup(all_keys, rate * part)]


def _joint(
    catalog: Catalog, table: CatalogTable, keys: Iterable[Key], names: set[str]
) -> list[_Cells]:
    left, cells = set(names), [_Cells(1.0, 1.0)]
    for cover, count in sorted(_references(catalog, table, names), key=lambda c: -len(c[0])):
        if cover <= left and len(cover) > 1:
            left -= cover
            cells = _crossed(cells, [_Cells(count, 1 / count)])
    for key in keys:
        if key.column is not None and key.column not in left:
            continue
        column = catalog.column(table, key)
        count = _expression_values(table, key)
        one = _cells(catalog, table, column) if column is not None else [_Cells(count, 1 / count)]
        cells = _crossed(cells, one)
    return cells


def _cells(catalog: Catalog, table: CatalogTable, column: CatalogColumn) -> list[_Cells]:
    common = catalog.common(table, column)
    found = [_Cells(1.0, share) for share in common if share > 0]
    if column.null_fraction:
        found.append(_Cells(1.0, column.null_fraction))
    rest = max(0.0, 1 - column.null_fraction - sum(common))
    number = max(0.0, values(table, column) - len(common))
    if number >= 1 and rest > 0:
        found.append(_Cells(number, rest / number))
    return _merged(found) or [_Cells(1.0, 1.0)]


def _crossed(left: Sequence[_Cells], right: Sequence[_Cells]) -> list[_Cells]:
    return _merged(_Cells(a.number * b.number, a.share * b.share) for a in left for b in right)


def _merged(cells: Iterable[_Cells]) -> list[_Cells]:
    """Put cells of about the same share together."""
    found: dict[int, tuple[float, float]] = {}
    for cell in cells:
        place = round(math.log(cell.share) * _CELLS_A_FACTOR)
        number, mass = found.get(place, (0.0, 0.0))
        found[place] = (number + cell.number, mass + cell.number * cell.share)
    return [_Cells(number, mass / number) for number, mass in found.values()]


def _is_unique(catalog: Catalog, table: CatalogTable, names: set[str]) -> bool:
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
    """Return how many values an expression may have: as many as what it is made of."""
    inputs = inputs_of(table, key)
    return math.prod(c.distinct for c in inputs) if inputs else _UNKNOWN_VALUES


def inputs_of(table: CatalogTable, key: Key) -> list[CatalogColumn]:
    """Return the columns of an expression."""
    return [table.columns[n] for n in terms.columns(key.text) & table.columns.keys()]


def bare(text: str) -> str:
    """Return a column's name without quotes."""
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


def _rate(mean: float) -> float:
    """Return the rate whose Poisson law, given at least one, has this mean."""
    rate = max(mean - 1, 0.0) * 1.5
    for _ in range(50):
        if rate < _ALMOST_ONE:
            return 0.0
        rate = mean * -math.expm1(-rate)
    return rate
