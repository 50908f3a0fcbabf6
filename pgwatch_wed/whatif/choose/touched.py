"""How many blocks a call touches with a plan: what is promised in the unit that pg_stat_statements counts.

The planner's cost is none: it charges a block more than once as if it were cached, a scattered one four times, and each row.
Here, each node is charged the blocks that it looks up in shared buffers, as often as it runs.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, inputs
from pgwatch_wed.sqltext.terms import EQUAL, OF_VALUES
from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable
from pgwatch_wed.whatif.choose import (
    index_pages,
    later_keys,
    node_runs,
    planned_rows,
    subplans,
    written_blocks,
)
from pgwatch_wed.whatif.choose.array_elements import rows_of_elements
from pgwatch_wed.whatif.choose.beginnings import Beginning, beginning
from pgwatch_wed.whatif.choose.computed import times_filtered
from pgwatch_wed.whatif.choose.dependent import UsualValues, times_least
from pgwatch_wed.whatif.choose.driven import Driven, driven
from pgwatch_wed.whatif.choose.found_rows import SHARE, with_found_rows
from pgwatch_wed.whatif.choose.label_patterns import reads_all_pages
from pgwatch_wed.whatif.choose.late import RowsInOrder, part_expected, part_of_many
from pgwatch_wed.whatif.choose.least import times_planned
from pgwatch_wed.whatif.choose.measured import passing_scan
from pgwatch_wed.whatif.choose.memberships import members
from pgwatch_wed.whatif.choose.node_runs import NodeRun
from pgwatch_wed.whatif.choose.overlaps import times_overlapping
from pgwatch_wed.whatif.choose.precedence import RowsMeeting, precedence
from pgwatch_wed.whatif.choose.scatter import bound_columns, decisive, nearness, pages_fetched
from pgwatch_wed.whatif.choose.stored import heap_blocks
from pgwatch_wed.whatif.choose.worked_off import ColumnsSet
from pgwatch_wed.whatif.choose.written_blocks import TableName
from pgwatch_wed.whatif.oracle import IndexShape

_RANDOM_PAGE = 4.0  # the planner's charge for a page of an index that is no B-tree
_UNKNOWN_SHAPE = IndexShape(1000.0, 200_000.0)
_TREE = 2.0  # blocks from the root to where a row is in a tree of rows
_LEADER_BUSY = 0.3  # of the leader for each worker whose rows it takes
# What returns as many times more rows as its inputs do.
_PROPORTIONAL = frozenset(
    (
        *("Nested Loop", "Hash Join", "Merge Join", "Hash", "Sort", "Incremental Sort"),
        *("Materialize", "Gather", "Gather Merge", "Subquery Scan", "Memoize"),
    )
)
_ONCE = frozenset({"Materialize", "Hash"})


@dataclass(frozen=True, slots=True)
class _Call:
    """What is known of a call: new index entries for a changed row, and how many rows it returns if one scan passes them all on.

    ``changed`` are the rows that it inserts, updates or deletes, ``found`` those of its recursive query, if they were counted,
    ``returned`` those that it returns, which LIMIT allows.
    ``shares`` tells how much of each CTE is read, ``driven`` how many times the planner's rows are joined. With ``is_even``, rows that
    match are taken to be spread evenly over an order. ``is_counted``: calls were, so that what the workload does tells nothing more of them.
    """

    added: Mapping[TableName, float]
    scan: PlanNode | None
    counted: float
    sure: float
    short: float
    changed: float | None
    found: float | None
    returned: float = 0.0
    shares: Mapping[str, float] = field(default_factory=dict)
    driven: Driven = field(default_factory=Driven)
    is_even: bool = False
    is_counted: bool = False

    def rows(self, node: PlanNode, planned: float) -> float:
        """Return how many rows a scan returns: those that were counted if it is the one that they come from.

        If only a part of the calls is ``sure`` to return all of them, it is between those and what is planned.
        """
        if node is not self.scan:
            return planned * self.driven.factor(node)
        if self.sure == 0:  # as many as LIMIT allows, of which there may be more
            return max(planned, self.counted)
        counted: float = planned * (max(1.0, self.counted) / planned) ** self.sure
        # fewer than planned may be due to the filter, unless it excludes few
        return max(planned, counted) if planned_rows.excludes_many(node, planned) else counted

    @property
    def factor(self) -> float:
        """How many times the planner's rows the scan returns of which the number is known."""
        if self.scan is None:
            return 1.0
        planned = max(1.0, float(self.scan["Plan Rows"]))
        return self.rows(self.scan, planned) / planned


