"""What the plan of a statement tells about it: facts from EXPLAIN's JSON."""

import json
from typing import Any

from pgwatch_wed.facts import Snapshot, StatementPlan, Table
from pgwatch_wed.sqltext.plan_trees import PlanNode, outline, walk

_MAX_OUTLINE = 1_000
_MAX_TREE = 30_000
_KEPT = (
    *("Node Type", "Strategy", "Partial Mode", "Operation", "Parent Relationship", "Subplan Name"),
    *("Join Type", "Inner Unique", "Parallel Aware", "Scan Direction", "Workers Planned"),
    *("Schema", "Relation Name", "Alias", "Index Name", "CTE Name", "Subplans Removed"),
    *("Startup Cost", "Total Cost", "Plan Rows", "Plan Width"),
)
_GROUPING = frozenset({"Aggregate", "Group", "Unique", "SetOp", "ProjectSet", "Recursive Union"})
# Nodes that return as many rows as they read.
_PASSING = frozenset(
    (
        *("Sort", "Incremental Sort", "Gather", "Gather Merge", "LockRows", "Subquery Scan"),
        *("Materialize", "Memoize", "WindowAgg", "Result", "CTE Scan"),
    )
)


def described(query_id: int, top: PlanNode, snapshot: Snapshot) -> StatementPlan:
    """Return what a plan's tree tells about a statement."""
    nodes = list(walk(top))
    deciding = _deciding(top)
    removed = [n["Subplans Removed"] for n in nodes if "Subplans Removed" in n]
    scanned = {t.oid for n in nodes if (t := _table(n, snapshot)) is not None and t.is_partition}
    return StatementPlan(
        query_id=query_id,
        total_cost=float(top["Total Cost"]),
        plan_rows=_rows(top),
        plan=outline(top)[:_MAX_OUTLINE],
        tree=tree(top),
        is_cut=deciding == "Limit",
        is_grouped=deciding in _GROUPING,
        subplans_removed=sum(removed) if removed else None,
        scanned_partitions=tuple(sorted(scanned)),
    )


def tree(top: PlanNode) -> str:
    """Return a plan as EXPLAIN's JSON, without conditions, which may contain values; "" if it is huge."""
    text = json.dumps([{"Plan": _shape(top)}], separators=(",", ":"))
    return text if len(text) <= _MAX_TREE else ""


def _shape(node: PlanNode) -> dict[str, Any]:
    kept: dict[str, Any] = {k: node[k] for k in _KEPT if k in node}
    if node.get("Plans"):
        kept["Plans"] = [_shape(child) for child in node["Plans"]]
    return kept


def _main(node: PlanNode) -> PlanNode | None:
    """Return the child whose rows a node passes on: not an init plan or a subplan."""
    children = (c for c in node.get("Plans", ()) if c.get("Parent Relationship") != "InitPlan")
    return next((c for c in children if c.get("Parent Relationship") != "SubPlan"), None)


def _deciding(top: PlanNode) -> str:
    """Return the type of the first node from the top that changes the number of rows."""
    node = top
    while node["Node Type"] in (*_PASSING, "ModifyTable"):
        below = _main(node)
        if below is None:
            break
        node = below
    return str(node["Node Type"])


def _rows(top: PlanNode) -> float:
    """Return the rows that a call returns or changes; the node of a write itself has no rows."""
    if top["Node Type"] != "ModifyTable":
        return float(top["Plan Rows"])
    below = [c for c in top.get("Plans", ()) if c.get("Parent Relationship") in ("Outer", "Member")]
    return sum(float(c["Plan Rows"]) for c in below)


def _table(node: PlanNode, snapshot: Snapshot) -> Table | None:
    named = snapshot.tables_named[node.get("Relation Name", "")]
    return next((t for t in named if t.schema == node.get("Schema")), None)
