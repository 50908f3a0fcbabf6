"""How many blocks a call touches with a plan: what is promised in the unit that pg_stat_statements counts.

The planner's cost is none: it charges a block more than once as if it were cached, a scattered one four times, and each row.
Here, each node is charged the blocks that it looks up in shared buffers, as often as it runs.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, inputs, walk
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.whatif import usage
from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable
from pgwatch_wed.whatif.choose import later_keys, subplans
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
from pgwatch_wed.whatif.choose.overlaps import times_overlapping
from pgwatch_wed.whatif.choose.precedence import RowsMeeting, precedence
from pgwatch_wed.whatif.choose.scatter import bound_columns, decisive, nearness, pages_fetched
from pgwatch_wed.whatif.choose.stored import EQUAL, heap_blocks
from pgwatch_wed.whatif.oracle import IndexShape
from pgwatch_wed.whatif.spreads import bare

_RANDOM_PAGE = 4.0  # the planner's charge for a page of an index that is no B-tree
_FANOUT = 250.0  # entries of an inner page of a B-tree
_UNKNOWN_SHAPE = IndexShape(1000.0, 200_000.0)
_MOST_ROW = 3.0  # blocks of a table for a row that is changed: of its old and new place, and where there is space
_VERSION = 2.0  # more of them for a new version of a row: of what tells that all see a page, and to see that its key is unique
_MOVED = 4.0  # as most often for a new version
_IN_PLACE = 2.0  # and for one that no index refers to (HOT)
_TREE = 2.0  # blocks from the root to where a row is in a tree of rows
_ENTRY = 3.0  # blocks from the root to where an entry is put
_MOST_PASS = 0.5
_FROM = frozenset({">=", "~>=~"})
_ONLY_PREFIX = re.compile(r" ~~ CAST\('[^%_\\]+%' AS \w+\)$")
_ROUNDS = 10.0  # of a recursive query, as the planner assumes
_GROWTH = 10.0  # and how many times the rows that it begins with each of them has
_LEADER_BUSY = 0.3  # of the leader for each worker whose rows it takes
# What returns rows before all of its input is read, so that LIMIT stops it.
_STREAMING = frozenset(
    (
        *("Limit", "LockRows", "Result", "Subquery Scan", "Incremental Sort", "Unique", "Group"),
        *("WindowAgg", "Nested Loop", "Merge Append", "Gather Merge", "ProjectSet", "Append"),
        *("Gather", "Merge Join", "Hash Join", "Memoize"),
    )
)
# What returns as many times more rows as its inputs do.
_PROPORTIONAL = frozenset(
    (
        *("Nested Loop", "Hash Join", "Merge Join", "Hash", "Sort", "Incremental Sort"),
        *("Materialize", "Gather", "Gather Merge", "Subquery Scan", "Memoize"),
    )
)
_ONCE = frozenset({"Materialize", "Hash"})
_PASSING_ALL = frozenset({"Sort", "Incremental Sort", "Limit", "Subquery Scan"})
_VALUES = EQUAL - {Kind.IS_NULL}
_STOPS_AT_ONE = frozenset({"Semi", "Anti"})
_NETWORKS = frozenset({"inet", "cidr"})
_INDEX_SCANS = frozenset({"Index Scan", "Index Only Scan"})


TableName = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Run:
    """How a node is run: how often, which part of its rows is read each time, by how many processes together.

    ``taken`` is the part of the rows that it returns that LIMIT takes: less than is read where those that a filter excludes may come
    first. ``fresh`` is the part of the planner's rows that a round of a recursive query has got from the last one.
    """

    loops: float = 1.0
    part: float = 1.0
    processes: float = 1.0
    taken: float = 1.0
    fresh: float = 1.0


@dataclass(frozen=True, slots=True)
class _Call:
    """What is known of a call: new index entries for a changed row, and how many rows it returns if one scan passes them all on.

    ``changed`` are the rows that it inserts, updates or deletes, ``found`` those of its recursive query, if they were counted,
    ``returned`` those that it returns, which LIMIT allows.
    ``shares`` tells how much of each CTE is read, ``driven`` how many times the planner's rows are joined. With ``is_even``, rows that
    match are taken to be spread evenly over an order.
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
        return max(planned, counted) if _excludes_many(node, planned) else counted

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
    kinds, ``shape`` how large an index is, ``usual`` values of a column.
    """

    def __init__(
        self,
        catalog: Catalog,
        rows_in_order: RowsInOrder,
        shape: Callable[[str], IndexShape | None],
        meeting: RowsMeeting | None = None,
        usual: UsualValues = lambda _table, _column: (),
    ) -> None:
        self._catalog = catalog
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
            counted if _passes_cte(tree) else None,
            counted or 0.0,
        )
        call = replace(call, driven=driven(tree, counted, self._catalog), is_even=is_even)
        call = replace(call, shares=self._shares_read(tree, _Run(), call))
        return max(1.0, self._of(tree, _Run(), call))

    def certain(
        self, tree: PlanNode, counted: float | None, added: Mapping[TableName, float]
    ) -> float:
        """Return the blocks of a call that do not depend on values: of tables that are read once and whole, and of changed rows."""
        read = map(self._catalog.table_of, _read_once(tree))
        found = sum(table.pages for table in read if table is not None)
        return found + self.written(tree, counted, added)

    def written(
        self, tree: PlanNode, counted: float | None, added: Mapping[TableName, float]
    ) -> float:
        """Return the blocks of a call for the rows that it was counted to change, and their entries in indexes."""
        table = self._catalog.table_of(tree)
        if tree["Node Type"] != "ModifyTable" or table is None:
            return 0.0
        return self._written(tree, table, _Call(added, None, 0.0, 1.0, 0.0, counted, None))

    def _shares_read(self, node: PlanNode, run: _Run, call: _Call) -> dict[str, float]:
        """Return by name which share of a CTE is read: it is computed as far as that."""
        found: dict[str, float] = {}
        if node["Node Type"] == "CTE Scan":
            found[node["CTE Name"]] = run.part
        for child, how in self._below(node, run, call):
            for name, part in self._shares_read(child, how, call).items():
                found[name] = max(part, found.get(name, 0.0))
        return found

    def _of(self, node: PlanNode, run: _Run, call: _Call) -> float:
        own = self._own(node, run, call)
        return own + sum(self._of(child, how, call) for child, how in self._below(node, run, call))

    # How children are run

    def _below(self, node: PlanNode, run: _Run, call: _Call) -> Iterator[tuple[PlanNode, _Run]]:
        children = node.get("Plans", ())
        if node["Node Type"] == "Bitmap Heap Scan":  # its bitmaps are its own
            children = [c for c in children if c not in inputs(node)]
        flow = run if node["Node Type"] in _STREAMING else replace(run, part=1.0, taken=1.0)
        if node["Node Type"] == "Limit" and children:
            part, taken = self._limited(node, inputs(node)[0], run, call)
            flow = replace(flow, part=flow.part * part, taken=flow.taken * taken)
        if node.get("Join Type") in _STOPS_AT_ONE:
            flow = replace(flow, taken=flow.part)  # as a filter, it takes more than it returns
        if node["Node Type"] in ("Gather", "Gather Merge"):
            workers = float(node.get("Workers Planned", 0))
            own = workers + max(0.0, 1 - _LEADER_BUSY * workers)
            flow = replace(flow, loops=flow.loops * own, processes=own)
        if node["Node Type"] == "Append" and flow.part < 1:
            yield from _in_turn(children, flow)
            return
        for number, child in enumerate(children):
            if node["Node Type"] == "Recursive Union" and number == 1:
                yield child, _rounds(children[0], run, call)
            elif child.get("Parent Relationship") == "InitPlan":
                name = str(child.get("Subplan Name", "")).removeprefix("CTE ")
                loops = run.loops if _refers_outside(child) else 1.0
                part = call.shares.get(name, 1.0)
                yield child, _Run(loops, part, taken=part)
            else:
                yield child, self._child(node, child, run, flow, call)

    def _child(self, node: PlanNode, child: PlanNode, run: _Run, flow: _Run, call: _Call) -> _Run:
        kind = child.get("Parent Relationship")
        if kind == "SubPlan":
            name = str(child.get("Subplan Name", ""))
            if f"hashed {name}" in str(node):
                return _Run()
            return _Run(run.loops * max(1.0, self._rows_asking(node, name, run)))
        if child["Node Type"] in _ONCE:
            return replace(flow, loops=run.processes, part=1.0, taken=1.0)
        if node["Node Type"] == "Nested Loop" and kind == "Inner":
            outer = inputs(node)[0]
            found = float(outer.get("Plan Rows", 1)) * call.driven.factor(outer)
            if call.driven.factor(outer) == 1:
                found *= self._times_found(outer, call)
            times = max(1.0, found)
            times *= flow.taken
            if _is_recursive(outer):
                times *= flow.fresh
            stops = node.get("Join Type") in _STOPS_AT_ONE
            part = 1 / max(1.0, float(child.get("Plan Rows", 1))) if stops else 1.0
            return replace(flow, loops=flow.loops * max(1.0, times), part=part, taken=part)
        if node["Node Type"] == "Memoize":
            return flow
        if node["Node Type"] == "Hash Join" and kind == "Inner":
            return replace(flow, part=1.0, taken=1.0)
        return flow  # a merge join reads both in the same order, one as far as the other

    def _rows_asking(self, node: PlanNode, subplan: str, run: _Run) -> float:
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
            return max(rows, _rows_of_bitmap(scan, table))
        return self._passed_over(scan)

    def _limited(
        self, limit: PlanNode, child: PlanNode, run: _Run, call: _Call
    ) -> tuple[float, float]:
        """Return the part of its input that LIMIT reads, and that of the rows that it takes.

        What is read is between that for rows spread evenly and that for rows that come last.
        """
        scan = _driving(child)
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
        is_all = scan is None or ("Filter" not in scan and _kept(child) > _MOST_PASS)
        if scan is None or table is None or is_all:
            return even, even
        among = members(self._catalog, table, scan)
        if among != 1:
            # the rows of several values are spread evenly, those of one may all come last
            return call.short + (1 - call.short) * min(1.0, even / among), taken
        if _is_by_distance(scan) and not call.short:
            return even, even
        matching = min(1.0, returned / max(1.0, self._passed_over(scan)))
        known = precedence(self._catalog, table, scan, self._shape, self._meeting)
        fear = known.fear
        if call.is_even or matching > _MOST_PASS:
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
        rows = _rows_of_scan(scan, table)
        overlapping = times_overlapping(self._catalog, table, scan, rows)
        if overlapping is not None:
            return overlapping
        found = times_planned(self._catalog, table, scan, rows)
        return found * self._least(scan, table)

    def _least(self, scan: PlanNode, table: CatalogTable) -> float:
        known = beginning(self._catalog, table, scan)
        if known is not None:
            return known.times
        return times_least(scan, table, _rows_of_scan(scan, table), self._catalog)

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

    def _own(self, node: PlanNode, run: _Run, call: _Call) -> float:
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
                return self._written(node, table, call)
            case _:
                return 0.0

    def _index_scan(
        self, node: PlanNode, table: CatalogTable, rows: float, run: _Run, times: float
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
        searches = _searches(node, shape)
        blocks = searches * _descent(shape, table) + max(
            0.0, walked * _pages_per_row(shape) - searches
        )
        if reads_all_pages(node, shape):
            blocks = max(1.0, part * shape.pages)
        if shape.skips and walked > fetched * part:
            jumps = _jumps(node, table, shape) * _descent(shape)
            blocks = min(blocks, jumps + fetched * taken * _pages_per_row(shape))
        if node["Node Type"] == "Index Only Scan":
            return blocks
        equal = bound_columns(node, table, EQUAL)
        of_equal = self._meeting(node, EQUAL) if equal and self._meeting is not None else None
        return blocks + heap_blocks(self._catalog, table, node, shape, fetched * taken, of_equal)

    def _fetched(self, node: PlanNode, table: CatalogTable, rows: float) -> float:
        """Return the rows that an index scan fetches, including those that its filter excludes."""
        if "Filter" not in node or _repeats_prefix(node):
            return rows
        if _is_by_distance(node):
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
        rows = min(table.rows, max(1.0, _rows_of_bitmap(node, table) * more))
        bitmaps = list(_bitmaps(node))
        # each condition leaves rows out of those that are together
        shapes = (self._shape(b["Index Name"]) or _UNKNOWN_SHAPE for b in bitmaps)
        widest = min(shapes, key=lambda s: s.rows, default=_UNKNOWN_SHAPE)
        columns, equal = bound_columns(node, table), bound_columns(node, table, _VALUES)
        together = _together(table, rows, widest, columns, equal)
        near = nearness(self._catalog, table, columns)
        heap = _mixed(near, together, pages_fetched(table.pages, rows))
        return part * heap + sum(self._bitmap_index(each, table, more) for each in bitmaps)

    def _bitmap_index(self, node: PlanNode, table: CatalogTable, more: float) -> float:
        shape = self._shape(node["Index Name"]) or _UNKNOWN_SHAPE
        if reads_all_pages(node, shape):
            return max(1.0, shape.pages)
        if shape.method != "btree":
            paths = _descent(shape, table) - 1 if shape.method == "gist" else 0.0
            if " @> " in str(node.get("Index Cond")):
                # each row with a value is also looked up, from the root, in the tree of those with its key
                rows = max(1.0, float(node["Plan Rows"]) * more)
                paths += _TREE * pages_fetched(shape.common_pages, rows)
            return paths + max(1.0, float(node["Total Cost"]) / _RANDOM_PAGE)
        searches = _searches(node, shape)
        rows = max(1.0, float(node["Plan Rows"]))
        return searches * _descent(shape) + max(0.0, rows * _pages_per_row(shape) - searches)

    def _written(self, node: PlanNode, table: CatalogTable, call: _Call) -> float:
        """Return the blocks for changed rows: in the table, and where their entries in indexes are."""
        rows = call.changed
        if rows is None:
            rows = max((float(c.get("Plan Rows", 1)) for c in node.get("Plans", ())), default=1.0)
        root = self._catalog.root(table)
        entries = call.added.get((root.schema, root.name), 0.0)
        if node.get("Operation") == "Insert":
            entries += len(self._catalog.indexes_of.get(table.oid, ()))
        own = 1.0
        if node.get("Operation") == "Update":
            own = _MOVED if entries else _IN_PLACE
        return rows * (own + _ENTRY * entries)

    def most_written(self, tree: PlanNode, counted: float | None) -> float:
        """Return the most blocks that a write touches beside what its plan reads, for the rows that it was counted to change.

        That has no limit where triggers, or rows that refer to those deleted, may read anything.
        """
        table = self._catalog.table_of(tree)
        if table is None or tree["Node Type"] != "ModifyTable" or table.has_triggers:
            return math.inf
        keys, is_delete = self._catalog.foreign_keys, tree.get("Operation") == "Delete"
        most = _MOST_ROW + _VERSION * (tree.get("Operation") == "Update")
        if is_delete and any(key.referenced_oid == table.oid for key in keys):
            return math.inf
        if any(node["Node Type"] == "ModifyTable" for node in walk(tree) if node is not tree):
            return math.inf
        rows = counted
        if rows is None:
            rows = max((float(c.get("Plan Rows", 1)) for c in tree.get("Plans", ())), default=1.0)
        added = len(self._catalog.indexes_of.get(table.oid, ()))
        added += sum(key.table_oid == table.oid for key in keys)
        return rows * (most + _ENTRY * added * (not is_delete))


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


def _read_once(node: PlanNode) -> Iterator[PlanNode]:
    """Yield the scans of whole tables that neither run in a loop nor are ended by LIMIT."""
    if node["Node Type"] == "Seq Scan":
        yield node
    is_loop = node["Node Type"] == "Nested Loop"
    for child in inputs(node):
        is_inner = is_loop and child.get("Parent Relationship") == "Inner"
        is_ended = node["Node Type"] == "Limit" and child["Node Type"] in (*_STREAMING, "Seq Scan")
        if not is_inner and not is_ended:
            yield from _read_once(child)


def _in_turn(children: Sequence[PlanNode], flow: _Run) -> Iterator[tuple[PlanNode, _Run]]:
    """Yield what LIMIT reads of the inputs of Append, one after the other: the last ones not at all."""
    rows = [max(1.0, float(child.get("Plan Rows", 1))) for child in children]
    left, wanted = flow.part * sum(rows), flow.taken * sum(rows)
    for child, number in zip(children, rows, strict=True):
        if left <= 0:
            return
        taken = min(1.0, max(0.0, wanted) / number)
        yield child, replace(flow, part=min(1.0, left / number), taken=taken)
        left, wanted = left - number, wanted - number


def _rounds(first: PlanNode, run: _Run, call: _Call) -> _Run:
    """Return how the second part of a recursive query is run: for each row once, in at most ten rounds.

    The planner takes the rows of each round to be ten times those of the first part.
    """
    begun = max(1.0, float(first.get("Plan Rows", 1)))
    found = begun * _ROUNDS if call.found is None else max(begun, call.found)
    rounds = min(_ROUNDS, found / begun)
    return _Run(run.loops * rounds, fresh=found / rounds / (begun * _GROWTH))


def _refers_outside(tree: PlanNode) -> bool:
    """Tell whether a part of a plan compares with columns of what it does not read, so that it is run again for other values of them."""
    own = {node["Alias"] for node in walk(tree) if "Alias" in node}
    texts = (text for node in walk(tree) for text in usage.conditions(node))
    return any(alias and alias not in own for t in texts for alias, _ in terms.references(t))


def _is_recursive(node: PlanNode) -> bool:
    """Tell whether a node reads what the last round of a recursive query found."""
    return node["Node Type"] == "WorkTable Scan" or any(
        _is_recursive(child) for child in node.get("Plans", ())
    )


def _passes_cte(tree: PlanNode) -> bool:
    """Tell whether a plan returns the rows of a CTE as they are."""
    node = tree
    while node["Node Type"] in _PASSING_ALL:
        below = inputs(node)
        if len(below) != 1:
            return False
        node = below[0]
    return node["Node Type"] == "CTE Scan" and "Filter" not in node


def _descent(shape: IndexShape, table: CatalogTable | None = None) -> float:
    """Return the pages from the root of a B-tree to a leaf; a hash tells the page, and in GiST, two paths may lead to what is near.

    A page of networks in GiST is known by the bits that all of them begin with, and splits where the next one differs. If they come in order,
    pages are filled beyond that: at each bit that tells pages from each other, one has networks with either, and is read for both.
    """
    if shape.method == "hash":
        return 1.0
    levels, pages = 1.0, shape.pages
    while pages > _FANOUT ** (levels - 1) + 1 and levels < 6:
        levels += 1
    if shape.method != "gist":
        return levels
    column = table.columns.get(shape.first or "") if table is not None else None
    if column is None or column.base_type not in _NETWORKS:
        return 2 * levels - 1
    return levels + (column.correlation or 0.0) ** 2 * math.log2(max(1.0, pages))


def _is_bound(scan: PlanNode, below: Beginning) -> bool:
    """Tell whether a prefix bounds a scan of an index."""
    found = terms.conditions(str(scan.get("Index Cond") or "")).terms
    return any(t.operand.column == below.column and t.kind not in EQUAL for t in found)


def _is_by_distance(scan: PlanNode) -> bool:
    """Tell whether a scan returns what is near a value first, which has nothing to do with what its filter excludes."""
    return "Order By" in scan and "Index Cond" not in scan


def _jumps(node: PlanNode, table: CatalogTable, shape: IndexShape) -> float:
    """Return how often a scan descends an index that skips the keys that are not compared for equality."""
    found = terms.conditions(str(node.get("Index Cond") or "")).terms
    mine = {t.operand.column: t.kind for t in found if t.operand.alias == node.get("Alias")}
    names = [bare(key) for key in shape.texts]
    last = max((n for n, name in enumerate(names) if name in mine), default=0)
    skipped = [name for name in names[:last] if mine.get(name) not in EQUAL]
    columns = (table.columns.get(name) for name in skipped)
    return math.prod(shape.rows if c is None else c.distinct + 1 for c in columns)


def _pages_per_row(shape: IndexShape) -> float:
    return shape.pages / max(shape.rows, 1.0)


def _searches(node: PlanNode, shape: IndexShape) -> float:
    """Return how often a scan descends an index: once for each element of a list, or page with some, unless a key before it may have any value."""
    found = terms.conditions(str(node.get("Index Cond") or "")).terms
    by_key = {t.operand.column: t for t in found if t.kind in EQUAL}
    bound = takewhile(by_key.__contains__, shape.keys)
    used = [by_key[key] for key in bound] if shape.keys else found
    lists = (t.text.count(",") + 1 for t in used if t.kind is Kind.IN)
    elements = float(min(math.prod(lists), 1000))
    return max(1.0, pages_fetched(shape.pages, elements)) if shape.steps else elements


def _driving(node: PlanNode) -> PlanNode | None:
    """Return the scan whose rows a node returns before all are read; None if there is no single one."""
    while node["Node Type"] in _STREAMING:
        below = inputs(node)
        if not below:
            return None
        node = below[0]
    return node if node["Node Type"] in ("Seq Scan", *_INDEX_SCANS) else None


def _kept(node: PlanNode) -> float:
    """Return which share of the rows that a node returns as they come EXISTS and NOT EXISTS keep: they exclude some as a filter does."""
    share = 1.0
    while node["Node Type"] in _STREAMING and inputs(node):
        below = inputs(node)[0]
        if node.get("Join Type") in _STOPS_AT_ONE:
            share *= min(1.0, float(node["Plan Rows"]) / max(1.0, float(below["Plan Rows"])))
        node = below
    return share


def _excludes_many(scan: PlanNode, rows: float) -> bool:
    """Tell whether the filter of a scan excludes more than half of the rows, as far as its plan tells."""
    if "Filter" not in scan or _repeats_prefix(scan):
        return False
    found = [float(c["Plan Rows"]) for c in scan.get("Plans", ()) if "Plan Rows" in c]
    return not found or rows < _MOST_PASS * found[0]


def _repeats_prefix(scan: PlanNode) -> bool:
    """Tell whether the filter of a scan only repeats the prefix that is its index condition."""
    text = str(scan.get("Filter") or "")
    found = terms.conditions(text).terms
    bound = terms.conditions(str(scan.get("Index Cond") or "")).terms
    from_prefix = {t.operand.text for t in bound if t.operator in _FROM}
    is_all_known = len(found) == 1 + text.count(" AND ") and " OR " not in text
    return is_all_known and all(
        t.operand.text in from_prefix and _ONLY_PREFIX.search(t.text) for t in found
    )


def _bitmaps(node: PlanNode) -> Iterator[PlanNode]:
    for child in node.get("Plans", ()):
        if child["Node Type"] == "Bitmap Index Scan":
            yield child
        elif child["Node Type"] in ("BitmapAnd", "BitmapOr"):
            yield from _bitmaps(child)


def _rows_of_scan(scan: PlanNode, table: CatalogTable) -> float:
    """Return how many rows the indexes of a scan select, as far as its plan tells."""
    is_bitmap = scan["Node Type"] == "Bitmap Heap Scan"
    return _rows_of_bitmap(scan, table) if is_bitmap else float(scan["Plan Rows"])


def _rows_of_bitmap(node: PlanNode, table: CatalogTable) -> float:
    """Return how many rows a bitmap selects, as far as its plan tells."""
    top = next((c for c in inputs(node) if "Plan Rows" in c), None)
    if top is None:
        return max(1.0, float(node["Plan Rows"]))
    if top["Node Type"] == "BitmapAnd":
        shares = (float(c["Plan Rows"]) / max(table.rows, 1.0) for c in top.get("Plans", ()))
        return max(1.0, float(node["Plan Rows"]), table.rows * math.prod(shares))
    if top["Node Type"] == "BitmapOr":
        return max(1.0, sum(float(c["Plan Rows"]) for c in top.get("Plans", ())))
    return max(1.0, float(top["Plan Rows"]))
