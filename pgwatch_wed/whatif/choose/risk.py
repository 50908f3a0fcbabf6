"""Plans that look cheap but may be slow: what the planner underestimates in nested loops.

The planner spreads the pages that an inner index scan reads over as many loops as the outer table
has rows, even if joins let only a few of them through. So a few hundred probes that each fetch
hundreds of scattered rows are charged a tenth of what they cost. Here they are charged again, with
the same formula (Mackert and Lohman) but the number of loops that the plan itself expects. As measured
on cached data, half of ``random_page_cost`` per page predicts the real CPU time best.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, inputs, walk
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable
from pgwatch_wed.whatif.choose.computed import times_filtered
from pgwatch_wed.whatif.choose.dependent import UsualValues, dependent_cost, times_planned
from pgwatch_wed.whatif.choose.late import RowsInOrder, late_cost, limited_scans, short_share
from pgwatch_wed.whatif.choose.precedence import RowsMeeting, precedence
from pgwatch_wed.whatif.choose.scatter import (
    bound_columns,
    decisive,
    pages_fetched,
    scan_cost,
    scatter_cost,
)
from pgwatch_wed.whatif.choose.worked_off import ColumnsSet
from pgwatch_wed.whatif.model import Plan, Query
from pgwatch_wed.whatif.oracle import IndexShape

_SUSPECT = 1.3  # above this ratio to the present cost, a plan is valued by its real risk
_FORBIDDEN = 1.5  # above this ratio, no gain in other queries compensates for it
# Of ``ends_at > $1 AND starts_at < $2``, the planner thinks the same; but mostly, recent times are asked for.
_ONLY_BELOW = 1.01
_TOLD = 0.1  # the part of the present cost by which a plan may cost more without being told
_VETO = 5.0
_PAGE_SHARE = 0.5
_ROW_COST = 0.02
_PROBE_COST = 0.4
_DOUBT_PER_JOIN = 2.0
_MAX_DOUBT = 8.0
_LATE = "it is assumed that the rows looked for are spread evenly over the order of an index, which is read until LIMIT is satisfied"
_EQUAL = frozenset({Kind.EQUAL})
_FETCHING = frozenset({"Index Scan", "Bitmap Heap Scan"})
_PROBING = _FETCHING | {"Index Only Scan"}
_JOINS = frozenset({"Nested Loop", "Hash Join", "Merge Join"})


@dataclass(frozen=True, slots=True)
class _Probe:
    """The inner side of a nested loop: a scan, how often it runs, and the outer side with its number of joins."""

    node: PlanNode
    loops: float
    joins: int
    outer: PlanNode


@dataclass(frozen=True, slots=True)
class ExpectedCost:
    """What a plan is expected to cost, and its value for the search, which includes the risk that it costs more."""

    expected: float
    value: float


@dataclass(frozen=True, slots=True)
class _Costs:
    """A plan's cost, and what is missing in it: for loops, for rows that are no neighbors or more than planned, and for rows that come late or last."""

    planned: float
    hidden: float
    scattered: float
    late: float
    last: float

    @property
    def expected(self) -> float:
        """The planner's cost with what rows that come late or are no neighbors cost in addition."""
        return self.planned + self.scattered + self.late

    @property
    def real(self) -> float:
        """The corrected cost."""
        return self.expected + self.hidden

    @property
    def at_worst(self) -> float:
        """The same, with rows that come last."""
        return self.planned + self.hidden + self.scattered + self.last


