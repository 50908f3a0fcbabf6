"""How many rows the indexes of a scan select, and what its filter excludes, as far as its plan tells."""

import math
import re
from collections.abc import Iterator

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, inputs
from pgwatch_wed.whatif.catalog import CatalogTable

MOST_PASS = 0.5
_FROM = frozenset({">=", "~>=~"})
_ONLY_PREFIX = re.compile(r" ~~ CAST\('[^%_\\]+%' AS \w+\)$")


def bitmaps(node: PlanNode) -> Iterator[PlanNode]:
    """Yield the scans of indexes of which a bitmap is made."""
    for child in node.get("Plans", ()):
        if child["Node Type"] == "Bitmap Index Scan":
            yield child
        elif child["Node Type"] in ("BitmapAnd", "BitmapOr"):
            yield from bitmaps(child)


def rows_of_scan(scan: PlanNode, table: CatalogTable) -> float:
    """Return how many rows the indexes of a scan select, as far as its plan tells."""
    is_bitmap = scan["Node Type"] == "Bitmap Heap Scan"
    return rows_of_bitmap(scan, table) if is_bitmap else float(scan["Plan Rows"])


def rows_of_bitmap(node: PlanNode, table: CatalogTable) -> float:
    """Return how many rows a bitmap selects, as far as its plan tells."""
    top = next((c for c in inputs(node) if "Plan Rows" in c), None)
    if top is None:
        return max(1.0, float(node["Plan Rows"]))
    if top["Node Type"] == "BitmapAnd":
        shares = (float(c["Plan Rows"]) / max(table.rows, 1.0) for c in top.get("Plans", ()))
        return max(1.0, float(node["Plan Rows"]), table.rows * math.prod(shares))
    if top["Node Type"] == "BitmapOr":
        return max(1.0, sum(float(c["Plan Rows"]) for c in top.get("Plans", ())))
    return max(1.0, float(top["Plan Rows"]))


def excludes_many(scan: PlanNode, rows: float) -> bool:
    """Tell whether the filter of a scan excludes more than half of the rows, as far as its plan tells."""
    if "Filter" not in scan or repeats_prefix(scan):
        return False
    found = [float(c["Plan Rows"]) for c in scan.get("Plans", ()) if "Plan Rows" in c]
    return not found or rows < MOST_PASS * found[0]


def repeats_prefix(scan: PlanNode) -> bool:
    """Tell whether the filter of a scan only repeats the prefix that is its index condition."""
    text = str(scan.get("Filter") or "")
    found = terms.conditions(text).terms
    bound = terms.of_index(scan)
    from_prefix = {t.operand.text for t in bound if t.operator in _FROM}
    is_all_known = len(found) == 1 + text.count(" AND ") and " OR " not in text
    return is_all_known and all(
        t.operand.text in from_prefix and _ONLY_PREFIX.search(t.text) for t in found
    )


def is_by_distance(scan: PlanNode) -> bool:
    """Tell whether a scan returns what is near a value first, which has nothing to do with what its filter excludes."""
    return "Order By" in scan and "Index Cond" not in scan
