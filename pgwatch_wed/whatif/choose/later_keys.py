"""Conditions on later keys of a B-tree, which do not bound what is read of it: they exclude rows as a filter does.

With an index on ``(created_at, user_id)``, ``user_id = 250 ORDER BY created_at LIMIT 20`` reads entries in the order of time until 20 are of the
user: that may be far, or to the end.
"""

from collections.abc import Callable

from pgwatch_wed.quote import ident
from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.terms import EQUAL, Term
from pgwatch_wed.whatif.oracle import IndexShape
from pgwatch_wed.whatif.spreads import bare


def as_filtered(scan: PlanNode, shape_of: Callable[[str], IndexShape | None]) -> PlanNode:
    """Return a scan of a B-tree whose filter also has what its index conditions exclude on the way; the same if they only bound it."""
    shape = shape_of(scan["Index Name"]) if "Index Cond" in scan else None
    if shape is None or shape.method != "btree" or not shape.texts:
        return scan
    found = terms.conditions(str(scan["Index Cond"]))
    bounds = _bounds(found.terms, shape)
    later = [t for t in found.terms if t not in bounds]
    is_known = all(any(_is_of(t, key) for key in shape.texts) for t in later)
    if not later or found.arms or not is_known:
        return scan
    filtered = [str(scan["Filter"])] if "Filter" in scan else []
    changed = {**scan, "Filter": " AND ".join([*filtered, *_in_brackets(later)])}
    if not bounds:
        return {name: value for name, value in changed.items() if name != "Index Cond"}
    return {**changed, "Index Cond": " AND ".join(_in_brackets(bounds))}


def _bounds(found: tuple[Term, ...], shape: IndexShape) -> list[Term]:
    """Return the conditions on the first keys as far as they are compared for equality, and on the next one."""
    bounds: list[Term] = []
    for key in shape.texts:
        own = [t for t in found if _is_of(t, key)]
        bounds += own
        if not {t.kind for t in own} & EQUAL:
            break
    return bounds


def _is_of(term: Term, key: str) -> bool:
    return bool({term.operand.text, term.operand.column} & {key, bare(key)})


def _in_brackets(some: list[Term]) -> list[str]:
    return [f"({_with_alias(t)})" for t in some]


def _with_alias(term: Term) -> str:
    operand = term.operand
    if operand.column is None or not operand.alias:
        return term.text
    return term.text.replace(operand.text, f"{ident(operand.alias)}.{operand.text}", 1)
