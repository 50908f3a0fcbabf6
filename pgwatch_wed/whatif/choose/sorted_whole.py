"""Plans that sort all rows of a value for LIMIT, of which calls return more than the planner expects.

Then the values have more rows than a usual one. How many of them are read and sorted, the blocks of the calls tell. An index that has the
order, too, ends at LIMIT, however many there are. For the planner, which expects fewer rows than LIMIT allows, both cost the same.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, inputs
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.whatif.oracle import IndexShape

_EQUAL = frozenset({Kind.EQUAL, Kind.BOOLEAN, Kind.IS_NULL})
_PASSING = frozenset({"LockRows", "Subquery Scan", "Result", "Gather Merge"})
_FETCHING = frozenset({"Index Scan", "Index Only Scan", "Bitmap Heap Scan"})


@dataclass(frozen=True, slots=True)
class MoreRows:
    """How many times the planner's rows a call returns, and how many times those of the values there are."""

    returned: float
    matching: float

    def times(self, tree: PlanNode, shape: Callable[[str], IndexShape | None]) -> float:
        """Return how many times the planner's rows a plan of the same statement reads."""
        return self.matching if self.reads_all(tree, shape) else self.returned

    @staticmethod
    def reads_all(tree: PlanNode, shape: Callable[[str], IndexShape | None]) -> bool:
        """Tell whether a plan reads all rows of the values, so that LIMIT does not end it, and the server could not read them in order."""
        found = _sorted(tree)
        return found is not None and not _has_order(*found, shape)


def more_rows(
    tree: PlanNode, returned: float, counted: float, planned: float, most: float
) -> MoreRows | None:
    """Return what calls tell of a present plan that sorts all rows of a value in a table of ``most`` rows; None for another plan.

    They return a number of rows and touch ``counted`` blocks, of ``planned`` ones.
    """
    found = _sorted(tree)
    if found is None:
        return None
    rows = max(1.0, float(found[1]["Plan Rows"]))
    if returned <= rows:
        return None
    least = returned / rows
    return MoreRows(least, min(max(least, counted / max(planned, 1.0)), max(least, most / rows)))


def sorted_scan(tree: PlanNode) -> PlanNode | None:
    """Return the index scan of one table whose rows are all sorted for LIMIT; None for another plan."""
    found = _sorted(tree)
    return None if found is None else found[1]


def _sorted(tree: PlanNode) -> tuple[PlanNode, PlanNode] | None:
    """Return the sort and the scan."""
    node, is_limited = tree, False
    while node["Node Type"] in _PASSING or (node["Node Type"] == "Limit" and not is_limited):
        is_limited = is_limited or node["Node Type"] == "Limit"
        below = inputs(node)
        if len(below) != 1:
            return None
        node = below[0]
    if not is_limited or node["Node Type"] != "Sort":
        return None
    scan = inputs(node)[0]
    return (node, scan) if scan["Node Type"] in _FETCHING else None


def _has_order(sort: PlanNode, scan: PlanNode, shape: Callable[[str], IndexShape | None]) -> bool:
    """Tell whether the index of a scan has the order after the keys that are compared for equality, so that the server may read it in order."""
    indexes = [n for n in (scan, *scan.get("Plans", ())) if "Index Name" in n]
    known = shape(indexes[0]["Index Name"]) if len(indexes) == 1 else None
    if known is None or known.method != "btree":
        return False
    text = scan.get("Index Cond") or scan.get("Recheck Cond") or ""
    found = terms.conditions(text).terms if isinstance(text, str) else ()
    equal = {t.operand.column for t in found if t.kind in _EQUAL}
    keys = list(known.keys)
    while keys and keys[0] in equal:
        keys.pop(0)
    orders = [terms.sort_key(each) for each in sort.get("Sort Key", ())]
    wanted = [None if each is None else each.operand.column for each in orders]
    return None not in wanted and keys[: len(wanted)] == wanted
