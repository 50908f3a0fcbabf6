"""Conditions on what is computed from a column of few values, such as ``flags & 2 <> 0``: those values tell how many rows meet them.

Unless an index contains it, the planner knows nothing of what is computed. It takes a two hundredth of the rows to be equal to a value, and nearly
all to differ from it. Where LIMIT ends a scan with such a filter, it may read a few rows or all of them.
"""

from collections.abc import Iterator

from pgwatch_wed.sqltext import forms, terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, walk
from pgwatch_wed.sqltext.terms import Kind, Term
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable
from pgwatch_wed.whatif.oracle import Oracle

_MOST_VALUES = 100  # of a column, all of which may be among its most common
_KINDS = frozenset({Kind.EQUAL, Kind.IN, Kind.DIFFERENT, Kind.RANGE, Kind.BOOLEAN})
_NEAR = 1.2
_SURE = 2.0  # rows, from which on they tell how many were expected
_MASK = " & "


def learn(oracle: Oracle, tree: PlanNode) -> None:
    """Ask for what a plan's conditions on computed values match, so that the catalog knows it."""
    catalog = oracle.catalog
    for node in walk(tree):
        table = catalog.table_of(node)
        if table is None:
            continue
        for term in terms.of_node(node):
            if not _is_of_few(table, term):
                continue
            if catalog.is_first_try("computed", table.oid, term.text):
                (column,) = term.operand.columns
                found = oracle.share_meeting(table, column, term.text)
                if found is not None:
                    catalog.computed[table.oid, term.text] = found


def times_filtered(catalog: Catalog, table: CatalogTable, scan: PlanNode, before: float) -> float:
    """Return how many times the planner's rows pass the filter of a scan, of ``before`` rows; 1 unless each condition of it is known.

    It is 1, too, if the planner has not expected what it expects of unknown values: then an index on them has told it more.
    """
    found = terms.conditions(str(scan.get("Filter") or ""))
    known = [catalog.computed.get((table.oid, term.text)) for term in found.terms]
    if not known or found.arms:
        return 1.0
    real = expected = 1.0
    for each in known:
        if each is None:
            return 1.0
        real, expected = real * each.real, expected * each.planned
    planned = float(scan["Plan Rows"])
    if planned < _SURE or not 1 / _NEAR < planned / max(1.0, before * expected) < _NEAR:
        return 1.0
    return max(real, 1 / table.rows) / expected


def masks_few(catalog: Catalog, table: CatalogTable, term: Term, most: float) -> bool:
    """Tell whether a condition tests bits of a column, and at most a share of the rows meets it."""
    known = catalog.computed.get((table.oid, term.text))
    return known is not None and known.real <= most and _MASK in term.operand.text


def _is_of_few(table: CatalogTable, term: Term) -> bool:
    """Tell whether a condition compares what is computed from a single column of few values with a constant."""
    names = list(_columns(table, term))
    is_constant = term.is_constant and "$" not in term.text and term.kind in _KINDS
    return len(names) == 1 and is_constant and not forms.changes_by_call(term.text)


def _columns(table: CatalogTable, term: Term) -> Iterator[str]:
    if term.operand.column is None and len(term.operand.columns) == 1:
        (name,) = term.operand.columns
        column = table.columns.get(name)
        if column is not None and not column.is_virtual and column.distinct <= _MOST_VALUES:
            yield name
