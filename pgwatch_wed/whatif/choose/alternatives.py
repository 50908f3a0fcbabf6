"""What a plan costs whose filter hashes the rows of a subplan that it might also run for each row: ``public OR EXISTS (SELECT …)``.

The planner chooses between the two after it has chosen the plan, whose cost remains that of running the subplan for each row: it may be
ten thousand times what the plan really costs. ``IN (SELECT …)`` has no such alternative: reading its rows is part of what the scan
costs before its first row.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pgwatch_wed.sqltext.plan_trees import PlanNode, inputs, walk
from pgwatch_wed.whatif.catalog import Catalog
from pgwatch_wed.whatif.choose.measured import fetched_rows, heap_cost
from pgwatch_wed.whatif.model import Plan

_PAGE = 1.0
_ROW = 0.02
_DESCENT = 5.0
_BLOCKING = frozenset({"Sort", "Hash", "Aggregate", "SetOp"})


def as_hashed(plan: Plan, catalog: Catalog) -> Plan:
    """Return a plan at the cost of subplans that are hashed once, in its tree, too; the same plan if it has no such alternative."""
    if not any(True for node in walk(plan.tree) for _ in _hashed(node)):
        return plan
    tree, _, saved = _repriced(plan.tree, catalog)
    return replace(plan, tree=tree, cost=plan.cost - saved)


def _repriced(node: PlanNode, catalog: Catalog) -> tuple[dict[str, Any], float, float]:
    """Return a node at its real cost, and how much less it costs to its first row and to its last."""
    found = {id(child): _repriced(child, catalog) for child in node.get("Plans", ())}
    first, last = _saved(node, [found[id(child)][1:] for child in inputs(node)])
    own = _excess(node, catalog)
    new = dict(node)
    new["Startup Cost"] = float(node["Startup Cost"]) - first
    new["Total Cost"] = float(node["Total Cost"]) - last - own
    if found:
        new["Plans"] = [found[id(child)][0] for child in node["Plans"]]
    return new, first, last + own


def _saved(node: PlanNode, below: list[tuple[float, float]]) -> tuple[float, float]:
    """Return what a node costs less to its first and to its last row, as its inputs do."""
    if not any(last for _, last in below):
        return 0.0, 0.0
    kind, children = node["Node Type"], inputs(node)
    if kind == "Limit":
        first, last = below[0]
        whole = float(children[0]["Total Cost"]) - float(children[0]["Startup Cost"])
        part = float(node["Total Cost"]) - float(node["Startup Cost"])
        return first, first + (last - first) * min(1.0, part / whole if whole > 0 else 1.0)
    if kind == "Nested Loop":
        loops = max(1.0, float(children[0]["Plan Rows"]))
        (first, last), (_, inner) = below
        return first, min(last + inner * loops, float(node["Total Cost"]))
    last = sum(each for _, each in below)
    is_blocking = kind in _BLOCKING
    return (last if is_blocking else sum(each for each, _ in below)), last


def _excess(node: PlanNode, catalog: Catalog) -> float:
    """Return how much more than it is a scan is thought to cost."""
    hashed, table = list(_hashed(node)), catalog.table_of(node)
    if not hashed or table is None:
        return 0.0
    if node["Node Type"] == "Seq Scan":
        own = table.pages * _PAGE + table.rows * _ROW
    else:
        rows = fetched_rows(node, table)
        own = _DESCENT + heap_cost(node, table, rows) + rows * _ROW
    return max(0.0, float(node["Total Cost"]) - own - sum(float(p["Total Cost"]) for p in hashed))


def _hashed(node: PlanNode) -> Iterator[PlanNode]:
    """Yield the subplans of a scan that its filter hashes, though they are no part of what it costs before its first row."""
    for child in node.get("Plans", ()):
        name = f"(hashed {child.get('Subplan Name')})"
        is_free = float(node["Startup Cost"]) < float(child["Total Cost"])
        if "Relation Name" in node and name in str(node.get("Filter") or "") and is_free:
            yield child
