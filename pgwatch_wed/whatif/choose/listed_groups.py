"""Groups of columns that a statement compares with values: there are no more than values.

The planner does not know that ``sensor IN (3, 4, 5) GROUP BY sensor`` has three groups: it expects as many as the rows found would have if they
were of all sensors, so that what is looked up for each group seems to be looked up a hundred times as often as it is.
"""

import math
from collections.abc import Iterator

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, condition_texts, walk
from pgwatch_wed.sqltext.terms import Kind, Term

_ASSUMED = 10.0  # elements of an array of which nothing is known, as for the planner


def factors_of_groups(tree: PlanNode) -> dict[int, float]:
    """Return how many times the planner's rows nodes that group return, by their identity, if these are fewer."""
    found = {}
    for node in walk(tree):
        rows = max(1.0, float(node.get("Plan Rows", 1)))
        most = _most_groups(node)
        if most < rows:
            found[id(node)] = most / rows
    return found


def _most_groups(node: PlanNode) -> float:
    keys = node.get("Group Key", ())
    if not keys:
        return math.inf
    values = _values(node)
    columns = (terms.sort_key(key) for key in keys)
    return math.prod(
        math.inf if c is None else values.get((c.operand.alias, c.operand.column), math.inf)
        for c in columns
    )


def _values(node: PlanNode) -> dict[tuple[str, str | None], float]:
    """Return by alias and column how many values the rows below a node may have."""
    found: dict[tuple[str, str | None], float] = {}
    for term in _terms(node):
        number = _number(term)
        name = (term.operand.alias, term.operand.column)
        if number is not None and term.operand.column is not None:
            found[name] = min(number, found.get(name, math.inf))
    return found


def _terms(node: PlanNode) -> Iterator[Term]:
    for below in walk(node):
        if below is not node:
            for text in condition_texts(below):
                yield from terms.conditions(text).terms


def _number(term: Term) -> float | None:
    """Return how many values a condition allows; None if they are not given."""
    if not term.is_constant:
        return None
    if term.kind is Kind.EQUAL:
        return 1.0
    if term.kind is not Kind.IN:
        return None
    is_list = "[" in term.text or "{" in term.text
    return term.text.count(",") + 1.0 if is_list else _ASSUMED