class Touched:
    """Counts the blocks of plans.

    ``rows_in_order`` tells how many rows a scan of an index reads, ``meeting`` how many of them meet its conditions or those of some
    kinds, ``shape`` how large an index is, ``usual`` values of a column; ``columns_set`` are those that the workload sets.
    """

    def __init__(
        self,
        catalog: Catalog,
        rows_in_order: RowsInOrder,
        shape: Callable[[str], IndexShape | None],
        meeting: RowsMeeting | None = None,
        usual: UsualValues = lambda _table, _column: (),
        columns_set: ColumnsSet = (),
    ) -> None:
        self._catalog = catalog
        self._columns_set = columns_set
        self._usual = usual
        self._rows_in_order = rows_in_order
        self._shape = shape
        self._meeting = meeting

    def blocks(
        self,
        tree: PlanNode,
        counted: float | None = None,
        added: Mapping[TableName, float] | None = None,
        *,
        short: float = 0.0,
        matching: float | None = None,
        is_even: bool = False,
    ) -> float:
        """Return the blocks of a call.

        ``counted`` are the rows that a call returns, ``added`` by table the entries that new indexes get for a row that the
        statement inserts or updates. ``short`` is the share of calls that find fewer rows than LIMIT allows. ``matching`` are the
        rows that it would return without LIMIT, if that is known. With ``is_even``, it is not feared that those that match come last.
        """
        tree = with_found_rows(tree, self._catalog, self._usual)
        scan = None if counted is None else passing_scan(tree)
        sure = 1.0
        if scan is None and counted is not None:
            scan, sure = passing_scan(tree, is_short=True), short
            if matching is not None:
                sure = 1.0
        is_write = tree["Node Type"] == "ModifyTable"
        call = _Call(
            added or {},
            scan,
            (counted if matching is None else matching) or 0.0,
            sure,
            short,
            counted if is_write else None,
            counted if node_runs.passes_cte(tree) else None,
            counted or 0.0,
        )
        call = replace(call, driven=driven(tree, counted, self._catalog), is_even=is_even)
        call = replace(call, is_counted=counted is not None)
        call = replace(call, shares=self._shares_read(tree, NodeRun(), call))
        return max(1.0, self._of(tree, NodeRun(), call))

    def certain(
        self, tree: PlanNode, counted: float | None, added: Mapping[TableName, float]
    ) -> float:
        """Return the blocks of a call that do not depend on values: of tables that are read once and whole, and of changed rows."""
        read = map(self._catalog.table_of, node_runs.read_once(tree))
        found = sum(table.pages for table in read if table is not None)
        return found + self.written(tree, counted, added)

    def written(
        self, tree: PlanNode, counted: float | None, added: Mapping[TableName, float]
    ) -> float:
        """Return the blocks of a call for the rows that it was counted to change, and their entries in indexes."""
        table = self._catalog.table_of(tree)
        if tree["Node Type"] != "ModifyTable" or table is None:
            return 0.0
        return written_blocks.written(self._catalog, tree, table, counted, added)

    def _shares_read(self, node: PlanNode, run: NodeRun, call: _Call) -> dict[str, float]:
        """Return by name which share of a CTE is read: it is computed as far as that."""
        found: dict[str, float] = {}
        if node["Node Type"] == "CTE Scan":
            found[node["CTE Name"]] = run.part
        for child, how in self._below(node, run, call):
            for name, part in self._shares_read(child, how, call).items():
                found[name] = max(part, found.get(name, 0.0))
        return found

    def _of(self, node: PlanNode, run: NodeRun, call: _Call) -> float:
        own = self._own(node, run, call)
        return own + sum(self._of(child, how, call) for child, how in self._below(node, run, call))

    # How children are run

    def _below(
        self, node: PlanNode, run: NodeRun, call: _Call
    ) -> Iterator[tuple[PlanNode, NodeRun]]:
        children = node.get("Plans", ())
        if node["Node Type"] == "Bitmap Heap Scan":  # its bitmaps are its own
            children = [c for c in children if c not in inputs(node)]
        flow = (
            run if node["Node Type"] in node_runs.STREAMING else replace(run, part=1.0, taken=1.0)
        )
        if node["Node Type"] == "Limit" and children:
            part, taken = self._limited(node, inputs(node)[0], run, call)
            flow = replace(flow, part=flow.part * part, taken=flow.taken * taken)
        if node.get("Join Type") in node_runs.STOPS_AT_ONE:
            flow = replace(flow, taken=flow.part)  # as a filter, it takes more than it returns
        if node["Node Type"] in ("Gather", "Gather Merge"):
            workers = float(node.get("Workers Planned", 0))
            own = workers + max(0.0, 1 - _LEADER_BUSY * workers)
            flow = replace(flow, loops=flow.loops * own, processes=own)
        if node["Node Type"] == "Append" and flow.part < 1:
            yield from node_runs.in_turn(children, flow)
            return
        for number, child in enumerate(children):
            if node["Node Type"] == "Recursive Union" and number == 1:
                yield child, node_runs.rounds(children[0], run, call.found)
            elif child.get("Parent Relationship") == "InitPlan":
                name = str(child.get("Subplan Name", "")).removeprefix("CTE ")
                loops = run.loops if node_runs.refers_outside(child) else 1.0
                part = call.shares.get(name, 1.0)
                yield child, NodeRun(loops, part, taken=part)
            else:
                yield child, self._child(node, child, run, flow, call)

    def _child(
        self, node: PlanNode, child: PlanNode, run: NodeRun, flow: NodeRun, call: _Call
    ) -> NodeRun:
        kind = child.get("Parent Relationship")
        if kind == "SubPlan":
            name = str(child.get("Subplan Name", ""))
            if f"hashed {name}" in str(node):
                return NodeRun()
            return NodeRun(run.loops * max(1.0, self._rows_asking(node, name, run)))
        if child["Node Type"] in _ONCE:
            return replace(flow, loops=run.processes, part=1.0, taken=1.0)
        if node["Node Type"] == "Nested Loop" and kind == "Inner":
            outer = inputs(node)[0]
            found = float(outer.get("Plan Rows", 1)) * call.driven.factor(outer)
            if call.driven.factor(outer) == 1:
                found *= self._times_found(outer, call)
            times = max(1.0, found)
            times *= flow.taken
            if node_runs.is_recursive(outer):
                times *= flow.fresh
            stops = node.get("Join Type") in node_runs.STOPS_AT_ONE
            part = 1 / max(1.0, float(child.get("Plan Rows", 1))) if stops else 1.0
            return replace(flow, loops=flow.loops * max(1.0, times), part=part, taken=part)
        if node["Node Type"] == "Memoize":
            return flow
        if node["Node Type"] == "Hash Join" and kind == "Inner":
            return replace(flow, part=1.0, taken=1.0)
        return flow  # a merge join reads both in the same order, one as far as the other

    def _rows_asking(self, node: PlanNode, subplan: str, run: NodeRun) -> float:
        """Return for how many rows of a node a subplan is run: all that the other conditions do not exclude if its filter asks it."""
        rows = max(1.0, float(node.get("Plan Rows", 1)))
        filtered = str(node.get("Filter") or "")
        share = subplans.assumed(filtered, subplan)
        if share is None or "Alias" not in node:
            return rows * (run.part if subplan in filtered else run.taken)
        return run.part * min(self._before_filter(node, rows), rows / share)

    def _before_filter(self, scan: PlanNode, rows: float) -> float:
        """Return the rows of a scan before its filter."""
        table = self._catalog.table_of(scan)
        if scan["Node Type"] == "Bitmap Heap Scan" and table is not None:
            return max(rows, planned_rows.rows_of_bitmap(scan, table))
        return self._passed_over(scan)

    def _limited(
        self, limit: PlanNode, child: PlanNode, run: NodeRun, call: _Call
    ) -> tuple[float, float]:
        """Return the part of its input that LIMIT reads, and that of the rows that it takes.

        What is read is between that for rows spread evenly and that for rows that come last.
        """
        scan = node_runs.driving(child)
        table = None if scan is None else self._catalog.table_of(scan)
        times = least = 1.0
        if scan is not None and table is not None and scan is not call.scan:
            least, times = self._least(scan, table), self._times(scan, table)
            times *= self._times_filtered(scan, table)
        if scan is not None:
            scan = later_keys.as_filtered(scan, self._shape)
        planned, wanted = float(child["Plan Rows"]), float(limit["Plan Rows"])
        returned = max(1.0, planned * call.factor * times)
        if wanted >= planned:  # it tells no more than that LIMIT is not below what is planned
            wanted = max(wanted, call.returned, planned * least)
        even = min(1.0, wanted / returned)
        taken = call.short + (1 - call.short) * even
        is_all = scan is None or (
            "Filter" not in scan and node_runs.kept(child) > planned_rows.MOST_PASS
        )
        if scan is None or table is None or is_all:
            return even, even
        among = members(self._catalog, table, scan)
        if among != 1:
            # the rows of several values are spread evenly, those of one may all come last
            return call.short + (1 - call.short) * min(1.0, even / among), taken
        if planned_rows.is_by_distance(scan) and not call.short:
            return even, even
        matching = min(1.0, returned / max(1.0, self._passed_over(scan)))
        columns_set = () if call.is_counted else self._columns_set
        known = precedence(self._catalog, table, scan, self._shape, self._meeting, columns_set)
        if known.is_last and not call.is_even:
            return 1.0, taken
        fear = known.fear
        if call.is_even or matching > planned_rows.MOST_PASS:
            fear = 0.0  # as where most rows meet each condition
        passing = min(1.0, matching / max(known.share, matching))
        is_many = run.loops > run.processes
        within = (
            part_of_many(even, passing, fear)
            if is_many
            else part_expected(even, passing, 0.0, fear)
        )
        before = 0.0 if known.is_first else 1 - known.share
        return call.short + (1 - call.short) * (before + known.share * within), taken

    def _times_found(self, node: PlanNode, call: _Call) -> float:
        """Return how many times the planner's rows a node returns, as far as prefixes and computed values tell."""
        if node is call.scan:
            return 1.0
        table = self._catalog.table_of(node)
        if table is not None:
            found = beginning(self._catalog, table, node)
            of_filter = self._times_filtered(node, table)
            return of_filter * (1.0 if found is None else found.times)
        if node["Node Type"] not in _PROPORTIONAL:
            return 1.0
        return math.prod(self._times_found(child, call) for child in inputs(node))

    def _times_filtered(self, scan: PlanNode, table: CatalogTable) -> float:
        if "Filter" not in scan:
            return 1.0
        before = self._before_filter(scan, float(scan["Plan Rows"]))
        return times_filtered(self._catalog, table, scan, before)

    def _times(self, scan: PlanNode, table: CatalogTable) -> float:
        known = beginning(self._catalog, table, scan)
        if known is not None:
            return known.times
        rows = planned_rows.rows_of_scan(scan, table)
        overlapping = times_overlapping(self._catalog, table, scan, rows)
        if overlapping is not None:
            return overlapping
        found = times_planned(self._catalog, table, scan, rows)
        return found * self._least(scan, table)

    def _least(self, scan: PlanNode, table: CatalogTable) -> float:
        known = beginning(self._catalog, table, scan)
        if known is not None:
            return known.times
        return times_least(scan, table, planned_rows.rows_of_scan(scan, table), self._catalog)

    def _passed_over(self, scan: PlanNode) -> float:
        """Return the rows that a scan reads to its end, including those that it excludes."""
        table = self._catalog.table_of(scan)
        rows = float(scan["Plan Rows"])
        if table is None:
            return rows
        return max(
            rows,
            table.rows if scan["Node Type"] == "Seq Scan" else self._fetched(scan, table, rows),
        )

    # What a node touches itself

    def _own(self, node: PlanNode, run: NodeRun, call: _Call) -> float:
        table = self._catalog.table_of(node)
        if table is None:
            return 0.0
        is_shared = bool(node.get("Parallel Aware"))
        loops = run.loops / run.processes if is_shared else run.loops
        planned = max(1.0, float(node.get("Plan Rows", 1))) * (run.processes if is_shared else 1.0)
        known = rows_of_elements(self._catalog, table, node)
        likely = planned if known is None else max(1.0, min(planned, known))
        rows = call.rows(node, likely)
        times = 1.0 if node is call.scan else self._times(node, table)
        match node["Node Type"]:
            case "Seq Scan" | "Sample Scan":
                return loops * max(1.0, run.part * table.pages)
            case "Index Scan" | "Index Only Scan":
                if node is not call.scan and beginning(self._catalog, table, node) is not None:
                    rows, times = rows * times, 1.0
                found = loops * self._index_scan(node, table, rows, run, times)
                # the visibility map stays pinned
                return found + 1 if node["Node Type"] == "Index Only Scan" else found
            case "Bitmap Heap Scan":
                return loops * self._bitmap(node, table, times * rows / planned, run.part)
            case "ModifyTable":
                return written_blocks.written(self._catalog, node, table, call.changed, call.added)
            case _:
                return 0.0

    def _index_scan(
        self, node: PlanNode, table: CatalogTable, rows: float, run: NodeRun, times: float
    ) -> float:
        # without a filter, those that later keys exclude are not fetched
        part, taken = run.part, run.part if "Filter" in node else run.taken
        shape = self._shape(node["Index Name"]) or _UNKNOWN_SHAPE
        if shape.predicate:  # the planner may expect more to meet it than there are
            rows = min(rows, max(1.0, shape.rows))
        fetched = max(rows, self._fetched(node, table, rows))
        if fetched <= rows:  # its filter excludes none of those that it has found
            fetched *= times
        walked = max(fetched, self._walked(node, fetched)) * part
        searches = index_pages.searches(node, shape)
        blocks = searches * index_pages.descent(shape, table) + max(
            0.0, walked * index_pages.pages_per_row(shape) - searches
        )
        if reads_all_pages(node, shape):
            blocks = max(1.0, part * shape.pages)
        if shape.skips and walked > fetched * part:
            jumps = index_pages.jumps(node, table, shape) * index_pages.descent(shape)
            blocks = min(blocks, jumps + fetched * taken * index_pages.pages_per_row(shape))
        if node["Node Type"] == "Index Only Scan":
            return blocks
        equal = bound_columns(node, table, EQUAL)
        of_equal = self._meeting(node, EQUAL) if equal and self._meeting is not None else None
        return blocks + heap_blocks(self._catalog, table, node, shape, fetched * taken, of_equal)

    def _fetched(self, node: PlanNode, table: CatalogTable, rows: float) -> float:
        """Return the rows that an index scan fetches, including those that its filter excludes."""
        if "Filter" not in node or planned_rows.repeats_prefix(node):
            return rows
        if planned_rows.is_by_distance(node):
            return min(table.rows, (self._shape(node["Index Name"]) or _UNKNOWN_SHAPE).rows)
        known = None if self._meeting is None else self._meeting(node)
        below = beginning(self._catalog, table, node)
        if below is not None and _is_bound(node, below):
            shape = self._shape(node["Index Name"]) or IndexShape(table.rows, 1.0)
            equal = bound_columns(node, table, EQUAL)
            among = self._meeting(node, EQUAL) if equal and self._meeting is not None else None
            return below.share * min(table.rows, shape.rows if among is None else among)
        if known is not None:
            return min(known * float(node.get(SHARE, 1.0)), table.rows)
        columns = bound_columns(node, table, EQUAL)
        share = math.prod(1 / max(1.0, min(c.distinct, table.rows)) for c in columns)
        return share * table.rows if columns else rows

    def _walked(self, node: PlanNode, fetched: float) -> float:
        """Return the entries that an index scan walks over: conditions that do not bound it exclude some before their rows are fetched."""
        between = self._rows_in_order(node)
        meeting = None if self._meeting is None else self._meeting(node)
        if between is None or meeting is None or between <= meeting:
            return fetched
        return between

    def _bitmap(self, node: PlanNode, table: CatalogTable, more: float, part: float) -> float:
        rows = min(table.rows, max(1.0, planned_rows.rows_of_bitmap(node, table) * more))
        bitmaps = list(planned_rows.bitmaps(node))
        # each condition leaves rows out of those that are together
        shapes = (self._shape(b["Index Name"]) or _UNKNOWN_SHAPE for b in bitmaps)
        widest = min(shapes, key=lambda s: s.rows, default=_UNKNOWN_SHAPE)
        columns, equal = bound_columns(node, table), bound_columns(node, table, OF_VALUES)
        together = _together(table, rows, widest, columns, equal)
        near = nearness(self._catalog, table, columns)
        heap = _mixed(near, together, pages_fetched(table.pages, rows))
        return part * heap + sum(self._bitmap_index(each, table, more) for each in bitmaps)

    def _bitmap_index(self, node: PlanNode, table: CatalogTable, more: float) -> float:
        shape = self._shape(node["Index Name"]) or _UNKNOWN_SHAPE
        if reads_all_pages(node, shape):
            return max(1.0, shape.pages)
        if shape.method != "btree":
            paths = index_pages.descent(shape, table) - 1 if shape.method == "gist" else 0.0
            if " @> " in str(node.get("Index Cond")):
                # each row with a value is also looked up, from the root, in the tree of those with its key
                rows = max(1.0, float(node["Plan Rows"]) * more)
                paths += _TREE * pages_fetched(shape.common_pages, rows)
            return paths + max(1.0, float(node["Total Cost"]) / _RANDOM_PAGE)
        searches = index_pages.searches(node, shape)
        rows = max(1.0, float(node["Plan Rows"]))
        return searches * index_pages.descent(shape) + max(
            0.0, rows * index_pages.pages_per_row(shape) - searches
        )


def _together(
    table: CatalogTable,
    rows: float,
    shape: IndexShape,
    columns: Sequence[CatalogColumn],
    equal: Sequence[CatalogColumn],
) -> float:
    """Return the blocks of rows if those with neighboring values of the column that decides where they are are stored together.

    An index need not contain the rows between them. Those with other values of the columns that are compared for equality, too, are
    between them: of a device's values of a day, there is one in each block of that day.
    """
    first = decisive(columns) if columns else None
    others = math.prod(max(1.0, min(c.distinct, table.rows)) for c in equal if c is not first)
    share = min(1.0, rows * others / max(1.0, min(shape.rows, table.rows)))
    return max(1.0, min(rows, pages_fetched(max(1.0, share * table.pages), rows)))


def _mixed(near: float, together: float, scattered: float) -> float:
    """Return the blocks between those of neighbors and those of scattered rows, by the correlation of what decides where they are."""
    return near**2 * together + (1 - near**2) * max(scattered, 1.0)


def _is_bound(scan: PlanNode, below: Beginning) -> bool:
    """Tell whether a prefix bounds a scan of an index."""
    found = terms.of_index(scan)
    return any(t.operand.column == below.column and t.kind not in EQUAL for t in found)
