"""How many rows a statement finds by its plan, to compare with those that were counted, or that another plan finds."""

from pgwatch_wed.sqltext.plan_trees import PlanNode, walk

_PASSING = frozenset(
    (
        *("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Bitmap Index Scan"),
        *("Sort", "Limit", "Incremental Sort", "ModifyTable", "LockRows", "Result"),
        *("Gather", "Gather Merge"),
    )
)
_NOT_COUNTED = frozenset({"ModifyTable", "LockRows", "Result", "Limit"})


def rows_found(tree: PlanNode) -> float | None:
    """Return the rows of a plan that reads one table and neither joins nor adds up, without LIMIT; None for another."""
    nodes = list(walk(tree))
    if any(n["Node Type"] not in _PASSING for n in nodes):
        return None
    counted = [n for n in nodes if n["Node Type"] not in _NOT_COUNTED]
    return float(counted[0]["Plan Rows"]) if counted else None


def as_told(tree: PlanNode, other: PlanNode | None) -> PlanNode:
    """Return a plan with the rows that another one of the same statement finds, which knows more of an expression."""
    found = rows_found(tree)
    told = None if other is None else rows_found(other)
    if not found or told is None or found == told:
        return tree
    return _scaled(tree, told / found)


def _scaled(node: PlanNode, factor: float) -> PlanNode:
    if node["Node Type"] == "Bitmap Index Scan":
        return node
    below = [_scaled(child, factor) for child in node.get("Plans", ())]
    rows = float(node["Plan Rows"]) * (1.0 if node["Node Type"] in _NOT_COUNTED else factor)
    return {**node, "Plan Rows": max(1.0, rows), **({"Plans": below} if below else {})}
