"""Conditions of a filter that compare with what a subplan returns for each row: which share of the rows the planner takes to meet them."""

import re

_RANGE = re.compile(r" [<>]=? ")
_EQUAL = 0.005
_COMPARED = 1 / 3
_OTHERWISE = 0.5  # IN, EXISTS


def assumed(filtered: str, subplan: str) -> float | None:
    """Return that share for the condition that names a subplan; None if there is none, or if it is one of several joined by OR.

    Nothing is known of what a subplan returns that refers to the same table.
    """
    named = re.compile(rf"{re.escape(subplan)}\b")
    if " OR " in filtered:
        return None
    asked = next(filter(named.search, filtered.split(" AND ")), None)
    if asked is None:
        return None
    if "ANY (" in asked or "EXISTS" in asked:
        return _OTHERWISE
    if _RANGE.search(asked):
        return _COMPARED
    return _EQUAL if " = " in asked else _OTHERWISE
