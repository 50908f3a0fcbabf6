"""Conditions that ask whether a value is one of a subquery's, as policies of row security do: for the planner, half of the rows satisfy them.

Who has many rows is also more often a member: each value is taken to be asked for as often as rows have it.
"""

import re

from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable

_NAME = r'(?:"[^"]+"|\w+)'
_MEMBER = re.compile(
    rf"(?<!NOT )\(ANY \((?:{_NAME}\.)?({_NAME}) = \(hashed (SubPlan \d+)\)\.col1\)\)"
)
_ASSUMED = 0.5


def members(catalog: Catalog, table: CatalogTable, scan: PlanNode) -> float:
    """Return how many times the planner's rows a scan returns, if the values of such a condition's column are drawn as rows have them."""
    found, condition = 1.0, str(scan.get("Filter") or "")
    if " OR " in condition:
        return found
    rows = {c.get("Subplan Name"): float(c.get("Plan Rows", 1)) for c in scan.get("Plans", ())}
    for name, subplan in _MEMBER.findall(condition):
        column = table.columns.get(name.strip('"'))
        if column is not None and subplan in rows:
            found *= min(1.0, rows[subplan] * _drawn(catalog, table, column)) / _ASSUMED
    return found


def _drawn(catalog: Catalog, table: CatalogTable, column: CatalogColumn) -> float:
    """Return which share of the rows has a value of a column that is drawn as rows have it."""
    common = catalog.common(table, column)
    others = max(1.0, column.distinct - len(common))
    rest = max(0.0, 1 - column.null_fraction - sum(common))
    return max(1 / max(1.0, column.distinct), sum(s * s for s in common) + rest * rest / others)