class Judge:
    """Values plans; one that risks being slower than the present plan is worth less than its cost says."""

    def __init__(
        self,
        catalog: Catalog,
        rows_in_order: RowsInOrder,
        shape: Callable[[str], IndexShape | None],
        meeting: RowsMeeting | None = None,
        usual: UsualValues = lambda _table, _column: (),
        *,
        page_cost: float = 4.0,
        is_on: bool = True,
        columns_set: ColumnsSet = (),
    ) -> None:
        self._catalog = catalog
        self._columns_set = columns_set
        self._meeting = meeting
        self._usual = usual
        self._known_rows = rows_in_order
        self._shape = shape
        self._page_cost = page_cost
        self._is_on = is_on
        self._base: dict[str, _Costs] = {}

    def begin(self, query: Query, plan: Plan) -> None:
        """Store the plan without candidates, with which others are compared."""
        self._base[query.name] = self._costs(query, plan)

    def expected(self, query: Query, plan: Plan) -> float:
        """Return what a plan is expected to cost, with rows that come late or are no neighbors."""
        if not self._is_on:
            return plan.cost
        costs = self._costs(query, plan)
        return costs.expected

    def __call__(self, query: Query, plan: Plan) -> ExpectedCost:
        """Return the costs of a plan by which sets are compared and promised."""
        if not self._is_on:
            return ExpectedCost(plan.cost, plan.cost)
        base, costs = self._base[query.name], self._costs(query, plan)
        expected = value = costs.expected
        if not plan.used:
            return ExpectedCost(expected, expected)
        risk = costs.real / max(base.real, 0.01)
        if risk > _SUSPECT:
            value = max(value, base.expected * risk * (_VETO if risk > _FORBIDDEN else 1.0))
        worst = costs.at_worst / max(base.at_worst, 0.01)
        value = max(value, base.expected * worst) if worst > _SUSPECT else value
        return ExpectedCost(expected, value * (_ONLY_BELOW if self._is_below(plan.tree) else 1.0))

    def _is_below(self, tree: PlanNode) -> bool:
        """Tell whether the range of an index scan is all times before one that is not known."""
        return any(
            t.kind is Kind.RANGE and t.text.split("$")[0].rstrip().endswith(("<", "<="))
            for node in walk(tree)
            if isinstance(text := node.get("Index Cond"), str) and "$" in text
            for t in terms.conditions(text).terms
            if self._is_time(node, t.operand.column)
        )

    def _is_time(self, node: PlanNode, name: str | None) -> bool:
        table = self._catalog.table_of(node)
        column = None if table is None else table.columns.get(name or "")
        return column is not None and column.category == "D"

    def _costs(self, query: Query, plan: Plan) -> _Costs:
        short = short_share(query)
        # what was counted of calls tells more of them
        known = self._columns_set if query.rows is None else ()
        late, at_worst = (
            late_cost(
                plan.tree,
                self._rows_in_order,
                lambda scan: self._ranges(scan, known),
                at_worst=each,
                short=short,
                times=self._passing,
            )
            for each in (False, True)
        )
        hidden = sum(map(self._hidden, _probes(plan.tree, 1.0)))
        scattered = scatter_cost(plan.tree, self._catalog, self._shape)
        for scan, part in limited_scans(
            plan.tree, self._rows_in_order, short=short, times=self._passing
        ):
            scattered += part * scan_cost(scan, self._catalog, self._shape)
        sorted_ = 0.0 if short else dependent_cost(plan.tree, self._catalog)
        return _Costs(plan.cost, hidden, scattered + sorted_, late, at_worst)

    def doubts(self, query: Query, plan: Plan) -> Iterator[str]:
        """Yield why a plan may save far less than the planner expects."""
        late = self._costs(query, plan).late
        if plan.used and late > _TOLD * self._base[query.name].planned:
            yield _LATE

    def _rows_in_order(self, node: PlanNode) -> float | None:
        table = self._catalog.table_of(node)
        if node["Node Type"] == "Seq Scan":
            return None if table is None else table.rows
        if "Filter" not in node and "Index Cond" not in node:
            return float(node["Plan Rows"])
        known = self._known_rows(node)
        if known is not None:
            return known
        return None if table is None else self._share(node, table)[0] * table.rows

    def _passing(self, scan: PlanNode, read: float) -> float:
        table = self._catalog.table_of(scan)
        return 1.0 if table is None else times_filtered(self._catalog, table, scan, read)

    def _ranges(self, scan: PlanNode, columns_set: ColumnsSet) -> tuple[float, bool, bool]:
        table = self._catalog.table_of(scan)
        if table is None:
            return 1.0, True, False
        known = precedence(self._catalog, table, scan, self._shape, self._meeting, columns_set)
        return known.share, known.is_first, known.is_last

    def _hidden(self, probe: _Probe) -> float:
        node = probe.node
        if node["Node Type"] not in _FETCHING:
            more = min(_MAX_DOUBT, self._of_values(probe)) - 1
            return more * probe.loops * float(node["Total Cost"])
        table = self._catalog.table_of(node)
        if table is None or table.pages < 1 or table.rows < 1:
            return 0.0
        fetched, scatter = self._fetched(node, table)
        loops = probe.loops * self._doubt(probe)
        pages = pages_fetched(table.pages, fetched * loops) / loops
        real = scatter * pages * self._page_cost * _PAGE_SHARE
        charged = max(0.0, float(node["Total Cost"]) - fetched * _ROW_COST - _PROBE_COST)
        missing = max(0.0, real - charged) * probe.loops
        return missing + (loops - probe.loops) * float(node["Total Cost"])

    def _doubt(self, probe: _Probe) -> float:
        """Return the factor by which the rows of the outer side may be underestimated."""
        of_joins = _DOUBT_PER_JOIN ** max(0, probe.joins - 2)
        return min(_MAX_DOUBT, max(of_joins, self._of_values(probe)))

    def _of_values(self, probe: _Probe) -> float:
        return times_planned(probe.outer, self._catalog, self._usual)

    def _fetched(self, node: PlanNode, table: CatalogTable) -> tuple[float, float]:
        """Return the rows that one loop fetches, and the share of them that are scattered."""
        share, correlation = self._share(node, table)
        rows = max(float(node.get("Plan Rows", 1)), 1.0)
        if "Filter" in node and share < 1:
            # those that it excludes are fetched, too; without it, all conditions are in the index
            rows = max(rows, share * table.rows)
        return rows, 1 - correlation**2

    @staticmethod
    def _share(node: PlanNode, table: CatalogTable) -> tuple[float, float]:
        """Return the share of a table's rows with the values that a scan compares with, and its correlation."""
        columns = bound_columns(node, table, _EQUAL)
        share = math.prod(1 / max(1.0, min(column.distinct, table.rows)) for column in columns)
        return share, abs(decisive(columns).correlation or 0.0) if columns else 0.0


def _probes(node: PlanNode, loops: float) -> Iterator[_Probe]:
    """Yield the index scans on the inner sides of nested loops."""
    children = node.get("Plans", ())
    for child in children:
        times = loops
        if node["Node Type"] == "Nested Loop" and child.get("Parent Relationship") == "Inner":
            outer = inputs(node)[0]
            times = loops * max(1.0, float(outer.get("Plan Rows", 1)))
            if child["Node Type"] in _PROBING:
                yield _Probe(child, times, _joins(outer), outer)
        if child["Node Type"] in ("Materialize", "Memoize"):
            times = loops  # it caches: how often it really fetches is not known
        yield from _probes(child, times)


def _joins(node: PlanNode) -> int:
    below = sum(_joins(child) for child in node.get("Plans", ()))
    return below + (node["Node Type"] in _JOINS)
