"""Plans that read rows in order until LIMIT is satisfied, and pass over those that a condition excludes.

The planner expects the rows that match to be spread evenly over the order. If they come last, such as the posts of a forum that was
closed years ago in the order of all posts, nearly everything is read. How they are spread is not known, so what such a plan
costs is taken to be the geometric mean of both: one whose condition excludes few rows costs hardly more. At worst they come
last, which is what counts if a column that is compared for equality could be a key before the order, and if calls are known to return
fewer rows than LIMIT allows: then all are read.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, inputs, walk
from pgwatch_wed.whatif.model import Query

# Nodes that return rows as their first child does, in its order, before that has ended.
_STREAMING = frozenset(
    (
        *(
            "LockRows",
            "Result",
            "Subquery Scan",
            "Incremental Sort",
            "Unique",
            "Group",
            "WindowAgg",
        ),
        *("Nested Loop", "Merge Append", "Gather Merge", "ProjectSet", "Append", "Gather"),
    )
)
_DRIVING = frozenset({"Index Scan", "Index Only Scan", "Seq Scan"})
_ALL = 0.99

_FEW = 4
_PAGE = 10

RowsInOrder = Callable[[PlanNode], float | None]
# Returns which share of the rows that a scan reads are in a range that its order follows, whether they come first, and whether
# those that match certainly come after nearly all others.
Ranges = Callable[[PlanNode], tuple[float, bool, bool]]
# Returns how many times the planner's rows pass the filter of a scan, which reads so many to its end.
RowsPassing = Callable[[PlanNode, float], float]


def _as_planned(_scan: PlanNode, _read: float) -> float:
    return 1.0


@dataclass(frozen=True, slots=True)
class _Limited:
    """What LIMIT reads a part of, the scan that it reads in order, and how often it does."""

    limit: PlanNode
    child: PlanNode
    scan: PlanNode
    loops: float


def late_cost(
    tree: PlanNode,
    rows_in_order: RowsInOrder,
    ranges: Ranges,
    *,
    at_worst: bool = False,
    short: float = 0.0,
    times: RowsPassing = _as_planned,
) -> float:
    """Return what a plan costs in addition if the rows that it looks for come late.

    ``rows_in_order`` tells how many rows a scan would read to its end, including those that it excludes; None if not known.
    ``short`` is the share of calls that find fewer rows than LIMIT allows. ``times`` tells how many times the planner's rows pass the filter of
    a scan, which reads as many to its end.
    """
    limited = _limited(tree, 1.0)
    return sum(_extra(each, rows_in_order, ranges, times, at_worst, short) for each in limited)


def limited_scans(
    tree: PlanNode,
    rows_in_order: RowsInOrder,
    *,
    short: float = 0.0,
    times: RowsPassing = _as_planned,
) -> Iterator[tuple[PlanNode, float]]:
    """Yield the scans that LIMIT ends, with the part that is expected to be read of each, as often as they run."""
    for each in _limited(tree, 1.0):
        parts = _parts(each, rows_in_order, times, at_worst=False, short=short)
        yield each.scan, each.loops * (1.0 if parts is None else parts[1])


def scans_of_limit(tree: PlanNode) -> Iterator[PlanNode]:
    """Yield the scans whose rows LIMIT may end before all are read."""
    return (each.scan for each in _limited(tree, 1.0))


def short_share(query: Query) -> float:
    """Return the share of the calls that return fewer rows than LIMIT allows: all if they return none, none if all may return a whole page.

    Otherwise there are some, and how many is not known: half of them. Of a part of a statement, whose values are known, the mean
    of all calls tells nothing.
    """
    if query.rows is None or query.of is not None:
        return 0.0
    return 1.0 if query.rows < 1 else 0.5 * (not may_be_limit(query.rows))


def least_short(rows: float | None, short: float) -> float:
    """Return the share of the calls that return fewer rows than LIMIT allows, at least ``short``: pages are seldom of less than ten rows.

    Of calls that return 3.5 on average, no more than a third return ten.
    """
    if rows is None or not 0 < short < 1:
        return short
    return max(short, 1 - rows / _PAGE)


def may_be_limit(rows: float) -> bool:
    """Tell whether calls that return so many rows on average may all return as many as LIMIT allows.

    People write 10, 20, 25 or one more, a dozen, or few, but not 7.
    """
    if not float(rows).is_integer():
        return False
    whole = int(rows)
    return whole <= _FEW or whole % 10 == 1 or not (whole % 5 and whole % 12 and whole % 16)


def has_limit(tree: PlanNode) -> bool:
    """Tell whether LIMIT may end a plan before it has read all rows."""
    return any(node["Node Type"] == "Limit" for node in walk(tree))


def part_read(even: float, matching: float, short: float) -> float:
    """Return the part of its rows that a scan reads, of which a share matches, if ``even`` is that for rows spread evenly.

    The ``short`` share of calls reads all of them.
    """
    return short + (1 - short) * math.sqrt(even * _last(even, matching))


def part_expected(even: float, matching: float, short: float, fear: float = 1.0) -> float:
    """Return the part of its rows that a scan is likely to read.

    What is feared counts the less, the more rows match: if nearly all do, it is unlikely that the others come first. It counts nothing
    if it is known that they are spread evenly: then ``fear`` is 0.
    """
    feared = part_read(even, matching, 0.0)
    weight = fear * (1 - matching)
    found: float = min(feared, even ** (1 - weight) * feared**weight)
    return short + (1 - short) * found


def part_of_many(even: float, matching: float, fear: float) -> float:
    """Return the part of its rows that a scan reads on average if it looks for many values: those that come late take most.

    How late they come lies anywhere between evenly and last, by its logarithm.
    """
    last = _last(even, matching)
    feared = (last - even) / math.log(last / even) if last > even > 0 else even
    weight = fear * (1 - matching)
    return (1 - weight) * even + weight * feared


def _last(even: float, matching: float) -> float:
    """Return the part of its rows that a scan reads if those that match come last."""
    return min(1.0, 1 - matching + even * matching)


def _extra(
    found: _Limited,
    rows_in_order: RowsInOrder,
    ranges: Ranges,
    times: RowsPassing,
    at_worst: bool,
    short: float,
) -> float:
    parts = _parts(found, rows_in_order, times, ranges, at_worst=at_worst, short=short)
    if parts is None:
        return 0.0
    even, part = parts
    return max(0.0, part - even) * _whole(found.child) * found.loops


def _parts(
    found: _Limited,
    rows_in_order: RowsInOrder,
    times: RowsPassing,
    ranges: Ranges | None = None,
    *,
    at_worst: bool,
    short: float,
) -> tuple[float, float] | None:
    """Return the parts of its rows that a scan reads as the planner expects, and as is expected here; None if it reads all."""
    wanted, returned = float(found.limit["Plan Rows"]), float(found.child["Plan Rows"])
    if _whole(found.child) <= 0 or wanted >= returned:
        return None
    even = wanted / returned
    read = rows_in_order(found.scan)
    if read is None or read <= 0:
        return even, even
    passing = times(found.scan, read)
    real, matching = min(1.0, even / passing), min(1.0, _share(found, read) * passing)
    if matching > _ALL and "Filter" not in found.scan:
        return even, even  # a call that finds fewer has read no more
    part, is_first, is_last = (1.0, True, False) if ranges is None else ranges(found.scan)
    if is_last:
        return even, 1.0
    share = max(part, matching) if is_first else 1.0
    within = matching / share  # what comes after them is not reached
    part = part_read(real, within, 0.0)
    if at_worst and _lacks_equality(found.scan):
        part = max(part, _last(real, within))
    return even, short + (1 - short) * share * part


def _whole(child: PlanNode) -> float:
    return float(child["Total Cost"]) - float(child["Startup Cost"])


def _lacks_equality(scan: PlanNode) -> bool:
    """Tell whether a scan excludes rows by a column compared for equality, which could be the first key."""
    found = terms.conditions(str(scan.get("Filter") or ""))
    return any(t.kind in terms.EQUAL and t.is_constant and t.operand.column for t in found.terms)


def _share(found: _Limited, read: float) -> float:
    """Return the share of the rows read in order that are returned, which joins may also exclude or multiply."""
    scanned = max(1.0, float(found.scan["Plan Rows"]))
    return min(1.0, scanned / read) * min(1.0, float(found.child["Plan Rows"]) / scanned)


def _limited(node: PlanNode, loops: float) -> Iterator[_Limited]:
    children = node.get("Plans", ())
    if node["Node Type"] == "Limit":
        child = inputs(node)[0]
        for scan in _scans(child):
            yield _Limited(node, child, scan, loops)
    for child in children:
        is_inner = (
            node["Node Type"] == "Nested Loop" and child.get("Parent Relationship") == "Inner"
        )
        times = max(1.0, float(inputs(node)[0].get("Plan Rows", 1))) if is_inner else 1.0
        yield from _limited(child, loops * times)


def _scans(node: PlanNode) -> Iterator[PlanNode]:
    """Yield the scan that determines the order of a node's rows; nothing if all rows are read first."""
    while node["Node Type"] in _STREAMING:
        below = inputs(node)
        if not below:
            return
        node = below[0]
    if node["Node Type"] in _DRIVING:
        yield node
