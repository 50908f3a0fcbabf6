"""Plans that sort what equal columns select, before LIMIT takes some of it: there may be far more rows than the planner expects.

It takes columns to be independent. But a postal code lies in one city, so that ``zip = $1 AND city = $2`` selects as many rows as
``zip = $1``. How far columns depend on each other is not known: what is sorted is taken to be the geometric mean of both. Reading an index
that has the order, too, ends at LIMIT, however many rows there are.
"""

import math
from collections.abc import Iterator

from pgwatch_wed.sqltext.plan_trees import PlanNode, inputs
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable
from pgwatch_wed.whatif.choose.scatter import bound_columns

_EQUAL = frozenset({Kind.EQUAL})
_FETCHING = frozenset({"Index Scan", "Bitmap Heap Scan"})
_PASSING = frozenset({"LockRows", "Subquery Scan", "Result", "Gather Merge"})
_ROW = 0.01


def dependent_cost(tree: PlanNode, catalog: Catalog) -> float:
    """Return what a plan costs in addition if the columns that select what it sorts for LIMIT depend on each other."""
    return sum(_extra(scan, catalog) for scan in _sorted_for_limit(tree, is_limited=False))


def _extra(scan: PlanNode, catalog: Catalog) -> float:
    table = catalog.table_of(scan)
    if table is None or table.rows < 1:
        return 0.0
    rows = max(1.0, float(scan["Plan Rows"]))
    more = math.sqrt(max(1.0, _at_most(scan, table, rows) / rows))
    # then the server would rather read the whole table, if it knew
    whole = table.pages + _ROW * table.rows
    cost = float(scan["Total Cost"])
    return max(0.0, min(whole, more * cost) - cost)


def _at_most(scan: PlanNode, table: CatalogTable, rows: float) -> float:
    """Return how many rows a scan returns if all columns depend on the most selective one.

    That is as selective as its number of values is great, compared with those of the others.
    """
    values = [
        min(c.distinct, table.rows) for c in bound_columns(scan, table, _EQUAL) if c.distinct > 1
    ]
    if len(values) < 2:
        return rows
    if rows <= 1:  # the planner's least, which tells nothing of the values
        return table.rows / max(values)
    logs = [math.log(v) for v in values]
    return table.rows * math.pow(rows / table.rows, max(logs) / sum(logs))


def _sorted_for_limit(node: PlanNode, *, is_limited: bool) -> Iterator[PlanNode]:
    """Yield the scans of one table whose rows are all sorted before LIMIT."""
    below = inputs(node)
    if node["Node Type"] == "Limit" or (is_limited and node["Node Type"] in _PASSING):
        yield from _sorted_for_limit(below[0], is_limited=True)
    elif is_limited and node["Node Type"] == "Sort" and below[0]["Node Type"] in _FETCHING:
        yield below[0]
