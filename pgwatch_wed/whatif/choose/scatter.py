"""Index scans for which the planner expects rows that are neighbors, because those of the first key are.

It takes the correlation of a key of several columns to be three quarters of that of its first. So an index on ``(state, customer)``
looks twice as cheap as one on ``(customer)`` if old orders are done, although both fetch the same scattered rows. Where a
key's rows are is decided by its most selective column. And it takes the rows of a partial index for neighbors as if there were no others
between them: those due this week may be together, but not the unpaid ones of them. And a column with one value in most rows correlates,
wherever the few others are.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, inputs
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable
from pgwatch_wed.whatif.oracle import IndexShape

_OF_SEVERAL = 0.75  # the planner's factor for the correlation of a key of several columns
_RANDOM = 4.0
_ROW_COST = 0.02
_READING_ALL = frozenset({"Sort", "Aggregate", "SetOp"})
_BOUNDING = frozenset({Kind.EQUAL, Kind.IN, Kind.RANGE})


def scatter_cost(
    tree: PlanNode, catalog: Catalog, shape: Callable[[str], IndexShape | None]
) -> float:
    """Return what a plan costs in addition if its index scans fetch rows that are no neighbors.

    Scans that run in a loop are left out: they are charged for otherwise. So are those that run until LIMIT is satisfied, which read
    only a part: see :func:`scan_cost`.
    """
    return sum(scan_cost(scan, catalog, shape) for scan in _whole_scans(tree))


def scan_cost(scan: PlanNode, catalog: Catalog, shape: Callable[[str], IndexShape | None]) -> float:
    """Return what a scan of an index costs in addition if it fetches rows that are no neighbors; 0 for other nodes."""
    is_fetching = scan["Node Type"] == "Index Scan"
    return _extra(scan, catalog, shape(scan["Index Name"])) if is_fetching else 0.0


def bound_columns(
    scan: PlanNode, table: CatalogTable, kinds: Collection[Kind] = _BOUNDING
) -> Sequence[CatalogColumn]:
    """Return the columns that an index scan has conditions on, in the order of the keys."""
    text = scan.get("Index Cond") or scan.get("Recheck Cond") or ""
    found = terms.conditions(text).terms if isinstance(text, str) else ()
    columns = (
        table.columns.get(t.operand.column or "")
        for t in found
        if t.kind in kinds and t.operand.alias == scan.get("Alias")
    )
    return list(dict.fromkeys(c for c in columns if c is not None))


def decisive(columns: Sequence[CatalogColumn]) -> CatalogColumn:
    """Return the column that decides where the rows of a key are: the one with most values."""
    return max(columns, key=lambda c: c.distinct)


def nearness(catalog: Catalog, table: CatalogTable, columns: Sequence[CatalogColumn]) -> float:
    """Return how much of the correlation of the column that decides where rows are is more than that of equal values.

    ANALYZE takes equal values in the order in which they are stored: a column with the same value in 90% of the rows
    correlates, wherever the others are.
    """
    if not columns:
        return 0.0
    column = decisive(columns)
    equal = correlation_of_equal(catalog, table, column)
    return max(0.0, abs(column.correlation or 0.0) - equal) / (1 - equal)


def correlation_of_equal(catalog: Catalog, table: CatalogTable, column: CatalogColumn) -> float:
    """Return the correlation of a column whose values are spread evenly: the sum of the squares of their shares."""
    filled = max(1 - column.null_fraction, 1e-6)
    common = sum((share / filled) ** 2 for share in catalog.common(table, column))
    return min(0.99, max(common, 1 / max(1.0, column.distinct)))


def pages_fetched(pages: float, tuples: float) -> float:
    """Return how many of ``pages`` blocks are touched by this number of scattered tuples."""
    return min(pages, 2 * pages * tuples / (2 * pages + tuples))


def _extra(scan: PlanNode, catalog: Catalog, shape: IndexShape | None) -> float:
    table = catalog.table_of(scan)
    if table is None or table.pages < 1 or table.rows < 1:
        return 0.0
    columns = bound_columns(scan, table)
    partial = shape if shape is not None and shape.predicate else None
    rows = max(1.0, float(scan["Plan Rows"]))
    if partial is not None and not columns and "Index Cond" not in scan:
        # all of it is read in its order
        columns = [c for c in (table.columns.get(partial.first or ""),) if c is not None]
        rows = max(rows, min(partial.rows, table.rows))
    if not columns:
        return 0.0
    keys = len(columns) if shape is None else len(shape.keys)
    several = _OF_SEVERAL if keys > 1 else 1.0
    assumed = (several * (columns[0].correlation or 0.0)) ** 2
    real = (several * nearness(catalog, table, columns)) ** 2
    neighbors = _RANDOM + max(0.0, math.ceil(rows / table.rows * table.pages) - 1)
    between = (
        neighbors
        if partial is None
        else max(neighbors, _among_others(partial, catalog, table, rows))
    )
    scattered = _RANDOM * pages_fetched(table.pages, rows)
    in_region = max(between, _RANDOM * pages_fetched(_region(scan, catalog, table), rows))
    if neighbors >= scattered:
        return 0.0
    charged = max(0.0, float(scan["Total Cost"]) - float(scan["Startup Cost"]) - rows * _ROW_COST)
    as_assumed = scattered - assumed * (scattered - neighbors)
    as_it_is = in_region - real * (in_region - between)
    return max(0.0, charged * as_it_is / as_assumed - charged)


def _among_others(index: IndexShape, catalog: Catalog, table: CatalogTable, rows: float) -> float:
    """Return what pages with rows of a partial index cost if they are in the order of the index, with other rows between them."""
    found = (table.columns.get(name) for name in terms.columns(index.predicate))
    pages = _together([c for c in found if c is not None], catalog, table)
    part = rows / max(1.0, min(index.rows, table.rows))
    fetched = min(rows, max(1.0, part * pages))
    # those read one after the other cost less, as the planner assumes for a bitmap
    dense = math.sqrt(min(1.0, fetched / max(1.0, part * table.pages)))
    return fetched * (_RANDOM - (_RANDOM - 1) * dense)


def _region(scan: PlanNode, catalog: Catalog, table: CatalogTable) -> float:
    """Return the pages among which the rows are, given the values compared for equality that are together."""
    return _together(bound_columns(scan, table, frozenset({Kind.EQUAL})), catalog, table)


def _together(columns: Sequence[CatalogColumn], catalog: Catalog, table: CatalogTable) -> float:
    """Return the pages among which rows with one value of each of some columns are."""
    shares = (
        1 - nearness(catalog, table, (column,)) ** 2 * (1 - 1 / max(1.0, column.distinct))
        for column in columns
    )
    return max(1.0, table.pages * min(shares, default=1.0))


def _read_whole(limit: PlanNode) -> PlanNode:
    """Return the first node below LIMIT that reads all of its input, such as a sort; LIMIT itself if there is none."""
    node = limit
    while inputs(node) and node["Node Type"] not in _READING_ALL:
        node = inputs(node)[0]
    return node if node["Node Type"] in _READING_ALL else {"Node Type": "Limit"}


def _whole_scans(node: PlanNode) -> Iterator[PlanNode]:
    if node["Node Type"] == "Limit":
        node = _read_whole(node)
    if node["Node Type"] == "Index Scan":
        yield node
    for child in node.get("Plans", ()):
        is_repeated = (
            node["Node Type"] == "Nested Loop" and child.get("Parent Relationship") == "Inner"
        ) or child.get("Parent Relationship") == "SubPlan"
        if not is_repeated:
            yield from _whole_scans(child)
