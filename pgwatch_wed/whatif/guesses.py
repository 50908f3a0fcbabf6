"""What a promise rests on if no statistics tell how many rows match: the planner's default shares."""

import re
from collections.abc import Iterator

from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.terms import Conjunction, Kind, Term
from pgwatch_wed.whatif import usage
from pgwatch_wed.whatif.catalog import Catalog
from pgwatch_wed.whatif.model import Candidate

_PARAMETER = re.compile(r"\$(\d+)")
_FIRST_PLACEHOLDER = 98  # higher numbers represent what only EXPLAIN prints
_DEFAULTS = frozenset({Kind.RANGE, Kind.PREFIX, Kind.PATTERN, Kind.CONTAINS, Kind.MATCH})


def guessed(tree: PlanNode, catalog: Catalog, index: Candidate) -> frozenset[str]:
    """Return the columns of an index of which a plan compares ranges or patterns with parameters."""
    return _open(tree, catalog, index, _DEFAULTS)


def equated(tree: PlanNode, catalog: Catalog, index: Candidate) -> frozenset[str]:
    """Return the columns of an index that must be equal to parameters, whose values are assumed to be average ones."""
    return _open(tree, catalog, index, frozenset({Kind.EQUAL}))


def _open(
    tree: PlanNode, catalog: Catalog, index: Candidate, kinds: frozenset[Kind]
) -> frozenset[str]:
    mine = {c for key in index.keys if key.column is not None for c in (key.column,)}
    return frozenset(
        column
        for use in usage.uses(tree, catalog)
        if (use.table.schema, use.table.name) == (index.schema, index.table)
        for group in use.groups
        for term in _terms(group)
        if term.operand.alias == use.alias and term.kind in kinds and _is_open(term)
        for column in term.operand.columns & mine
    )


def _is_open(term: Term) -> bool:
    return any(int(n) < _FIRST_PLACEHOLDER for n in _PARAMETER.findall(term.text))


def _terms(group: Conjunction) -> Iterator[Term]:
    yield from group.terms
    for arm in group.arms:
        yield from _terms(arm)
