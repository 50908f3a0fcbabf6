"""Rows that the workload works off in the order in which they came, such as holds until they are settled.

Of ``settled_at IS NULL ORDER BY expires_at LIMIT 100``, the planner expects the rows without a value to be spread evenly over the order.
But if statements set the column, its values follow the order in which rows are stored, and as many rows have one as can be expected at all, those
without one are the last to come: a scan that does not leave the others out passes over nearly all of them.
"""

from collections.abc import Collection, Iterable, Iterator

from pgwatch_wed.sqltext.assignments import UpdateTarget
from pgwatch_wed.sqltext.reading import updated
from pgwatch_wed.sqltext.terms import Kind, Term
from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable
from pgwatch_wed.whatif.choose.scatter import nearness

_FOLLOWS = 0.9
_NEARLY_ALL = 0.95

# Columns by the oid of their table.
ColumnsSet = Collection[tuple[int, str]]


def columns_set(catalog: Catalog, statements: Iterable[str]) -> frozenset[tuple[int, str]]:
    """Return the columns that statements set in rows that are there, unless one sets them to NULL again."""
    filled: set[tuple[int, str]] = set()
    emptied: set[tuple[int, str]] = set()
    for target in (target for text in statements for target in updated(text)):
        to_null = {name for name, value in target.constants if value is None}
        for table in _named(catalog, target):
            filled |= {(table.oid, name) for name in target.columns}
            emptied |= {(table.oid, name) for name in to_null}
    return frozenset(filled - emptied)


def _named(catalog: Catalog, target: UpdateTarget) -> Iterator[CatalogTable]:
    for table in catalog.tables.values():
        if table.name == target.table and target.schema in (None, table.schema):
            yield table


def is_worked_off(
    catalog: Catalog,
    table: CatalogTable,
    condition: Term,
    order: CatalogColumn,
    among: float,
    known: ColumnsSet,
) -> bool:
    """Tell whether a condition is IS NULL of a column that statements set, and nearly all rows before those that meet it have a value.

    Those are the rows that have one of the column that is their ``order``, or the rows that meet the other conditions, ``among`` so many.
    """
    column = table.columns.get(condition.operand.column or "")
    if condition.kind is not Kind.IS_NULL or column is None:
        return False
    is_set = not {(t.oid, column.name) for t in (table, catalog.root(table))}.isdisjoint(known)
    if not is_set or nearness(catalog, table, [column]) < _FOLLOWS:
        return False
    having = (1 - column.null_fraction) * table.rows
    expected = ((1 - order.null_fraction) * table.rows, among)
    return any(_NEARLY_ALL * each <= having <= each / _NEARLY_ALL for each in expected)
