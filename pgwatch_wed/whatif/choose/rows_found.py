"""How many rows a statement finds by its plan, to compare with those that were counted."""

from pgwatch_wed.sqltext.plan_trees import walk
from pgwatch_wed.whatif.model import Plan

_PASSING = frozenset(
    (
        *("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Bitmap Index Scan"),
        *("Sort", "Limit", "Incremental Sort", "ModifyTable", "LockRows", "Result"),
        *("Gather", "Gather Merge"),
    )
)
_NOT_COUNTED = frozenset({"ModifyTable", "LockRows", "Result", "Limit"})


def rows_found(plan: Plan) -> float | None:
    """Return the rows of a plan that reads one table and neither joins nor adds up, without LIMIT; None for another."""
    nodes = list(walk(plan.tree))
    if any(n["Node Type"] not in _PASSING for n in nodes):
        return None
    counted = [n for n in nodes if n["Node Type"] not in _NOT_COUNTED]
    return float(counted[0]["Plan Rows"]) if counted else None
