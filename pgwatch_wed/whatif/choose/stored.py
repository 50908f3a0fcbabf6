"""Where the rows are stored that a scan of an index reads one after the other.

Rows with equal keys are wherever their values are: those of a tenant anywhere, those of a state perhaps at the end. Among them, they
are read in the order of the next key. If that follows the order in which rows are stored, as times do, each block is touched once,
and a part of the rows is in a part of the blocks; if not, nearly each row is in another block. A table that was loaded in the order of
both keys has few values of the first one, each with its rows in order: then the second key correlates by the share of one value.
"""

import math
from collections.abc import Collection, Iterator, Sequence

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.terms import EQUAL, Kind
from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable
from pgwatch_wed.whatif.choose.scatter import bound_columns, nearness, pages_fetched
from pgwatch_wed.whatif.choose.without_value import share_of_blocks
from pgwatch_wed.whatif.model import Key
from pgwatch_wed.whatif.oracle import IndexShape
from pgwatch_wed.whatif.spreads import bare, inputs_of

_EMPTY = frozenset({Kind.IS_NULL})
_WHOLE = 0.99
_FEWEST_IN_ORDER, _MOST_IN_ORDER = 0.7, 1.4  # times the share of one value
_SAMPLE = 30_000  # rows that ANALYZE looks at
_DEVIATIONS = 3  # of the correlation that a sample of unordered rows has
# Functions whose result is in the order of what they are given.
_KEEPING_ORDER = ("coalesce(", "date_trunc(", "cast(")


def heap_blocks(
    catalog: Catalog,
    table: CatalogTable,
    scan: PlanNode,
    shape: IndexShape,
    rows: float,
    of_equal: float | None,
) -> float:
    """Return the blocks of the table that a scan touches for its ``rows``, of all that have the keys compared for equality."""
    if table.rows < 1 or table.pages < 1 or rows <= 0:
        return 0.0
    equal = list(_parts_of_equal(catalog, table, scan))
    every = max(rows, min(shape.rows, table.rows) if of_equal is None else of_equal)
    among = max(1.0, _region(catalog, table, equal, shape, every) * rows / every)
    order = _order(table, scan, shape)
    near = (
        1.0
        if order is None
        else min((_near(catalog, table, equal, each) for each in order), default=0.0)
    )
    in_order = sum(pages_fetched(among, each) for each in _passes(order or (), rows, every))
    return max(1.0, near**2 * in_order + (1 - near**2) * rows)


def order_columns(
    table: CatalogTable, scan: PlanNode, shape: IndexShape
) -> tuple[int, list[CatalogColumn]]:
    """Return the position of the key whose order a scan follows, and the columns that tell it: none if that is not known.

    The position is that after the last key if all are compared for equality.
    """
    found = terms.of_index(scan)
    fixed = {t.operand.text for t in found if t.kind in EQUAL}
    fixed |= {t.operand.column for t in found if t.kind in EQUAL and t.operand.column}
    position = next(
        (n for n, key in enumerate(shape.texts) if not {key, bare(key)} & fixed), len(shape.texts)
    )
    key = shape.texts[position] if position < len(shape.texts) else ""
    column = table.columns.get(bare(key))
    if column is not None:
        return position, [column]
    is_kept = key.lower().strip("(").startswith(_KEEPING_ORDER)
    return position, inputs_of(table, Key(key)) if is_kept else []


def _order(
    table: CatalogTable, scan: PlanNode, shape: IndexShape
) -> Sequence[CatalogColumn] | None:
    """Return the columns whose order a scan follows, or None if its keys are equal, and its rows in the order in which they are stored."""
    if shape.texts:
        position, columns = order_columns(table, scan, shape)
        return None if position == len(shape.texts) else columns
    first = table.columns.get(shape.first or "")
    return [] if first is None else [first]


def _passes(order: Sequence[CatalogColumn], rows: float, every: float) -> Iterator[float]:
    """Yield how many rows are read each time that a scan goes over the table: those without a value come after all others."""
    empty = order[0].null_fraction if len(order) == 1 and rows > _WHOLE * every else 0.0
    yield from (rows * share for share in (1 - empty, empty) if share > 0)


def _region(
    catalog: Catalog,
    table: CatalogTable,
    equal: Collection[float],
    shape: IndexShape,
    rows: float,
) -> float:
    """Return the blocks among which the rows are that have equal keys, each in a part of them, and satisfy the predicate."""
    parts = (*equal, *_parts_of_predicate(catalog, table, shape))
    least = rows / table.rows
    return table.pages * max(least, min(parts, default=1.0))


def _near(
    catalog: Catalog,
    table: CatalogTable,
    equal: Collection[float],
    column: CatalogColumn,
) -> float:
    """Return how far rows with equal keys follow the order of a further one where they are stored."""
    share = min(equal, default=1.0)
    correlation = abs(column.correlation or 0.0)
    chance = _DEVIATIONS / math.sqrt(max(1.0, min(_SAMPLE, table.rows)))
    is_within = _FEWEST_IN_ORDER * share < correlation < _MOST_IN_ORDER * share
    return 1.0 if is_within and correlation > chance else nearness(catalog, table, [column])


def _parts_of_equal(catalog: Catalog, table: CatalogTable, scan: PlanNode) -> Iterator[float]:
    """Yield the parts of a table's blocks among which the rows are that have each of the keys compared for equality."""
    # rows without a time are anywhere; without the number of what ends them, they are the newest if numbers are
    empty = [
        column
        for column in bound_columns(scan, table, _EMPTY)
        if (table.oid, column.name) in catalog.times
    ]
    yield from (share_of_blocks(catalog, table, column) for column in empty)
    for column in bound_columns(scan, table, EQUAL):
        if column not in empty:
            share = 1 / max(1.0, column.distinct)
            yield 1 - nearness(catalog, table, [column]) ** 2 * (1 - share)


def _parts_of_predicate(
    catalog: Catalog, table: CatalogTable, shape: IndexShape
) -> Iterator[float]:
    share = min(1.0, shape.rows / table.rows)
    for term in terms.conditions(shape.predicate).terms if shape.predicate else ():
        column = table.columns.get(bare(term.operand.text))
        if term.kind is Kind.IS_NULL and column is not None:
            yield share_of_blocks(catalog, table, column)
    for name in terms.columns(shape.predicate) if shape.predicate else ():
        if name in table.columns and not table.columns[name].null_fraction:
            yield 1 - nearness(catalog, table, [table.columns[name]]) ** 2 * (1 - share)
