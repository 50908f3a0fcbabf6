"""Conditions that ask whether a value is one of a subquery's, as policies of row security do: for the planner, half of the rows satisfy them."""

import re

from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.whatif.catalog import CatalogTable

_NAME = r'(?:"[^"]+"|\w+)'
_MEMBER = re.compile(
    rf"(?<!NOT )\(ANY \((?:{_NAME}\.)?({_NAME}) = \(hashed (SubPlan \d+)\)\.col1\)\)"
)
_ASSUMED = 0.5


def members(scan: PlanNode, table: CatalogTable) -> float:
    """Return how many times the planner's rows a scan returns, if each value of such a condition's column has as many rows."""
    found, condition = 1.0, str(scan.get("Filter") or "")
    if " OR " in condition:
        return found
    rows = {c.get("Subplan Name"): float(c.get("Plan Rows", 1)) for c in scan.get("Plans", ())}
    for name, subplan in _MEMBER.findall(condition):
        column = table.columns.get(name.strip('"'))
        if column is not None and subplan in rows:
            found *= min(1.0, rows[subplan] / max(1.0, column.distinct)) / _ASSUMED
    return found
