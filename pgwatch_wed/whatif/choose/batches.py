"""Writes of a batch of rows, such as UPDATE … WHERE id IN (SELECT … LIMIT 500): it is filled unless the planner certainly finds fewer.

It takes several conditions to be independent. But rows that are not done are mostly the newest ones: then as many satisfy both as one. Whoever
writes LIMIT 500 expects so many, and what entries in indexes cost for them must not be underestimated.
"""

from collections.abc import Iterator
from typing import Any

from pglast import ast

from pgwatch_wed.sqltext import terms, trees
from pgwatch_wed.sqltext.plan_trees import PlanNode, inputs

_SEVERAL = 2


def with_full_batch(tree: PlanNode, text: str) -> PlanNode:
    """Return the plan of a write with as many rows as its subquery may return; the same if that is not known, or it finds so many."""
    if tree["Node Type"] != "ModifyTable":
        return tree
    limits = set(_limits(text))
    return _filled(tree, float(limits.pop()))[0] if len(limits) == 1 else tree


def _limits(text: str) -> Iterator[int]:
    """Yield the constants that LIMIT has in a statement."""
    try:
        nodes = list(trees.walk(trees.parse(text)))
    except ValueError:
        return
    for node in nodes:
        if isinstance(node, ast.SelectStmt) and node.limitCount is not None:
            value = trees.constant(trees.without_casts(node.limitCount))
            if value is not None and value.isdecimal():
                yield int(value)


def _filled(node: PlanNode, wanted: float) -> tuple[PlanNode, float]:
    """Return a node above or at LIMIT with the rows of a full batch, and how many times as many these are."""
    rows = float(node.get("Plan Rows", 0))
    if node["Node Type"] == "Limit":
        is_open = 0 < rows < wanted and _conditions(node) >= _SEVERAL
        return (_scaled(node, wanted / rows), wanted / rows) if is_open else (node, 1.0)
    below = [_filled(child, wanted) for child in node.get("Plans", ())]
    times = max((each for _, each in below), default=1.0)
    if times == 1:
        return node, 1.0
    changed: dict[str, Any] = {"Plans": [child for child, _ in below], "Plan Rows": rows * times}
    return {**node, **changed}, times


def _scaled(node: PlanNode, times: float) -> PlanNode:
    """Return LIMIT and what it reads, one from the other, with as many times the rows."""
    rows, read = float(node["Plan Rows"]) * times, inputs(node)
    if len(read) != 1:
        return {**node, "Plan Rows": rows}
    return {**node, "Plan Rows": rows, "Plans": [_scaled(read[0], times)]}


def _conditions(node: PlanNode) -> int:
    """Return how many operands are compared with constants in what LIMIT reads."""
    found = {term.operand for term in terms.of_node(node)}
    read = inputs(node)
    return len(found) + (_conditions(read[0]) if len(read) == 1 else 0)
