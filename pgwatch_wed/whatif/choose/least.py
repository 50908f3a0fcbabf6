"""How many rows a condition finds if the planner takes it to match the least that it takes anything to.

If nothing among a column's sampled values matches, the planner expects a ten-thousandth of the rows. There may be less: a pattern may match
nothing. If something matches, it is one value at least, with as many rows as a value has.
"""

import math

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable

_LEAST = 0.00011  # the planner's least is 0.0001, rounded to whole rows
_PATTERNS = frozenset({Kind.PATTERN, Kind.PREFIX})


def times_planned(catalog: Catalog, table: CatalogTable, scan: PlanNode, rows: float) -> float:
    """Return how many times the ``rows`` that the planner expects a scan finds if these are the least.

    How many less match a pattern is not known: the geometric mean of that and one.
    """
    if not 1 < rows <= max(1.0, _LEAST * table.rows):
        return 1.0
    found = [
        term
        for name in ("Filter", "Recheck Cond", "Index Cond")
        for term in terms.conditions(str(scan.get(name) or "")).terms
        if term.kind in _PATTERNS or term.operator == "@>"
    ]
    columns = (table.columns.get(term.operand.column or "") for term in found)
    of_value = max((_rows_of_value(catalog, table, c) for c in columns if c), default=0.0)
    is_pattern = any(term.kind in _PATTERNS for term in found)
    return max(1 / math.sqrt(rows) if is_pattern else 1.0, of_value / rows)


def _rows_of_value(catalog: Catalog, table: CatalogTable, column: CatalogColumn) -> float:
    """Return how many rows a value has that is none of the most common."""
    common = catalog.common(table, column)
    rest = max(0.0, 1 - column.null_fraction - sum(common))
    return table.rows * rest / max(1.0, column.distinct - len(common))
