"""Where the rows are stored that a scan of an index reads one after the other.

Rows with equal keys are wherever their values are: those of a tenant anywhere, those of a state perhaps at the end. Among them, they
are read in the order of the next key. If that follows the order in which rows are stored, as times do, each block is touched once,
and a part of the rows is in a part of the blocks; if not, nearly each row is in another block.
"""

from collections.abc import Collection, Iterator

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable
from pgwatch_wed.whatif.choose.scatter import bound_columns, nearness, pages_fetched
from pgwatch_wed.whatif.model import Key
from pgwatch_wed.whatif.oracle import IndexShape
from pgwatch_wed.whatif.spreads import bare, inputs_of

EQUAL = frozenset({Kind.EQUAL, Kind.IN, Kind.BOOLEAN, Kind.IS_NULL})
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
    equal = bound_columns(scan, table, EQUAL)
    every = max(rows, min(shape.rows, table.rows) if of_equal is None else of_equal)
    among = max(1.0, _region(catalog, table, equal, shape, every) * rows / every)
    near = _nearness_of_order(catalog, table, scan, shape)
    return max(1.0, near**2 * pages_fetched(among, rows) + (1 - near**2) * rows)


def order_columns(
    table: CatalogTable, scan: PlanNode, shape: IndexShape
) -> tuple[int, list[CatalogColumn]]:
    """Return the position of the key whose order a scan follows, and the columns that tell it: none if that is not known.

    The position is that after the last key if all are compared for equality.
    """
    found = terms.conditions(str(scan.get("Index Cond") or "")).terms
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


def _nearness_of_order(
    catalog: Catalog, table: CatalogTable, scan: PlanNode, shape: IndexShape
) -> float:
    if shape.texts:
        position, columns = order_columns(table, scan, shape)
        if position == len(shape.texts):
            return 1.0  # equal keys are in the order in which rows are stored
    else:
        first = table.columns.get(shape.first or "")
        columns = [] if first is None else [first]
    return min((nearness(catalog, table, [c]) for c in columns), default=0.0)


def _region(
    catalog: Catalog,
    table: CatalogTable,
    equal: Collection[CatalogColumn],
    shape: IndexShape,
    rows: float,
) -> float:
    """Return the blocks among which the rows are that have equal keys and satisfy the predicate."""
    parts = _parts(catalog, table, equal, shape)
    least = rows / table.rows
    return table.pages * max(least, min(parts, default=1.0))


def _parts(
    catalog: Catalog, table: CatalogTable, equal: Collection[CatalogColumn], shape: IndexShape
) -> Iterator[float]:
    for column in equal:
        share = 1 / max(1.0, column.distinct)
        yield 1 - nearness(catalog, table, [column]) ** 2 * (1 - share)
    share = min(1.0, shape.rows / table.rows)
    for name in terms.columns(shape.predicate) if shape.predicate else ():
        if name in table.columns:
            yield 1 - nearness(catalog, table, [table.columns[name]]) ** 2 * (1 - share)
