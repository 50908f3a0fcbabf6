"""Joins that look one row up for each, by a unique key: they return no more rows than drive them.

So the rows that a statement returned, which pg_stat_statements counts, are the least that drive them, and that are looked up, also if they are
sorted, grouped or cut off by LIMIT afterwards. If the planner expects fewer, the values had more rows than the average one.
"""

from pgwatch_wed.sqltext.plan_trees import INDEX_SCANS, PlanNode, inputs
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.whatif.catalog import Catalog
from pgwatch_wed.whatif.choose.scatter import bound_columns
from pgwatch_wed.whatif.spreads import is_unique

# Nodes that return no more rows than they read.
_NO_MORE = frozenset(
    (
        *("Sort", "Incremental Sort", "Limit", "LockRows", "Materialize", "Subquery Scan"),
        *("Group", "Unique", "WindowAgg"),
    )
)
_ONE = frozenset({Kind.EQUAL})
_KEEPING = frozenset({"Inner", "Left"})


def least_factors(tree: PlanNode, counted: float, catalog: Catalog) -> dict[int, float]:
    """Return how many times the planner's rows the nodes that drive such joins return at least, by their identity.

    They are those of a plan whose calls return a ``counted`` number of rows; nothing for another plan.
    """
    found: dict[int, float] = {}
    node: PlanNode | None = tree
    is_join = False
    while node is not None:
        rows = max(1.0, float(node.get("Plan Rows", 1)))
        if is_join:
            table = catalog.table_of(node)
            found[id(node)] = (counted if table is None else min(counted, table.rows)) / rows
        is_join = is_join or node["Node Type"] == "Nested Loop"
        node = _driving(node, catalog)
    return found


def is_told(tree: PlanNode, counted: float, catalog: Catalog) -> bool:
    """Tell whether what a plan looks up is as much as was counted, not what the planner expects, which is less."""
    return any(factor > 1 for factor in least_factors(tree, counted, catalog).values())


def _driving(node: PlanNode, catalog: Catalog) -> PlanNode | None:
    """Return the input of a node that has at least as many rows; None if that is not known."""
    below = inputs(node)
    is_grouped = node["Node Type"] == "Aggregate" and "Group Key" in node
    if node["Node Type"] in _NO_MORE or is_grouped:
        return below[0] if len(below) == 1 else None
    if node["Node Type"] != "Nested Loop" or node.get("Join Type") not in _KEEPING:
        return None
    outer, inner = below
    return outer if _is_one(inner, catalog) else None


def _is_one(node: PlanNode, catalog: Catalog) -> bool:
    """Tell whether a plan finds at most one row, by the equality of a unique key."""
    while node["Node Type"] == "Memoize":
        (node,) = inputs(node)
    table = catalog.table_of(node)
    if table is None or node["Node Type"] not in INDEX_SCANS:
        return False
    return is_unique(catalog, table, {c.name for c in bound_columns(node, table, _ONE)})
