"""Rows of scans where the planner's guess for an unknown value is known to be wrong: the plan with others in their place.

A range of an unknown value has, for the planner, a third of all rows: also if most have no value. Here, it has a third of those with one.
And an unknown value has as many rows as the average one. But a key that is unique, of which each value is looked up, is ``''`` or ``0`` once at
most, although most rows of the other table may have that: where no parent is. Then the others are divided among all keys. A number beyond all
that ANALYZE saw of a column has hardly any rows, where the planner takes it for an average value.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, inputs, walk
from pgwatch_wed.sqltext.terms import Kind, Term
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable
from pgwatch_wed.whatif.choose.dependent import UsualValues
from pgwatch_wed.whatif.spreads import is_unique

SHARE = "Share Found"
"""A node's property: which share of the planner's rows a scan finds."""
_UNKNOWN = re.compile(r"\$\d")
_NUMBER = "N"
_DIGITS = re.compile(r"-?\d+(\.\d+)?")
_SAMPLE = 30_000  # rows that ANALYZE looks at
_SEEN = 5  # of them: so many are not missed by chance
_MOST = 0.5  # of the rows have the value that stands for none
# Nodes that return a share of the planner's rows if what they read does.
_PASSING = frozenset(
    (
        *("Sort", "Incremental Sort", "Gather", "Gather Merge", "LockRows", "Result"),
        *("Subquery Scan", "Materialize", "Memoize", "Hash", "WindowAgg", "Append"),
        *("Nested Loop", "Hash Join", "Merge Join", "Merge Append"),
    )
)


def with_found_rows(tree: PlanNode, catalog: Catalog, usual: UsualValues) -> PlanNode:
    """Return a plan with the rows that are found instead of those that the planner guesses; it may be the same.

    ``usual`` returns values of a column, as statistics have them, with their shares.
    """
    tables = {
        str(node["Alias"]): table
        for node in walk(tree)
        if "Alias" in node and (table := catalog.table_of(node)) is not None
    }
    return _corrected(tree, None, _Known(catalog, tables, usual))[0]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of tables; ``tables`` are those of a plan by alias."""

    catalog: Catalog
    tables: Mapping[str, CatalogTable]
    usual: UsualValues


def _corrected(node: PlanNode, table: CatalogTable | None, known: _Known) -> tuple[PlanNode, float]:
    """Return a node with the rows that are found, and the share of the planner's rows that its own ones are for those above."""
    table = known.catalog.table_of(node) or table  # an index scan below a bitmap names no table
    children = node.get("Plans", ())
    below = [_corrected(child, table, known) for child in children]
    share = above = 1.0
    conditions = list(terms.of_node(node))
    if table is not None and conditions:
        rows = float(node.get("Plan Rows", 1))
        above = _with_a_value(table, conditions)
        if any(_is_beyond(table, t, rows, known.usual) for t in conditions):
            above = min(above, 1 / max(1.0, rows))
        share = above * _of_others(table, conditions, known)
    elif node["Node Type"] in _PASSING:
        read = {id(child) for child in inputs(node)}
        shares = [s for (_, s), child in zip(below, children, strict=True) if id(child) in read]
        is_append = node["Node Type"] in ("Append", "Merge Append")
        share = above = max(shares, default=1.0) if is_append else math.prod(shares)
    changed: dict[str, Any] = {}
    if any(new is not old for (new, _), old in zip(below, children, strict=True)):
        changed["Plans"] = [child for child, _ in below]
    if share < 1:
        rows = max(1.0, share * float(node.get("Plan Rows", 1)))
        changed |= {"Plan Rows": rows, SHARE: share}
    return {**node, **changed} if changed else node, above


def _with_a_value(table: CatalogTable, conditions: list[Term]) -> float:
    """Return the share of rows that have a value in each column of which there is a range of unknown values."""
    told = {t.operand.column for t in conditions if t.kind is Kind.NOT_NULL}
    asked = {
        t.operand.column
        for t in conditions
        if t.kind is Kind.RANGE and _UNKNOWN.search(t.text) and t.operand.column not in told
    }
    columns = (table.columns.get(name or "") for name in asked)
    return math.prod(1 - c.null_fraction for c in columns if c is not None)


def _is_beyond(table: CatalogTable, term: Term, rows: float, usual: UsualValues) -> bool:
    """Tell whether a column is compared with a number beyond all that ANALYZE saw of it, though it would have seen some of so many rows."""
    column = table.columns.get(term.operand.column or "")
    is_number = column is not None and column.category == _NUMBER
    if column is None or not is_number or term.kind is not Kind.EQUAL or not term.is_constant:
        return False
    values = [float(v) for v in terms.constants(term.text) if _DIGITS.fullmatch(v)]
    if len(values) != 1 or rows < _SEEN * max(1.0, table.rows / _SAMPLE):
        return False
    seen = [float(v) for v, _ in usual(table, column.name) if _DIGITS.fullmatch(v)]
    return bool(seen) and not min(seen) <= values[0] <= max(seen)


def _of_others(table: CatalogTable, conditions: list[Term], known: _Known) -> float:
    """Return which share of the rows of an average value a unique key has that is looked up where most rows have one value."""
    found = 1.0
    for term in conditions:
        column, other = table.columns.get(term.operand.column or ""), term.other
        parent = None if other is None else known.tables.get(other.alias)
        if column is None or other is None or parent is None or term.kind is not Kind.EQUAL:
            continue
        most = max(known.catalog.common(table, column), default=0.0)
        filled = 1 - column.null_fraction
        if most > _MOST * filled and is_unique(known.catalog, parent, {other.column or ""}):
            values = max(2.0, min(column.distinct, table.rows))
            keys = max(1.0, values - 1, parent.rows)  # some have no rows
            found = min(found, max(0.0, filled - most) / keys * values / filled)
    return found
