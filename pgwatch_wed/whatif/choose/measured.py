"""Rows that a statement really returns, as the least that its plan fetches.

If the planner underestimates the rows of a statement, an index that it would use looks far better than it is: the rows
have to be fetched all the same. pg_stat_statements counts them. A plan that passes the rows of one scan on cannot fetch
fewer, so what it was not charged for is added, with the planner's own formulas.
"""

import math
from dataclasses import replace

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable
from pgwatch_wed.whatif.model import Plan, Query

# Nodes that return no more rows than they read.
_PASSING = frozenset(
    (
        *("Sort", "Incremental Sort", "Gather", "Gather Merge", "LockRows", "Subquery Scan"),
        *("Materialize", "WindowAgg", "Result", "ModifyTable"),
    )
)
_HEAP = frozenset({"Index Scan", "Bitmap Heap Scan"})
_SEQUENTIAL_PAGE = 1.0
_RANDOM_PAGE = 4.0
_ROW = 0.015


def with_measured_rows(plan: Plan, query: Query, catalog: Catalog) -> Plan:
    """Return a plan at the cost that it has for the rows that were counted."""
    scan = passing_scan(plan.tree)
    if query.rows is None or scan is None:
        return plan
    table = catalog.table_of(scan)
    if table is None or table.rows < 1 or table.pages < 1:
        return plan
    missing = _missing(scan, table, min(query.rows, table.rows))
    # where the values are known, the planner reads the whole table if that is cheaper
    most = max(plan.cost, table.pages * _SEQUENTIAL_PAGE + table.rows * _ROW)
    return replace(plan, cost=min(plan.cost + missing, most)) if missing > 0 else plan


def _missing(scan: PlanNode, table: CatalogTable, real: float) -> float:
    """Return the cost of the rows that the planner does not expect to fetch."""
    expected = fetched_rows(scan, table)
    if real <= expected:
        return 0.0
    rows = (real - expected) * _ROW
    if scan["Node Type"] not in _HEAP:
        return rows
    return rows + max(0.0, heap_cost(scan, table, real) - heap_cost(scan, table, expected))


def passing_scan(tree: PlanNode, *, is_short: bool = False) -> PlanNode | None:
    """Return the only scan of a plan that passes its rows on; None if it has another form.

    ``is_short``: there are fewer rows than LIMIT allows, so that it passes them on, too.
    """
    node = tree
    passing = _PASSING | {"Limit"} if is_short else _PASSING
    while node["Node Type"] in passing:
        below = [c for c in node.get("Plans", ()) if c.get("Parent Relationship") != "InitPlan"]
        if len(below) != 1:
            return None
        node = below[0]
    return node if node["Node Type"] in (*_HEAP, "Index Only Scan") else None


def fetched_rows(scan: PlanNode, table: CatalogTable) -> float:
    """Return how many rows the planner expects to fetch: those of its index condition.

    It combines bitmaps as if their conditions were independent, whatever it knows of the columns together.
    """
    bitmaps = [c for c in scan.get("Plans", ()) if c["Node Type"] == "BitmapAnd"]
    if bitmaps:
        shares = (float(c["Plan Rows"]) / table.rows for c in bitmaps[0].get("Plans", ()))
        return max(1.0, table.rows * math.prod(shares))
    share = 1.0
    for term in terms.conditions(_condition(scan)).terms:
        column = table.columns.get(term.operand.column or "")
        if column is not None and term.kind is Kind.EQUAL:
            share *= (1 - column.null_fraction) / max(1.0, min(column.distinct, table.rows))
    return max(float(scan.get("Plan Rows", 1)), share * table.rows if share < 1 else 0.0, 1.0)


def _condition(scan: PlanNode) -> str:
    text = scan.get("Index Cond") or scan.get("Recheck Cond") or ""
    return text if isinstance(text, str) else ""


def heap_cost(scan: PlanNode, table: CatalogTable, rows: float) -> float:
    """Return the cost of reading the pages of a number of rows (Mackert and Lohman)."""
    pages = min(table.pages, 2 * table.pages * rows / (2 * table.pages + rows))
    if scan["Node Type"] == "Bitmap Heap Scan":
        part = math.sqrt(pages / table.pages)
        return pages * (_RANDOM_PAGE - (_RANDOM_PAGE - _SEQUENTIAL_PAGE) * part)
    together = rows / table.rows * table.pages * _SEQUENTIAL_PAGE
    order = _order(scan, table) ** 2
    return order * together + (1 - order) * pages * _RANDOM_PAGE


def _order(scan: PlanNode, table: CatalogTable) -> float:
    columns = (
        table.columns.get(t.operand.column or "") for t in terms.conditions(_condition(scan)).terms
    )
    return max((abs(c.correlation or 0.0) for c in columns if c is not None), default=0.0)
