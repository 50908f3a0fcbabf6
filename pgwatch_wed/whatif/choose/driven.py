"""How many rows a join begins with, by those that its statement returned.

For values that are not known, the planner expects average ones, and a prefix that is assumed may be that of many rows. If a
statement returns each joined row, or a group for nearly each, pg_stat_statements has counted them. The scan that drives the
join has found as many times more or fewer rows, and all that it is joined to is looked up as often. Of a function whose arguments are
not known, as generate_series from one day to another, the planner guesses the rows; if the statement returns a group for each, they are counted, too.
Groups that drive a join are no more than the values that their columns may have, and what drives a join that looks one row up each has no
fewer rows than the statement returned.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pgwatch_wed.quote import ident
from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, condition_texts, inputs, walk
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.whatif.catalog import Catalog
from pgwatch_wed.whatif.choose.listed_groups import factors_of_groups
from pgwatch_wed.whatif.choose.one_each import least_factors

_PASSING = frozenset(
    {"Sort", "Incremental Sort", "Gather", "Gather Merge", "Materialize", "Subquery Scan"}
)
_JOINS = frozenset({"Nested Loop", "Hash Join", "Merge Join"})
_KEEPING = frozenset({"Inner", "Left"})
_SCANS = frozenset({"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"})
_GROUPS = frozenset({"Aggregate", "Group"})

_GROUPED = 0.5  # groups for each row, from which on there are as many more groups as rows


@dataclass(frozen=True, slots=True)
class Driven:
    """How many times the planner's rows some nodes of a plan return, by their identity."""

    factors: Mapping[int, float] = field(default_factory=dict)

    def factor(self, node: PlanNode) -> float:
        """Return the factor of a node; 1 for those that nothing is known of."""
        return self.factors.get(id(node), 1.0)


def driven(tree: PlanNode, counted: float | None, catalog: Catalog) -> Driven:
    """Return what is known of the joins of a plan whose calls return a ``counted`` number of rows, None if they were not counted."""
    groups = factors_of_groups(tree)
    if counted is None:
        return Driven(groups)
    known = {**groups, **_by_rows(tree, counted, catalog)}
    least = least_factors(tree, counted, catalog)
    return Driven({**known, **{n: max(f, known.get(n, 1.0)) for n, f in least.items()}})


def _by_rows(tree: PlanNode, counted: float, catalog: Catalog) -> dict[int, float]:
    series = _series(tree)
    if series:
        # the planner knows no arguments, and guesses
        factor = max(1.0, counted) / max(1.0, float(series[-1]["Plan Rows"]))
        return {id(node): factor for node in series}
    top = _join(tree)
    if top is None:
        return {}
    path = list(_path(top))
    if len(path) < 2 or not _is_found(path[-1]):
        return {}
    # other conditions may have as much part in it
    chosen = sum(map(_is_found, walk(top)))
    factor = (max(1.0, counted) / max(1.0, float(tree["Plan Rows"]))) ** (1 / chosen)
    factor = factor if factor < 1 else math.sqrt(factor)  # the join may find more for each, too
    table = catalog.table_of(path[-1])
    if table is not None:
        factor = min(factor, table.rows / max(1.0, float(path[-1]["Plan Rows"])))
    return {id(node): factor for node in path}


def _series(tree: PlanNode) -> list[PlanNode]:
    """Return the outer joins from a function, such as generate_series, whose rows are what a plan groups by, down to it; nothing if there are none."""
    node = tree
    while node["Node Type"] in _PASSING and "Filter" not in node and len(inputs(node)) == 1:
        node = inputs(node)[0]
    keys = node.get("Group Key", ())
    if node["Node Type"] not in _GROUPS or not keys or "Filter" in node:
        return []
    path = list(_path(inputs(node)[0]))
    end = path[-1]
    if end["Node Type"] != "Function Scan" or not all(
        each.get("Join Type", "Left") == "Left" for each in path
    ):
        return []
    # of a column of the function, each row is a group; with other tables' columns, there are more
    return path if all(key.startswith(f"{ident(end['Alias'])}.") for key in keys) else []


def _join(tree: PlanNode) -> PlanNode | None:
    """Return the join whose rows a plan returns, or groups that are nearly as many; None if there is no such."""
    node = tree
    while node["Node Type"] not in _JOINS:
        below = inputs(node)
        if len(below) != 1 or not _passes(node, below[0]):
            return None
        node = below[0]
    return node


def _passes(node: PlanNode, child: PlanNode) -> bool:
    if node["Node Type"] in _PASSING:
        return "Filter" not in node
    is_grouped = node["Node Type"] in _GROUPS and "Group Key" in node
    rows = float(child["Plan Rows"])
    return is_grouped and "Filter" not in node and float(node["Plan Rows"]) >= _GROUPED * rows


def _path(node: PlanNode) -> Iterator[PlanNode]:
    """Yield a join and what drives it, down to a scan."""
    while True:
        yield node
        if node["Node Type"] in _SCANS:
            return
        below = [c for c in node.get("Plans", ()) if c.get("Parent Relationship") == "Outer"]
        is_kept = node["Node Type"] not in _JOINS or node.get("Join Type") in _KEEPING
        if len(below) != 1 or not is_kept or node["Node Type"] not in _JOINS | _PASSING:
            return
        node = below[0]


def _is_found(node: PlanNode) -> bool:
    """Tell whether a scan looks for values that the statement gives."""
    return node["Node Type"] in _SCANS and any(
        term.is_constant and term.kind is not Kind.NOT_NULL
        for text in condition_texts(node)
        for term in terms.conditions(text).terms
    )
